# SPDX-License-Identifier: GPL-3.0-or-later
"""Number-theoretic transforms and polynomials over a prime field, in Python integers.

A polynomial is the list of its coefficients, lowest first. The transform of n coefficients, n a power of two, is the list
of the values at shift · ω^i for i = 0 … n − 1, with ω = generator^((p − 1)/n).
"""

from __future__ import annotations

from collections.abc import Sequence

from supervm.kernels.spec import FieldSpec


def evaluate(field: FieldSpec, coefficients: Sequence[int], point: int) -> int:
    """The polynomial's value at a point, by Horner's rule."""
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * point + coefficient) % field.modulus
    return value


def definition(field: FieldSpec, coefficients: Sequence[int], shift: int = 1) -> list[int]:
    """The transform, value by value."""
    root = field.root_of_unity(len(coefficients))
    points = (shift * pow(root, i, field.modulus) for i in range(len(coefficients)))
    return [evaluate(field, coefficients, point) for point in points]


def forward(field: FieldSpec, coefficients: Sequence[int], shift: int = 1) -> list[int]:
    """The transform, from those of the even and the odd coefficients."""
    p, n = field.modulus, len(coefficients)
    if n == 1:
        return list(coefficients)
    even = forward(field, coefficients[::2], shift * shift % p)
    odd = forward(field, coefficients[1::2], shift * shift % p)
    root, point = field.root_of_unity(n), shift
    low, high = [], []
    for a, b in zip(even, odd, strict=True):
        low.append((a + point * b) % p)
        high.append((a - point * b) % p)
        point = point * root % p
    return low + high


def inverse(field: FieldSpec, values: Sequence[int], shift: int = 1) -> list[int]:
    """The coefficients of the polynomial of degree below n with these values."""
    p, n = field.modulus, len(values)
    mirrored = forward(field, values)
    mirrored[1:] = mirrored[:0:-1]  # ω^−1 in place of ω
    back = field.inverse(shift)
    return [value * field.inverse(n) * pow(back, i, p) % p for i, value in enumerate(mirrored)]


def bit_reversed(values: Sequence[int]) -> list[int]:
    """The values in the order of their indices' bits read backwards."""
    bits = len(values).bit_length() - 1
    return [
        values[sum((i >> bit & 1) << (bits - 1 - bit) for bit in range(bits))] for i in range(len(values))
    ]


def multiply(field: FieldSpec, a: Sequence[int], b: Sequence[int]) -> list[int]:
    """The product of two polynomials, of len(a) + len(b) − 1 coefficients; [] if one has none."""
    product = [0] * (len(a) + len(b) - 1 if a and b else 0)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            product[i + j] = (product[i + j] + x * y) % field.modulus
    return product


def divide_by_vanishing(field: FieldSpec, coefficients: Sequence[int], n: int) -> tuple[list[int], list[int]]:
    """Quotient and remainder of the division by X^n − 1."""
    rest, quotient = list(coefficients), [0] * max(0, len(coefficients) - n)
    for index in range(len(coefficients) - 1, n - 1, -1):
        quotient[index - n] = rest[index]
        rest[index - n] = (rest[index - n] + rest[index]) % field.modulus
    return quotient, rest[:n]
