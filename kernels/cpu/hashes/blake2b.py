# SPDX-License-Identifier: GPL-3.0-or-later
"""The compression function of BLAKE2b: RFC 7693, sections 3.1 and 3.2."""

from __future__ import annotations

from llvmlite import ir

from supervm.kernels.cpu.hashes.emitter import HashEmitter
from supervm.kernels.hash_spec import Blake2Spec

_COLUMNS_AND_DIAGONALS = (
    (0, 4, 8, 12),
    (1, 5, 9, 13),
    (2, 6, 10, 14),
    (3, 7, 11, 15),
    (0, 5, 10, 15),
    (1, 6, 11, 12),
    (2, 7, 8, 13),
    (3, 4, 9, 14),
)


def compress(
    emit: HashEmitter,
    spec: Blake2Spec,
    state: list[ir.Value],
    block: list[ir.Value],
    taken: ir.Value,
    last: ir.Value,
) -> list[ir.Value]:
    """What one block combines into the state: both halves of the working vector, joined by exclusive or.

    Args:
        taken: bytes of the message up to the end of this block.
        last: all bits set in the lanes whose last block this is.
    """
    vector = list(state) + [emit.constant(word) for word in spec.initial]
    vector[12] = emit.xor(vector[12], taken)
    vector[14] = emit.xor(vector[14], last)
    for order in spec.schedule:
        one_round(emit, spec, vector, block, order)
    return [emit.xor(low, high) for low, high in zip(vector[:8], vector[8:], strict=True)]


def one_round(
    emit: HashEmitter,
    spec: Blake2Spec,
    vector: list[ir.Value],
    block: list[ir.Value],
    order: tuple[int, ...],
) -> None:
    """One round on the working vector, in place.

    Args:
        order: in which it takes the message words.
    """
    for position, indices in enumerate(_COLUMNS_AND_DIAGONALS):
        x, y = (block[order[2 * position + half]] for half in range(2))
        _mix(emit, spec, vector, indices, x, y)


def _mix(
    emit: HashEmitter,
    spec: Blake2Spec,
    vector: list[ir.Value],
    indices: tuple[int, int, int, int],
    x: ir.Value,
    y: ir.Value,
) -> None:
    """The function G on four words of the working vector and two of the message."""
    a, b, c, d = (vector[index] for index in indices)
    r0, r1, r2, r3 = spec.rotations
    for word, of_d, of_b in ((x, r0, r1), (y, r2, r3)):
        a = emit.add(a, word, b)
        d = emit.rotate_right(emit.xor(d, a), of_d)
        c = emit.add(c, d)
        b = emit.rotate_right(emit.xor(b, c), of_b)
    for index, value in zip(indices, (a, b, c, d), strict=True):
        vector[index] = value
