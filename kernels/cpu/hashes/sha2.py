# SPDX-License-Identifier: GPL-3.0-or-later
"""The compression function of SHA-256 and SHA-512: FIPS 180-4, sections 6.2.2 and 6.4.2."""

from __future__ import annotations

from collections.abc import Sequence

from llvmlite import ir
from numba.core import cgutils

from supervm.kernels.cpu.hashes.emitter import HashEmitter
from supervm.kernels.cpu.lanes.lanes import I64
from supervm.kernels.hash_spec import Sha2Spec

_KEPT = 16
"""Words of the message schedule that the next one depends on: the block's own."""

_TURN = 8
"""Rounds after which every working variable has its old place again."""


def compress(
    emit: HashEmitter, spec: Sha2Spec, state: list[ir.Value], block: list[ir.Value]
) -> list[ir.Value]:
    """What one block adds to the state: the working variables after the last round.

    A loop of sixteen rounds, each of which replaces the word that it took by the one sixteen rounds later; the
    last sixteen need no more words. Unrolled entirely it compiles twice as long and is no faster.
    """
    return _compress_from(emit, spec, state, block, 0)


def compress_partly_known(
    emit: HashEmitter, spec: Sha2Spec, state: list[ir.Value], block: list[ir.Value | int]
) -> list[ir.Value]:
    """`compress` for a block of which some words are known now, as integers.

    Sums and rotations of known words are formed here, in the first sixteen rounds; after two such turns nothing
    would be left of them.
    """
    words = list(block)
    for turn in range(_KEPT):
        keyed = _sum(emit, spec, [words[turn], spec.constants[turn]])
        state = _round(emit, spec, state, _value(emit, keyed))
        words[turn] = _next_partly_known(emit, spec, words, turn)
    return _compress_from(emit, spec, state, [_value(emit, word) for word in words], 1)


def _compress_from(
    emit: HashEmitter, spec: Sha2Spec, state: list[ir.Value], block: list[ir.Value], start: int
) -> list[ir.Value]:
    """The working variables after the last round, from those before round `start` · 16 and its sixteen words."""
    constants = emit.table(f"{spec.name}.constants", spec.constants)
    variables = emit.keep(state)
    words = emit.keep(block)
    last = len(spec.constants) - _KEPT
    with cgutils.for_range(emit.builder, ir.Constant(I64, last // _KEPT - start)) as loop:
        turns = emit.builder.add(loop.index, ir.Constant(I64, start))
        first = emit.builder.mul(turns, ir.Constant(I64, _KEPT))
        schedule, state = words.read(), variables.read()
        for turn in range(_KEPT):
            constant = emit.every(_element(emit, constants, first, turn))
            state = _round(emit, spec, state, emit.add(schedule[turn], constant))
            schedule[turn] = _next_word(emit, spec, schedule, turn)
        words.write(schedule)
        variables.write(state)
    state = variables.read()
    for word, number in zip(words.read(), spec.constants[last:], strict=True):
        state = _round(emit, spec, state, emit.add(word, emit.constant(number)))
    return state


def compress_scheduled(
    emit: HashEmitter, spec: Sha2Spec, state: list[ir.Value], keyed: ir.Value
) -> list[ir.Value]:
    """`compress` for a block that is the same in all lanes; `keyed` points to the results of `write_schedule`."""
    variables = emit.keep(state)
    with cgutils.for_range(emit.builder, ir.Constant(I64, len(spec.constants) // _TURN)) as loop:
        first = emit.builder.mul(loop.index, ir.Constant(I64, _TURN))
        state = variables.read()
        for turn in range(_TURN):
            state = _round(emit, spec, state, emit.every(_element(emit, keyed, first, turn)))
        variables.write(state)
    return variables.read()


def write_schedule(emit: HashEmitter, spec: Sha2Spec, block: list[ir.Value], keyed: ir.Value) -> None:
    """Store at `keyed`, for each round, the sum of its message word and its constant; one lane only."""
    builder = emit.builder
    constants = emit.table(f"{spec.name}.constants", spec.constants)
    words = emit.keep(block)
    with cgutils.for_range(builder, ir.Constant(I64, len(spec.constants) // _KEPT)) as loop:
        first = builder.mul(loop.index, ir.Constant(I64, _KEPT))
        schedule = words.read()
        for turn in range(_KEPT):
            place = builder.gep(keyed, [builder.add(first, ir.Constant(I64, turn))])
            builder.store(emit.add(schedule[turn], _element(emit, constants, first, turn)), place)
            schedule[turn] = _next_word(emit, spec, schedule, turn)
        words.write(schedule)


def _element(emit: HashEmitter, table: ir.Value, first: ir.Value, turn: int) -> ir.Value:
    builder = emit.builder
    return builder.load(builder.gep(table, [builder.add(first, ir.Constant(I64, turn))]))


def _next_word(emit: HashEmitter, spec: Sha2Spec, words: list[ir.Value], turn: int) -> ir.Value:
    """The word sixteen rounds after `words[turn]`, which with its successors is still needed."""
    return emit.add(
        words[turn],
        words[(turn + 9) % _KEPT],
        _small_sigma(emit, words[(turn + 1) % _KEPT], spec.small_sigma0),
        _small_sigma(emit, words[(turn + 14) % _KEPT], spec.small_sigma1),
    )


def _next_partly_known(
    emit: HashEmitter, spec: Sha2Spec, words: list[ir.Value | int], turn: int
) -> ir.Value | int:
    """`_next_word` where words may be integers."""
    early, late = words[(turn + 1) % _KEPT], words[(turn + 14) % _KEPT]
    terms = [words[turn], words[(turn + 9) % _KEPT]]
    for word, counts in ((early, spec.small_sigma0), (late, spec.small_sigma1)):
        known = isinstance(word, int)
        terms.append(_known_small_sigma(word, counts, spec) if known else _small_sigma(emit, word, counts))
    return _sum(emit, spec, terms)


def known_schedule(spec: Sha2Spec, block: Sequence[int]) -> list[int]:
    """For each round of a known block the sum of its message word and its constant."""
    words = list(block)
    while len(words) < len(spec.constants):
        early, late = words[-_KEPT + 1], words[-2]
        terms = words[-_KEPT], words[-_KEPT + 9]
        small = (
            _known_small_sigma(early, spec.small_sigma0, spec),
            _known_small_sigma(late, spec.small_sigma1, spec),
        )
        words.append(sum((*terms, *small)) % (1 << spec.word_bits))
    keyed = zip(words, spec.constants, strict=True)
    return [(word + constant) % (1 << spec.word_bits) for word, constant in keyed]


def _sum(emit: HashEmitter, spec: Sha2Spec, terms: list[ir.Value | int]) -> ir.Value | int:
    known = sum(term for term in terms if isinstance(term, int)) % (1 << spec.word_bits)
    values = [term for term in terms if not isinstance(term, int)]
    if not values:
        return known
    return emit.add(*values, *([emit.constant(known)] if known else []))


def _value(emit: HashEmitter, word: ir.Value | int) -> ir.Value:
    return emit.constant(word) if isinstance(word, int) else word


def _known_small_sigma(word: int, counts: tuple[int, int, int], spec: Sha2Spec) -> int:
    *rotations, shift = counts
    result = word >> shift
    for count in rotations:
        result ^= (word >> count | word << (spec.word_bits - count)) & ((1 << spec.word_bits) - 1)
    return result


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
