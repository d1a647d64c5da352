# SPDX-License-Identifier: GPL-3.0-or-later
"""The compression function of SHA-256 and SHA-512: FIPS 180-4, sections 6.2.2 and 6.4.2."""

from __future__ import annotations

from llvmlite import ir

from supervm.kernels.cpu.hash_emit import HashEmitter
from supervm.kernels.hash_spec import Sha2Spec


def compress(
    emit: HashEmitter, spec: Sha2Spec, state: list[ir.Value], block: list[ir.Value]
) -> list[ir.Value]:
    """What one block adds to the state: the working variables after the last round.

    The message schedule keeps sixteen words, each replaced when its successor is due, so that the words and
    the eight variables stay in registers.
    """
    words = list(block)
    a, b, c, d, e, f, g, h = state
    for turn, constant in enumerate(spec.constants):
        if turn >= 16:
            words[turn % 16] = emit.add(
                words[turn % 16],
                words[(turn - 7) % 16],
                _small_sigma(emit, words[(turn - 15) % 16], spec.small_sigma0),
                _small_sigma(emit, words[(turn - 2) % 16], spec.small_sigma1),
            )
        first = emit.add(
            h,
            emit.add(words[turn % 16], emit.constant(constant)),
            emit.choose(e, f, g),
            _big_sigma(emit, e, spec.big_sigma1),
        )
        second = emit.add(_big_sigma(emit, a, spec.big_sigma0), emit.majority(a, b, c))
        a, b, c, d, e, f, g, h = emit.add(first, second), a, b, c, emit.add(d, first), e, f, g
    return [a, b, c, d, e, f, g, h]


def _big_sigma(emit: HashEmitter, word: ir.Value, rotations: tuple[int, int, int]) -> ir.Value:
    return emit.xor(*(emit.rotate_right(word, count) for count in rotations))


def _small_sigma(emit: HashEmitter, word: ir.Value, counts: tuple[int, int, int]) -> ir.Value:
    *rotations, shift = counts
    return emit.xor(*(emit.rotate_right(word, count) for count in rotations), emit.shift_right(word, shift))
