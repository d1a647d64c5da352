# SPDX-License-Identifier: GPL-3.0-or-later
"""Specifications as C++: the constants that CUDA sources are specialised by. No limb is written by hand.

What a source finds under `#include "constants.cuh"` is the concatenation of the pieces that its program names.
"""

from __future__ import annotations

from collections.abc import Iterable

from supervm.kernels.errors import ArgumentError
from supervm.kernels.exponents import addition_chain, exponent
from supervm.kernels.spec import FieldSpec

WORD = 32


def words_of(value: int, count: int) -> list[int]:
    """`value` as `count` 32-bit words, least significant first.

    Raises:
        ArgumentError: it is negative or does not fit.
    """
    if not 0 <= value < 1 << WORD * count:
        raise ArgumentError("value", hex(value), f"a number of {count} words")
    return [value >> WORD * index & 0xFFFFFFFF for index in range(count)]


def setter(name: str, value: int, count: int) -> str:
    """A static function that writes `value` to an array of `count` words."""
    body = " ".join(f"w[{index}] = {word:#x}u;" for index, word in enumerate(words_of(value, count)))
    return f"    static METHOD void {name}(u32 (&w)[{count}]) {{ {body} }}\n"


def struct(name: str, *members: str) -> str:
    """A struct that is only asked for its static members."""
    return f"struct {name} {{\n{''.join(members)}}};\n"


def number(name: str, value: int) -> str:
    """A compile-time number."""
    return f"    static constexpr u32 {name} = {value:#x}u;\n"


def fold_params(spec: FieldSpec, name: str) -> str:
    """The parameters of `FoldField` for a field that folds.

    Raises:
        ArgumentError: the modulus is not of that form.
    """
    fold = (1 << 256) % spec.modulus
    if not spec.fold or fold >> WORD > 1:
        raise ArgumentError(
            "spec", f"{spec.name}, modulus {spec.modulus:#x}", "2^255 − c or 2^256 − c, c below 2^32"
        )
    return struct(
        name,
        number("WORDS", 8),
        number("BITS", spec.bits),
        number("FOLD_LOW", fold & 0xFFFFFFFF),
        number("FOLD_HIGH", fold >> WORD),
        setter("modulus", spec.modulus, 8),
        chain("root", exponent(spec, "root")),
        chain("inverse", exponent(spec, "inverse")),
    )


def montgomery_params(spec: FieldSpec, name: str) -> str:
    """The parameters of `MontgomeryField`: an even number of words that hold the modulus, which must be odd."""
    words = -(-spec.bits // (2 * WORD)) * 2
    radix = 1 << WORD * words
    inverse = -pow(spec.modulus, -1, 1 << WORD) % (1 << WORD)
    before, read = "", "NEGATED_INVERSE"
    if inverse == (1 << WORD) - 1:
        # Known to be −1, it lets ptxas negate operands of the reduction's products, which takes their halves apart: a third
        # more multiplications. From constant memory it is a number like any other.
        before, read = f"OPAQUE_CONSTANT u32 {name}Inverse = {inverse:#x}u;\n", f"{name}Inverse"
    return before + struct(
        name,
        number("WORDS", words),
        number("SPARE_BITS", WORD * words - spec.bits),
        number("NEGATED_INVERSE", inverse),
        f"    static METHOD u32 negated_inverse() {{ return {read}; }}\n",
        setter("modulus", spec.modulus, words),
        setter("one", radix % spec.modulus, words),
        setter("square", radix * radix % spec.modulus, words),
        setter("inverse_exponent", exponent(spec, "inverse"), words),
        "    template <class F> static METHOD F inverse(const F &a)\n    {\n"
        "        u32 exponent[WORDS];\n        inverse_exponent(exponent);\n"
        "        return windowed_power(a, exponent);\n    }\n",
    )


def chain(name: str, value: int) -> str:
    """A static function `name(a)`: a^value by the runs of ones of the exponent (`supervm.kernels.cpu.fields.powers`).

    `squared_times(a, n)` is in `power.cuh`.
    """
    lines = [f"    template <class F> static METHOD F {name}(const F &a)\n    {{\n        F r = a"]
    known = ["a"]
    body: list[str] = []
    for start, squarings, factor, keep in addition_chain(value):
        if start >= 0:
            body.append(f"r = {known[start]};")
        if squarings:
            body.append(f"r = squared_times(r, {squarings});")
        if factor >= 0:
            body.append(f"r = product(r, {known[factor]});")
        if keep >= 0:
            known.append(f"s{keep}")
            body.append(f"const F s{keep} = r;")
    return "".join([*lines, ";\n", *(f"        {line}\n" for line in body), "        return r;\n    }\n"])


def elements(field: str, constants: Iterable[tuple[str, int]], count: int = 8) -> str:
    """Static functions that return elements of `field` whose words are given: for Montgomery fields, in that form."""
    lines = []
    for name, value in constants:
        body = " ".join(f"r.w[{index}] = {word:#x}u;" for index, word in enumerate(words_of(value, count)))
        lines.append(f"    static METHOD {field} {name}() {{ {field} r; {body} return r; }}\n")
    return "".join(lines)
