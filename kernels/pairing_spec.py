# SPDX-License-Identifier: GPL-3.0-or-later
"""Descriptions of optimal ate pairings as plain integers, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from supervm.kernels.spec import FieldSpec, GroupSpec, QuadraticSpec


@dataclass(frozen=True)
class PairingSpec:
    """The pairing of two groups of a curve of embedding degree 12 with a sextic twist; Fp12 = Fp2[w]/(w⁶ − ξ).

    Args:
        name: how it is called.
        first, second: G1 and G2.
        xi: ξ.
        divided: whether the twist divides b by ξ (a curve of Barreto and Naehrig), or multiplies (of Barreto, Lynn and
            Scott).
        parameter: t.
    """

    name: str
    first: GroupSpec
    second: GroupSpec
    xi: tuple[int, int]
    divided: bool
    parameter: int

    @property
    def field(self) -> FieldSpec:
        """The prime field."""
        field = self.first.field
        assert isinstance(field, FieldSpec)
        return field

    @property
    def extension(self) -> QuadraticSpec:
        """Fp2."""
        field = self.second.field
        assert isinstance(field, QuadraticSpec)
        return field

    @cached_property
    def loop(self) -> list[int]:
        """Digits −1, 0 and 1 of the Miller loop's length behind the highest, from the top: of 6t + 2, or of t."""
        return signed_digits(6 * self.parameter + 2 if self.divided else abs(self.parameter))[1:]

    @cached_property
    def power(self) -> list[int]:
        """The same of |t|, for powers of elements whose inverse is their conjugate."""
        return signed_digits(abs(self.parameter))[1:]

    def frobenius(self, power: int) -> list[tuple[int, int]]:
        """ξ^(i·(p^power − 1)/6), i from 0 to 5: what conjugated coefficients are multiplied by."""
        exponent = (self.field.modulus**power - 1) // 6
        return [self.extension.power(self.xi, i * exponent) for i in range(6)]


def signed_digits(value: int) -> list[int]:
    """The non-adjacent form of a positive integer, from the top: digits −1, 0 and 1, as few of them not 0 as can be."""
    digits = []
    while value:
        digit = 2 - value % 4 if value % 2 else 0
        digits.append(digit)
        value = (value - digit) // 2
    return digits[::-1]
