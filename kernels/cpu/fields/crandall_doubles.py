# SPDX-License-Identifier: GPL-3.0-or-later
"""Arithmetic modulo p = 2^k − c in five signed limbs of about 51 bits, held as doubles (see `doubles`).

`CrandallShort`, for c of a few bits and k = 255 (2^255 − 19): limbs of 51 bits, so that 2^255 ≡ c is the place of limb 5.

`CrandallLong`, for c of up to 33 bits and k = 256: limbs at bits 0, 52, 103, 154 and 205, so that 2^256 is
the place of limb 5. aᵢ·bⱼ with i, j ≥ 1 lies one bit above the place of column i + j: up to column 4 a factor is doubled; in
column 5, which is 52 bits wide, the low halves are doubled and the high ones already count as column 6; above it all fits.

Contracts, in magnitude (`bounds`): the limbs of an element are within half their width, and a carry or a fold more. The sum
of two elements is a factor beside an element as it is with `CrandallShort`; with `CrandallLong` it is carried first.
"""

from __future__ import annotations

from abc import abstractmethod

from llvmlite import ir

from supervm.kernels.cpu.fields.contract import (
    Canonical,
    Carried,
    Factors,
    Limbs,
    Loose,
    PlainWords,
    Row,
    Terms,
    Words,
)
from supervm.kernels.cpu.fields.doubles import (
    HIGH,
    HIGH_WIDE,
    LOW,
    RADIX,
    SPAN,
    Column,
    Doubles,
    DoublesField,
    bits_of,
)
from supervm.kernels.cpu.lanes.emitter import Emitter
from supervm.kernels.cpu.lanes.lanes import LanesType
from supervm.kernels.spec import FieldSpec

LIMBS = 5


class CrandallDoubles(DoublesField, PlainWords):
    """What both shapes of the modulus share."""

    limbs = LIMBS
    in_doubles: int
    """Sums of elements up to this weight stay below 2^53 in every limb."""

    def __init__(self, spec: FieldSpec, lanes: LanesType) -> None:
        super().__init__(spec, lanes)
        self.fold = spec.fold

    @property
    @abstractmethod
    def bounds(self) -> list[int]:
        """The magnitudes that an element's limbs may have."""

    def represent(self, value: int) -> list[int]:
        """A constant as limbs, between −p/2 and p/2."""
        return self.standing(value)

    def products(self, e: Emitter, factors: Factors, sums: list[tuple[int, Terms]]) -> list[Carried]:
        """With P the sum of the products of the factor pairs: coefficient · P + Σ terms, for each of `sums`."""
        d = Doubles(e)
        pairs = []
        for a, b in factors:
            x = [d.real(limb) for limb in a]
            pairs.append((x, x if a is b else [d.real(limb) for limb in b]))
        folded = self._folded(d, pairs)
        results = []
        for coefficient, terms in sums:
            columns = [column.times(coefficient) for column in folded]
            self.add_terms(d, columns, terms)
            results.append(self._settled(d, columns))
        return results

    def combinations(self, e: Emitter, factors: Factors, rows: list[Row]) -> list[Carried]:
        """For each row Σ coefficient · product + Σ coefficient · term, carried once; coefficients of products add up to
        ±9 at most."""
        d = Doubles(e)
        folded = []
        for a, b in factors:
            x = [d.real(limb) for limb in a]
            folded.append(self._folded(d, [(x, x if a is b else [d.real(limb) for limb in b])]))
        results = []
        for products, terms in rows:
            columns = [Column(e) for _ in range(LIMBS)]
            for coefficient, index in products:
                for column, part in zip(columns, folded[index], strict=True):
                    column.add(part.raw, part.excess, coefficient)
            self.add_terms(d, columns, terms)
            results.append(self._settled(d, columns))
        return results

    def linear(self, e: Emitter, terms: Terms) -> Carried:
        """Σ coefficient · term for small integer coefficients (in total below 2^8)."""
        d = Doubles(e)
        weight = sum(abs(coefficient) for coefficient, _ in terms)
        if weight > self.in_doubles:
            columns = [Column(e) for _ in range(LIMBS)]
            self.add_terms(d, columns, terms)
            return self._settled(d, columns)
        total = self.total(d, terms)
        return [d.bits(limb) for limb in (total if weight == 1 else self._carried(d, total))]

    @abstractmethod
    def _folded(self, d: Doubles, pairs: list[tuple[Limbs, Limbs]]) -> list[Column]:
        """Σ a·b in five columns."""

    @abstractmethod
    def _fold_carry(self, d: Doubles, limb: Column, carry: ir.Value) -> ir.Value:
        """Limb 0 and the carry out of limb 4, which counts 2^(SPAN − 51) too much, as a double."""

    @abstractmethod
    def _carried(self, d: Doubles, limbs: Limbs) -> Limbs:
        """One parallel carry of doubles below 2^53."""

    def _settled(self, d: Doubles, columns: list[Column]) -> Carried:
        """Columns below 2^SPAN as an element."""
        limbs, carry = self.carried_columns(d.e, columns, self.widths)
        first = self._fold_carry(d, limbs[0], carry)
        return [d.bits(limb) for limb in (first, *(self.limb_of(d, limb) for limb in limbs[1:]))]

    def _times_fold(self, e: Emitter, value: ir.Value) -> ir.Value:
        return e.builder.mul(value, e.constant(self.fold))

    def canonical(self, e: Emitter, a: Carried) -> Canonical:
        """The representative below p, in unsigned integer limbs."""
        p, top = self.spec.modulus, self.widths[-1]
        d = Doubles(e)
        bias = self.unsigned_digits(2 * p)
        limbs = [e.add(x, e.constant(digit)) for x, digit in zip(self.integers(d, a), bias, strict=True)]
        limbs = self.rippled(e, limbs)  # a + 2p, which is not negative
        for _ in range(2):
            over = e.shr(limbs[4], top)
            low = e.add(limbs[0], self._times_fold(e, over))
            limbs = self.rippled(e, [low, *limbs[1:4], e.mask(limbs[4], top)])
        probe = self.rippled(e, [e.add(limbs[0], e.constant(self.fold)), *limbs[1:]])
        reached = e.shr(probe[4], top)  # 1 where the value is p or above
        limbs = self.rippled(e, [e.add(limbs[0], self._times_fold(e, reached)), *limbs[1:]])
        return [*limbs[:4], e.mask(limbs[4], top)]

    def to_words(self, e: Emitter, a: Carried) -> Words:
        """The canonical value as four 64-bit words."""
        return self.joined(e, self.canonical(e, a))


class CrandallShort(CrandallDoubles):
    """p = 2^255 − c for c below 2^5."""

    widths = (RADIX,) * LIMBS
    in_doubles = 7

    @property
    def bounds(self) -> list[int]:
        """Half a width, a carry of 2^(SPAN − 51) + 1, and for limb 0 that carry times c."""
        carry = (1 << (SPAN - RADIX)) + 1
        return [(1 << 50) + self.fold * carry] + [(1 << 50) + carry] * 4

    def lazy(self, e: Emitter, terms: Terms, multiple: int) -> Loose:
        """Σ coefficient · term: of two elements it may be a factor beside an element without a carry."""
        if sum(abs(coefficient) for coefficient, _ in terms) > 2:
            return self.linear(e, terms)
        d = Doubles(e)
        return [d.bits(limb) for limb in self.total(d, terms)]

    def _folded(self, d: Doubles, pairs: list[tuple[Limbs, Limbs]]) -> list[Column]:
        """Row by row the ten columns, what is left of a and the constants fit sixteen registers, and b stays in memory."""
        columns = [Column(d.e) for _ in range(2 * LIMBS)]
        for a, b in pairs:
            row, square = list(a), a is b
            for i in range(LIMBS):
                self.add_row(d, columns, row, b, i, square)
                self.ordered(d, columns, row, i)
        for index in range(LIMBS):
            self._add_folded(d.e, columns[index], columns[index + LIMBS])
        return columns[:LIMBS]

    def _add_folded(self, e: Emitter, low: Column, high: Column) -> None:
        """low + c · high, by shifts: 64-bit products of lanes are slow on most processors."""
        for bit in range(self.fold.bit_length()):
            if self.fold >> bit & 1:
                low.add(high.raw, high.excess, 1 << bit)

    def _fold_carry(self, d: Doubles, limb: Column, carry: ir.Value) -> ir.Value:
        over = Column(d.e)
        over.add(carry, 1 << (SPAN - RADIX))
        self._add_folded(d.e, limb, over)
        return self.limb_of(d, limb)

    def _carried(self, d: Doubles, limbs: Limbs) -> Limbs:
        carries = [d.rounded(limb, HIGH) for limb in limbs]
        rest = [d.sub(limb, carry) for limb, carry in zip(limbs, carries, strict=True)]
        factors = [self.fold * 2.0**-RADIX] + [2.0**-RADIX] * 4
        return [d.fma(carries[index - 1], d.constant(factors[index]), rest[index]) for index in range(LIMBS)]

    def from_words(self, e: Emitter, words: Words) -> Carried:
        """Four 64-bit words (any value below 2^256) as an element."""
        d = Doubles(e)
        limbs = self.parted(e, words, (*self.widths, 1))
        limbs[0] = e.add(limbs[0], self._times_fold(e, limbs[5]))
        return [d.bits(limb) for limb in self._carried(d, [d.from_unsigned(limb) for limb in limbs[:5]])]


class CrandallLong(CrandallDoubles):
    """p = 2^256 − c for c below 2^33."""

    widths = (52, RADIX, RADIX, RADIX, RADIX)
    in_doubles = 3

    @property
    def bounds(self) -> list[int]:
        """Half a width and a carry of 2^(SPAN − 51) + 1, and for limb 0 that carry times c."""
        carry = (1 << (SPAN - RADIX)) + 1
        return [(1 << 51) + self.fold * carry] + [(1 << 50) + carry] * 4

    def lazy(self, e: Emitter, terms: Terms, multiple: int) -> Carried:
        """Σ coefficient · term, carried: a sum is no factor here."""
        return self.linear(e, terms)

    def _folded(self, d: Doubles, pairs: list[tuple[Limbs, Limbs]]) -> list[Column]:
        columns = [Column(d.e) for _ in range(2 * LIMBS)]
        half_fifth = Column(d.e)  # the low halves of column 5, in units of 2
        for a, b in pairs:
            row, square = list(a), a is b
            for i in range(LIMBS):
                twice = d.add(row[i], row[i]) if i else None
                for j in range(i if square else 0, LIMBS):
                    self._place_product(
                        d, columns, half_fifth, (row[i], twice, b[j]), (i, j), square and i < j
                    )
                self.ordered(d, [*columns, half_fifth], row, i)
        columns[5].add(half_fifth.raw, half_fifth.excess, 2)
        self._fold_high(d, columns)
        return columns[:LIMBS]

    def _place_product(
        self,
        d: Doubles,
        columns: list[Column],
        half_fifth: Column,
        values: tuple[ir.Value, ir.Value, ir.Value],
        at: tuple[int, int],
        counts_twice: bool,
    ) -> None:
        """aᵢ·bⱼ, twice if the other half of a square is left out; `values` are aᵢ, 2aᵢ and bⱼ.

        2·a₀·aⱼ and 4·a₁·aⱼ may pass 2^102: there the halves are doubled instead of a factor.
        """
        once, twice, other = values
        i, j = at
        column, inner = i + j, i >= 1 and j >= 1
        if column == 0:
            self.split_wide(d, columns[0], columns[1], once, other)
            return
        left = twice if inner and (column <= 4 or counts_twice) else once
        doubled = counts_twice and (not inner or column <= 4)
        low = half_fifth if column == 5 else columns[column]
        self.split_product(d, low, columns[column + 1], left, other, doubled)

    def _fold_high(self, d: Doubles, columns: list[Column]) -> None:
        """Carry columns 5 to 9 and add them times c to columns 0 to 4."""
        limbs, carry = self.carried_columns(d.e, columns[5:9], self.widths[:4])
        columns[9].add(carry, 1 << (SPAN - RADIX))
        high = [self.limb_of(d, limb) for limb in limbs]
        high.append(d.from_unsigned(columns[9].plus(1 << 51), 1 << 51))
        fold = d.constant(self.fold)
        self.split_wide(d, columns[0], columns[1], high[0], fold)
        for index in (1, 2, 3):
            self.split_product(d, columns[index], columns[index + 1], high[index], fold)
        above = d.fma(high[4], fold, d.constant(HIGH))
        rest = d.fma(high[4], fold, d.sub(d.constant(HIGH + LOW), above))
        columns[4].add(d.bits(rest), bits_of(LOW))
        # The high half stands at 2^256 again: a multiple of 2^51 with 33 bits, so that its product with c / 2^51 is exact.
        again = d.sub(above, d.constant(HIGH))
        self.split_wide(d, columns[0], columns[1], again, d.constant(self.fold * 2.0**-RADIX))

    def _fold_carry(self, d: Doubles, limb: Column, carry: ir.Value) -> ir.Value:
        """The carry has 12 bits and times c 45, which a double takes beside limb 0."""
        low, high = self.fold & 0xFFFFFFFF, self.fold >> 32
        e = d.e
        over = e.builder.mul(e.mask(carry, 32), e.constant(low))
        if high:
            over = e.add(over, e.shl(carry, 32))
        return d.add(self.limb_of(d, limb), d.from_unsigned(over, self.fold << (SPAN - RADIX)))

    def _carried(self, d: Doubles, limbs: Limbs) -> Limbs:
        carries = [d.rounded(limb, HIGH if index else HIGH_WIDE) for index, limb in enumerate(limbs)]
        rest = [d.sub(limb, carry) for limb, carry in zip(limbs, carries, strict=True)]
        factors = [self.fold * 2.0**-RADIX, 2.0**-52, *[2.0**-RADIX] * 3]
        return [d.fma(carries[index - 1], d.constant(factors[index]), rest[index]) for index in range(LIMBS)]

    def add_terms(self, d: Doubles, columns: list[Column], terms: Terms) -> None:
        """As in `DoublesField`; limb 0 may pass 2^51, so that its multiple of 2^52 goes to column 1."""
        super().add_terms(d, columns[1:], [(coefficient, term[1:]) for coefficient, term in terms])
        for coefficient, term in terms:
            limb = d.real(term[0])
            high = d.add(limb, d.constant(HIGH_WIDE))
            low = d.add(d.add(limb, d.sub(d.constant(HIGH_WIDE), high)), d.constant(LOW))
            columns[0].add(d.bits(low), bits_of(LOW), coefficient)
            columns[1].add(d.bits(high), bits_of(HIGH_WIDE), coefficient)

    def integers(self, d: Doubles, limbs: Limbs) -> Limbs:
        """As in `DoublesField`; limb 0 may pass 2^51 and goes in two parts, an even one and what is left."""
        e, limb = d.e, d.real(limbs[0])
        even = d.rounded(limb, 3.0 * 2**52)
        parts = [d.bits(part) for part in (d.scale(even, 0.5), d.sub(limb, even))]
        half, rest = super().integers(d, parts)
        return [e.add(e.shl(half, 1), rest), *super().integers(d, limbs[1:])]

    def from_words(self, e: Emitter, words: Words) -> Carried:
        """Four 64-bit words as an element."""
        d = Doubles(e)
        limbs = [d.from_unsigned(limb) for limb in self.parted(e, words, self.widths)]
        return [d.bits(limb) for limb in self._carried(d, limbs)]
