# SPDX-License-Identifier: GPL-3.0-or-later
"""Hash functions as C++: what `sha2`, `keccak`, `blake2b` and `poseidon` are specialised by, from their descriptions.

Each emitter writes a struct of static members and, where rounds are a loop, a table beside it that all threads read at
the same place. States after a common beginning are computed here, once, in Python. Poseidon's round constants come as
tables, at run time.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from supervm.kernels.cpu.fields.element_type import Field
from supervm.kernels.cpu.hashes.poseidon import table
from supervm.kernels.cpu.lanes.lanes import LANES_64
from supervm.kernels.cuda.constants.fields import montgomery_params, number, struct
from supervm.kernels.errors import ArgumentError
from supervm.kernels.hash_spec import Blake2Spec, HashSpec, KeccakSpec, Sha2Spec
from supervm.kernels.poseidon_spec import PoseidonSpec
from supervm.kernels.spec import FieldSpec


def sha2(spec: Sha2Spec, name: str = "Spec") -> str:
    """The struct that `sha2.cuh` asks for, for either word size.

    Raises:
        ArgumentError: a function of another shape.
    """
    if spec.word_bits not in (32, 64) or spec.block_words != 16 or spec.digest_words != 8:
        raise ArgumentError("spec", spec.name, "sixteen words of 32 or 64 bits to a block, eight to a digest")
    return _table(f"{name}_ROUNDS", spec.constants, spec.word_bits) + struct(
        name,
        *_common(spec),
        number("ROUNDS", len(spec.constants)),
        state_setter("initial", spec.initial, spec.word_bits),
        _lookup("constant", f"{name}_ROUNDS"),
        _sigma("big_sigma0", spec.big_sigma0, shifts=False),
        _sigma("big_sigma1", spec.big_sigma1, shifts=False),
        _sigma("small_sigma0", spec.small_sigma0, shifts=True),
        _sigma("small_sigma1", spec.small_sigma1, shifts=True),
    )


def keccak(spec: KeccakSpec, name: str = "Spec") -> str:
    """The struct that `keccak.cuh` asks for.

    Raises:
        ArgumentError: a function of another shape.
    """
    if spec.word_bits != 64 or spec.digest_bytes != 32 or spec.block_bytes % 8:
        raise ArgumentError("spec", spec.name, "lanes of 64 bits, whole ones to a block, four to a digest")
    turns = [(64 - rotation) % 64 for rotation in spec.rotations]
    return _table(f"{name}_ROUNDS", spec.round_constants, 64) + struct(
        name,
        *_common(spec),
        number("LAST_MARKER", spec.last_marker),
        number("ROUNDS", len(spec.round_constants)),
        _lookup("constant", f"{name}_ROUNDS"),
        _folded("turn", "int lane", "lane", turns),
    )


def blake2b(spec: Blake2Spec, name: str = "Spec") -> str:
    """The struct that `blake2b.cuh` asks for.

    Raises:
        ArgumentError: a function of another shape.
    """
    if spec.word_bits != 64 or spec.block_words != 16 or spec.digest_words != 8:
        raise ArgumentError("spec", spec.name, "sixteen words of 64 bits to a block, eight to a digest")
    return struct(
        name,
        *_common(spec),
        number("ROUNDS", len(spec.schedule)),
        number("PARAMETERS", spec.parameters),
        *(number(f"TURN_{index}", rotation) for index, rotation in enumerate(spec.rotations)),
        state_setter("initial", spec.initial, 64),
        _folded(
            "source",
            "int round, int place",
            "16 * round + place",
            [word for row in spec.schedule for word in row],
        ),
    )


def poseidon(spec: FieldSpec) -> str:
    """The text that stands for `constants.cuh`: the type Scalar.

    Raises:
        ArgumentError: the modulus has not eight words.
    """
    if spec.words != 4:
        raise ArgumentError("spec", f"{spec.name}, {spec.bits} bits", "a modulus of 193 to 256 bits")
    return montgomery_params(spec, "ScalarParams") + "using Scalar = MontgomeryField<ScalarParams>;\n"


@functools.cache
def round_constants(spec: PoseidonSpec) -> npt.NDArray[np.uint32]:
    """The table of one permutation, with R = 2^256: that of one 64-bit lane."""
    return table(Field(spec.field, LANES_64), spec).view(np.uint32)


def state_setter(name: str, words: Sequence[int], word_bits: int = 32) -> str:
    """A static function that writes a state: words of `word_bits` bits, the first one first.

    Raises:
        ArgumentError: a word does not fit, or its size is neither 32 nor 64.
    """
    body = " ".join(f"s[{index}] = {_literal(word, word_bits)};" for index, word in enumerate(words))
    return f"    static METHOD void {name}({_type(word_bits)} (&s)[{len(words)}]) {{ {body} }}\n"


def sha2_midstate(spec: Sha2Spec, block: bytes) -> tuple[int, ...]:
    """The state after messages' common beginning: FIPS 180-4, section 6, word by word.

    Args:
        spec: the function.
        block: one or several whole blocks.

    Raises:
        ArgumentError: the length is no multiple of the block's.
    """
    if len(block) % spec.block_bytes:
        raise ArgumentError("block", f"{len(block)} bytes", f"a multiple of {spec.block_bytes}")
    state = spec.initial
    for start in range(0, len(block), spec.block_bytes):
        state = _compressed(spec, state, block[start : start + spec.block_bytes])
    return state


def _compressed(spec: Sha2Spec, state: tuple[int, ...], block: bytes) -> tuple[int, ...]:
    bits, mask = spec.word_bits, (1 << spec.word_bits) - 1
    size = bits // 8

    def turned(value: int, count: int) -> int:
        return (value >> count | value << bits - count) & mask

    def turns(value: int, counts: tuple[int, int, int]) -> int:
        return turned(value, counts[0]) ^ turned(value, counts[1]) ^ turned(value, counts[2])

    def mixed(value: int, counts: tuple[int, int, int]) -> int:
        return turned(value, counts[0]) ^ turned(value, counts[1]) ^ value >> counts[2]

    w = [int.from_bytes(block[at : at + size], "big") for at in range(0, spec.block_bytes, size)]
    for t in range(16, len(spec.constants)):
        w.append(
            mixed(w[t - 2], spec.small_sigma1) + w[t - 7] + mixed(w[t - 15], spec.small_sigma0) + w[t - 16]
            & mask
        )
    a, b, c, d, e, f, g, h = state
    for constant, word in zip(spec.constants, w, strict=True):
        t1 = h + turns(e, spec.big_sigma1) + (e & f ^ ~e & g) + constant + word
        t2 = turns(a, spec.big_sigma0) + (a & b ^ a & c ^ b & c)
        a, b, c, d, e, f, g, h = t1 + t2 & mask, a, b, c, d + t1 & mask, e, f, g
    return tuple(old + new & mask for old, new in zip(state, (a, b, c, d, e, f, g, h), strict=True))


def _common(spec: HashSpec) -> tuple[str, ...]:
    return (
        f"    typedef {_type(spec.word_bits)} Word;\n",
        number("BLOCK_BYTES", spec.block_bytes),
        number("DIGEST_BYTES", spec.digest_bytes),
        number("PADDING_BYTES", spec.padding_bytes),
        number("MARKER", spec.marker),
        f"    static constexpr bool BIG_ENDIAN = {str(spec.big_endian).lower()};\n",
    )


def _type(word_bits: int) -> str:
    if word_bits not in (32, 64):
        raise ArgumentError("word_bits", str(word_bits), "32 or 64")
    return f"u{word_bits}"


def _literal(word: int, word_bits: int) -> str:
    if not 0 <= word < 1 << word_bits:
        raise ArgumentError("word", hex(word), f"a number of {word_bits} bits")
    return f"{word:#x}{'u' if word_bits == 32 else 'ull'}"


def _table(name: str, words: Sequence[int], word_bits: int) -> str:
    """Words in the constant memory of the device."""
    body = ", ".join(_literal(word, word_bits) for word in words)
    return f"CONSTANT {_type(word_bits)} {name}[{len(words)}] = {{{body}}};\n"


def _lookup(name: str, table: str) -> str:
    return f"    static METHOD Word {name}(int index) {{ return {table}[index]; }}\n"


def _folded(name: str, parameters: str, index: str, values: Sequence[int]) -> str:
    """A static function whose index is known when it is compiled: on a GPU nothing of its table is left."""
    body = ", ".join(map(str, values))
    return (
        f"    static METHOD u32 {name}({parameters})\n    {{\n"
        f"        constexpr u32 values[{len(values)}] = {{{body}}};\n        return values[{index}];\n    }}\n"
    )


def _sigma(name: str, counts: tuple[int, int, int], *, shifts: bool) -> str:
    """Three rotations combined; with `shifts`, the third is a shift."""
    third = f"(x >> {counts[2]})" if shifts else f"rotated_right(x, {counts[2]})"
    return (
        f"    static METHOD Word {name}(Word x) {{ return rotated_right(x, {counts[0]}) ^ "
        f"rotated_right(x, {counts[1]}) ^ {third}; }}\n"
    )
