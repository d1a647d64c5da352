# SPDX-License-Identifier: GPL-3.0-or-later
"""The permutation Keccak-f[1600]: the Keccak reference 3.0, section 1.2. Lane (x, y) has index x + 5y."""

from __future__ import annotations

from llvmlite import ir

from supervm.kernels.cpu.hash_emit import HashEmitter
from supervm.kernels.hash_spec import KeccakSpec


def permute(emit: HashEmitter, spec: KeccakSpec, state: list[ir.Value]) -> list[ir.Value]:
    """All rounds, each θ, ρ with π, χ, ι."""
    for constant in spec.round_constants:
        state = round_(emit, spec, state, emit.constant(constant))
    return state


def round_(emit: HashEmitter, spec: KeccakSpec, state: list[ir.Value], constant: ir.Value) -> list[ir.Value]:
    """One round."""
    parity = [emit.xor(*(state[x + 5 * y] for y in range(5))) for x in range(5)]
    turned = [emit.rotate_left(column, 1) for column in parity]
    moved: list[ir.Value] = [None] * 25
    for x in range(5):
        for y in range(5):
            # Three operands in one instruction: the column's correction is never formed by itself.
            word = emit.xor(state[x + 5 * y], parity[(x + 4) % 5], turned[(x + 1) % 5])
            moved[y + 5 * ((2 * x + 3 * y) % 5)] = emit.rotate_left(word, spec.rotations[x + 5 * y])
    mixed = [
        emit.xor_and_not(moved[5 * y + x], moved[5 * y + (x + 1) % 5], moved[5 * y + (x + 2) % 5])
        for y in range(5)
        for x in range(5)
    ]
    mixed[0] = emit.xor(mixed[0], constant)
    return mixed
