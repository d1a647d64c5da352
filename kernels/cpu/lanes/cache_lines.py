# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking for memory before it is needed, and rows of bytes as words that compare as they do."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from supervm.kernels.cpu.lanes.lanes import I8, I32, I64, call_llvm, element_pointer


@intrinsic
def prefetch(typingctx: Any, array: Any, index: Any) -> Any:
    """Ask for `array[index]`; any index will do, even one beyond the array."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        read_into_all_caches = [ir.Constant(I32, number) for number in (0, 3, 1)]
        address = builder.bitcast(element_pointer(context, builder, array, *args), I8.as_pointer())
        call_llvm(builder, "llvm.prefetch.p0", ir.VoidType(), [address, *read_into_all_caches])
        return context.get_dummy_value()

    return types.void(array, types.uint64), codegen


@intrinsic
def swapped(typingctx: Any, word: Any) -> Any:
    """The bytes of a word in the other order: rows compare by their first byte first."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return call_llvm(builder, "llvm.bswap.i64", I64, [args[0]])

    return types.uint64(types.uint64), codegen
