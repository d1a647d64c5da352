# SPDX-License-Identifier: GPL-3.0-or-later
"""The lane type: `width` independent integers of `bits` bits that go through the same instructions.

`Lanes(64, 8)` is one AVX-512 register; `Lanes(64, 1)` is a plain 64-bit integer. Kernels are written once
over lanes and compiled for each: the marker that is passed in (`IFMA_64X8`, `LANES_64`, …) decides. All
arithmetic is modulo 2^bits and unsigned unless a name says otherwise.

What products of field elements are made of is a choice of its own: `IFMA`, 52-bit multiply-adds of AVX-512; `FMA`, fused
multiply-adds of doubles; with one lane, 64×64→128-bit products.

Inside `@njit` code, `a + b`, `a - b`, `a & b`, `a | b`, `a ^ b` work on lanes; the functions below do the
rest. Constant arguments (shift counts, splat values) must be literals or globals.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.errors import TypingError
from numba.extending import intrinsic

from supervm.kernels.cpu.lanes.numba_types import literal, register_marker, register_value

I1 = ir.IntType(1)
I8 = ir.IntType(8)
I32 = ir.IntType(32)
I64 = ir.IntType(64)


IFMA, FMA = "ifma", "fma"
"""The multipliers of lanes; one lane has none to choose."""


class Lanes:
    """A marker that tells a kernel which lanes to use; pass one of the instances below."""

    def __init__(self, bits: int, width: int, multiplier: str = "") -> None:
        self.bits = bits
        self.width = width
        self.multiplier = multiplier
        self.type = LanesType(bits, width, multiplier)

    def __repr__(self) -> str:
        return f"Lanes({self.bits}, {self.width}, {self.multiplier!r})"


class LanesType(types.Type):
    """Numba type of a value in lanes."""

    def __init__(self, bits: int, width: int, multiplier: str = "") -> None:
        self.bits = bits
        self.width = width
        self.multiplier = multiplier
        super().__init__(name=f"Lanes({bits}x{width}{multiplier})")

    @property
    def key(self) -> tuple[int, int, str]:
        """By what Numba tells types apart: (bits, width, multiplier)."""
        return self.bits, self.width, self.multiplier

    @property
    def llvm(self) -> ir.Type:
        """A vector of `width` integers of `bits` bits; one lane is a plain integer."""
        return vector(ir.IntType(self.bits), self.width)


class MaskType(types.Type):
    """Numba type of one truth value per lane."""

    def __init__(self, width: int) -> None:
        self.width = width
        super().__init__(name=f"Mask(x{width})")

    @property
    def key(self) -> int:
        """By what Numba tells types apart: the width."""
        return self.width


class LanesMarkerType(types.Type):
    """Numba type of the marker that a kernel receives."""

    def __init__(self, lanes: LanesType) -> None:
        self.lanes = lanes
        super().__init__(name=f"Marker[{lanes.name}]")

    @property
    def key(self) -> tuple[int, int, str]:
        """That of the lanes, see `LanesType.key`."""
        return self.lanes.key


def vector(element: ir.Type, width: int) -> ir.Type:
    """The LLVM type of `width` elements; one element is a scalar."""
    return element if width == 1 else ir.VectorType(element, width)


register_value(LanesType, lambda lanes: lanes.llvm)
register_value(MaskType, lambda mask: vector(I1, mask.width))
register_marker(Lanes, LanesMarkerType, lambda marker: LanesMarkerType(marker.type))


IFMA_64X8 = Lanes(64, 8, IFMA)
FMA_64X8 = Lanes(64, 8, FMA)
FMA_64X4 = Lanes(64, 4, FMA)
FMA_64X2 = Lanes(64, 2, FMA)
LANES_64 = Lanes(64, 1)
LANES_32X16 = Lanes(32, 16)
LANES_32X8 = Lanes(32, 8)
LANES_32X4 = Lanes(32, 4)
LANES_32 = Lanes(32, 1)


# ---------------------------------------------------------------------------------------------------------
# Building blocks for code generators


def splat_constant(typ: LanesType, value: int) -> ir.Constant:
    """`value` modulo 2^bits in every lane."""
    element = ir.Constant(ir.IntType(typ.bits), value % (1 << typ.bits))
    return element if typ.width == 1 else ir.Constant(typ.llvm, [element] * typ.width)


def call_llvm(builder: ir.IRBuilder, name: str, result: ir.Type, args: list[ir.Value]) -> ir.Value:
    """Call the LLVM intrinsic `name`, declaring it on first use."""
    module = builder.module
    function = module.globals.get(name)
    if function is None:
        function = ir.Function(module, ir.FunctionType(result, [arg.type for arg in args]), name)
    return builder.call(function, args)


def is_arm(builder: ir.IRBuilder) -> bool:
    """Whether the module is compiled for 64-bit ARM."""
    return str(builder.module.triple).startswith(("aarch64", "arm64"))


def element_pointer(
    context: Any, builder: ir.IRBuilder, array_type: Any, array: ir.Value, offset: ir.Value
) -> ir.Value:
    """Address of element `offset` of a flat contiguous array."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [offset])


def _require_array(argument: Any, element: types.Type | tuple[types.Type, ...]) -> None:
    allowed = element if isinstance(element, tuple) else (element,)
    if not (
        isinstance(argument, types.Array)
        and argument.ndim == 1
        and argument.layout == "C"
        and argument.dtype in allowed
    ):
        raise TypingError(f"lanes are loaded from flat C-contiguous arrays of {allowed}, not {argument}")


def _binary(name: str) -> Callable[..., Any]:
    @intrinsic
    def operation(typingctx: Any, a: Any, b: Any) -> Any:
        if not (isinstance(a, (LanesType, MaskType)) and a == b):
            raise TypingError(f"lanes {name}: {a} and {b}")

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return getattr(builder, name)(*args)

        return a(a, b), codegen

    return operation


add = _binary("add")
sub = _binary("sub")
and_ = _binary("and_")
or_ = _binary("or_")
xor = _binary("xor")


def _shift(name: str) -> Callable[..., Any]:
    @intrinsic(prefer_literal=True)
    def operation(typingctx: Any, value: Any, count: Any) -> Any:
        bits = literal(count, "shift count")

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return getattr(builder, name)(args[0], splat_constant(value, bits))

        return value(value, count), codegen

    return operation


shift_left = _shift("shl")
shift_right = _shift("lshr")


@intrinsic
def negate(typingctx: Any, value: Any) -> Any:
    """−value modulo 2^bits."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.neg(args[0])

    return value(value), codegen


@intrinsic
def absolute(typingctx: Any, value: Any) -> Any:
    """The magnitude of a signed value."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        negative = builder.icmp_signed("<", args[0], splat_constant(value, 0))
        return builder.select(negative, builder.neg(args[0]), args[0])

    return value(value), codegen


@intrinsic
def marker_of(typingctx: Any, value: Any) -> Any:
    """The marker of a value's lanes."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.get_dummy_value()

    return LanesMarkerType(value)(value), codegen


@intrinsic(prefer_literal=True)
def keep_low(typingctx: Any, value: Any, bits: Any) -> Any:
    """The low `bits` bits (literal) of every lane."""
    count = literal(bits, "bits")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.and_(args[0], splat_constant(value, (1 << count) - 1))

    return value(value, bits), codegen


@intrinsic(prefer_literal=True)
def bit_set(typingctx: Any, value: Any, bit: Any) -> Any:
    """Mask of the lanes where bit `bit` (literal) is set."""
    position = literal(bit, "bit")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        single = builder.and_(args[0], splat_constant(value, 1 << position))
        return builder.icmp_unsigned("!=", single, splat_constant(value, 0))

    return MaskType(value.width)(value, bit), codegen


def _compare(name: str, predicate: str) -> Callable[..., Any]:
    @intrinsic
    def operation(typingctx: Any, a: Any, b: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return getattr(builder, name)(predicate, *args)

        return MaskType(a.width)(a, b), codegen

    return operation


equal = _compare("icmp_unsigned", "==")


@intrinsic
def splat(typingctx: Any, marker: Any, value: Any) -> Any:
    """The 64-bit `value`, truncated to the lane's bits, in every lane."""
    typ = marker.lanes

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        single = context.cast(builder, args[1], value, types.int64)
        return every(
            builder, typ.llvm, single if typ.bits == 64 else builder.trunc(single, ir.IntType(typ.bits))
        )

    return typ(marker, value), codegen


def every(builder: ir.IRBuilder, wide: ir.Type, value: ir.Value) -> ir.Value:
    """A value in all elements of a vector; one element is a scalar."""
    if not isinstance(wide, ir.VectorType):
        return value
    undefined = ir.Constant(wide, ir.Undefined)
    single = builder.insert_element(undefined, value, ir.Constant(I32, 0))
    return builder.shuffle_vector(single, undefined, ir.Constant(ir.VectorType(I32, wide.count), None))


@intrinsic
def load(typingctx: Any, marker: Any, array: Any, offset: Any) -> Any:
    """`width` consecutive elements of a flat array; narrower elements are extended by their sign, if signed."""
    typ = marker.lanes
    _require_array(
        array, (types.uint64, types.int64, types.uint32, types.int32, types.int16, types.int8, types.uint8)
    )

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = element_pointer(context, builder, array, args[1], args[2])
        stored = vector(ir.IntType(array.dtype.bitwidth), typ.width)
        value = builder.load(builder.bitcast(pointer, stored.as_pointer()), align=array.dtype.bitwidth // 8)
        if array.dtype.bitwidth == typ.bits:
            return value
        return (builder.sext if array.dtype.signed else builder.zext)(value, typ.llvm)

    return typ(marker, array, types.int64), codegen


@intrinsic
def store(typingctx: Any, array: Any, offset: Any, value: Any) -> Any:
    """Write `width` consecutive elements of a flat array; narrower elements take the low bits."""
    _require_array(
        array, (types.uint64, types.int64, types.uint32, types.int32, types.int16, types.int8, types.uint8)
    )

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = element_pointer(context, builder, array, args[0], args[1])
        stored = vector(ir.IntType(array.dtype.bitwidth), value.width)
        lanes = args[2] if array.dtype.bitwidth == value.bits else builder.trunc(args[2], stored)
        builder.store(lanes, builder.bitcast(pointer, stored.as_pointer()), align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.int64, value), codegen


@intrinsic
def select(typingctx: Any, mask: Any, a: Any, b: Any) -> Any:
    """`a` where the mask is set, `b` elsewhere."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(*args)

    return a(mask, a, b), codegen


@intrinsic
def mask_bits(typingctx: Any, mask: Any) -> Any:
    """The mask as an integer, lane 0 in bit 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        packed = args[0] if mask.width == 1 else builder.bitcast(args[0], ir.IntType(mask.width))
        return builder.zext(packed, I64)

    return types.int64(mask), codegen


@intrinsic
def mask_from_bits(typingctx: Any, marker: Any, bits: Any) -> Any:
    """The inverse of `mask_bits`."""
    width = marker.lanes.width

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        packed = builder.trunc(args[1], ir.IntType(width))
        return packed if width == 1 else builder.bitcast(packed, vector(I1, width))

    return MaskType(width)(marker, types.int64), codegen


@intrinsic
def mask_not(typingctx: Any, mask: Any) -> Any:
    """The opposite mask."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.not_(args[0])

    return mask(mask), codegen


@intrinsic
def lane_width(typingctx: Any, marker: Any) -> Any:
    """How many lanes the marker has, as a compile-time constant."""
    width = marker.lanes.width

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(I64, width)

    return types.int64(marker), codegen
