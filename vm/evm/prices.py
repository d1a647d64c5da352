# SPDX-License-Identifier: GPL-3.0-or-later
"""Sums and products of wei that may be larger than a value, at addresses as in `supervm.vm.evm.words`."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from supervm.vm.evm.words import BITS, I256, load_value, store_value

_WIDE = ir.IntType(BITS + 64)


def _store_low(builder: ir.IRBuilder, target: ir.Value, wide: ir.Value) -> ir.Value:
    """Store a wide integer modulo 2^256; whether it was larger."""
    store_value(builder, target, builder.trunc(wide, I256))
    return builder.icmp_unsigned(">=", wide, ir.Constant(_WIDE, 1 << BITS))


@intrinsic
def multiply_units(typingctx: Any, target: Any, price: Any, units: Any) -> Any:
    """multiply_units(target, price, units): write a value times an unsigned word, modulo 2^256; whether it is larger."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        price_wide = builder.zext(load_value(builder, args[1]), _WIDE)
        product = builder.mul(price_wide, builder.zext(args[2], _WIDE))
        return _store_low(builder, args[0], product)

    return types.boolean(types.int64, types.int64, types.int64), codegen


@intrinsic
def add_carrying(typingctx: Any, target: Any, a: Any, b: Any) -> Any:
    """add_carrying(target, a, b): write the sum of two values modulo 2^256; whether it is larger."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        total = builder.add(*(builder.zext(load_value(builder, place), _WIDE) for place in args[1:]))
        return _store_low(builder, args[0], total)

    return types.boolean(types.int64, types.int64, types.int64), codegen
