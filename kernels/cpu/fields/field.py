# SPDX-License-Identifier: GPL-3.0-or-later
"""Field elements as Numba values: one source for eight lanes and for one.

`Field(spec, lanes)` is a marker that kernels receive; elements come from `from_words`, `constant` and `load`. Every function
here is an intrinsic and inlines. Sums that a formula needs right after a product are fused with it (`mul_add` and its
kin), so that carries run once.
"""

from __future__ import annotations

import functools
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

from supervm.kernels.cpu.fields.element_type import ElementType, LocalType, constant_element, pack, unpack
from supervm.kernels.cpu.lanes.emitter import Emitter
from supervm.kernels.cpu.lanes.lanes import FMA, I64, LanesType, MaskType, element_pointer
from supervm.kernels.cpu.lanes.numba_types import literal


def _require_element(*arguments: Any) -> ElementType:
    first = arguments[0]
    if not isinstance(first, ElementType) or any(argument != first for argument in arguments):
        raise TypingError(f"expected elements of one field, got {arguments}")
    return first


def align_stack(builder: ir.IRBuilder, lanes: LanesType) -> None:
    """Align the function's stack to a register of lanes of doubles.

    LLVM does that for variables and not for what it spills, which would lie across cache lines by the luck of the caller.
    """
    if lanes.multiplier == FMA and lanes.width > 2:
        builder.function.attributes.add(
            "nounwind"
        )  # llvmlite prints `alignstack` beside another attribute only
        builder.function.attributes.alignstack = 8 * lanes.width


def _products(
    builder: ir.IRBuilder, element: ElementType, pairs: list[tuple[ir.Value, ir.Value]], sums: Any
) -> list[ir.Value]:
    """Emit `products` of the field's generator on element values; the same value twice is a square."""
    align_stack(builder, element.lanes)
    factors = []
    for a, b in pairs:
        x = unpack(builder, element, a)
        factors.append((x, x if a is b else unpack(builder, element, b)))
    sums = [
        (coefficient, [(k, unpack(builder, element, term)) for k, term in terms])
        for coefficient, terms in sums
    ]
    results = element.code.products(Emitter(builder, element.lanes), factors, sums)
    return [pack(builder, element, limbs) for limbs in results]


@intrinsic
def mul(typingctx: Any, a: Any, b: Any) -> Any:
    """a · b."""
    element = _require_element(a, b)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _products(builder, element, [(args[0], args[1])], [(1, [])])[0]

    return element(a, b), codegen


@intrinsic
def sqr(typingctx: Any, a: Any) -> Any:
    """a²."""
    element = _require_element(a)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _products(builder, element, [(args[0], args[0])], [(1, [])])[0]

    return element(a), codegen


@intrinsic(prefer_literal=True)
def mul_scaled(typingctx: Any, k: Any, a: Any, b: Any) -> Any:
    """k · a·b with literal k in 1 … 8 or −1."""
    element = _require_element(a, b)
    coefficient = literal(k, "k")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _products(builder, element, [(args[1], args[2])], [(coefficient, [])])[0]

    return element(k, a, b), codegen


@intrinsic(prefer_literal=True)
def sqr_scaled(typingctx: Any, k: Any, a: Any) -> Any:
    """k · a² with literal k in 1 … 8 or −1."""
    element = _require_element(a)
    coefficient = literal(k, "k")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _products(builder, element, [(args[1], args[1])], [(coefficient, [])])[0]

    return element(k, a), codegen


@intrinsic(prefer_literal=True)
def mul_add(typingctx: Any, k: Any, a: Any, b: Any, kc: Any, c: Any) -> Any:
    """k · a·b + kc · c with literal coefficients, carried once; k in 1 … 8 or −1."""
    element = _require_element(a, b, c)
    coefficient, term = literal(k, "k"), literal(kc, "kc")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _products(builder, element, [(args[1], args[2])], [(coefficient, [(term, args[4])])])[0]

    return element(k, a, b, kc, c), codegen


@intrinsic(prefer_literal=True)
def sqr_add(typingctx: Any, k: Any, a: Any, kc: Any, c: Any) -> Any:
    """k · a² + kc · c with literal coefficients, carried once; k in 1 … 8 or −1."""
    element = _require_element(a, c)
    coefficient, term = literal(k, "k"), literal(kc, "kc")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _products(builder, element, [(args[1], args[1])], [(coefficient, [(term, args[3])])])[0]

    return element(k, a, kc, c), codegen


@intrinsic(prefer_literal=True)
def sqr_add_two(typingctx: Any, a: Any, kc: Any, c: Any, kd: Any, d: Any) -> Any:
    """a² + kc · c + kd · d with literal coefficients, carried once."""
    element = _require_element(a, c, d)
    terms = literal(kc, "kc"), literal(kd, "kd")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _products(
            builder, element, [(args[0], args[0])], [(1, [(terms[0], args[2]), (terms[1], args[4])])]
        )[0]

    return element(a, kc, c, kd, d), codegen


@intrinsic
def mul_two(typingctx: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """a·b + c·d, reduced once."""
    element = _require_element(a, b, c, d)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _products(builder, element, [(args[0], args[1]), (args[2], args[3])], [(1, [])])[0]

    return element(a, b, c, d), codegen


Indexed = list[tuple[int, int]]
"""Small integer coefficients, and indices of what they are of."""

FORMULAS: list[tuple[tuple[tuple[int, int], ...], tuple[tuple[Indexed, Indexed], ...]]] = []
"""What `formula` was asked for, for the proofs of bounds: factors and rows."""


def formula(*rows: tuple[Indexed, Indexed], factors: tuple[tuple[int, int], ...]) -> Any:
    """A function of a tuple of elements: sums of products that are carried once each, in fields that fold.

    Args:
        rows: for each result coefficients and indices of products, and coefficients and indices of elements; those of
            products are between −8 and 8 and add up to 9 at most.
        factors: the indices of the two elements of each product; the same index twice is a square.
    """
    FORMULAS.append((factors, rows))

    @intrinsic
    def operation(typingctx: Any, elements: Any) -> Any:
        element = _require_element(*elements)
        code: Any = element.code
        if not hasattr(code, "combinations"):
            raise TypingError(f"formulas are for fields that fold, not {element}")
        result = types.UniTuple(element, len(rows))

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            align_stack(builder, element.lanes)
            limbs = [unpack(builder, element, value) for value in cgutils.unpack_tuple(builder, args[0])]
            found = code.combinations(
                Emitter(builder, element.lanes),
                [(limbs[a], limbs[b]) for a, b in factors],
                [(products, [(k, limbs[index]) for k, index in terms]) for products, terms in rows],
            )
            return context.make_tuple(builder, result, [pack(builder, element, limbs) for limbs in found])

        return result(elements), codegen

    return operation


@intrinsic(prefer_literal=True)
def linear(typingctx: Any, a_coefficient: Any, a: Any, b_coefficient: Any, b: Any) -> Any:
    """a_coefficient · a + b_coefficient · b with small literal coefficients, carried once."""
    element = _require_element(a, b)
    ca, cb = literal(a_coefficient, "a_coefficient"), literal(b_coefficient, "b_coefficient")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x, y = unpack(builder, element, args[1]), unpack(builder, element, args[3])
        return pack(
            builder, element, element.code.linear(Emitter(builder, element.lanes), [(ca, x), (cb, y)])
        )

    return element(a_coefficient, a, b_coefficient, b), codegen


@intrinsic(prefer_literal=True)
def lazy(typingctx: Any, ka: Any, a: Any, kb: Any, b: Any, multiple: Any) -> Any:
    """ka · a + kb · b + multiple · p with literal coefficients, where the field allows it not reduced.

    In Montgomery lanes the result is below R but not below 2p: it may be a factor of a product whose factors' bounds
    multiply to less than R·p, or a term of another lazy sum, and nothing else. The sum must not be negative. In an
    extension a factor must be below 4p in each part, and not one of several products that are summed.
    """
    element = _require_element(a, b)
    ca, cb, bias = literal(ka, "ka"), literal(kb, "kb"), literal(multiple, "multiple")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        terms = [(ca, unpack(builder, element, args[1])), (cb, unpack(builder, element, args[3]))]
        return pack(builder, element, element.code.lazy(Emitter(builder, element.lanes), terms, bias))

    return element(ka, a, kb, b, multiple), codegen


@intrinsic
def sum_of_products(typingctx: Any, a: Any, b: Any) -> Any:
    """Σ aᵢ·bᵢ over two tuples of elements, reduced once where the field allows it."""
    element = _require_element(*a, *b)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        left, right = (cgutils.unpack_tuple(builder, arg) for arg in args)
        return _products(builder, element, list(zip(left, right, strict=True)), [(1, [])])[0]

    return element(a, b), codegen


def _sum(ca: int, cb: int) -> Any:
    @intrinsic
    def operation(typingctx: Any, a: Any, b: Any) -> Any:
        element = _require_element(a, b)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            x, y = (unpack(builder, element, arg) for arg in args)
            return pack(
                builder, element, element.code.linear(Emitter(builder, element.lanes), [(ca, x), (cb, y)])
            )

        return element(a, b), codegen

    return operation


add = _sum(1, 1)
sub = _sum(1, -1)


@intrinsic(prefer_literal=True)
def scale(typingctx: Any, coefficient: Any, a: Any) -> Any:
    """coefficient · a for a small literal coefficient, which may be negative."""
    element = _require_element(a)
    k = literal(coefficient, "coefficient")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x = unpack(builder, element, args[1])
        return pack(builder, element, element.code.linear(Emitter(builder, element.lanes), [(k, x)]))

    return element(coefficient, a), codegen


@intrinsic
def select(typingctx: Any, mask: Any, a: Any, b: Any) -> Any:
    """`a` in the lanes where the mask is set, `b` elsewhere."""
    element = _require_element(a, b)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x, y = unpack(builder, element, args[1]), unpack(builder, element, args[2])
        return pack(builder, element, [builder.select(args[0], p, q) for p, q in zip(x, y, strict=True)])

    return element(mask, a, b), codegen


def _all_zero(builder: ir.IRBuilder, element: ElementType, limbs: list[ir.Value]) -> ir.Value:
    joined = functools.reduce(builder.or_, limbs)
    return builder.icmp_unsigned(
        "==", joined, ir.Constant(element.lanes.llvm, None if element.lanes.width > 1 else 0)
    )


@intrinsic
def is_zero(typingctx: Any, a: Any) -> Any:
    """Mask of the lanes that hold 0 modulo p."""
    element = _require_element(a)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        limbs = element.code.canonical(Emitter(builder, element.lanes), unpack(builder, element, args[0]))
        return _all_zero(builder, element, limbs)

    return MaskType(element.lanes.width)(a), codegen


@intrinsic
def equal(typingctx: Any, a: Any, b: Any) -> Any:
    """Mask of the lanes where a ≡ b modulo p."""
    element = _require_element(a, b)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e = Emitter(builder, element.lanes)
        x, y = (unpack(builder, element, arg) for arg in args)
        return _all_zero(
            builder, element, element.code.canonical(e, element.code.linear(e, [(1, x), (-1, y)]))
        )

    return MaskType(element.lanes.width)(a, b), codegen


@intrinsic
def from_words(typingctx: Any, field: Any, words: Any) -> Any:
    """An element from a tuple of 64-bit words, little end first; any value below R (2^256 for four words)."""
    element = field.element

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        parts = cgutils.unpack_tuple(builder, args[1])
        return pack(builder, element, element.code.from_words(Emitter(builder, element.lanes), parts))

    return element(field, words), codegen


@intrinsic
def to_words(typingctx: Any, a: Any) -> Any:
    """The canonical value as a tuple of 64-bit words, little end first."""
    element = _require_element(a)
    result = types.UniTuple(element.lanes, element.spec.words)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        words = element.code.to_words(Emitter(builder, element.lanes), unpack(builder, element, args[0]))
        return context.make_tuple(builder, result, words)

    return result(a), codegen


@intrinsic(prefer_literal=True)
def constant(typingctx: Any, field: Any, value: Any) -> Any:
    """A literal integer as an element, in every lane."""
    element = field.element
    number = literal(value, "value")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return constant_element(builder, element, number)

    return element(field, value), codegen


@intrinsic
def load(typingctx: Any, field: Any, array: Any, offset: Any) -> Any:
    """An element from a flat uint64 array: `limbs` rows of `width` words."""
    element = field.element

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = element_pointer(context, builder, array, args[1], args[2])
        pointer = builder.bitcast(pointer, element.lanes.llvm.as_pointer())
        rows = [builder.gep(pointer, [ir.Constant(I64, index)]) for index in range(element.code.limbs)]
        return pack(builder, element, [builder.load(row, align=8) for row in rows])

    return element(field, array, types.int64), codegen


@intrinsic
def store(typingctx: Any, array: Any, offset: Any, a: Any) -> Any:
    """The inverse of `load`."""
    element = _require_element(a)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = element_pointer(context, builder, array, args[0], args[1])
        pointer = builder.bitcast(pointer, element.lanes.llvm.as_pointer())
        for index, limb in enumerate(unpack(builder, element, args[2])):
            builder.store(limb, builder.gep(pointer, [ir.Constant(I64, index)]), align=8)
        return context.get_dummy_value()

    return types.void(array, types.int64, a), codegen


@intrinsic
def storage(typingctx: Any, field: Any) -> Any:
    """Words of a flat array that `store` fills with one element."""
    element = field.element

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(I64, element.code.limbs * element.lanes.width)

    return types.int64(field), codegen


@intrinsic(prefer_literal=True)
def local(typingctx: Any, field: Any, count: Any) -> Any:
    """Room on the stack for `count` elements."""
    result = LocalType(field.element, literal(count, "count"))

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return cgutils.alloca_once(builder, result.element.llvm, size=result.count)

    return result(field, count), codegen


@intrinsic
def put(typingctx: Any, room: Any, index: Any, a: Any) -> Any:
    """Store an element in a `local`."""
    _require_element(room.element, a)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], builder.gep(args[0], [args[1]]))
        return context.get_dummy_value()

    return types.void(room, types.int64, a), codegen


@intrinsic
def get(typingctx: Any, room: Any, index: Any) -> Any:
    """Fetch an element from a `local`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(builder.gep(args[0], [args[1]]))

    return room.element(room, types.int64), codegen
