# SPDX-License-Identifier: GPL-3.0-or-later
"""The compression function of SHA-256 and SHA-512: FIPS 180-4, sections 6.2.2 and 6.4.2."""

from __future__ import annotations

from collections.abc import Iterator

from llvmlite import ir
from numba.core import cgutils

from supervm.kernels.cpu.hash_emit import HashEmitter
from supervm.kernels.cpu.lanes import I64
from supervm.kernels.hash_spec import Sha2Spec

_TURN = 8
"""Rounds after which every working variable has its old place again."""


def compress(
    emit: HashEmitter, spec: Sha2Spec, state: list[ir.Value], block: list[ir.Value]
) -> list[ir.Value]:
    """What one block adds to the state: the working variables after the last round."""
    for keyed in schedule(emit, spec, block):
        state = _round(emit, spec, state, keyed)
    return state


def schedule(emit: HashEmitter, spec: Sha2Spec, block: list[ir.Value]) -> Iterator[ir.Value]:
    """For each round, the sum of its message word and its constant.

    Sixteen words are kept, each replaced when its successor is due, so that they stay in registers.
    """
    words = list(block)
    for turn, constant in enumerate(spec.constants):
        if turn >= len(words):
            words[turn % 16] = emit.add(
                words[turn % 16],
                words[(turn - 7) % 16],
                _small_sigma(emit, words[(turn - 15) % 16], spec.small_sigma0),
                _small_sigma(emit, words[(turn - 2) % 16], spec.small_sigma1),
            )
        yield emit.add(words[turn % 16], emit.constant(constant))


def compress_scheduled(
    emit: HashEmitter, spec: Sha2Spec, state: list[ir.Value], keyed: ir.Value
) -> list[ir.Value]:
    """`compress` for a block that is the same in all lanes; `keyed` points to the results of `schedule`."""
    builder = emit.builder
    slots = [cgutils.alloca_once_value(builder, word) for word in state]
    with cgutils.for_range(builder, ir.Constant(I64, len(spec.constants) // _TURN)) as loop:
        first = builder.mul(loop.index, ir.Constant(I64, _TURN))
        variables = [builder.load(slot) for slot in slots]
        for turn in range(_TURN):
            address = builder.gep(keyed, [builder.add(first, ir.Constant(I64, turn))])
            variables = _round(emit, spec, variables, emit.every(builder.load(address)))
        for slot, word in zip(slots, variables, strict=True):
            builder.store(word, slot)
    return [builder.load(slot) for slot in slots]


def _round(emit: HashEmitter, spec: Sha2Spec, variables: list[ir.Value], keyed: ir.Value) -> list[ir.Value]:
    a, b, c, d, e, f, g, h = variables
    first = emit.add(h, keyed, emit.choose(e, f, g), _big_sigma(emit, e, spec.big_sigma1))
    second = emit.add(_big_sigma(emit, a, spec.big_sigma0), emit.majority(a, b, c))
    return [emit.add(first, second), a, b, c, emit.add(d, first), e, f, g]


def _big_sigma(emit: HashEmitter, word: ir.Value, rotations: tuple[int, int, int]) -> ir.Value:
    return emit.xor(*(emit.rotate_right(word, count) for count in rotations))


def _small_sigma(emit: HashEmitter, word: ir.Value, counts: tuple[int, int, int]) -> ir.Value:
    *rotations, shift = counts
    return emit.xor(*(emit.rotate_right(word, count) for count in rotations), emit.shift_right(word, shift))
