# SPDX-License-Identifier: GPL-3.0-or-later
"""The instructions of sums of products before their reduction: for lanes, for lanes of doubles, and for one lane.

Every value is a tuple with a part for each group of lanes, whose instructions alternate (`wide_products`).
"""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir

from supervm.kernels.cpu.fields.doubles import Column, Doubles
from supervm.kernels.cpu.fields.montgomery import MontgomeryField
from supervm.kernels.cpu.fields.montgomery_doubles import MontgomeryDoubles
from supervm.kernels.cpu.lanes.emitter import I64, Emitter, digits
from supervm.kernels.cpu.lanes.lanes import IFMA, LanesType

GROUPS = 2
"""Groups of lanes that go together: what one square waits for, the other fills."""

LARGEST_SUM = 17
"""Products of elements below p in one sum, with one lane."""

Groups = tuple[ir.Value, ...]
Wide = list[ir.Value]


def groups_of(lanes: LanesType) -> int:
    """How many groups alternate: of doubles one, whose columns fill the registers (two were 6 % slower)."""
    return GROUPS if lanes.multiplier == IFMA else 1


class Alternating:
    """An `Emitter` of tuples, a value of each group; as many groups as alternate, if it is not said how many."""

    def __init__(self, builder: ir.IRBuilder, lanes: LanesType, count: int = 0) -> None:
        self.single = Emitter(builder, lanes)
        self.count = count or groups_of(lanes)

    def constant(self, value: int) -> Groups:
        """`value` modulo 2^64 in every lane of every group."""
        return (self.single.constant(value),) * self.count

    def _each(self, operation: Callable[..., ir.Value], *values: Groups) -> Groups:
        return tuple(operation(*parts) for parts in zip(*values, strict=True))

    def grouped(self, formula: Callable[..., Wide], *values: list[Groups]) -> list[Groups]:
        """A formula over lists of limbs, group by group."""
        parts = [
            formula(*([limb[group] for limb in limbs] for limbs in values)) for group in range(self.count)
        ]
        return list(zip(*parts, strict=True))

    def add(self, a: Groups, b: Groups) -> Groups:
        """a + b modulo 2^64."""
        return self._each(self.single.add, a, b)

    def shl(self, a: Groups, bits: int) -> Groups:
        """a · 2^bits modulo 2^64; `bits` is below 64, as in all shifts."""
        return self._each(lambda value: self.single.shl(value, bits), a)

    def shr(self, a: Groups, bits: int) -> Groups:
        """⌊a / 2^bits⌋ of unsigned lanes."""
        return self._each(lambda value: self.single.shr(value, bits), a)

    def sar(self, a: Groups, bits: int) -> Groups:
        """⌊a / 2^bits⌋ of signed lanes."""
        return self._each(lambda value: self.single.sar(value, bits), a)

    def mask(self, a: Groups, bits: int) -> Groups:
        """The low `bits` bits of a."""
        return self._each(lambda value: self.single.mask(value, bits), a)

    def madd_low(self, total: Groups, a: Groups, b: Groups) -> Groups:
        """total + (a·b mod 2^52), see `Emitter.madd_low`."""
        return self._each(self.single.madd_low, total, a, b)

    def madd_high(self, total: Groups, a: Groups, b: Groups) -> Groups:
        """total + ⌊a·b / 2^52⌋, see `Emitter.madd_high`."""
        return self._each(self.single.madd_high, total, a, b)


class WideLanes:
    """Sums of products in columns of 52 bits; every value is a tuple of groups."""

    def __init__(self, code: MontgomeryField) -> None:
        self.code = code
        self.limbs = code.limbs
        self.size = 2 * code.limbs

    def begin(self, e: Alternating, limbs: list[Groups]) -> list[Groups]:
        """`limbs` · R, which reduction makes `limbs` of."""
        return [e.constant(0)] * self.limbs + limbs

    def gather(self, e: Alternating, columns: list[Groups], a: list[Groups], b: list[Groups]) -> list[Groups]:
        """columns + a·b."""
        columns = list(columns)
        for i in range(self.limbs):
            for j in range(self.limbs):
                columns[i + j] = e.madd_low(columns[i + j], a[j], b[i])
            for j in range(self.limbs):
                columns[i + j + 1] = e.madd_high(columns[i + j + 1], a[j], b[i])
        return columns

    def square(self, e: Alternating, a: list[Groups]) -> list[Groups]:
        """a² in columns."""
        n = self.limbs
        columns = [e.constant(0)] * (2 * n)
        for i in range(n):
            for j in range(i + 1, n):
                columns[i + j] = e.madd_low(columns[i + j], a[i], a[j])
            for j in range(i + 1, n):
                columns[i + j + 1] = e.madd_high(columns[i + j + 1], a[i], a[j])
        columns[1:-1] = [e.shl(column, 1) for column in columns[1:-1]]
        for i in range(n):
            columns[2 * i] = e.madd_low(columns[2 * i], a[i], a[i])
            columns[2 * i + 1] = e.madd_high(columns[2 * i + 1], a[i], a[i])
        return columns

    def reduce(self, e: Alternating, columns: list[Groups]) -> list[Groups]:
        """columns / R modulo p in carried limbs, below columns/R + p."""
        n = self.limbs
        columns = list(columns)
        modulus = digits(self.code.spec.modulus, 52, n)
        for i in range(n):
            quotient = e.madd_low(e.constant(0), columns[i], e.constant(self.code.minus_inverse))
            carry = e.shr(e.add(columns[i], e.constant((1 << 52) - 1)), 52)
            columns[i + 1] = e.add(columns[i + 1], carry)
            for j in range(1, n):
                columns[i + j] = e.madd_low(columns[i + j], quotient, e.constant(modulus[j]))
            for j in range(n):
                columns[i + j + 1] = e.madd_high(columns[i + j + 1], quotient, e.constant(modulus[j]))
        return self.carry(e, columns[n:])

    reduce_square = reduce

    def carry(self, e: Alternating, limbs: list[Groups]) -> list[Groups]:
        """Limbs of up to 64 bits, carried."""
        limbs = list(limbs)
        for index in range(self.limbs - 1):
            limbs[index + 1] = e.add(limbs[index + 1], e.shr(limbs[index], 52))
            limbs[index] = e.mask(limbs[index], 52)
        return limbs

    def add(self, e: Alternating, a: list[Groups], b: list[Groups]) -> list[Groups]:
        """a + b, not reduced."""
        return self.carry(e, [e.add(x, y) for x, y in zip(a, b, strict=True)])


class WideOne:
    """Sums of products as one integer of 64·(2n + 1) bits, in words."""

    def __init__(self, code: MontgomeryField) -> None:
        self.code = code
        self.limbs = code.limbs
        self.size = 2 * code.limbs + 1
        self.type = ir.IntType(64 * self.size)

    def whole(self, e: Emitter, words: Wide, bits: ir.IntType) -> ir.Value:
        """Words as one integer of so many bits."""
        total: ir.Value = ir.Constant(bits, 0)
        for index, word in enumerate(words):
            part = e.builder.shl(e.builder.zext(word, bits), ir.Constant(bits, 64 * index))
            total = e.builder.or_(total, part)
        return total

    def words(self, e: Emitter, whole: ir.Value, bits: ir.IntType, count: int) -> Wide:
        """The lowest words of an integer of so many bits."""
        return [
            e.builder.trunc(e.builder.lshr(whole, ir.Constant(bits, 64 * index)), I64)
            for index in range(count)
        ]

    def _step(
        self, e: Emitter, total: ir.Value, a: ir.Value, b: ir.Value, carry: ir.Value
    ) -> tuple[ir.Value, ir.Value]:
        """total + a·b + carry as a word and the next carry."""
        value = e.builder.add(e.builder.add(e.product(a, b), e.wide(total)), e.wide(carry))
        return e.narrow(value), e.narrow(e.wide_shr(value, 64))

    def begin(self, e: Alternating, limbs: list[Groups]) -> list[Groups]:
        """`limbs` · R in words, which reduction makes `limbs` of."""
        zero = e.constant(0)
        return [zero] * self.limbs + limbs + [zero]

    def gather(self, e: Alternating, columns: list[Groups], a: list[Groups], b: list[Groups]) -> list[Groups]:
        """columns + a·b, modulo 2^(64·(2n + 1))."""
        n, single = self.limbs, e.single
        x, y = [limb[0] for limb in a], [limb[0] for limb in b]
        product: Wide = [ir.Constant(I64, 0)] * (2 * n)
        for i in range(n):
            carry: ir.Value = ir.Constant(I64, 0)
            for j in range(n):
                product[i + j], carry = self._step(single, product[i + j], x[j], y[i], carry)
            product[i + n] = carry
        total = single.builder.add(
            self.whole(single, [column[0] for column in columns], self.type),
            self.whole(single, product, self.type),
        )
        return [(word,) for word in self.words(single, total, self.type, self.size)]

    def square(self, e: Alternating, a: list[Groups]) -> list[Groups]:
        """a² in words."""
        return self.gather(e, [e.constant(0)] * self.size, a, a)

    def reduce(self, e: Alternating, columns: list[Groups]) -> list[Groups]:
        """columns / R mod p, for sums of up to `LARGEST_SUM` products and an element · R."""
        n, single = self.limbs, e.single
        total = [column[0] for column in columns]
        over: ir.Value = ir.Constant(I64, 0)
        modulus = [single.constant(limb) for limb in digits(self.code.spec.modulus, 64, n)]
        for i in range(n):
            quotient = single.builder.mul(total[i], single.constant(self.code.minus_inverse))
            carry: ir.Value = ir.Constant(I64, 0)
            for j in range(n):
                total[i + j], carry = self._step(single, total[i + j], quotient, modulus[j], carry)
            top = single.builder.add(
                single.builder.add(single.wide(total[i + n]), single.wide(carry)), single.wide(over)
            )
            total[i + n], over = single.narrow(top), single.narrow(single.wide_shr(top, 64))
        total[2 * n] = single.builder.add(total[2 * n], over)
        most = LARGEST_SUM * self.code.spec.modulus // self.code.r + 2
        return self.below(single, total[n:], most)

    reduce_square = reduce

    def below(self, e: Emitter, words: Wide, most: int) -> list[Groups]:
        """n + 1 words below (most + 1)·p, by subtracting p · 2^k where that leaves nothing negative."""
        bits = ir.IntType(64 * (self.limbs + 1))
        value = self.whole(e, words, bits)
        for k in reversed(range(most.bit_length())):
            less = e.builder.sub(value, ir.Constant(bits, self.code.spec.modulus << k))
            negative = e.builder.icmp_signed("<", less, ir.Constant(bits, 0))
            value = e.builder.select(negative, value, less)
        return [(word,) for word in self.words(e, value, bits, self.limbs)]

    def add(self, e: Alternating, a: list[Groups], b: list[Groups]) -> list[Groups]:
        """a + b mod p, for a and b below p."""
        single = e.single
        bits = ir.IntType(64 * (self.limbs + 1))
        x, y = (self.whole(single, [limb[0] for limb in limbs], bits) for limbs in (a, b))
        return self.below(single, self.words(single, single.builder.add(x, y), bits, self.limbs + 1), 1)


class WideDoubles:
    """Sums of products in columns of 51 bits, as integers without excess; every value is a tuple of groups.

    A sum of `LARGEST_SUM` products keeps its columns below 2^58. Where R is below 3p a sum must stay below R·p all
    the same: 17 products of elements within p/2 and a constant are 2.61p of R's 2.64p.
    """

    def __init__(self, code: MontgomeryDoubles) -> None:
        self.code = code
        self.limbs = code.limbs
        self.size = 2 * code.limbs

    def begin(self, e: Alternating, limbs: list[Groups]) -> list[Groups]:
        """`limbs` · R, which reduction makes `limbs` of."""

        def columns(x: Wide) -> Wide:
            return self.code.integers(Doubles(e.single), x)

        return [e.constant(0)] * self.limbs + e.grouped(columns, limbs)

    def gather(self, e: Alternating, columns: list[Groups], a: list[Groups], b: list[Groups]) -> list[Groups]:
        """columns + a·b."""

        def total(before: Wide, x: Wide, y: Wide) -> Wide:
            d = Doubles(e.single)
            return self._plain(self.code.add_product(d, self._columns(e.single, before), x, y))

        return e.grouped(total, columns, a, b)

    def square(self, e: Alternating, a: list[Groups]) -> list[Groups]:
        """a² in columns."""

        def total(x: Wide) -> Wide:
            d = Doubles(e.single)
            return self._plain(self.code.add_product(d, self._columns(e.single, []), x, x))

        return e.grouped(total, a)

    def reduce(self, e: Alternating, columns: list[Groups]) -> list[Groups]:
        """columns / R modulo p, between −p/2 and p/2 where R has no room for more."""

        limbs = self.reduce_square(e, columns)
        return limbs if self.code.roomy else e.grouped(lambda x: self.code.nearest(e.single, x), limbs)

    def reduce_square(self, e: Alternating, columns: list[Groups]) -> list[Groups]:
        """columns / R modulo p, for squares of elements within 2p/3: again within 2p/3 where R is 2.64p or more."""

        def element(total: Wide) -> Wide:
            return self.code.reduced_columns(Doubles(e.single), self._columns(e.single, total))

        return e.grouped(element, columns)

    def add(self, e: Alternating, a: list[Groups], b: list[Groups]) -> list[Groups]:
        """a + b."""

        def total(x: Wide, y: Wide) -> Wide:
            return self.code.linear(e.single, [(1, x), (1, y)])

        return e.grouped(total, a, b)

    def _columns(self, e: Emitter, values: Wide) -> list[Column]:
        made = [Column(e) for _ in range(self.size)]
        for column, value in zip(made, values, strict=False):
            column.add(value, 0)
        return made

    def _plain(self, columns: list[Column]) -> Wide:
        return [column.plus(0) for column in columns]
