# SPDX-License-Identifier: GPL-3.0-or-later
"""Points in lanes with coordinates that are not reduced, the sums that leave them so, and words of extensions."""

from __future__ import annotations

import random

import numpy as np
import pytest
from lanes_here import HERE, raw_limbs, raw_value, scale
from numba import njit

from supervm.crypto.oracle.pairing_groups import GROUPS
from supervm.crypto.params import bls12_381, bn254
from supervm.kernels.cpu.curves import weierstrass as gr
from supervm.kernels.cpu.curves.curve import Curve, base_field, lanes_of
from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.fields import multiword as wd
from supervm.kernels.cpu.fields.doubles import DoublesField
from supervm.kernels.cpu.fields.element_type import Field
from supervm.kernels.cpu.fields.quadratic_codegen import LOOSE, QuadraticField, roomy
from supervm.kernels.cpu.fields.square_roots import square_roots
from supervm.kernels.cpu.lanes import lanes as ln
from supervm.kernels.cpu.lanes.lanes import FMA_64X4, IFMA_64X8, LANES_64

NAMES = ["bn254.g2", "bls12_381.g1", "bls12_381.g2"]


def base_of(field):
    """The generator of the prime field."""
    code = field.element.code
    return code.base if isinstance(code, QuadraticField) else code


def limbs_of(field, group, values, excess):
    """Limbs of one element in every lane, `excess` times p above what is canonical."""
    base = base_of(field)
    rows = []
    for value in values:
        numbers = [part * base.r % group.p + excess * group.p for part in group.field.parts(value)]
        rows.append([limb for number in numbers for limb in raw_limbs(base, number)])
    return np.array(rows, np.uint64).T.reshape(-1)


def excesses(base):
    """What X and Y may be above a canonical number, in multiples of p, and Z: doubles have signs."""
    if isinstance(base, DoublesField):
        return [(0, 0), (-1, -1), *([(LOOSE - 1, -1), (-LOOSE, 0)] if roomy(base) else [])]
    return [(0, 0), (1, 1), (LOOSE - 1, 1)] if roomy(base) else [(0, 0)]


def values_of(field, group, stored):
    """The inverse, for the words of one element."""
    base, limbs = base_of(field), field.limbs
    found = []
    for lane in stored.reshape(limbs, -1).T:
        parts = [raw_value(base, lane[at : at + base.limbs]) for at in range(0, limbs, base.limbs)]
        found.append(group.field.element([part * scale(base) % group.p for part in parts]))
    return found


@njit(nogil=True)
def _points(curve, array, out, flags):  # type: ignore[no-untyped-def]
    """Of P and Q: P + Q, 2P, −P, 2(P + Q) + P, and whether P = Q."""
    F = base_field(curve)
    size = fe.storage(F)
    P = (fe.load(F, array, 0), fe.load(F, array, size), fe.load(F, array, 2 * size))
    Q = (fe.load(F, array, 3 * size), fe.load(F, array, 4 * size), fe.load(F, array, 5 * size))
    total = gr.add(P, Q)
    results = (total, gr.double(P), gr.negative(P), gr.add(gr.double(total), P))
    for index in range(4):
        for part in range(3):
            fe.store(out, (3 * index + part) * size, results[index][part])
    flags[0] = ln.mask_bits(gr.same(P, Q))


@pytest.mark.parametrize("name", NAMES)
def test_points_with_loose_coordinates(backend, name):
    """X and Y up to LOOSE·p, Z up to 2p, doubles of either sign; equal and opposite points and infinity in some lanes."""
    group, lanes = GROUPS[name], HERE[backend]
    curve = Curve(group.spec, lanes)
    f, source = group.field, random.Random(name)
    base, other = group.generator, group.curve_point(3)
    pairs = [
        (base, other),
        (base, base),
        (base, group.negate(base)),
        (None, other),
        (other, None),
        (None, None),
    ]
    pairs += [(other, other), (group.multiply(5, base), other)]
    for excess, excess_of_z in excesses(base_of(curve.field)):
        for start in range(0, len(pairs), lanes.width):
            used = pairs[start : start + lanes.width]
            columns = []
            for side in (0, 1):
                z = [
                    f.zero
                    if pair[side] is None
                    else f.element([source.randrange(group.p) for _ in range(group.degree)])
                    for pair in used
                ]
                x, y = [], []
                for pair, factor in zip(used, z, strict=True):
                    point, square = pair[side] or (f.one, f.one), f.mul(factor, factor)
                    finite = pair[side] is not None
                    x.append(f.mul(point[0], square) if finite else f.one)
                    y.append(f.mul(point[1], f.mul(square, factor)) if finite else f.one)
                columns += [limbs_of(curve.field, group, x, excess), limbs_of(curve.field, group, y, excess)]
                columns.append(limbs_of(curve.field, group, z, excess_of_z))
            array, flags = np.concatenate(columns), np.zeros(1, np.int64)
            out = np.empty(2 * array.size, np.uint64)
            _points(curve, array, out, flags)
            parts = [values_of(curve.field, group, element) for element in out.reshape(12, -1)]
            for lane, (P, Q) in enumerate(used):
                total = group.add(P, Q)
                expected = (total, group.add(P, P), group.negate(P), group.add(group.add(total, total), P))
                for index, point in enumerate(expected):
                    X, Y, Z = (parts[3 * index + part][lane] for part in range(3))
                    if point is None:
                        assert f.zero == Z
                        continue
                    inverse = f.inverse(Z)
                    square = f.mul(inverse, inverse)
                    assert (f.mul(X, square), f.mul(Y, f.mul(square, inverse))) == point
                assert bool(int(flags[0]) >> lane & 1) == (P == Q)


@njit(nogil=True)
def _roots(field, array, count):  # type: ignore[no-untyped-def]
    square_roots(field, array, count)


@pytest.mark.parametrize("name", ["bls12_381.g2"])
def test_square_roots(backend, name):
    """Roots of squares, of every kind that the complex method tells apart; of others no root comes out."""
    group = GROUPS[name]
    field, f = Field(group.spec.field, HERE[backend]), group.field
    source = random.Random(name)
    chosen = [0, 1, 2, 3, 4, 5, group.p - 1, group.p - 2, group.p - 4]
    values = [(part, 0) for part in chosen] + [(0, part) for part in chosen]
    values += [(source.randrange(group.p), source.randrange(group.p)) for _ in range(14)]
    values += [f.mul(value, value) for value in values[-8:]]
    width = field.lanes.width
    groups = len(values) // width
    assert groups * width == len(values)
    array = np.concatenate(
        [limbs_of(field, group, values[at : at + width], 0) for at in range(0, len(values), width)]
    )
    _roots(field, array, groups)
    found = [root for element in array.reshape(groups, -1) for root in values_of(field, group, element)]
    squares = 0
    for value, root in zip(values, found, strict=True):
        assert (f.mul(root, root) == value) == (f.sqrt(value) is not None)
        squares += f.sqrt(value) is not None
    assert len(values) // 3 < squares < len(values)


@njit(nogil=True)
def _words(curve, rows, first, stop, out, flags):  # type: ignore[no-untyped-def]
    """Second elements of rows, written back to other places; which are above the half, and below the modulus."""
    F = base_field(curve)
    size = out.shape[0] // 32
    words = wd.read_element(F, rows, 2 * size, size, first, stop - 1)
    larger = wd.above_half(F, words)
    wd.write_little(out, 2 * size, 0, first, stop, words)
    wd.write_little(out, 2 * size, size, first, stop, wd.cleared(larger, words))
    width = ln.lane_width(lanes_of(curve))
    flags[first // width, 0] = ln.mask_bits(larger)
    flags[first // width, 1] = ln.mask_bits(wd.below_modulus(F, words))


@pytest.mark.parametrize("name", NAMES)
def test_words_of_elements(backend, name):
    """Rows in and out; the larger of a and −a, where c₁ decides unless it is zero; the last group is not full."""
    group, lanes = GROUPS[name], HERE[backend]
    curve = Curve(group.spec, lanes)
    count, size = group.base.words, group.spec.field.words
    half = (group.p - 1) // 2
    edges = [0, 1, half, half + 1, group.p - 1, group.p, (1 << 64 * count) - 1]
    values = [(edge,) for edge in edges * 2] if group.degree == 1 else [(a, b) for a in edges for b in edges]
    values = (values * 2)[:13] if group.degree == 1 else [*values[::4], (half + 1, 0)]
    rows = np.full((16, 2, size), 77, np.uint64)
    for row, parts in zip(rows, values, strict=False):
        row[1] = [part >> 64 * index & (1 << 64) - 1 for part in parts for index in range(count)]
    out, flags = np.full(16 * 2 * size, 5, np.uint64), np.zeros((16, 2), np.int64)
    for first in range(0, len(values), lanes.width):
        _words(curve, rows.reshape(-1), first, min(first + lanes.width, len(values)), out, flags)
    written = out.reshape(16, 2, size)
    assert (written[len(values) :] == 5).all()
    for index, parts in enumerate(values):
        lane = index % lanes.width
        larger, below = (bool(int(flag) >> lane & 1) for flag in flags[index // lanes.width])
        assert below == all(part < group.p for part in parts)
        decides = next((part for part in parts[::-1] if part), 0)
        assert larger == (decides > half)
        assert (written[index, 0] == rows[index, 1]).all()
        assert (written[index, 1] == (rows[index, 1] if larger else 0)).all()


def test_which_fields_are_roomy():
    """Of BLS12-381's scalar field six limbs of doubles leave room, and five of 52 bits do not."""
    for spec, limbs, doubles in (
        (bls12_381.FP, True, True),
        (bn254.FP, False, False),
        (bls12_381.FR, False, True),
    ):
        assert roomy(Field(spec, IFMA_64X8).element.code) is limbs
        assert roomy(Field(spec, FMA_64X4).element.code) is doubles
        assert not roomy(Field(spec, LANES_64).element.code)
