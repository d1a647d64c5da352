# SPDX-License-Identifier: GPL-3.0-or-later
"""Poseidon2's matrices of width 2 and 3 (eprint 2023/323, section 5) by additions, for the groups of lanes
of `wide_products`.

With lanes sums stay without carries until they are stored. To reduce one, ⌊sum / p⌋ is estimated from its last limb, and so
often p is taken away: what is left is below 1.1p.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from supervm.kernels.cpu.fields.doubles import Doubles
from supervm.kernels.cpu.fields.wide_codegen import Alternating, Groups, WideDoubles, WideLanes, WideOne
from supervm.kernels.cpu.fields.wide_products import Room
from supervm.kernels.cpu.lanes.emitter import I64, digits
from supervm.kernels.cpu.lanes.numba_types import literal

SHIFT = 6
"""Bits of the last limb that the estimate leaves out: of sums of up to 2^6 elements it reads all others."""

Raw = list[Groups]


class SumsInLanes:
    """Sums as limbs without carries."""

    def __init__(self, wide: WideLanes, e: Alternating) -> None:
        self.wide, self.e = wide, e

    def raw(self, limbs: list[Groups]) -> Raw:
        """An element's limbs as a sum, which they are already."""
        return limbs

    def add(self, a: Raw, b: Raw) -> Raw:
        """a + b, limb by limb and without carries; limbs must stay below 2^64."""
        return [self.e.add(x, y) for x, y in zip(a, b, strict=True)]

    def carried(self, a: Raw, most: int) -> list[Groups]:
        """Carried limbs of a sum below R, not reduced."""
        return self.wide.carry(self.e, a)

    def reduced(self, a: Raw, most: int) -> list[Groups]:
        """Carried limbs below 1.1p of a sum of up to `most` elements."""
        code, e, n = self.wide.code, self.e, self.wide.limbs
        p, limbs = code.spec.modulus, list(a)
        estimate = (code.r << SHIFT) // p
        times = e.madd_high(e.constant(0), e.shr(limbs[-1], SHIFT), e.constant(estimate))
        minus = digits(
            code.r - p, 52, n
        )  # adding it takes p away, and R comes on top, which the last mask drops
        for j in range(n):
            limbs[j] = e.madd_low(limbs[j], times, e.constant(minus[j]))
        for j in range(n - 1):
            limbs[j + 1] = e.madd_high(limbs[j + 1], times, e.constant(minus[j]))
        limbs = self.wide.carry(e, limbs)
        limbs[-1] = e.mask(limbs[-1], 52)
        return limbs


class SumsInOne:
    """Sums as one integer of a word more than an element."""

    def __init__(self, wide: WideOne, e: Alternating) -> None:
        self.wide, self.e = wide, e
        self.bits = ir.IntType(64 * (wide.limbs + 1))

    def raw(self, limbs: list[Groups]) -> Raw:
        """An element's n words as one integer of n + 1 words."""
        return [(self.wide.whole(self.e.single, [limb[0] for limb in limbs], self.bits),)]

    def add(self, a: Raw, b: Raw) -> Raw:
        """a + b, which must fit n + 1 words."""
        return [(self.e.single.builder.add(a[0][0], b[0][0]),)]

    def reduced(self, a: Raw, most: int) -> list[Groups]:
        """The element below p that a sum of up to `most` elements is."""
        words = self.wide.words(self.e.single, a[0][0], self.bits, self.wide.limbs + 1)
        return self.wide.below(self.e.single, words, most - 1)

    carried = reduced


class SumsInDoubles:
    """Sums as limbs of doubles without carries, of up to `IN_DOUBLES` elements."""

    def __init__(self, wide: WideDoubles, e: Alternating) -> None:
        self.wide, self.e = wide, e

    def raw(self, limbs: list[Groups]) -> Raw:
        """An element's limbs as a sum, which they are already."""
        return limbs

    def add(self, a: Raw, b: Raw) -> Raw:
        """a + b, limb by limb and without carries."""
        d = Doubles(self.e.single)
        return self.e.grouped(
            lambda x, y: [d.bits(limb) for limb in self.wide.code.total(d, [(1, x), (1, y)])], a, b
        )

    def reduced(self, a: Raw, most: int) -> list[Groups]:
        """The element between −p/2 and p/2 that a sum of up to `most` elements is."""
        return self.e.grouped(lambda x: self.wide.code.nearest(self.e.single, x), a)

    carried = reduced


Sums = SumsInLanes | SumsInDoubles | SumsInOne


def _sums(room: Room) -> Sums:
    code = room.wide.code
    if isinstance(code, WideDoubles):
        return SumsInDoubles(code, room.e)
    return SumsInLanes(code, room.e) if isinstance(code, WideLanes) else SumsInOne(code, room.e)


def _total(sums: Sums, values: list[Raw]) -> Raw:
    total = values[0]
    for value in values[1:]:
        total = sums.add(total, value)
    return total


def _read(kept: Room, sums: Sums, room: ir.Value, width: int) -> tuple[list[ir.Value], list[Raw]]:
    places = [ir.Constant(I64, index) for index in range(width)]
    return places, [sums.raw(kept.get(room, place)) for place in places]


@intrinsic(prefer_literal=True)
def outer_sums(typingctx: Any, room: Any, count: Any, table: Any, at: Any) -> Any:
    """circ(2, 1, …) on the first `count` (literal) elements of a room, plus as many of a table."""
    width = literal(count, "count")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kept = Room(builder, room.element)
        sums = _sums(kept)
        places, x = _read(kept, sums, args[0], width)
        total = _total(sums, x)
        for i, value in enumerate(x):
            offset = builder.add(args[3], ir.Constant(I64, i * room.element.code.limbs))
            constant = sums.raw(kept.constant(context, table, args[2], offset))
            row = sums.add(sums.add(value, total), constant)
            kept.put(args[0], places[i], sums.carried(row, width + 2))
        return context.get_dummy_value()

    return types.void(room, count, table, types.int64), codegen


@intrinsic(prefer_literal=True)
def inner_sums(typingctx: Any, room: Any, count: Any, reduce: Any, table: Any, at: Any) -> Any:
    """Ones and a diagonal 2, …, 2, 3 on the first `count` (literal) elements of a room; then one element of a table is added
    to the first. The others are reduced if `reduce` is not 0, and else left without carries, where lanes are."""
    width = literal(count, "count")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kept = Room(builder, room.element)
        sums = _sums(kept)
        places, x = _read(kept, sums, args[0], width)
        total = _total(sums, x)
        x[-1] = sums.add(x[-1], x[-1])
        rows = [sums.add(value, total) for value in x]
        first = sums.add(rows[0], sums.raw(kept.constant(context, table, args[3], args[4])))
        kept.put(args[0], places[0], sums.carried(first, width + 2))
        if isinstance(sums, SumsInLanes):
            for place, row in zip(places[1:], rows[1:], strict=True):
                kept.put(args[0], place, row)
            with builder.if_then(builder.icmp_signed("!=", args[2], ir.Constant(I64, 0))):
                for place, row in zip(places[1:], rows[1:], strict=True):
                    kept.put(args[0], place, sums.reduced(row, width + 2))
        else:
            for place, row in zip(places[1:], rows[1:], strict=True):
                kept.put(args[0], place, sums.reduced(row, width + 2))
        return context.get_dummy_value()

    return types.void(room, count, types.int64, table, types.int64), codegen
