# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of one item alone, whose operations go side by side in lanes; see `kernels.bundles` for what the numbers mean.

Memory and bounds are those of `fields.straight_line`, but that the lanes of a place hold elements of the same item.
"""

from __future__ import annotations

from functools import partial

from llvmlite import ir
from numba import njit

from supervm.kernels.bundles import FROM_LANE, SIGNS
from supervm.kernels.cpu.fields.straight_line import (
    Memory,
    Row,
    operation,
    repeated,
    sum_of_products,
    sum_of_steps,
)
from supervm.kernels.cpu.fields.wide_codegen import Wide
from supervm.kernels.cpu.lanes import lanes as ln
from supervm.kernels.cpu.lanes.emitter import Emitter
from supervm.kernels.cpu.lanes.lanes import I32, I64, LanesType, call_llvm, every

# mypy: disallow_untyped_defs=False


def _element(kept: Memory, place: ir.Value, lane: ir.Value, limb: int) -> ir.Value:
    """A limb of one lane's element."""
    b = kept.builder
    row = b.bitcast(kept.pointer(place, limb), I64.as_pointer())
    return b.load(b.gep(row, [lane]), align=8)


def _factor(row: Row, code: ir.Value) -> Wide:
    """An operand that is a place, or one lane's element in every lane."""
    b, llvm = row.builder, row.element.lanes.llvm
    whole, single, after = (b.append_basic_block(name) for name in ("place", "lane", "factor"))
    b.cbranch(b.icmp_signed("<", code, ir.Constant(I64, FROM_LANE)), whole, single)
    b.position_at_end(whole)
    loaded = row.kept.load(code)
    b.branch(after)
    b.position_at_end(single)
    place = b.and_(code, ir.Constant(I64, FROM_LANE - 1))
    lane = b.sub(b.lshr(code, ir.Constant(I64, FROM_LANE.bit_length() - 1)), ir.Constant(I64, 1))
    spread = [every(b, llvm, _element(row.kept, place, lane, limb)) for limb in range(row.kept.limbs)]
    b.branch(after)
    b.position_at_end(after)
    factor = []
    for one, other in zip(loaded, spread, strict=True):
        factor.append(b.phi(llvm))
        factor[-1].add_incoming(one, whole)
        factor[-1].add_incoming(other, single)
    return factor


def _sum(row: Row) -> Wide:
    b = row.builder

    def negatives(step: ir.Value) -> ir.Value:
        return row.lanes_of(b.lshr(step, ir.Constant(I64, SIGNS.bit_length() - 1)))

    row.steps.negatives = negatives
    return sum_of_steps(row)


def _gather(row: Row) -> Wide:
    """Each place's lanes in another order, those that are meant taken over."""
    b, lanes, size = row.builder, row.element.lanes, row.element.lanes.width + 2

    def body(index: ir.Value, limbs: Wide) -> Wide:
        at = b.mul(index, ir.Constant(I64, size))
        place, bits = (row.operand(b.add(at, ir.Constant(I64, offset))) for offset in (0, 1))
        chosen = row.lanes_of(bits)
        order = row.operands(b.add(at, ir.Constant(I64, 2)), lanes.llvm)
        found = row.kept.load(place)
        return [
            b.select(chosen, _reordered(b, lanes, limb, order), before)
            for limb, before in zip(found, limbs, strict=True)
        ]

    nothing = ir.Constant(lanes.llvm, [0] * lanes.width)
    return repeated(b, 0, row.count, [nothing] * row.kept.limbs, body)


def _reordered(b: ir.IRBuilder, lanes: LanesType, limb: ir.Value, order: ir.Value) -> ir.Value:
    """Lane i of the result is lane order[i] of `limb`."""
    if lanes.width == 8:
        return call_llvm(b, "llvm.x86.avx512.permvar.di.512", lanes.llvm, [limb, order])
    if lanes.width == 4:  # by halves, 2 · order and the one behind it
        e, halves = Emitter(b, lanes), ir.VectorType(I32, 8)
        low = e.shl(order, 1)
        both = b.or_(low, e.shl(e.add(low, e.constant(1)), 32))
        parts = [b.bitcast(each, halves) for each in (limb, both)]
        return b.bitcast(call_llvm(b, "llvm.x86.avx2.permd", halves, parts), lanes.llvm)
    swapped = b.shuffle_vector(limb, limb, ir.Constant(ir.VectorType(I32, 2), [1, 0]))
    return b.select(b.icmp_unsigned("==", order, ir.Constant(lanes.llvm, [0, 1])), limb, swapped)


dot = operation(lambda row: sum_of_products(row, partial(_factor, row)))
small_sum = operation(_sum)
gather = operation(_gather)


@njit(nogil=True, cache=True)
def run(field, program, start, stop, memory):
    """Run the rows of a program's numbers start … stop − 1.

    Args:
        field: a `Field` marker of a prime field in Montgomery form, with more than one lane.
        program: int64, see `kernels.bundles`.
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
            gather(field, memory, program, at + 1, program[at], place)
            at += 1 + program[at] * (ln.lane_width(field) + 2)
