# SPDX-License-Identifier: GPL-3.0-or-later
"""Products modulo 2^k − c for one lane: 64×64→128-bit multiplications in the radix of `crandall`.

Elements follow the contract of `crandall`, except that limb 1 may reach 2^52 + 2^44: a product ends with what was
folded into limb 0, carried into limb 1 and no further. A 64-bit multiplier has room for that.
"""

from __future__ import annotations

from llvmlite import ir

from supervm.kernels.cpu.fields.contract import Factors, Limbs, Row, Terms
from supervm.kernels.cpu.fields.crandall import LIMBS, RADIX, CrandallField
from supervm.kernels.cpu.lanes.emitter import I128, Emitter


class CrandallOneLane(CrandallField):
    """Products by 128-bit columns, one at a time."""

    def products(self, e: Emitter, factors: Factors, sums: list[tuple[int, Terms]]) -> list[Limbs]:
        """See `CrandallField.products`: columns of 128 bits are folded once, then scaled and carried for each of `sums`.

        Where the coefficient is −1 the product is carried by itself, then subtracted from the terms.
        """
        columns = self._folded_columns(e, factors)
        results = []
        for coefficient, terms in sums:
            if coefficient > 0:
                factor = ir.Constant(I128, coefficient)
                wide = [e.builder.mul(column, factor) if coefficient > 1 else column for column in columns]
                if terms:
                    # Terms join before the carries, so that a fused sum costs no second pass.
                    extra = self._sum(e, None, terms)
                    wide = [
                        e.builder.add(column, e.wide(limb)) for column, limb in zip(wide, extra, strict=True)
                    ]
                results.append(self._settle(e, wide))
            else:
                product = self._settle(e, columns)
                results.append(self._carry(e, self._sum(e, None, [*terms, (-1, product)])))
        return results

    def combinations(self, e: Emitter, factors: Factors, rows: list[Row]) -> list[Limbs]:
        """See `CrandallField.combinations`: columns of 128 bits are scaled, added and carried."""
        folded = [self._folded_columns(e, [pair]) for pair in factors]
        results = []
        for products, terms in rows:
            lifted = any(coefficient < 0 for coefficient, _ in products)
            total: Limbs = [ir.Constant(I128, limb) for limb in self._lifted(118, 110)] if lifted else []
            for coefficient, index in products:
                factor = ir.Constant(I128, abs(coefficient))
                scaled = [
                    column if abs(coefficient) == 1 else e.builder.mul(column, factor)
                    for column in folded[index]
                ]
                step = e.builder.add if coefficient > 0 else e.builder.sub
                total = [step(x, y) for x, y in zip(total, scaled, strict=True)] if total else scaled
            if terms:
                extra = self._sum(e, None, terms)
                total = [e.builder.add(x, e.wide(limb)) for x, limb in zip(total, extra, strict=True)]
            results.append(self._settle(e, total))
        return results

    def _folded_columns(self, e: Emitter, factors: Factors) -> list[ir.Value]:
        """Σ a·b in five columns of 128 bits."""
        if self.fold_limbs.bit_length() <= 10:
            return self._columns_prefolded(e, factors)
        columns: list[ir.Value] = [ir.Constant(I128, 0)] * (2 * LIMBS - 1)
        for a, b in factors:
            for i in range(LIMBS):
                for j in range(i if a is b else 0, LIMBS):
                    left = e.shl(a[i], 1) if a is b and j > i else a[i]
                    columns[i + j] = e.builder.add(columns[i + j], e.product(left, b[j]))
        low, carry = columns[:LIMBS], ir.Constant(I128, 0)
        factor = e.constant(self.fold_limbs)
        for index in range(LIMBS - 1):
            high = e.builder.add(columns[index + LIMBS], carry)
            carry = e.wide_shr(high, RADIX)
            low[index] = e.builder.add(low[index], e.product(e.narrow(high, RADIX), factor))
        low[LIMBS - 1] = e.builder.add(low[LIMBS - 1], e.product(e.narrow(carry), factor))
        return low

    def _columns_prefolded(self, e: Emitter, factors: Factors) -> list[ir.Value]:
        """As `_folded_columns` for a fold of ten bits: b's limbs are multiplied by it first, which still fits 64 bits."""
        low: list[ir.Value] = [ir.Constant(I128, 0)] * LIMBS
        for a, b in factors:
            folded = [e.builder.mul(limb, e.constant(self.fold_limbs)) for limb in b]
            for i in range(LIMBS):
                for j in range(i if a is b else 0, LIMBS):
                    left = e.shl(a[i], 1) if a is b and j > i else a[i]
                    right = b[j] if i + j < LIMBS else folded[j]
                    index = (i + j) % LIMBS
                    low[index] = e.builder.add(low[index], e.product(left, right))
        return low

    def _settle(self, e: Emitter, columns: list[ir.Value]) -> Limbs:
        """Carry five columns below 2^119 and fold what passes 2^k into limbs 0 and 1."""
        limbs = []
        carry: ir.Value = ir.Constant(I128, 0)
        for index in range(LIMBS - 1):
            total = e.builder.add(columns[index], carry)
            limbs.append(e.narrow(total, RADIX))
            carry = e.wide_shr(total, RADIX)
        total = e.builder.add(columns[LIMBS - 1], carry)
        limbs.append(e.narrow(total, self.top))
        over = e.narrow(e.wide_shr(total, self.top))
        folded = e.builder.add(e.wide(limbs[0]), e.product(over, e.constant(self.fold)))
        limbs[0] = e.narrow(folded, RADIX)
        limbs[1] = e.add(limbs[1], e.narrow(e.wide_shr(folded, RADIX)))
        return limbs
