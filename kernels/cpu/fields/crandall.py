# SPDX-License-Identifier: GPL-3.0-or-later
"""Arithmetic modulo p = 2^k − c with small c, in five limbs of 52 bits, by folding 2^k ≡ c.

Contract of every element that leaves an operation: limbs 0 to 3 are below 2^52, limb 4 is below
2^(k−208) + 2^10, so the value is below 2^k + 2^218 < 2p and every limb is a valid operand of the 52-bit multiplier. One pass
restores it: the bits of limb 4 above 2^k are folded into limb 0, then carries run from limb 0 to limb 4.

With lanes, products are IFMA multiply-adds; with one lane, 64×64→128-bit products in the same radix.
"""

from __future__ import annotations

from abc import abstractmethod

from llvmlite import ir

from supervm.kernels.cpu.fields.contract import (
    Canonical,
    Carried,
    Factors,
    Limbs,
    PlainWords,
    Row,
    Terms,
    Words,
)
from supervm.kernels.cpu.lanes.emitter import Emitter, digits
from supervm.kernels.cpu.lanes.lanes import LanesType
from supervm.kernels.spec import FieldSpec

RADIX = 52
LIMBS = 5


class CrandallField(PlainWords):
    """The code generator for one modulus; how it multiplies depends on the lane type."""

    limbs = LIMBS
    words = 4

    def __init__(self, spec: FieldSpec, lanes: LanesType) -> None:
        self.spec = spec
        self.lanes = lanes
        self.top = spec.bits - RADIX * (LIMBS - 1)
        self.fold = spec.fold
        self.fold_limbs = spec.fold << (RADIX * LIMBS - spec.bits)  # 2^260 ≡ this

    def represent(self, value: int) -> list[int]:
        """A constant as limbs."""
        return digits(value % self.spec.modulus, RADIX, LIMBS)

    def _borrowed(self, multiple: int) -> list[int]:
        """multiple · 2p in limbs that are each at least multiple · (2^52 − 1), so that subtracting never borrows."""
        limbs = digits(2 * multiple * self.spec.modulus, RADIX, LIMBS)
        for index in range(LIMBS - 1):
            limbs[index] += multiple << RADIX
            limbs[index + 1] -= multiple
        return limbs

    def _carry(self, e: Emitter, limbs: Limbs) -> Carried:
        """Restore the contract for limbs below 2^62 in total value below 2^(k+18)."""
        over = e.shr(limbs[4], self.top)
        limbs = [*limbs[:4], e.mask(limbs[4], self.top)]
        limbs[0] = self._fold_over(e, limbs[0], over)
        return self._ripple(e, limbs)

    def _fold_over(self, e: Emitter, limb: ir.Value, over: ir.Value) -> ir.Value:
        """limb + over · c for `over` below 2^19."""
        return e.add(limb, e.builder.mul(over, e.constant(self.fold)))

    def _ripple(self, e: Emitter, limbs: Limbs) -> Limbs:
        limbs = list(limbs)
        for index in range(LIMBS - 1):
            limbs[index + 1] = e.add(limbs[index + 1], e.shr(limbs[index], RADIX))
            limbs[index] = e.mask(limbs[index], RADIX)
        return limbs

    def _sum(self, e: Emitter, start: Limbs | None, terms: Terms) -> Limbs:
        """start + Σ coefficient · term, uncarried and never negative."""
        total = start
        for coefficient, term in terms:
            if coefficient > 0:
                scaled = [e.scale(limb, coefficient) for limb in term]
                total = scaled if total is None else [e.add(a, b) for a, b in zip(total, scaled, strict=True)]
        negative = -sum(coefficient for coefficient, _ in terms if coefficient < 0)
        if negative:
            bias = [e.constant(limb) for limb in self._borrowed(negative)]
            total = bias if total is None else [e.add(a, b) for a, b in zip(total, bias, strict=True)]
            for coefficient, term in terms:
                if coefficient < 0:
                    scaled = [e.scale(limb, -coefficient) for limb in term]
                    total = [e.sub(a, b) for a, b in zip(total, scaled, strict=True)]
        if total is None:
            raise ValueError("a sum needs at least one term")
        return total

    def linear(self, e: Emitter, terms: Terms) -> Carried:
        """Σ coefficient · term for small integer coefficients (in total below 2^8)."""
        return self._carry(e, self._sum(e, None, terms))

    def lazy(self, e: Emitter, terms: Terms, multiple: int) -> Carried:
        """Σ coefficient · term: folding reduces as cheaply as it carries, so that nothing is put off."""
        return self.linear(e, terms)

    @abstractmethod
    def products(self, e: Emitter, factors: Factors, sums: list[tuple[int, Terms]]) -> list[Carried]:
        """With P the sum of the products of at most two factor pairs: coefficient · P + Σ terms, for each of `sums`.

        A pair of the same list object twice is a square. Positive coefficients are at most 8, a negative one is −1.
        """

    @abstractmethod
    def combinations(self, e: Emitter, factors: Factors, rows: list[Row]) -> list[Carried]:
        """For each row Σ coefficient · product + Σ coefficient · term, carried once; coefficients of products add up to
        ±8 at most."""

    def _lifted(self, bits: int, top: int) -> list[int]:
        """A multiple of p whose limbs are 2^bits, and the last 2^top, less 2^52 at most: what is subtracted from it stays
        positive."""
        limbs = [1 << bits] * (LIMBS - 1) + [1 << top]
        rest = self.represent(sum(limb << (RADIX * index) for index, limb in enumerate(limbs)))
        return [limb - digit for limb, digit in zip(limbs, rest, strict=True)]

    def canonical(self, e: Emitter, a: Carried) -> Canonical:
        """The representative below p, in carried limbs. The contract's value is below 2p: one subtraction is enough."""
        probe = self._ripple(e, [e.add(a[0], e.constant(self.fold)), *a[1:]])
        reached = e.shr(probe[4], self.top)  # 1 where a ≥ p
        low = e.add(a[0], e.builder.mul(reached, e.constant(self.fold)))
        limbs = self._ripple(e, [low, *a[1:]])
        return [*limbs[:4], e.mask(limbs[4], self.top)]

    def from_words(self, e: Emitter, words: Words) -> Carried:
        """Four 64-bit words (any value below 2^256) as an element."""
        return self._carry(e, e.split(words, RADIX, LIMBS))

    def to_words(self, e: Emitter, a: Carried) -> Words:
        """The canonical value as four 64-bit words."""
        return e.join(self.canonical(e, a), RADIX, 4)


class CrandallLanes(CrandallField):
    """Products by IFMA multiply-adds, eight at a time."""

    def _fold_over(self, e: Emitter, limb: ir.Value, over: ir.Value) -> ir.Value:
        return e.madd_low(limb, over, e.constant(self.fold))

    def products(self, e: Emitter, factors: Factors, sums: list[tuple[int, Terms]]) -> list[Carried]:
        """See `CrandallField.products`: IFMA columns are folded once, then scaled and carried for each of `sums`."""
        columns = self._product(e, factors)
        results = []
        for coefficient, terms in sums:
            if coefficient > 0:
                start = [e.scale(column, coefficient) for column in columns]
            else:
                # An uncarried product has limbs below 2^57; 512 times the borrowed bias covers each of them.
                bias = [e.constant(limb) for limb in self._borrowed(512)]
                start = [e.sub(x, y) for x, y in zip(bias, columns, strict=True)]
            results.append(self._carry(e, self._sum(e, start, terms)))
        return results

    def combinations(self, e: Emitter, factors: Factors, rows: list[Row]) -> list[Carried]:
        """See `CrandallField.combinations`: folded columns are scaled, added and carried."""
        folded = [self._product(e, [pair]) for pair in factors]
        results = []
        for products, terms in rows:
            lifted = any(coefficient < 0 for coefficient, _ in products)
            total: Limbs | None = [e.constant(limb) for limb in self._lifted(61, 61)] if lifted else None
            for coefficient, index in products:
                scaled = [e.scale(column, abs(coefficient)) for column in folded[index]]
                if total is None:
                    total = scaled
                else:
                    step = e.add if coefficient > 0 else e.sub
                    total = [step(x, y) for x, y in zip(total, scaled, strict=True)]
            results.append(self._carry(e, self._sum(e, total, terms)))
        return results

    def _product(self, e: Emitter, factors: Factors) -> Limbs:
        """Σ a·b folded to five uncarried limbs below 2^57."""
        columns = self._columns(e, factors)
        for index in range(LIMBS, 2 * LIMBS - 1):  # the multiplier ignores bits above 52: no masks
            columns[index + 1] = e.add(columns[index + 1], e.shr(columns[index], RADIX))
        low = [*columns[:LIMBS], e.constant(0)]
        factor = e.constant(self.fold_limbs)
        for index in range(LIMBS):
            low[index] = e.madd_low(low[index], columns[index + LIMBS], factor)
            low[index + 1] = e.madd_high(low[index + 1], columns[index + LIMBS], factor)
        # What stands above limb 4 by now is below 2^31: fold it once more, to limbs 0 and 1.
        low[0] = e.madd_low(low[0], low[LIMBS], factor)
        if self.fold_limbs.bit_length() + 31 > RADIX:
            low[1] = e.madd_high(low[1], low[LIMBS], factor)
        return low[:LIMBS]

    def _columns(self, e: Emitter, factors: Factors) -> Limbs:
        """Σ a·b in ten columns. The cross terms of squares come first: they are doubled all together."""
        columns: Limbs = [e.constant(0)] * (2 * LIMBS)

        def multiply_add(index: int, a: ir.Value, b: ir.Value) -> None:
            columns[index] = e.madd_low(columns[index], a, b)
            columns[index + 1] = e.madd_high(columns[index + 1], a, b)

        squares = [a for a, b in factors if a is b]
        for a in squares:
            for i in range(LIMBS):
                for j in range(i + 1, LIMBS):
                    multiply_add(i + j, a[i], a[j])
        if squares:
            columns[1:-1] = [e.shl(column, 1) for column in columns[1:-1]]
        for a in squares:
            for i in range(LIMBS):
                multiply_add(2 * i, a[i], a[i])
        for a, b in factors:
            if a is not b:
                for i in range(LIMBS):
                    for j in range(LIMBS):
                        multiply_add(i + j, a[i], b[j])
        return columns
