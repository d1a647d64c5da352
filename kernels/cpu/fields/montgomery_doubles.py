# SPDX-License-Identifier: GPL-3.0-or-later
"""Arithmetic modulo any odd p in Montgomery form, in signed limbs of 51 bits held as doubles (see `doubles`).

R = 2^(51·limbs) > 2p. An element is between −p and p, its limbs within half their width and a carry. With signed digits of
the quotient a reduced product is within |Σ a·b|/R + p/2, so that `settled_at_once` products of elements share a reduction
and need no subtraction after it, and `at_once` with one. Where R is larger still (`roomy`), lazy sums go into a product as
they are, and what sums of many products leave may pass p by less than p/2^20.
"""

from __future__ import annotations

from llvmlite import ir

from supervm.kernels.cpu.fields.contract import Canonical, Carried, Factors, Limbs, Loose, Terms, Words
from supervm.kernels.cpu.fields.doubles import (
    HIGH,
    LOW,
    RADIX,
    SPAN,
    Column,
    Doubles,
    DoublesField,
    bits_of,
    centred,
)
from supervm.kernels.cpu.lanes.emitter import Emitter
from supervm.kernels.cpu.lanes.lanes import LanesType
from supervm.kernels.spec import FieldSpec

IN_DOUBLES = 7
"""Sums of elements up to this weight stay below 2^53 in every limb."""

MOST_AT_ONCE = 64
"""So many products of eight limbs keep their columns below 2^60."""

Quotient = tuple[ir.Value, ir.Value]


class MontgomeryDoubles(DoublesField):
    """The code generator for one modulus."""

    def __init__(self, spec: FieldSpec, lanes: LanesType) -> None:
        super().__init__(spec, lanes)
        self.limbs = -(-(spec.bits + 1) // RADIX)
        self.widths = (RADIX,) * self.limbs
        self.r = 1 << (RADIX * self.limbs)
        self.modulus = centred(spec.modulus, self.widths)
        [self.minus_inverse, _] = centred(-pow(spec.modulus, -1, 1 << RADIX) % (1 << RADIX), (RADIX, 1))

    def _constants(self, e: Emitter, value: int) -> Limbs:
        return [e.constant(bits_of(digit)) for digit in centred(value, self.widths)]

    def represent(self, value: int) -> list[int]:
        """A constant as limbs, in Montgomery form, between −p/2 and p/2."""
        return self.standing(value * self.r)

    @property
    def settled_at_once(self) -> int:
        """Products of elements whose sum is an element once it is reduced: count·p²/R + p/2 stays below p, and so do columns
        below 2^SPAN."""
        return max(1, min(MOST_AT_ONCE, (self.r - (self.r >> 40)) // (2 * self.spec.modulus)))

    @property
    def at_once(self) -> int:
        """Products of elements that share a reduction: count·p²/R + p/2 stays below 2p, for which the last limb has room."""
        return max(1, min(MOST_AT_ONCE, 3 * (self.r - (self.r >> 40)) // (2 * self.spec.modulus)))

    @property
    def roomy(self) -> bool:
        """Whether R/p is so large that sums go into products as they are."""
        return self.r >> 20 > self.spec.modulus

    @property
    def bounds(self) -> list[int]:
        """The magnitudes that an element's limbs may have."""
        top = (self.spec.modulus >> (RADIX * (self.limbs - 1))) + 1
        return [(1 << 50) + (1 << (SPAN - RADIX)) + 1] * (self.limbs - 1) + [top]

    # Sums -------------------------------------------------------------------------------------------------

    def linear(self, e: Emitter, terms: Terms) -> Carried:
        """Σ coefficient · term for small integer coefficients."""
        d = Doubles(e)
        weight = sum(abs(coefficient) for coefficient, _ in terms)
        if weight <= IN_DOUBLES:
            total = self.total(d, terms)
            return [d.bits(limb) for limb in (total if weight == 1 else self._reduced(d, total))]
        total_so_far: Carried | None = None
        for coefficient, term in terms:
            part = self._multiple(e, coefficient, term)
            total_so_far = part if total_so_far is None else self.linear(e, [(1, total_so_far), (1, part)])
        if total_so_far is None:
            raise ValueError("a sum needs at least one term")
        return total_so_far

    def _multiple(self, e: Emitter, coefficient: int, term: Carried) -> Carried:
        """coefficient · term, digit by digit of the coefficient."""
        sign, left = (1, coefficient) if coefficient > 0 else (-1, -coefficient)
        if left <= IN_DOUBLES:
            return self.linear(e, [(coefficient, term)])
        half = self._multiple(e, sign * (left // 2), term)
        return self.linear(e, [(2, half), (sign, term)] if left % 2 else [(2, half)])

    def lazy(self, e: Emitter, terms: Terms, multiple: int) -> Loose:
        """Σ coefficient · term in carried limbs, where R has room for it not reduced. Being signed, it needs no multiple
        of p. A coefficient above `IN_DOUBLES` is a power of two."""
        d = Doubles(e)
        if sum(abs(coefficient) for coefficient, _ in terms) == 1:
            return [d.bits(limb) for limb in self.total(d, terms)]
        if not self.roomy:
            return self.linear(e, terms)
        small = [self._carried_multiple(d, coefficient, term) for coefficient, term in terms]
        return [d.bits(limb) for limb in self._carried(d, self.total(d, small))]

    def _carried_multiple(self, d: Doubles, coefficient: int, term: Loose) -> tuple[int, Loose]:
        """The same term with a coefficient of 1 or −1 where it would take too many bits of a sum."""
        size = abs(coefficient)
        if size < 4:
            return coefficient, term
        if size > IN_DOUBLES and size & (size - 1):
            raise ValueError(
                f"a coefficient of {coefficient}; expected one up to {IN_DOUBLES}, or a power of two"
            )
        scaled = [d.scale(d.real(limb), size) for limb in term]
        return coefficient // size, [d.bits(limb) for limb in self._carried(d, scaled)]

    def carried(self, e: Emitter, a: Loose) -> Loose:
        """The same number, of limbs below 2^53, in limbs that may be factors."""
        d = Doubles(e)
        return [d.bits(limb) for limb in self._carried(d, [d.real(limb) for limb in a])]

    def _carried(self, d: Doubles, limbs: Limbs) -> Limbs:
        """One parallel carry of doubles below 2^53; the last limb keeps what it has."""
        carries = [d.rounded(limb, HIGH) for limb in limbs[:-1]]
        rest = [d.sub(limb, carry) for limb, carry in zip(limbs, carries, strict=False)] + limbs[-1:]
        down = d.constant(2.0**-RADIX)
        return rest[:1] + [d.fma(carries[index - 1], down, rest[index]) for index in range(1, self.limbs)]

    def _reduced(self, d: Doubles, limbs: Limbs) -> Limbs:
        """Sums of a few elements less the nearest multiple of p, which the two highest limbs tell."""
        limbs = self._carried(d, limbs)
        scale = 2.0 ** (RADIX * (self.limbs - 2))
        head = d.fma(limbs[-1], d.constant(2.0**RADIX), limbs[-2])
        quotient = d.rounded(d.scale(head, scale / self.spec.modulus), LOW)
        less = [
            d.fma(quotient, d.constant(-digit), limb) for digit, limb in zip(self.modulus, limbs, strict=True)
        ]
        return self._carried(d, less)

    # Products ---------------------------------------------------------------------------------------------

    def products(self, e: Emitter, factors: Factors, sums: list[tuple[int, Terms]]) -> list[Carried]:
        """With P the sum of the products of the factor pairs: coefficient · P + Σ terms, for each of `sums`."""
        parts = []
        for start in range(0, len(factors), self.at_once):
            part = factors[start : start + self.at_once]
            found = self._product(e, part)
            parts.append(found if len(part) <= self.settled_at_once else self.nearest(e, found))
        total = parts[0]
        for part in parts[1:]:
            total = self.linear(e, [(1, total), (1, part)])
        return [
            total if (coefficient, terms) == (1, []) else self.linear(e, [*terms, (coefficient, total)])
            for coefficient, terms in sums
        ]

    def _product(self, e: Emitter, factors: Factors) -> Carried:
        """Σ a·b / R, row by row; each row is reduced after the next one has begun, for its quotient takes a while."""
        d = Doubles(e)
        columns = [Column(e) for _ in range(2 * self.limbs)]
        pairs = []
        for a, b in factors:
            x = [d.real(limb) for limb in a]
            pairs.append((list(x), x if a is b else [d.real(limb) for limb in b], a is b))
        quotient: Quotient | None = None
        for i in range(self.limbs):
            for row, other, square in pairs:
                self.add_row(d, columns, row, other, i, square)
            if quotient is not None:
                self._clear(d, columns, i - 1, quotient)
            self.ordered(d, columns, pairs[-1][0], i)
            quotient = self._quotient(d, columns, i)
        if quotient is not None:
            self._clear(d, columns, self.limbs - 1, quotient)
        return self._settled(d, columns[self.limbs :])

    def add_product(self, d: Doubles, columns: list[Column], a: Limbs, b: Limbs) -> list[Column]:
        """2n columns + a·b, not reduced; the same list twice is a square."""
        row, square = [d.real(limb) for limb in a], a is b
        other = list(row) if square else [d.real(limb) for limb in b]
        for i in range(self.limbs):
            self.add_row(d, columns, row, other, i, square)
        return columns

    def reduced_columns(self, d: Doubles, columns: list[Column]) -> Carried:
        """2n columns below 2^61 over R modulo p, within columns/R + p/2."""
        for index in range(self.limbs):
            self._clear(d, columns, index, self._quotient(d, columns, index))
        return self._settled(d, columns[self.limbs :])

    def _quotient(self, d: Doubles, columns: list[Column], index: int) -> Quotient:
        """(m, c): c the signed low 51 bits of a column, m = −c/p modulo 2^51, signed; the rest of the column goes up."""
        e = d.e
        raised = columns[index].plus((1 << SPAN) + (1 << (RADIX - 1)))
        columns[index].raw = None
        columns[index + 1].add(e.shr(raised, RADIX), 1 << (SPAN - RADIX))
        low = d.from_unsigned(e.mask(raised, RADIX), 1 << (RADIX - 1))
        inverse = d.constant(self.minus_inverse)
        high = d.fma(low, inverse, d.constant(HIGH))
        return d.fma(low, inverse, d.sub(d.constant(HIGH), high)), low

    def _clear(self, d: Doubles, columns: list[Column], index: int, quotient: Quotient) -> None:
        """Add m·p, which clears the column: m·p₀ + c is a multiple of 2^51 below 2^101, so that one FMA makes it exactly."""
        m, low = quotient
        exact = d.fma(m, d.constant(self.modulus[0]), low)
        columns[index + 1].add(d.bits(d.add(exact, d.constant(HIGH))), bits_of(HIGH))
        for j in range(1, self.limbs):
            self.split_product(d, columns[index + j], columns[index + j + 1], m, d.constant(self.modulus[j]))

    def _settled(self, d: Doubles, columns: list[Column]) -> Carried:
        """Columns below 2^SPAN as an element."""
        limbs, carry = self.carried_columns(d.e, columns[:-1], self.widths[:-1])
        columns[-1].add(carry, 1 << (SPAN - RADIX))
        top = d.from_unsigned(columns[-1].plus(1 << 51), 1 << 51)
        return [d.bits(limb) for limb in (*(self.limb_of(d, limb) for limb in limbs), top)]

    # In and out -------------------------------------------------------------------------------------------

    def nearest(self, e: Emitter, a: Loose) -> Carried:
        """The representative between −p/2 and p/2 of a sum of up to `IN_DOUBLES` elements, whose limbs may be such sums."""
        d = Doubles(e)
        return [d.bits(limb) for limb in self._reduced(d, [d.real(limb) for limb in a])]

    def canonical(self, e: Emitter, a: Carried) -> Canonical:
        """The representative below p, still in Montgomery form, in unsigned integer limbs."""
        return self._not_negative(e, self.nearest(e, a))

    def _not_negative(self, e: Emitter, a: Carried) -> Canonical:
        """a, or a + p where that is negative, in unsigned integer limbs."""
        plain = self.integers(Doubles(e), a)
        digits = self.unsigned_digits(self.spec.modulus)
        low = self.rippled(e, plain)
        high = self.rippled(
            e, [e.add(limb, e.constant(digit)) for limb, digit in zip(plain, digits, strict=True)]
        )
        negative = e.builder.icmp_signed("<", low[-1], e.constant(0))
        return [e.builder.select(negative, y, x) for x, y in zip(low, high, strict=True)]

    def canonical_words(self, e: Emitter, a: Carried) -> Words:
        """The representative below p as 64-bit words, still in Montgomery form."""
        return self.joined(e, self.canonical(e, a))

    def packed(self, e: Emitter, a: Carried) -> Words:
        """The words of a, or of a + p where that is negative: p at most."""
        return self.joined(e, self._not_negative(e, a))

    def unpacked(self, e: Emitter, words: Words) -> Carried:
        """Words below 2p, less p."""
        d = Doubles(e)
        digits = self.unsigned_digits(self.spec.modulus)
        parts = self.parted(e, words, self.widths)
        limbs = [d.from_unsigned(limb, digit) for limb, digit in zip(parts, digits, strict=True)]
        return [d.bits(limb) for limb in self._carried(d, limbs)]

    def to_words(self, e: Emitter, a: Carried) -> Words:
        """The canonical value as 64-bit words."""
        return self.canonical_words(e, self._product(e, [(a, self._constants(e, 1))]))

    def from_words(self, e: Emitter, words: Words) -> Carried:
        """64-bit words (any value below 2^(64·words)) as an element."""
        d = Doubles(e)
        count = max(self.limbs, -(-64 * self.words // RADIX))
        parts = [d.from_unsigned(limb) for limb in self.parted(e, words, (RADIX,) * count)]
        carries = [d.rounded(limb, HIGH) for limb in parts]
        rest = [d.sub(limb, carry) for limb, carry in zip(parts, carries, strict=True)]
        down = d.constant(2.0**-RADIX)
        limbs = rest[:1] + [d.fma(carries[index - 1], down, rest[index]) for index in range(1, count)]
        if count == self.limbs:
            limbs[-1] = d.add(limbs[-1], carries[-1])
        else:  # the few bits above R, times R modulo p
            above = centred(self.nearest_zero(self.r), self.widths)
            limbs = self._carried(
                d,
                [
                    d.fma(limbs[-1], d.constant(digit), limb)
                    for digit, limb in zip(above, limbs, strict=False)
                ],
            )
        square = self._constants(e, self.nearest_zero(self.r**2))
        return self._product(e, [([d.bits(limb) for limb in limbs], square)])
