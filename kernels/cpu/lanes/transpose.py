# SPDX-License-Identifier: GPL-3.0-or-later
"""Turning a square of words over its diagonal: rows that lie in memory become lanes."""

from __future__ import annotations

from llvmlite import ir

I32 = ir.IntType(32)


def transpose(builder: ir.IRBuilder, rows: list[ir.Value]) -> list[ir.Value]:
    """Rows of as many words as there are rows (a power of two), by exchanging ever larger blocks of pairs of rows."""
    width = len(rows)
    rows = list(rows)
    step = 1
    while step < width:
        for low in (row for row in range(width) if not row & step):
            a, b = rows[low], rows[low + step]
            rows[low] = _interleave(
                builder, a, b, [j if not j & step else width + j - step for j in range(width)]
            )
            rows[low + step] = _interleave(
                builder, a, b, [j + step if not j & step else width + j for j in range(width)]
            )
        step *= 2
    return rows


def _interleave(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, chosen: list[int]) -> ir.Value:
    indices = ir.Constant(ir.VectorType(I32, len(chosen)), [ir.Constant(I32, index) for index in chosen])
    return builder.shuffle_vector(a, b, indices)
