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

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

from supervm.kernels.cpu.fields.element_type import ElementType
from supervm.kernels.cpu.fields.montgomery import MontgomeryField
from supervm.kernels.cpu.fields.montgomery_doubles import MontgomeryDoubles
from supervm.kernels.cpu.fields.wide_codegen import (
    Alternating,
    Groups,
    WideDoubles,
    WideLanes,
    WideOne,
    groups_of,
)
from supervm.kernels.cpu.lanes.emitter import I64, Emitter
from supervm.kernels.cpu.lanes.lanes import element_pointer, every
from supervm.kernels.cpu.lanes.numba_types import register_value


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
