# SPDX-License-Identifier: GPL-3.0-or-later
"""Points as snarkjs' binary files have them: x and y in Montgomery form with R = 2^(64·words), infinity all zero."""

from __future__ import annotations

import numpy as np

from supervm.crypto import curves
from supervm.crypto.circom_files import Section
from supervm.crypto.curves import Group
from supervm.crypto.group_operations import CURVES
from supervm.crypto.point_encodings import base_field
from supervm.kernels.array_types import Words
from supervm.kernels.arrays import borrow, number_words
from supervm.kernels.cpu.backends import best
from supervm.kernels.cpu.msm.coordinates import scale_coordinates
from supervm.kernels.threads import run_slices

_GRAIN = 4096


def group_of(curve: str, number: int) -> Group:
    """G1 or G2 of a curve."""
    found = curves.get(curve)
    return found.g1 if number == 1 else found.g2


def point_bytes(group: Group) -> int:
    """Bytes of a point."""
    return 16 * group.spec.field.words


def read_points(section: Section, group: Group, at: int, count: int) -> Words:
    """`count` points from byte `at` of a section on, affine and canonical. Whether they are on the curve is not checked.

    Raises:
        CircomFileError: a coordinate of p or more, or the section ends before.
    """
    size = point_bytes(group)
    section.require(at + count * size)
    words = base_field(group.spec).words
    rows = section.words(at, count * size // (16 * words), 2 * words)
    found, bad = _scaled(group, rows, pow(1 << 64 * words, -1, base_field(group.spec).modulus))
    if bad >= 0:
        offset = at + bad * 16 * words
        point = bad * 16 * words // size
        raise section.error(offset, f"a coordinate of p or more in point {point}", "coordinates below p")
    return found.reshape(count, *group.generator.shape)


def check_points(section: Section, group: Group, at: int, points: Words, check: str) -> None:
    """All of the curve, or of the subgroup.

    Args:
        section, at: where they are from.
        group: they should be of.
        points: that were read.
        check: `curve` or `subgroup`.

    Raises:
        CircomFileError: naming the first that is not.
    """
    _, verdicts = group.from_bytes(points, "limbs", check)
    bad = np.flatnonzero(verdicts != 1)
    if bad.size:
        where = "outside the subgroup" if verdicts[bad[0]] == 0 else "that is not on the curve"
        offset = at + int(bad[0]) * point_bytes(group)
        raise section.error(offset, f"point {bad[0]} {where}", f"points of {group.name}")


def points_to_bytes(group: Group, points: Words) -> bytes:
    """The inverse of `read_points`."""
    base = base_field(group.spec)
    rows = np.ascontiguousarray(points).reshape(-1, 2 * base.words)
    found, _ = _scaled(group, rows, (1 << 64 * base.words) % base.modulus)
    return found.astype("<u8").tobytes()


def _scaled(group: Group, rows: Words, factor: int) -> tuple[Words, int]:
    """Numbers, two a row, times a factor; and the first row that is not canonical, or −1."""
    base = base_field(group.spec)
    curve = CURVES[f"{group.name.partition('.')[0]}.g1", best().name]
    given, out = borrow(np.ascontiguousarray(rows, np.uint64)).reshape(-1), np.empty(rows.shape, np.uint64)
    twice = np.tile(number_words(factor, base.words), 2)
    refused: list[int] = []

    def part(start: int, stop: int) -> None:
        bad = scale_coordinates(curve, given, twice, out.reshape(-1), start, stop)
        if bad >= 0:
            refused.append(int(bad))

    run_slices(part, len(rows), _GRAIN)
    return out, min(refused, default=-1)
