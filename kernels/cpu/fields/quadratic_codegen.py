# SPDX-License-Identifier: GPL-3.0-or-later
"""Arithmetic in a quadratic extension c₀ + c₁·u, u² = −1, written with a prime field's code generator.

An element is the limbs of c₀ followed by those of c₁, and the generator has the interface of the prime field's: code over
`field` cannot tell. Each part of a product, or of a sum of products, is a sum of products of the prime field and costs one
reduction: schoolbook with shared reductions, six halves of a product, is cheaper here than Karatsuba with its sums.
"""

from __future__ import annotations

from supervm.kernels.cpu.fields.contract import Canonical, Carried, Factors, Limbs, Loose, Terms, Words
from supervm.kernels.cpu.fields.montgomery import MontgomeryField
from supervm.kernels.cpu.fields.montgomery_doubles import MontgomeryDoubles
from supervm.kernels.cpu.lanes.emitter import Emitter
from supervm.kernels.spec import QuadraticSpec

PRODUCT, SQUARE = 12, 24
"""Bounds of the parts of a product and of a square in units of p²: 2·2 + 4·2, and (2 + 2)·(2 + 4)."""

LOOSE = 16
"""Factors may be below LOOSE·p in each part where the prime field is `roomy`; elsewhere below 4p, the least that helps."""


MontgomeryCode = MontgomeryField | MontgomeryDoubles
"""The generators that an extension may stand on."""


def roomy(base: MontgomeryCode) -> bool:
    """With lanes, R/p is so large that sums of a few dozen products of factors below LOOSE·p stay below R·p."""
    return base.lanes.width > 1 and base.r >> 20 > base.spec.modulus


class QuadraticField:
    """The code generator of an extension over the generator of its prime field."""

    def __init__(self, spec: QuadraticSpec, base: MontgomeryCode) -> None:
        self.spec = spec
        self.base = base
        self.lanes = base.lanes
        self.limbs = 2 * base.limbs
        self.words = 2 * base.words
        self.slack = LOOSE if roomy(base) else 4

    def represent(self, value: int | tuple[int, int]) -> list[int]:
        """A constant as limbs; an integer is an element of the prime field."""
        real, imaginary = (value, 0) if isinstance(value, int) else value
        return self.base.represent(real) + self.base.represent(imaginary)

    def parts(self, limbs: Limbs) -> tuple[Limbs, Limbs]:
        """The limbs of c₀ and of c₁."""
        return limbs[: self.base.limbs], limbs[self.base.limbs :]

    def linear(self, e: Emitter, terms: Terms) -> Carried:
        """Σ coefficient · term for small integer coefficients."""
        real, imaginary = self._terms(terms)
        return self.base.linear(e, real) + self.base.linear(e, imaginary)

    def lazy(self, e: Emitter, terms: Terms, multiple: int) -> Loose:
        """Σ coefficient · term + multiple · (p + p·u), as the prime field's `lazy`; below 4p it may be a factor."""
        real, imaginary = self._terms(terms)
        return self.base.lazy(e, real, multiple) + self.base.lazy(e, imaginary, multiple)

    def products(self, e: Emitter, factors: Factors, sums: list[tuple[int, Terms]]) -> list[Carried]:
        """With P the sum of the products of the factor pairs: coefficient · P + Σ terms, for each of `sums`.

        A pair of the same list object twice is a square. As many products share a reduction as R·p has room for.
        """
        totals: list[Limbs] = []
        for group in self._groups(factors):
            real: Factors = []
            imaginary: Factors = []
            for a, b in group:
                first, second = self._square(e, a) if a is b else self._product(e, a, b)
                real += first
                imaginary += second
            plain: list[tuple[int, Terms]] = [(1, [])]
            totals.append(self.base.products(e, real, plain)[0] + self.base.products(e, imaginary, plain)[0])
        total = totals[0] if len(totals) == 1 else self.linear(e, [(1, part) for part in totals])
        return [
            total if (coefficient, terms) == (1, []) else self.linear(e, [*terms, (coefficient, total)])
            for coefficient, terms in sums
        ]

    def _groups(self, factors: Factors) -> list[Factors]:
        """Factor pairs that share a reduction: with factors below 2p, a part of a product is below PRODUCT·p², a part of
        a square below SQUARE·p²."""
        room = self.base.r // self.base.spec.modulus
        groups: list[Factors] = []
        used = room
        for a, b in factors:
            cost = SQUARE if a is b else PRODUCT
            if used + cost >= room:
                groups.append([])
                used = 0
            groups[-1].append((a, b))
            used += cost
        return groups

    def _product(self, e: Emitter, a: Limbs, b: Limbs) -> tuple[Factors, Factors]:
        """a₀b₀ + (−a₁)b₁ and a₀b₁ + a₁b₀. The negated part is 4p − a₁ or more, so that a may be lazy."""
        (a0, a1), (b0, b1) = self.parts(a), self.parts(b)
        negated = self.base.lazy(e, [(-1, a1)], self.slack)
        return [(a0, b0), (negated, b1)], [(a0, b1), (a1, b0)]

    def _square(self, e: Emitter, a: Limbs) -> tuple[Factors, Factors]:
        """(a₀ + a₁)(a₀ − a₁ + 4p, or more) and 2a₀·a₁."""
        a0, a1 = self.parts(a)
        total = self.base.lazy(e, [(1, a0), (1, a1)], 0)
        difference = self.base.lazy(e, [(1, a0), (-1, a1)], self.slack)
        return [(total, difference)], [(self.base.lazy(e, [(2, a0)], 0), a1)]

    def _terms(self, terms: Terms) -> tuple[Terms, Terms]:
        split = [(coefficient, self.parts(term)) for coefficient, term in terms]
        return [(k, parts[0]) for k, parts in split], [(k, parts[1]) for k, parts in split]

    def canonical(self, e: Emitter, a: Carried) -> Canonical:
        """Both parts below p, still in Montgomery form."""
        real, imaginary = self.parts(a)
        return self.base.canonical(e, real) + self.base.canonical(e, imaginary)

    def from_words(self, e: Emitter, words: Words) -> Carried:
        """The words of c₀ and of c₁ as an element."""
        half = self.base.words
        return self.base.from_words(e, words[:half]) + self.base.from_words(e, words[half:])

    def canonical_words(self, e: Emitter, a: Carried) -> Words:
        """Those of c₀ and of c₁."""
        real, imaginary = self.parts(a)
        return self.base.canonical_words(e, real) + self.base.canonical_words(e, imaginary)

    def packed(self, e: Emitter, a: Carried) -> Words:
        """The packed words of c₀ and of c₁."""
        real, imaginary = self.parts(a)
        return self.base.packed(e, real) + self.base.packed(e, imaginary)

    def unpacked(self, e: Emitter, words: Words) -> Carried:
        """The inverse of `packed`."""
        half = self.base.words
        return self.base.unpacked(e, words[:half]) + self.base.unpacked(e, words[half:])

    def to_words(self, e: Emitter, a: Carried) -> Words:
        """The canonical values as 64-bit words, those of c₀ first."""
        real, imaginary = self.parts(a)
        return self.base.to_words(e, real) + self.base.to_words(e, imaginary)
