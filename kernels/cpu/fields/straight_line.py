# SPDX-License-Identifier: GPL-3.0-or-later
"""Straight-line programs in lanes: one loop for sums of products, one for small sums, whatever the program.

Memory is a flat array; place i holds the limbs of an element of every lane, as `field.store` leaves them. See
`kernels.straight_line` for what the numbers of a program mean. Sums of products are not reduced before they are whole
(`wide_codegen`), and every result is below 2p; of doubles within p, of one lane below p.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core.errors import TypingError
from numba.extending import intrinsic

from supervm.kernels.cpu.fields.doubles import Doubles, bits_of
from supervm.kernels.cpu.fields.element_type import ElementType
from supervm.kernels.cpu.fields.field import align_stack
from supervm.kernels.cpu.fields.montgomery import MontgomeryField
from supervm.kernels.cpu.fields.montgomery_doubles import MontgomeryDoubles
from supervm.kernels.cpu.fields.wide_codegen import Alternating, Groups, Wide, WideDoubles, WideLanes, WideOne
from supervm.kernels.cpu.lanes.emitter import Emitter, digits
from supervm.kernels.cpu.lanes.lanes import I1, I64, element_pointer, every, vector
from supervm.kernels.straight_line import CARRIED, DOUBLED, LARGEST_WEIGHT, NEGATIVE

# mypy: disallow_untyped_defs=False

BIAS = 2 * LARGEST_WEIGHT + 2
"""Multiples of p that make any small sum positive, and above p."""


class Steps:
    """What a small sum is made of, for one kind of lanes. Totals are lists of values that a loop carries."""

    def __init__(self, builder: ir.IRBuilder, element: ElementType) -> None:
        self.builder, self.element = builder, element
        self.e = Emitter(builder, element.lanes)
        self.code: Any = element.code

    def flag(self, step: ir.Value, mask: int) -> ir.Value:
        """Whether a step has a flag."""
        bit = self.builder.and_(step, ir.Constant(I64, mask))
        return self.builder.icmp_unsigned("!=", bit, ir.Constant(I64, 0))

    def all_lanes(self, number: ir.Value) -> ir.Value:
        """A number in every lane."""
        return every(self.builder, self.element.lanes.llvm, number)

    def negatives(self, step: ir.Value) -> ir.Value:
        """Mask of the lanes where a step is negative."""
        return every(self.builder, vector(I1, self.element.lanes.width), self.flag(step, NEGATIVE))


class _LaneSteps(Steps):
    """Totals are signed limbs of 52 bits that are not carried."""

    def begin(self, limbs: Wide, step: ir.Value) -> Wide:
        b, negative = self.builder, self.negatives(step)
        return [b.select(negative, b.neg(limb), limb) for limb in limbs]

    def step(self, total: Wide, limbs: Wide, step: ir.Value) -> Wide:
        b, negative = self.builder, self.negatives(step)
        shift = self.all_lanes(b.zext(self.flag(step, DOUBLED), I64))
        shifted = [b.shl(whole, shift) for whole in total]
        return [
            b.select(negative, b.sub(whole, limb), b.add(whole, limb))
            for whole, limb in zip(shifted, limbs, strict=True)
        ]

    def finish(self, total: Wide) -> Wide:
        """total + BIAS·p less a multiple of p that its highest bits tell, by at most one p too few."""
        e, code = self.e, self.code
        n, p = code.limbs, code.spec.modulus
        raised = [
            e.add(limb, e.constant(digit)) for limb, digit in zip(total, digits(BIAS * p, 52, n), strict=True)
        ]
        # What the lower limbs may lack, so that the quotient is never too large.
        highest = e.sub(raised[-1], e.constant(LARGEST_WEIGHT + 1))
        shift = max(0, code.spec.bits + 6 - 52 * (n - 1) - 28)
        reciprocal = e.constant((1 << (52 * n + shift)) // p)
        quotient = e.madd_high(e.constant(0), e.shr(highest, shift), reciprocal)
        for index, digit in enumerate(digits((1 << (52 * n)) - p, 52, n)):
            raised[index] = e.madd_low(raised[index], quotient, e.constant(digit))
            if index + 1 < n:
                raised[index + 1] = e.madd_high(raised[index + 1], quotient, e.constant(digit))
        for index in range(n - 1):
            raised[index + 1] = e.add(raised[index + 1], e.sar(raised[index], 52))
            raised[index] = e.mask(raised[index], 52)
        return [*raised[:-1], e.mask(raised[-1], 52)]

    def negative(self, limbs: Wide) -> Wide:
        """2p − a, which is 2p for 0."""
        e, n = self.e, self.code.limbs
        less = [
            e.sub(e.constant(digit), limb)
            for digit, limb in zip(digits(2 * self.code.spec.modulus, 52, n), limbs, strict=True)
        ]
        for index in range(n - 1):
            less[index + 1] = e.add(less[index + 1], e.sar(less[index], 52))
            less[index] = e.mask(less[index], 52)
        return less


class _DoubleSteps(Steps):
    """Totals are the bits of doubles, each limb below 2^53."""

    def begin(self, limbs: Wide, step: ir.Value) -> Wide:
        sign = self._sign(step)
        return [self.builder.xor(limb, sign) for limb in limbs]

    def _sign(self, step: ir.Value) -> ir.Value:
        return self.builder.select(self.negatives(step), self.e.constant(1 << 63), self.e.constant(0))

    def step(self, total: Wide, limbs: Wide, step: ir.Value) -> Wide:
        b = self.builder
        before = b.block
        carry, go_on = b.append_basic_block("carry"), b.append_basic_block("step")
        b.cbranch(self.flag(step, CARRIED), carry, go_on)
        b.position_at_end(carry)
        carried = self.code.carried(self.e, total)
        b.branch(go_on)
        b.position_at_end(go_on)
        chosen = []
        for whole, after in zip(total, carried, strict=True):
            chosen.append(b.phi(whole.type))
            chosen[-1].add_incoming(whole, before)
            chosen[-1].add_incoming(after, carry)
        d = Doubles(self.e)
        one, two = (ir.Constant(I64, bits_of(x)) for x in (1.0, 2.0))
        factor = d.real(self.all_lanes(b.select(self.flag(step, DOUBLED), two, one)))
        sign = self._sign(step)
        return [
            d.bits(d.fma(d.real(whole), factor, d.real(b.xor(limb, sign))))
            for whole, limb in zip(chosen, limbs, strict=True)
        ]

    def finish(self, total: Wide) -> Wide:
        """total less the nearest multiple of p."""
        return list(self.code.nearest(self.e, total))

    def negative(self, limbs: Wide) -> Wide:
        """−a: the limbs' signs turned."""
        return [self.builder.xor(limb, self.e.constant(1 << 63)) for limb in limbs]


class _OneLaneSteps(Steps):
    """A total is one signed integer of a word more than an element."""

    @property
    def _type(self) -> ir.IntType:
        return ir.IntType(64 * (self.code.limbs + 1))

    def _constant(self, value: int) -> ir.Constant:
        return ir.Constant(self._type, value)

    def begin(self, limbs: Wide, step: ir.Value) -> Wide:
        b = self.builder
        sign = b.sext(self.flag(step, NEGATIVE), self._type)
        return [b.sub(b.xor(self._whole(limbs), sign), sign)]

    def step(self, total: Wide, limbs: Wide, step: ir.Value) -> Wide:
        b = self.builder
        doubled = b.select(self.flag(step, DOUBLED), b.shl(total[0], self._constant(1)), total[0])
        return [b.add(doubled, self.begin(limbs, step)[0])]

    def _whole(self, limbs: Wide) -> ir.Value:
        return WideOne(self.code).whole(self.e, limbs, self._type)

    def finish(self, total: Wide) -> Wide:
        """(total + BIAS·p) mod p: less a multiple that its highest bits tell, by at most one p too few."""
        b, p, bits = self.builder, self.code.spec.modulus, self.code.spec.bits
        value = b.add(total[0], self._constant(BIAS * p))
        shift = bits - 24
        high = b.trunc(b.lshr(value, self._constant(shift)), I64)
        quotient = b.lshr(b.mul(high, ir.Constant(I64, (1 << (shift + 54)) // p)), ir.Constant(I64, 54))
        value = b.sub(value, b.mul(b.zext(quotient, self._type), self._constant(p)))
        return self._below(value)

    def _below(self, value: ir.Value) -> Wide:
        wide = WideOne(self.code)
        words = wide.words(self.e, value, self._type, self.code.limbs + 1)
        return [limb[0] for limb in wide.below(self.e, words, 1)]

    def negative(self, limbs: Wide) -> Wide:
        """p − a, and 0 for 0."""
        return self._below(self.builder.sub(self._constant(self.code.spec.modulus), self._whole(limbs)))


def kinds(element: ElementType) -> tuple[type[Steps], Any]:
    """What writes small sums and what writes sums of products."""
    code = element.code
    if isinstance(code, MontgomeryDoubles):
        return _DoubleSteps, WideDoubles(code)
    if not isinstance(code, MontgomeryField):
        raise TypingError(f"{element.spec.name} is not in Montgomery form")
    return (_LaneSteps, WideLanes(code)) if element.lanes.width > 1 else (_OneLaneSteps, WideOne(code))


class Memory:
    """Elements at places."""

    def __init__(self, builder: ir.IRBuilder, element: ElementType, base: ir.Value) -> None:
        self.builder, self.limbs = builder, element.code.limbs
        self.base = builder.bitcast(base, element.lanes.llvm.as_pointer())

    def pointer(self, place: ir.Value, limb: int) -> ir.Value:
        """Where a limb of the element at a place is, in all lanes."""
        first = self.builder.mul(place, ir.Constant(I64, self.limbs))
        return self.builder.gep(self.base, [self.builder.add(first, ir.Constant(I64, limb))])

    def load(self, place: ir.Value) -> Wide:
        """The limbs at a place."""
        return [self.builder.load(self.pointer(place, limb), align=8) for limb in range(self.limbs)]

    def store(self, place: ir.Value, limbs: Wide) -> None:
        """Write them."""
        for index, limb in enumerate(limbs):
            self.builder.store(limb, self.pointer(place, index), align=8)


def repeated(
    builder: ir.IRBuilder, first: int, count: ir.Value, start: Wide, body: Callable[[ir.Value, Wide], Wide]
) -> Wide:
    """`start` after body(index, values) for index from `first` to count − 1."""
    before = builder.block
    check, loop, after = (builder.append_basic_block(name) for name in ("check", "term", "sum"))
    builder.branch(check)
    builder.position_at_end(check)
    index = builder.phi(I64)
    index.add_incoming(ir.Constant(I64, first), before)
    values = []
    for value in start:
        values.append(builder.phi(value.type))
        values[-1].add_incoming(value, before)
    builder.cbranch(builder.icmp_signed("<", index, count), loop, after)
    builder.position_at_end(loop)
    results = body(index, values)
    index.add_incoming(builder.add(index, ir.Constant(I64, 1)), builder.block)
    for value, result in zip(values, results, strict=True):
        value.add_incoming(result, builder.block)
    builder.branch(check)
    builder.position_at_end(after)
    return list(values)


class Row:
    """A row's operands, at the builder's position.

    Args:
        kept: the memory.
        numbers: address of the operands.
        count: how many, or how many pairs.
    """

    def __init__(
        self, builder: ir.IRBuilder, element: ElementType, kept: Memory, numbers: ir.Value, count: ir.Value
    ) -> None:
        self.builder, self.element, self.kept = builder, element, kept
        self.count = count
        self.steps: Any = kinds(element)[0](builder, element)
        self._numbers = numbers

    def operand(self, index: ir.Value) -> ir.Value:
        """The number at an index."""
        return self.builder.load(self.builder.gep(self._numbers, [index]))

    def lanes_of(self, bits: ir.Value) -> ir.Value:
        """Mask of the lanes whose bits are set in a number, of more than one lane."""
        width = self.element.lanes.width
        return self.builder.bitcast(self.builder.trunc(bits, ir.IntType(width)), vector(I1, width))

    def operands(self, index: ir.Value, lanes: ir.Type) -> ir.Value:
        """As many numbers from there on as there are lanes."""
        first = self.builder.gep(self._numbers, [index])
        return self.builder.load(self.builder.bitcast(first, lanes.as_pointer()), align=8)


def operation(write: Callable[[Row], Wide]) -> Any:
    """An intrinsic that writes one row's result: (field, memory, program, where its operands begin, count, place)."""

    @intrinsic
    def written(
        typingctx: Any, field: Any, memory: Any, program: Any, at: Any, count: Any, place: Any
    ) -> Any:
        element = field.element

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            align_stack(builder, element.lanes)
            kept = Memory(
                builder, element, element_pointer(context, builder, memory, args[1], ir.Constant(I64, 0))
            )

            numbers = element_pointer(context, builder, program, args[2], args[3])
            kept.store(args[5], write(Row(builder, element, kept, numbers, args[4])))
            return context.get_dummy_value()

        return types.void(field, memory, program, types.int64, types.int64, types.int64), codegen

    return written


def sum_of_products(row: Row, factor: Callable[[ir.Value], Wide]) -> Wide:
    """The sum of products that a row is; `factor` is the value of the second operand of each."""
    b = row.builder
    e, wide = Alternating(b, row.element.lanes, 1), kinds(row.element)[1]

    def single(values: Wide) -> list[Groups]:
        return [(value,) for value in values]

    def body(index: ir.Value, columns: Wide) -> Wide:
        first = b.shl(index, ir.Constant(I64, 1))
        y = factor(row.operand(b.add(first, ir.Constant(I64, 1))))
        x = row.kept.load(row.operand(first))
        return [column[0] for column in wide.gather(e, single(columns), single(x), single(y))]

    columns = repeated(b, 0, row.count, [e.constant(0)[0]] * wide.size, body)
    return [limb[0] for limb in wide.reduce(e, single(columns))]


def sum_of_steps(row: Row) -> Wide:
    """The small sum that a row is."""

    def operand(index: ir.Value) -> tuple[Wide, ir.Value]:
        step = row.operand(index)
        return row.kept.load(row.builder.and_(step, ir.Constant(I64, DOUBLED - 1))), step

    def body(index: ir.Value, total: Wide) -> Wide:
        return list(row.steps.step(total, *operand(index)))

    start = row.steps.begin(*operand(ir.Constant(I64, 0)))
    return list(row.steps.finish(repeated(row.builder, 1, row.count, start, body)))


def _negative(row: Row) -> Wide:
    return list(row.steps.negative(row.kept.load(row.operand(ir.Constant(I64, 0)))))


dot = operation(lambda row: sum_of_products(row, row.kept.load))
small_sum = operation(sum_of_steps)
negative = operation(_negative)


@njit(nogil=True, cache=True)
def run(field, program, start, stop, memory):
    """Run the rows of a program's numbers start … stop − 1.

    Args:
        field: a `Field` marker of a prime field in Montgomery form.
        program: int64, see `kernels.straight_line`.
        memory: flat uint64; place i begins at word i · `field.storage`.
    """
    at = start
    while at < stop:
        place, count = program[at], program[at + 1]
        at += 2
        if count > 0:
            dot(field, memory, program, at, count, place)
            at += 2 * count
        elif count < 0:
            small_sum(field, memory, program, at, -count, place)
            at -= count
        else:
            negative(field, memory, program, at, 1, place)
            at += 1
