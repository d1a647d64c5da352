# SPDX-License-Identifier: GPL-3.0-or-later
"""The optimal ate pairings of BN254 and BLS12-381 by their definition: one Miller loop, one power of Fp12.

Fp12 = Fp2[w]/(w⁶ − ξ): an element is six pairs, the coefficients of 1, w … w⁵. G2 is a subgroup of a sextic twist, whose
points go to the curve over Fp12 by (x·w², y·w³) where the twist divides b by ξ (BN254), and by (x/w², y/w³) where it
multiplies b by ξ (BLS12-381). Vercauteren, "Optimal Pairings" (eprint 2008/096); for BN254 with the parameter t the loop is
over 6t + 2 and two more lines follow, for BLS12-381 it is over t alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from supervm.crypto.oracle.pairing_groups import GROUPS, Group
from supervm.crypto.params import bls12_381, bn254

Point = tuple[Any, Any]
"""Affine; coordinates are integers in G1 and pairs in G2."""

Pair = tuple[int, int]
Element = tuple[Pair, Pair, Pair, Pair, Pair, Pair]

ONE: Element = ((1, 0), (0, 0), (0, 0), (0, 0), (0, 0), (0, 0))


@dataclass(frozen=True)
class Pairing:
    """One curve's pairing.

    Args:
        first, second: G1 and G2.
        xi: ξ, of which w is a sixth root.
        divided: whether the twist divides b by ξ.
        parameter: t.
    """

    first: Group
    second: Group
    xi: Pair
    divided: bool
    parameter: int

    @property
    def field(self) -> Any:
        """Fp2."""
        return self.second.field

    def multiply(self, a: Element, b: Element) -> Element:
        """a · b in Fp12."""
        f = self.field
        columns = [f.zero] * 11
        for i, left in enumerate(a):
            for j, right in enumerate(b):
                columns[i + j] = f.add(columns[i + j], f.mul(left, right))
        folded = [f.mul(self.xi, high) for high in columns[6:]] + [f.zero]
        c0, c1, c2, c3, c4, c5 = (f.add(low, high) for low, high in zip(columns[:6], folded, strict=True))
        return c0, c1, c2, c3, c4, c5

    def power(self, a: Element, exponent: int) -> Element:
        """a to a power of 0 or above."""
        result = ONE
        for bit in bin(exponent)[2:]:
            result = self.multiply(result, result)
            if bit == "1":
                result = self.multiply(result, a)
        return result

    def conjugate(self, a: Element) -> Element:
        """a to the power p⁶, which turns w into −w: the inverse in the target group."""
        c0, c1, c2, c3, c4, c5 = a
        minus = [self.field.sub(self.field.zero, odd) for odd in (c1, c3, c5)]
        return c0, minus[0], c2, minus[1], c4, minus[2]

    def line(self, one: Point, other: Point, at: Point) -> tuple[Element, Point]:
        """The line through two points of the twist, or its tangent, at a point of G1; and the points' sum.

        Where the twist multiplies, the value is w³ times the line's: the last power of the pairing makes 1 of such factors.
        """
        f = self.field
        through = self.second.chord(one, other)
        if through is None:
            raise ValueError("a vertical line: the point of G2 has a small order")
        slope, total = through
        x1, y1 = one
        x, y = (at[0], 0), (at[1], 0)
        across = f.sub(f.zero, f.mul(slope, x))
        rest = f.sub(f.mul(slope, x1), y1)
        zero = f.zero
        if self.divided:
            return (y, across, zero, rest, zero, zero), total
        return (rest, zero, across, y, zero, zero), total

    def frobenius(self, point: Point) -> Point:
        """ψ: untwist, p-th power, twist."""
        factors = self.second.spec.membership.map
        x, y = ((c0, -c1 % self.field.p) for c0, c1 in point)
        return self.field.mul(x, factors.x), self.field.mul(y, factors.y)

    def miller(self, at: Point, point: Point) -> Element:
        """The Miller loop."""
        count = 6 * self.parameter + 2 if self.divided else abs(self.parameter)
        result, here = ONE, point
        for bit in bin(count)[3:]:
            value, here = self.line(here, here, at)
            result = self.multiply(self.multiply(result, result), value)
            if bit == "1":
                value, here = self.line(here, point, at)
                result = self.multiply(result, value)
        if not self.divided:
            return self.conjugate(result) if self.parameter < 0 else result
        first = self.frobenius(point)
        second = self.second.negate(self.frobenius(first))
        value, here = self.line(here, first, at)
        result = self.multiply(result, value)
        assert second is not None
        return self.multiply(result, self.line(here, second, at)[0])

    def pair(self, at: Point | None, point: Point | None) -> Element:
        """e(P, Q), for P in G1 and Q in G2; 1 where either is infinity."""
        return self.product([(at, point)])

    def product(self, pairs: Iterable[tuple[Point | None, Point | None]]) -> Element:
        """The product of the pairings of all pairs."""
        result = ONE
        for at, point in pairs:
            if at is not None and point is not None:
                result = self.multiply(result, self.miller(at, point))
        return self.power(result, (self.field.p**12 - 1) // self.first.order)


PAIRINGS = {
    "bn254": Pairing(GROUPS["bn254.g1"], GROUPS["bn254.g2"], (9, 1), True, bn254.PARAMETER),
    "bls12_381": Pairing(GROUPS["bls12_381.g1"], GROUPS["bls12_381.g2"], (1, 1), False, bls12_381.PARAMETER),
}
"""The pairings by the names of their curves."""
