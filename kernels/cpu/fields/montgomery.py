# SPDX-License-Identifier: GPL-3.0-or-later
"""Arithmetic modulo any odd p in Montgomery form (Montgomery, Mathematics of Computation 44, 1985).

With lanes: limbs of 52 bits, R = 2^(52·limbs) > 4p. Every element that leaves an operation is below 2p with carried
limbs: since R > 4p, a product of two such values needs no final subtraction. Where R is larger still, sums of products
and lazy sums go into a product unreduced: Σ aᵢ·bᵢ < R·p is all that it takes.

With one lane: limbs of 64 bits, R = 2^(64·limbs), every element fully reduced; sums are one wide integer.
"""

from __future__ import annotations

from llvmlite import ir

from supervm.kernels.cpu.fields.contract import Canonical, Carried, Factors, Limbs, Loose, Terms, Words
from supervm.kernels.cpu.lanes.emitter import I64, I128, Emitter, digits
from supervm.kernels.cpu.lanes.lanes import LanesType
from supervm.kernels.spec import FieldSpec


class MontgomeryField:
    """The code generator for one modulus and one lane type."""

    def __init__(self, spec: FieldSpec, lanes: LanesType) -> None:
        self.spec = spec
        self.lanes = lanes
        self.radix = 52 if lanes.width > 1 else 64
        spare = 2 if lanes.width > 1 else 0
        self.limbs = -(-(spec.bits + spare) // self.radix)
        self.words = -(-spec.bits // 64)
        self.r = 1 << (self.radix * self.limbs)
        self.minus_inverse = -pow(spec.modulus, -1, 1 << self.radix) % (1 << self.radix)
        self.wide_type = ir.IntType(64 * (self.limbs + 1))

    def represent(self, value: int) -> list[int]:
        """A constant as limbs, in Montgomery form."""
        return self.standing(value * self.r % self.spec.modulus)

    def standing(self, value: int) -> list[int]:
        """The limbs of an element that is `value` in this field's own form, below p."""
        return digits(value, self.radix, self.limbs)

    def _constants(self, e: Emitter, value: int) -> Limbs:
        return [e.constant(digit) for digit in digits(value, self.radix, self.limbs)]

    def linear(self, e: Emitter, terms: Terms) -> Carried:
        """Σ coefficient · term for small integer coefficients, by repeated addition and subtraction."""
        total: Limbs | None = None
        for coefficient, term in terms:
            for _ in range(abs(coefficient)):
                if total is None:
                    total = term if coefficient > 0 else self._subtract(e, self._constants(e, 0), term)
                else:
                    total = (self._add if coefficient > 0 else self._subtract)(e, total, term)
        if total is None:
            raise ValueError("a sum needs at least one term")
        return total

    def products(self, e: Emitter, factors: Factors, sums: list[tuple[int, Terms]]) -> list[Carried]:
        """With P the sum of the products of the factor pairs: coefficient · P + Σ terms, for each of `sums`.

        As many products as fit below R·p are summed before the one reduction.
        """
        multiply = self._product_lanes if self.lanes.width > 1 else self._product_one
        parts = [
            multiply(e, factors[start : start + self.at_once])
            for start in range(0, len(factors), self.at_once)
        ]
        total = parts[0]
        for part in parts[1:]:
            total = self._add(e, total, part)
        return [
            total if (coefficient, terms) == (1, []) else self.linear(e, [*terms, (coefficient, total)])
            for coefficient, terms in sums
        ]

    @property
    def at_once(self) -> int:
        """Products that share a reduction: with lanes their sum, of factors below 2p, stays below R·p; with one lane
        their sum and the multiple of p that is added stay below R²."""
        if self.lanes.width > 1:
            return (self.r - 1) // (4 * self.spec.modulus)
        return max(1, (self.r - (1 << 64)) // self.spec.modulus - 1)

    def lazy(self, e: Emitter, terms: Terms, multiple: int) -> Loose:
        """Σ coefficient · term + multiple · p in carried limbs, with lanes not reduced: the caller answers for its
        bounds, 0 below and R above."""
        if self.lanes.width == 1:
            return self.linear(e, terms)
        total = self._constants(e, multiple * self.spec.modulus)
        for coefficient, term in terms:
            for index, limb in enumerate(term):
                scaled = e.scale(limb, abs(coefficient))
                total[index] = (e.add if coefficient > 0 else e.sub)(total[index], scaled)
        return self._ripple(e, total)

    def _multiply(self, e: Emitter, a: Limbs, b: Limbs) -> Limbs:
        return self.products(e, [(a, b)], [(1, [])])[0]

    # One lane: saturated 64-bit limbs ---------------------------------------------------------------------

    def _product_one(self, e: Emitter, factors: Factors) -> Limbs:
        """Σ a·b by coarsely integrated operand scanning (Koç, Acar, Kaliski, IEEE Micro 16, 1996).

        Where (m + 1)·p < R for m pairs with aᵢ below p, no partial sum passes n + 1 limbs, and the carry out of limb n is
        left out.
        """
        n = self.limbs
        modulus = self._constants(e, self.spec.modulus)
        tight = (len(factors) + 1) * self.spec.modulus < self.r - (1 << 64)
        total: list[ir.Value] = [ir.Constant(I64, 0)] * (n + 2)

        def carry_out(carry: ir.Value) -> None:
            if tight:
                total[n] = e.builder.add(total[n], carry)
                return
            top = e.builder.add(e.wide(total[n]), e.wide(carry))
            total[n] = e.narrow(top)
            total[n + 1] = e.builder.add(total[n + 1], e.narrow(e.wide_shr(top, 64)))

        for i in range(n):
            for a, b in factors:
                carry: ir.Value = ir.Constant(I64, 0)
                for j in range(n):
                    total[j], carry = self._step(e, total[j], a[j], b[i], carry)
                carry_out(carry)
            quotient = e.builder.mul(total[0], e.constant(self.minus_inverse))
            _, carry = self._step(e, total[0], quotient, modulus[0], ir.Constant(I64, 0))
            for j in range(1, n):
                total[j - 1], carry = self._step(e, total[j], quotient, modulus[j], carry)
            carry_out(carry)
            total[n - 1 :] = [total[n], total[n + 1], ir.Constant(I64, 0)]
        return self._reduce_once(e, self._pack(e, total[: n + 1]))

    def _step(
        self, e: Emitter, total: ir.Value, a: ir.Value, b: ir.Value, carry: ir.Value
    ) -> tuple[ir.Value, ir.Value]:
        value = e.builder.add(e.builder.add(e.product(a, b), e.wide(total)), e.wide(carry))
        return e.narrow(value), e.narrow(e.builder.lshr(value, ir.Constant(I128, 64)))

    def _pack(self, e: Emitter, limbs: Limbs) -> ir.Value:
        """Limbs as one integer of 64·(limbs + 1) bits."""
        whole: ir.Value = ir.Constant(self.wide_type, 0)
        for index, limb in enumerate(limbs):
            part = e.builder.shl(
                e.builder.zext(limb, self.wide_type), ir.Constant(self.wide_type, 64 * index)
            )
            whole = e.builder.or_(whole, part)
        return whole

    def _unpack(self, e: Emitter, whole: ir.Value) -> Limbs:
        return [
            e.builder.trunc(e.builder.lshr(whole, ir.Constant(self.wide_type, 64 * index)), I64)
            for index in range(self.limbs)
        ]

    def _reduce_once(self, e: Emitter, whole: ir.Value) -> Limbs:
        less = e.builder.sub(whole, ir.Constant(self.wide_type, self.spec.modulus))
        negative = e.builder.icmp_signed("<", less, ir.Constant(self.wide_type, 0))
        return self._unpack(e, e.builder.select(negative, whole, less))

    # Lanes: 52-bit limbs ----------------------------------------------------------------------------------

    def _product_lanes(self, e: Emitter, factors: Factors) -> Limbs:
        """Σ a·b: the squares' columns first, whose cross terms are doubled all together; the others' rows between the
        steps of the reduction."""
        n = self.limbs
        modulus = self._constants(e, self.spec.modulus)
        zero = e.constant(0)
        squares = [a for a, b in factors if a is b]
        others = [(a, b) for a, b in factors if a is not b]
        total = self._square_columns(e, squares) if squares else [zero] * (2 * n)

        def multiply_add(index: int, a: ir.Value, b: ir.Value) -> None:
            total[index] = e.madd_low(total[index], a, b)
            total[index + 1] = e.madd_high(total[index + 1], a, b)

        for i in range(n):
            for a, b in others:
                for j in range(n):
                    multiply_add(i + j, a[j], b[i])
            quotient = e.madd_low(zero, total[i], e.constant(self.minus_inverse))
            for j in range(n):
                multiply_add(i + j, quotient, modulus[j])
            total[i + 1] = e.add(total[i + 1], e.shr(total[i], 52))
        return self._ripple(e, total[n:])

    def _square_columns(self, e: Emitter, squares: list[Limbs]) -> Limbs:
        """Σ a² in 2n columns below 2^63."""
        n = self.limbs
        columns: Limbs = [e.constant(0)] * (2 * n)

        def multiply_add(index: int, a: ir.Value, b: ir.Value) -> None:
            columns[index] = e.madd_low(columns[index], a, b)
            columns[index + 1] = e.madd_high(columns[index + 1], a, b)

        for a in squares:
            for i in range(n):
                for j in range(i + 1, n):
                    multiply_add(i + j, a[i], a[j])
        columns[1:-1] = [e.shl(column, 1) for column in columns[1:-1]]
        for a in squares:
            for i in range(n):
                multiply_add(2 * i, a[i], a[i])
        return columns

    def _ripple(self, e: Emitter, limbs: Limbs) -> Limbs:
        """Carry with arithmetic shifts: limbs may be negative; the sign ends in the last limb."""
        limbs = list(limbs)
        for index in range(self.limbs - 1):
            limbs[index + 1] = e.add(limbs[index + 1], e.sar(limbs[index], 52))
            limbs[index] = e.mask(limbs[index], 52)
        return limbs

    def _keep_positive(self, e: Emitter, limbs: Limbs, bound: int) -> Limbs:
        """limbs, or limbs + bound where they are negative."""
        value = self._ripple(e, limbs)
        raised = self._ripple(
            e, [e.add(limb, c) for limb, c in zip(limbs, self._constants(e, bound), strict=True)]
        )
        negative = e.builder.icmp_signed("<", value[-1], e.constant(0))
        return [e.builder.select(negative, high, low) for high, low in zip(raised, value, strict=True)]

    # Both -------------------------------------------------------------------------------------------------

    def _add(self, e: Emitter, a: Limbs, b: Limbs) -> Limbs:
        if self.lanes.width == 1:
            return self._reduce_once(e, e.builder.add(self._pack(e, a), self._pack(e, b)))
        bound = self._constants(e, 2 * self.spec.modulus)
        total = [e.sub(e.add(x, y), c) for x, y, c in zip(a, b, bound, strict=True)]
        return self._keep_positive(e, total, 2 * self.spec.modulus)

    def _subtract(self, e: Emitter, a: Limbs, b: Limbs) -> Limbs:
        if self.lanes.width == 1:
            raised = e.builder.add(self._pack(e, a), ir.Constant(self.wide_type, self.spec.modulus))
            return self._reduce_once(e, e.builder.sub(raised, self._pack(e, b)))
        return self._keep_positive(e, [e.sub(x, y) for x, y in zip(a, b, strict=True)], 2 * self.spec.modulus)

    def canonical(self, e: Emitter, a: Carried) -> Canonical:
        """The representative below p, still in Montgomery form."""
        if self.lanes.width == 1:
            return a
        modulus = self._constants(e, self.spec.modulus)
        return self._keep_positive(
            e, [e.sub(x, c) for x, c in zip(a, modulus, strict=True)], self.spec.modulus
        )

    def from_words(self, e: Emitter, words: Words) -> Carried:
        """64-bit words (any value below R) as an element."""
        plain = words[: self.limbs] if self.lanes.width == 1 else e.split(words, 52, self.limbs)
        return self._multiply(e, self._constants(e, self.r**2 % self.spec.modulus), plain)

    def canonical_words(self, e: Emitter, a: Carried) -> Words:
        """The representative below p as 64-bit words, still in Montgomery form."""
        return self.packed(e, self.canonical(e, a))

    def packed(self, e: Emitter, a: Carried) -> Words:
        """The limbs as 64-bit words, in Montgomery form."""
        return list(a) if self.lanes.width == 1 else e.join(a, 52, self.words)

    def unpacked(self, e: Emitter, words: Words) -> Carried:
        """The inverse of `packed`."""
        return list(words) if self.lanes.width == 1 else e.split(words, 52, self.limbs)

    def to_words(self, e: Emitter, a: Carried) -> Words:
        """The canonical value as 64-bit words."""
        return self.canonical_words(e, self._multiply(e, a, self._constants(e, 1)))
