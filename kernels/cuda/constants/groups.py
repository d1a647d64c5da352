# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups as C++, as sums of points take them (`run_sums.cuh`), and the points that kernels leave, as canonical words."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from supervm.kernels import point_checks
from supervm.kernels.array_types import Words
from supervm.kernels.cuda.constants.edwards import edwards
from supervm.kernels.cuda.constants.fields import WORD, elements, montgomery_params, number, setter, struct
from supervm.kernels.exponents import exponent
from supervm.kernels.spec import Coordinate, EdwardsSpec, FieldSpec, GroupSpec, QuadraticSpec

_INVERSE = """\
    static METHOD Field inverse(const Field &a)
    {
        const Prime norm = a.real.squared() + a.imaginary.squared(), i = BaseParams::inverse(norm);
        return {a.real * i, -(a.imaginary * i)};
    }
"""


REGISTER_WORDS = 36
"""Coordinate words of all blocks of 128 threads that fit a multiprocessor's registers, as sums of points need them: found by
compiling for sm_80 and sm_90 without spills."""


def sums(spec: GroupSpec | EdwardsSpec) -> str:
    """What `msm` and `group_sums` are specialised by: the types Base, Curve and Point of a group and POINT_BLOCKS, how many
    blocks of a multiprocessor they leave registers for."""
    if isinstance(spec, EdwardsSpec):
        point = "using Base = Curve::Field;\nusing Point = EdwardsPoint<Curve>;\n"
        return '#include "power.cuh"\n#include "edwards_sums.cuh"\n' + edwards(spec) + point + _blocks(spec)
    return _weierstrass(spec) + _blocks(spec)


def decoding(spec: GroupSpec) -> str:
    """What `group_decode` is specialised by: the same, with powers for roots and the test of the subgroup in Curve."""
    prime, test = prime_field(spec), spec.membership
    words = 2 * prime.words
    terms = [
        sum((number & 0xFFFFFFFF) << WORD * index for index, number in enumerate(column))
        for column in zip(*test.terms, strict=True)
    ]
    decode = [number(name, getattr(point_checks, name)) for name in _DECODING]
    return "".join(
        (
            _weierstrass(
                spec,
                setter("half", (prime.modulus - 1) // 2, words),
                setter("root_exponent", exponent(prime, "root"), words),
                setter("inverse_root_exponent", exponent(prime, "inverse_root"), words),
                f"    static constexpr u64 MULTIPLIER = {test.multiplier:#x}ull;\n",
                number("MULTIPLIER_BITS", test.multiplier.bit_length()),
                number("POWER", test.power),
                number("TERMS", len(test.terms)),
                setter("multiple_terms", terms[0], len(test.terms)),
                setter("point_terms", terms[1], len(test.terms)),
                _constant(spec, "map_x", test.map.x),
                _constant(spec, "map_y", test.map.y),
            ),
            struct("Decoding", *decode),
            _blocks(spec),
        )
    )


_DECODING = ("MALFORMED", "INFINITE", "LARGER", "FIELD", "CURVE", "SUBGROUP")


def _blocks(spec: GroupSpec | EdwardsSpec) -> str:
    return f"constexpr int POINT_BLOCKS = {max(2, REGISTER_WORDS // (2 * spec.field.words))};\n"


def _weierstrass(spec: GroupSpec, *members: str) -> str:
    """The types Prime, Base, Curve and Point of a curve y² = x³ + b, with members that Curve has besides."""
    if isinstance(spec.field, QuadraticSpec):
        field, inverse = "QuadraticField<Prime>", _INVERSE
    else:
        field = "Prime"
        inverse = "    static METHOD Field inverse(const Field &a) { return BaseParams::inverse(a); }\n"
    return "".join(
        (
            '#include "power.cuh"\n#include "xyzz.cuh"\n',
            montgomery_params(prime_field(spec), "BaseParams"),
            f"using Prime = MontgomeryField<BaseParams>;\nusing Base = {field};\n",
            struct("Curve", "    using Field = Base;\n", inverse, _constant(spec, "b", spec.b), *members),
            "using Point = XyzzPoint<Curve>;\n",
        )
    )


def prime_field(spec: GroupSpec | EdwardsSpec) -> FieldSpec:
    """The field of coordinates, or what it extends."""
    return spec.field.base if isinstance(spec.field, QuadraticSpec) else spec.field


def _constant(spec: GroupSpec, name: str, value: Coordinate) -> str:
    """A static function that returns a coordinate."""
    prime = prime_field(spec)
    radix, words = 1 << 64 * prime.words, 2 * prime.words
    if not isinstance(spec.field, QuadraticSpec):
        assert isinstance(value, int)
        return elements("Prime", [(name, value * radix % prime.modulus)], words)
    real, imaginary = value if isinstance(value, tuple) else (value, 0)
    parts = [(f"{name}_real", real), (f"{name}_imaginary", imaginary)]
    return (
        elements("Prime", [(part, number * radix % prime.modulus) for part, number in parts], words)
        + f"    static METHOD Base {name}() {{ return {{{name}_real(), {name}_imaginary()}}; }}\n"
    )


def affine(spec: GroupSpec | EdwardsSpec, points: npt.NDArray[np.uint32]) -> Words:
    """Canonical words of points as `store_point` writes them, flat; memory that was cleared is the neutral point."""
    prime = prime_field(spec)
    back = 1 if isinstance(spec, EdwardsSpec) else prime.inverse(1 << 64 * prime.words)
    out = []
    for row in points.reshape(-1, 8 * spec.field.words):
        numbers = [
            int.from_bytes(part.astype("<u4").tobytes(), "little") * back % prime.modulus
            for part in row.reshape(-1, 2 * prime.words)
        ]
        out += [part.to_bytes(8 * prime.words, "little") for part in _coordinates(spec, numbers)]
    return np.frombuffer(b"".join(out), "<u8").astype(np.uint64)


def _coordinates(spec: GroupSpec | EdwardsSpec, numbers: list[int]) -> list[int]:
    """The parts of x and y: X/Z and Y/Z of (X, Y, Z, T), or X/ZZ and Y/ZZZ."""
    if isinstance(spec.field, QuadraticSpec):
        pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
        if pairs[2] == (0, 0):
            return [0] * 4
        quotients = [
            spec.field.multiply(value, spec.field.inverse(divisor))
            for value, divisor in zip(pairs[:2], pairs[2:], strict=True)
        ]
        return [part for pair in quotients for part in pair]
    x, y, first, second = numbers
    edwards_point = isinstance(spec, EdwardsSpec)
    if first == 0:
        return [0, int(edwards_point)]
    divisors = (first, first if edwards_point else second)
    return [
        value * spec.field.inverse(divisor) % spec.field.modulus
        for value, divisor in zip((x, y), divisors, strict=True)
    ]
