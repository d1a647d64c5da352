# SPDX-License-Identifier: GPL-3.0-or-later
"""The permutation Keccak-f[1600]: the Keccak reference 3.0, section 1.2. Lane (x, y) has index x + 5y."""

from __future__ import annotations

from llvmlite import ir
from numba.core import cgutils

from supervm.kernels.cpu.hashes.emitter import HashEmitter
from supervm.kernels.cpu.lanes.lanes import I64
from supervm.kernels.hash_spec import KeccakSpec

_TURN = 2
"""Rounds in one turn of the loop."""


def permute(emit: HashEmitter, spec: KeccakSpec, state: list[ir.Value]) -> list[ir.Value]:
    """All rounds, each θ, ρ with π, χ, ι.

    With one lane the state does not fit the registers and a loop is a tenth faster; with eight it fits.
    """
    if emit.lanes.width > 1:
        for constant in spec.round_constants:
            state = _round(emit, spec, state, emit.constant(constant))
        return state
    builder = emit.builder
    constants = emit.table(f"{spec.name}.constants", spec.round_constants)
    kept = emit.keep(state)
    with cgutils.for_range(builder, ir.Constant(I64, len(spec.round_constants) // _TURN)) as loop:
        first = builder.mul(loop.index, ir.Constant(I64, _TURN))
        state = kept.read()
        for turn in range(_TURN):
            place = builder.add(first, ir.Constant(I64, turn))
            state = _round(emit, spec, state, builder.load(builder.gep(constants, [place])))
        kept.write(state)
    return kept.read()


def _round(emit: HashEmitter, spec: KeccakSpec, state: list[ir.Value], constant: ir.Value) -> list[ir.Value]:
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
