# SPDX-License-Identifier: GPL-3.0-or-later
"""Products by factors that are known beforehand, and sums that wait to be carried: what a transform consists of.

Values here are *plain* (not in Montgomery form) and held in a field's elements more loosely than `field` does. With lanes,
R = 2^(52·limbs): a value is a number in 0 … R − 1, and its limbs are any signed 64-bit integers that represent it modulo R.
The multiplier reads 52 bits of each limb, so that limbs are carried only on their way into a product, and never masked.

For a factor w the table holds w and w' = ⌊w·R/p⌋ (Shoup's trick; Harvey, Journal of Symbolic Computation 60, 2014). With
q = ⌊a·w'/R⌋ or one less, a·w − q·p is in 0 … 3p − 1, whatever a below R is: a product costs the upper columns of a·w' and
the lower columns of a·w and q·p, 84 multiply-adds for five limbs where Montgomery's product has 105, and nothing waits for
a digit of the quotient. Sums and differences a ± t of a product t then grow by 3p at most, and R/p is 35 or more in the
fields that are transformed: the caller counts.

With one lane elements are reduced fully, factors are in Montgomery form, and a sum is a sum.

With lanes of doubles factors are in Montgomery form too, between −p/2 and p/2, and sums are not carried. Inputs are within
p; `settle` brings one of the four numbers that two levels join back to p/2, and the others go into products, so that no
number passes 5.3p and no product 1.5p.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from supervm.kernels.cpu.fields.contract import FieldCode, Limbs
from supervm.kernels.cpu.fields.doubles import Doubles
from supervm.kernels.cpu.fields.element_type import ElementType, pack, unpack
from supervm.kernels.cpu.fields.montgomery_doubles import MontgomeryDoubles
from supervm.kernels.cpu.fields.quadratic_codegen import MontgomeryCode
from supervm.kernels.cpu.lanes.emitter import I64, Emitter, digits
from supervm.kernels.cpu.lanes.lanes import LanesMarkerType, element_pointer, every
from supervm.kernels.cpu.lanes.numba_types import literal

PRODUCT_BOUND = 3
"""A product is below this many p."""


def _one_factor(code: FieldCode) -> bool:
    """Whether a factor is one element, in Montgomery form."""
    return isinstance(code, MontgomeryDoubles) or code.lanes.width == 1


def room(code: MontgomeryCode) -> int:
    """How many p fit below R; no bound where nothing grows."""
    return 1 << 30 if _one_factor(code) else code.r // code.spec.modulus


def row_words(code: FieldCode) -> int:
    """Words of a factor in a table."""
    return code.limbs if _one_factor(code) else 2 * code.limbs


def carried(e: Emitter, limbs: Limbs) -> Limbs:
    """The same number modulo R with the right 52 low bits in every limb; what lies above them is left."""
    limbs = list(limbs)
    for index in range(len(limbs) - 1):
        limbs[index + 1] = e.add(limbs[index + 1], e.sar(limbs[index], 52))
    return limbs


def masked(e: Emitter, limbs: Limbs) -> Limbs:
    """Carried limbs below 2^52: the number itself."""
    return [e.mask(limb, 52) for limb in carried(e, limbs)]


def _low_columns(e: Emitter, columns: Limbs, a: Limbs, b: Limbs) -> None:
    """columns += a·b modulo R."""
    n = len(columns)
    for j in range(n):
        for i in range(n - j):
            columns[i + j] = e.madd_low(columns[i + j], a[i], b[j])
            if i + j + 1 < n:
                columns[i + j + 1] = e.madd_high(columns[i + j + 1], a[i], b[j])


def _minus_modulus(e: Emitter, code: MontgomeryCode) -> Limbs:
    return [e.constant(digit) for digit in digits(code.r - code.spec.modulus, 52, code.limbs)]


def multiply(e: Emitter, code: MontgomeryCode, a: Limbs, factor: Limbs) -> Limbs:
    """a · w below 3p, not carried. Columns below n − 1 of a·w' are left out: q is the floor, or one less."""
    if isinstance(code, MontgomeryDoubles):
        a = code.carried(e, a)
    if _one_factor(code):
        return code.products(e, [(a, factor)], [(1, [])])[0]
    n = code.limbs
    a = carried(e, a)
    high: Limbs = [e.constant(0)] * (n + 1)
    for j in range(n):
        for i in range(n):
            if i + j >= n - 1:
                high[i + j + 1 - n] = e.madd_low(high[i + j + 1 - n], a[i], factor[n + j])
            if i + j >= n - 2:
                high[i + j + 2 - n] = e.madd_high(high[i + j + 2 - n], a[i], factor[n + j])
    for index in range(n):
        high[index + 1] = e.add(high[index + 1], e.shr(high[index], 52))
    low: Limbs = [e.constant(0)] * n
    _low_columns(e, low, a, factor[:n])
    _low_columns(e, low, high[1:], _minus_modulus(e, code))
    return low


def combine(e: Emitter, code: MontgomeryCode, a: Limbs, b: Limbs, sign: int, multiple: int) -> Limbs:
    """a ± b + multiple · p, not carried; doubles are signed and need no multiple."""
    if isinstance(code, MontgomeryDoubles):
        d = Doubles(e)
        return [d.bits(limb) for limb in code.total(d, [(1, a), (sign, b)])]
    if _one_factor(code):
        return code.linear(e, [(1, a), (sign, b)])
    total = [(e.add if sign > 0 else e.sub)(x, y) for x, y in zip(a, b, strict=True)]
    if not multiple:
        return total
    bias = digits(multiple * code.spec.modulus, 52, code.limbs)
    return [e.add(limb, e.constant(digit)) for limb, digit in zip(total, bias, strict=True)]


def settled(e: Emitter, code: MontgomeryCode, a: Limbs) -> Limbs:
    """The number that two levels add to and never multiply: of doubles, between −p/2 and p/2."""
    return code.nearest(e, a) if isinstance(code, MontgomeryDoubles) else a


def halved(e: Emitter, code: MontgomeryCode, a: Limbs) -> Limbs:
    """A value below R, less half of `room` multiples of p where it has them."""
    if _one_factor(code):
        return a
    value = masked(e, a)
    bias = digits(code.r - room(code) // 2 * code.spec.modulus, 52, code.limbs)
    less = carried(e, [e.add(limb, e.constant(digit)) for limb, digit in zip(value, bias, strict=True)])
    enough = e.builder.icmp_unsigned(">=", less[-1], e.constant(1 << 52))
    return [e.builder.select(enough, e.mask(low, 52), limb) for low, limb in zip(less, value, strict=True)]


def reduced(e: Emitter, code: MontgomeryCode, a: Limbs) -> Limbs:
    """The canonical number of a value below R; of doubles, the one between −p/2 and p/2, which `to_plain` makes canonical.

    The quotient is estimated from the top limb: what the other limbs and the rounding of the constant could add is far
    below one, so that the estimate is right or one too small.
    """
    if isinstance(code, MontgomeryDoubles):
        return code.nearest(e, a)
    if _one_factor(code):
        return a
    n, p = code.limbs, code.spec.modulus
    value = masked(e, a)
    fraction = 52 - room(code).bit_length()
    scale = e.constant((code.r << fraction) // p)
    quotient = e.shr(e.madd_high(e.constant(0), value[-1], scale), fraction)
    for index, limb in enumerate(_minus_modulus(e, code)):
        value[index] = e.madd_low(value[index], quotient, limb)
        if index + 1 < n:
            value[index + 1] = e.madd_high(value[index + 1], quotient, limb)
    value = masked(e, value)
    less = carried(
        e, [e.add(limb, digit) for limb, digit in zip(value, _minus_modulus(e, code), strict=True)]
    )
    enough = e.builder.icmp_unsigned(">=", less[-1], e.constant(1 << 52))
    return [e.builder.select(enough, e.mask(low, 52), limb) for low, limb in zip(less, value, strict=True)]


# ---------------------------------------------------------------------------------------------------------
# In compiled code


def _emitter(builder: ir.IRBuilder, element: ElementType) -> tuple[Emitter, MontgomeryCode]:
    code = element.code
    assert isinstance(code, MontgomeryCode)
    return Emitter(builder, element.lanes), code


@intrinsic
def lanes_of(typingctx: Any, field: Any) -> Any:
    """The marker of a field's lanes."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.get_dummy_value()

    return LanesMarkerType(field.lanes)(field), codegen


@intrinsic
def table_row(typingctx: Any, field: Any) -> Any:
    """Words of a factor in a table."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(I64, row_words(field.element.code))

    return types.int64(field), codegen


@intrinsic
def multiples(typingctx: Any, field: Any) -> Any:
    """How many p fit below R."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(I64, room(field.element.code))

    return types.int64(field), codegen


@intrinsic
def mul(typingctx: Any, a: Any, table: Any, row: Any) -> Any:
    """a · w below 3p for the factor in row `row` of a flat uint64 table, the same for all lanes."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e, code = _emitter(builder, a)
        words = row_words(code)
        start = builder.mul(args[2], ir.Constant(I64, words))
        factor = []
        for index in range(words):
            at = builder.add(start, ir.Constant(I64, index))
            word = builder.load(element_pointer(context, builder, table, args[1], at), align=8)
            factor.append(every(builder, a.lanes.llvm, word))
        return pack(builder, a, multiply(e, code, unpack(builder, a, args[0]), factor))

    return a(a, table, types.int64), codegen


def _combination(sign: int) -> Any:
    @intrinsic(prefer_literal=True)
    def operation(typingctx: Any, a: Any, b: Any, multiple: Any) -> Any:
        count = literal(multiple, "multiple")

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            e, code = _emitter(builder, a)
            x, y = unpack(builder, a, args[0]), unpack(builder, a, args[1])
            return pack(builder, a, combine(e, code, x, y, sign, count))

        return a(a, b, multiple), codegen

    return operation


add = _combination(1)
"""a + b + multiple · p, not carried."""

sub = _combination(-1)
"""a − b + multiple · p, not carried; the number must not be negative."""


def _single(function: Any) -> Any:
    @intrinsic
    def operation(typingctx: Any, a: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            e, code = _emitter(builder, a)
            return pack(builder, a, function(e, code, unpack(builder, a, args[0])))

        return a(a), codegen

    return operation


settle = _single(settled)
"""The number that two levels add to and never multiply, small enough for that."""

halve = _single(halved)
"""A value below R, less half of `multiples` times p where it has them."""

reduce = _single(reduced)
"""The canonical number, in carried limbs."""


def _as_factor(e: Emitter, code: MontgomeryCode, a: Limbs) -> Limbs:
    if isinstance(code, MontgomeryDoubles):
        return code.nearest(e, a)
    return a if _one_factor(code) else masked(e, a)


carry = _single(_as_factor)
"""The same number in carried limbs, as `field` wants factors."""


@intrinsic
def from_plain(typingctx: Any, field: Any, words: Any) -> Any:
    """64-bit words below 2p as they are, without Montgomery form."""
    element = field.element

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e, code = _emitter(builder, element)
        parts = cgutils.unpack_tuple(builder, args[1])
        return pack(builder, element, code.unpacked(e, parts))

    return element(field, words), codegen


@intrinsic
def to_plain(typingctx: Any, a: Any) -> Any:
    """Carried limbs of a number below 2^(64·words) as 64-bit words."""
    result = types.UniTuple(a.lanes, a.spec.words)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e, code = _emitter(builder, a)
        return context.make_tuple(builder, result, code.packed(e, unpack(builder, a, args[0])))

    return result(a), codegen


@intrinsic
def store_factors(typingctx: Any, table: Any, row: Any, count: Any, a: Any) -> Any:
    """Write the values of an element (in Montgomery form) as factors to rows row … row + count − 1, a lane each.

    w·R mod p is the canonical Montgomery form c of w, so that w' = (w·R − c)/p = c·(−1/p) modulo R.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e, code = _emitter(builder, a)
        limbs = unpack(builder, a, args[3])
        if isinstance(code, MontgomeryDoubles):
            limbs = code.nearest(e, limbs)
        elif not _one_factor(code):
            form = code.canonical(e, limbs)
            one = [e.constant(int(index == 0)) for index in range(code.limbs)]
            plain = code.canonical(e, code.products(e, [(form, one)], [(1, [])])[0])
            inverse = digits(-pow(code.spec.modulus, -1, code.r) % code.r, 52, code.limbs)
            quotient: Limbs = [e.constant(0)] * code.limbs
            _low_columns(e, quotient, form, [e.constant(digit) for digit in inverse])
            limbs = [*plain, *masked(e, quotient)]
        for lane in range(a.lanes.width):
            with builder.if_then(builder.icmp_signed("<", ir.Constant(I64, lane), args[2])):
                at = builder.add(args[1], ir.Constant(I64, lane))
                at = builder.mul(at, ir.Constant(I64, len(limbs)))
                for index, limb in enumerate(limbs):
                    word = (
                        limb if a.lanes.width == 1 else builder.extract_element(limb, ir.Constant(I64, lane))
                    )
                    place = builder.add(at, ir.Constant(I64, index))
                    builder.store(word, element_pointer(context, builder, table, args[0], place), align=8)
        return context.get_dummy_value()

    return types.void(table, types.int64, types.int64, a), codegen
