# SPDX-License-Identifier: GPL-3.0-or-later
"""How the processor rounds doubles: kernels that multiply by them need the usual way, to nearest.

A caller may have left another mode in the control register (MXCSR of x86, FPCR of ARM), and threads inherit it. Whoever runs
kernels says `to_nearest` around them.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from supervm.kernels.cpu.lanes.lanes import is_arm

# mypy: disallow_untyped_defs=False

I32, I64 = ir.IntType(32), ir.IntType(64)

X86_MODE, ARM_MODE = 3 << 13, 3 << 22
"""The two bits of the control register that choose the mode; both zero is to nearest."""


def _declared(builder: ir.IRBuilder, name: str, result: ir.Type, arguments: list[ir.Type]) -> ir.Function:
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, arguments), name)


@intrinsic
def _control(typingctx: Any) -> Any:
    """The control register."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if is_arm(builder):
            return builder.call(_declared(builder, "llvm.aarch64.get.fpcr", I64, []), [])
        place = cgutils.alloca_once(builder, I32)
        store = _declared(builder, "llvm.x86.sse.stmxcsr", ir.VoidType(), [ir.IntType(8).as_pointer()])
        builder.call(store, [builder.bitcast(place, ir.IntType(8).as_pointer())])
        return builder.zext(builder.load(place), I64)

    return types.int64(), codegen


@intrinsic
def _set_control(typingctx: Any, word: Any) -> Any:
    """Write the control register."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if is_arm(builder):
            builder.call(_declared(builder, "llvm.aarch64.set.fpcr", ir.VoidType(), [I64]), [args[0]])
            return context.get_dummy_value()
        place = cgutils.alloca_once(builder, I32)
        builder.store(builder.trunc(args[0], I32), place)
        load = _declared(builder, "llvm.x86.sse.ldmxcsr", ir.VoidType(), [ir.IntType(8).as_pointer()])
        builder.call(load, [builder.bitcast(place, ir.IntType(8).as_pointer())])
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@intrinsic
def _mode_bits(typingctx: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(I64, ARM_MODE if is_arm(builder) else X86_MODE)

    return types.int64(), codegen


@njit(nogil=True, cache=True)
def set_mode(mode):
    """Round this thread's doubles by another mode, 0 to nearest, 1 to 3 as the processor numbers them; the mode before."""
    bits, control = _mode_bits(), _control()
    unit = bits & -bits
    before = (control & bits) // unit
    if before != mode:
        _set_control((control & ~bits) | mode * unit)
    return before


def to_nearest() -> _ToNearest:
    """Round to nearest inside a `with` block, and as before after it."""
    return _ToNearest()


class _ToNearest:
    __slots__ = ("_before",)

    def __enter__(self) -> None:
        self._before = set_mode(0)

    def __exit__(self, *_: object) -> None:
        if self._before:
            set_mode(self._before)
