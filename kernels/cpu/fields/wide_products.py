# SPDX-License-Identifier: GPL-3.0-or-later
"""Sums of products before their reduction, for several groups of lanes whose instructions alternate.

A chain of dependent products leaves the multiplier waiting for its own results, and so does a processor that cannot look
past one product. Here `GROUPS` groups of lanes go through the same formula, instruction by instruction: element i of
a room (`field.local`) stands for places i · groups … of it. One lane goes alone.

With lanes a sum of products is 2n columns of 52 bits; its reduction takes the carry of a column as ⌈column / 2^52⌉, since
what Montgomery's quotient adds below is what is missing. Elements are carried but not below 2p: a reduced sum is below
sum/R + p, and whoever builds a formula answers for that. With one lane a sum is one integer of 64·(2n + 1) bits, and all
elements are below p. With lanes of doubles a sum is 2n columns of 51 bits, and all elements are between −p and p.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

from supervm.kernels.cpu.fields.doubles import Column, Doubles
from supervm.kernels.cpu.fields.element_type import ElementType
from supervm.kernels.cpu.fields.montgomery import MontgomeryField
from supervm.kernels.cpu.fields.montgomery_doubles import MontgomeryDoubles
from supervm.kernels.cpu.lanes.emitter import I64, Emitter, digits
from supervm.kernels.cpu.lanes.lanes import IFMA, LanesType, element_pointer, every
from supervm.kernels.cpu.lanes.numba_types import register_value

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
    """An `Emitter` of tuples, a value of each group."""

    def __init__(self, builder: ir.IRBuilder, lanes: LanesType) -> None:
        self.single = Emitter(builder, lanes)
        self.count = groups_of(lanes)

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

    A sum of `LARGEST_SUM` products keeps its columns below 2^58. Where R is below 3p (BN254) a sum must stay below R·p all
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
        """columns / R modulo p, for squares of elements within 2p/3: again within 2p/3 (BN254's R is 2.64p)."""

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


class WideType(types.Type):
    """Numba type of a sum of products of every group."""

    def __init__(self, element: ElementType) -> None:
        self.element = element
        super().__init__(name=f"Wide({element.name})")

    @property
    def key(self) -> Any:
        """That of the element, see `ElementType.key`."""
        return self.element.key

    @property
    def code(self) -> WideLanes | WideDoubles | WideOne:
        """The generator of this field's instructions."""
        code = self.element.code
        if isinstance(code, MontgomeryDoubles):
            return WideDoubles(code)
        if not isinstance(code, MontgomeryField):
            raise TypingError(f"{self.element.spec.name} is not in Montgomery form")
        return WideLanes(code) if self.element.lanes.width > 1 else WideOne(code)

    @property
    def llvm(self) -> ir.Type:
        """An array of `code.size` columns, each with a value in lanes for every group."""
        return ir.ArrayType(self.element.lanes.llvm, self.code.size * groups_of(self.element.lanes))


register_value(WideType, lambda wide: wide.llvm)


class Room:
    """Reading and writing elements of rooms and tables at the builder's position."""

    def __init__(self, builder: ir.IRBuilder, element: ElementType) -> None:
        self.builder, self.element = builder, element
        self.e = Alternating(builder, element.lanes)
        self.wide = WideType(element)

    def _place(self, room: ir.Value, index: ir.Value, group: int) -> ir.Value:
        first = self.builder.mul(index, ir.Constant(I64, self.e.count))
        return self.builder.gep(room, [self.builder.add(first, ir.Constant(I64, group))])

    def get(self, room: ir.Value, index: ir.Value) -> list[Groups]:
        """The limbs of element `index`, each of all groups."""
        zero = ir.Constant(ir.IntType(32), 0)
        places = [self._place(room, index, group) for group in range(self.e.count)]
        return [
            tuple(
                self.builder.load(self.builder.gep(place, [zero, ir.Constant(ir.IntType(32), limb)]))
                for place in places
            )
            for limb in range(self.element.code.limbs)
        ]

    def put(self, room: ir.Value, index: ir.Value, limbs: list[Groups]) -> None:
        """Store `limbs`, each of all groups, as element `index`."""
        zero = ir.Constant(ir.IntType(32), 0)
        for group in range(self.e.count):
            place = self._place(room, index, group)
            for limb, values in enumerate(limbs):
                self.builder.store(
                    values[group], self.builder.gep(place, [zero, ir.Constant(ir.IntType(32), limb)])
                )

    def constant(self, context: Any, array_type: Any, array: ir.Value, at: ir.Value) -> list[Groups]:
        """The limbs of a table's element, the same in all lanes and groups."""
        limbs: list[Groups] = []
        for limb in range(self.element.code.limbs):
            offset = self.builder.add(at, ir.Constant(I64, limb))
            word = self.builder.load(element_pointer(context, self.builder, array_type, array, offset))
            limbs.append((every(self.builder, self.element.lanes.llvm, word),) * self.e.count)
        return limbs

    def pack(self, columns: list[Groups]) -> ir.Value:
        """A sum's columns as one value of `WideType`."""
        value: ir.Value = ir.Constant(self.wide.llvm, ir.Undefined)
        for index, part in enumerate(part for column in columns for part in column):
            value = self.builder.insert_value(value, part, index)
        return value

    def unpack(self, wide: ir.Value) -> list[Groups]:
        """The inverse of `pack`."""
        count = self.e.count
        parts = [self.builder.extract_value(wide, index) for index in range(self.wide.code.size * count)]
        return [tuple(parts[start : start + count]) for start in range(0, len(parts), count)]


@intrinsic
def begin(typingctx: Any, field: Any, table: Any, at: Any) -> Any:
    """A sum that is the table's element at word `at`."""
    element = field.element
    wide = WideType(element)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        room = Room(builder, element)
        return room.pack(wide.code.begin(room.e, room.constant(context, table, args[1], args[2])))

    return wide(field, table, types.int64), codegen


@intrinsic
def nothing(typingctx: Any, field: Any) -> Any:
    """A sum of nothing."""
    wide = WideType(field.element)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        room = Room(builder, field.element)
        return room.pack([room.e.constant(0)] * wide.code.size)

    return wide(field), codegen


@intrinsic
def gather(typingctx: Any, total: Any, room: Any, index: Any, table: Any, at: Any) -> Any:
    """total + element `index` of a room · the table's element at word `at`."""
    element = total.element

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kept = Room(builder, element)
        factor = kept.constant(context, table, args[3], args[4])
        columns = total.code.gather(kept.e, kept.unpack(args[0]), kept.get(args[1], args[2]), factor)
        return kept.pack(columns)

    return total(total, room, types.int64, table, types.int64), codegen


@intrinsic
def finish(typingctx: Any, total: Any, room: Any, index: Any) -> Any:
    """The reduced sum to element `index` of a room."""
    element = total.element

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kept = Room(builder, element)
        kept.put(args[1], args[2], total.code.reduce(kept.e, kept.unpack(args[0])))
        return context.get_dummy_value()

    return types.void(total, room, types.int64), codegen


def _fifth(kept: Room, x: list[Groups]) -> list[Groups]:
    """x⁵, not reduced."""
    code, e = kept.wide.code, kept.e
    fourth = code.reduce_square(e, code.square(e, code.reduce_square(e, code.square(e, x))))
    return code.gather(e, [e.constant(0)] * code.size, x, fourth)


@intrinsic
def fifth_power(typingctx: Any, room: Any, index: Any) -> Any:
    """The sum that is x⁵ for element `index` of a room."""
    wide = WideType(room.element)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kept = Room(builder, room.element)
        return kept.pack(_fifth(kept, kept.get(args[0], args[1])))

    return wide(room, types.int64), codegen


@intrinsic
def add_into(typingctx: Any, room: Any, index: Any, other: Any, place: Any) -> Any:
    """Element `index` of a room becomes itself + element `place` of another, with lanes not reduced."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kept = Room(builder, room.element)
        mine, theirs = kept.get(args[0], args[1]), kept.get(args[2], args[3])
        kept.put(args[0], args[1], kept.wide.code.add(kept.e, mine, theirs))
        return context.get_dummy_value()

    return types.void(room, types.int64, other, types.int64), codegen


@intrinsic
def copy(typingctx: Any, source: Any, place: Any, target: Any, index: Any) -> Any:
    """Element `place` of one room to element `index` of another."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kept = Room(builder, source.element)
        kept.put(args[2], args[3], kept.get(args[0], args[1]))
        return context.get_dummy_value()

    return types.void(source, types.int64, target, types.int64), codegen


@intrinsic
def add_constant(typingctx: Any, room: Any, index: Any, table: Any, at: Any) -> Any:
    """Element `index` of a room becomes itself + the table's element at word `at`, with lanes not reduced."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kept = Room(builder, room.element)
        constant = kept.constant(context, table, args[2], args[3])
        kept.put(args[0], args[1], kept.wide.code.add(kept.e, kept.get(args[0], args[1]), constant))
        return context.get_dummy_value()

    return types.void(room, types.int64, table, types.int64), codegen


@intrinsic
def put_words(typingctx: Any, room: Any, place: Any, words: Any) -> Any:
    """Words as they are, without Montgomery's factor, to place `place` of a room (element · groups + group)."""
    element = room.element

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = Emitter(builder, element.lanes)
        limbs = element.code.unpacked(e, cgutils.unpack_tuple(builder, args[2]))
        value: ir.Value = ir.Constant(element.llvm, ir.Undefined)
        for index, limb in enumerate(limbs):
            value = builder.insert_value(value, limb, index)
        builder.store(value, builder.gep(args[0], [args[1]]))
        return context.get_dummy_value()

    return types.void(room, types.int64, words), codegen


@intrinsic
def get_words(typingctx: Any, room: Any, place: Any) -> Any:
    """The canonical words of place `place` of a room, an element that has no factor."""
    element = room.element
    result = types.UniTuple(element.lanes, element.spec.words)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = Emitter(builder, element.lanes)
        value = builder.load(builder.gep(args[0], [args[1]]))
        limbs = [builder.extract_value(value, index) for index in range(element.code.limbs)]
        words = element.code.canonical_words(e, limbs)
        return context.make_tuple(builder, result, words)

    return result(room, types.int64), codegen


@intrinsic
def limb_count(typingctx: Any, field: Any) -> Any:
    """Words of an element in a table, as a compile-time constant."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(I64, field.element.code.limbs)

    return types.int64(field), codegen


@intrinsic
def group_count(typingctx: Any, field: Any) -> Any:
    """Groups of lanes that go together, as a compile-time constant."""
    count = groups_of(field.element.lanes)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(I64, count)

    return types.int64(field), codegen
