# SPDX-License-Identifier: GPL-3.0-or-later
"""Sums with one reduction, on the host twin against Python integers, at every edge of their carries."""

from __future__ import annotations

import itertools

import host_twin
import numpy as np
import pytest
from fold_sums import FOLD, PROGRAM, SUMS, TOP, P, terms

from supervm.kernels.cuda.constants import fields

pytestmark = [
    pytest.mark.twin,
    pytest.mark.skipif(bool(host_twin.missing()), reason=host_twin.missing() or "a compiler is there"),
]


def sums(name: str, rows: list[tuple[int, ...]]) -> list[int]:
    packed = np.array([[fields.words_of(value, 8) for value in row] for row in rows], np.uint32)
    out = np.zeros((len(rows), 8), np.uint32)
    host_twin.call(host_twin.build(PROGRAM.source, PROGRAM.constants), f"sums_{name}", packed, out, len(rows))
    return [int.from_bytes(row.tobytes(), "little") for row in out]


@pytest.mark.parametrize("name", list(SUMS))
def test_at_the_edges_and_at_random(name: str) -> None:
    rows = terms()
    wrong = [row for row, value in zip(rows, sums(name, rows), strict=True) if (value - SUMS[name](*row)) % P]
    assert not [list(map(hex, row)) for row in wrong[:3]]


def test_a_sum_just_above_what_two_folds_hold() -> None:
    """a·b + c·d whose upper half, with the carry's fold added, does not fit 256 bits."""
    high = [
        (TOP - i, TOP - j, TOP - k, TOP - m)
        for i, j, k, m in itertools.product((0, 1, 977, FOLD // 8), repeat=4)
    ]
    assert all(a * b + c * d >= (1 << 513) - (FOLD << 256) for a, b, c, d in high)
    for name in ("of_products", "product_plus_square"):
        for row, value in zip(high, sums(name, high), strict=True):
            assert (value - SUMS[name](*row)) % P == 0
