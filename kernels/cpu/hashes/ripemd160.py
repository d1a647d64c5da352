# SPDX-License-Identifier: GPL-3.0-or-later
"""RIPEMD-160 of one message at an address, in one lane: Dobbertin, Bosselaers, Preneel (Fast Software Encryption 1996).

Whoever needs it still hashes single messages, so there are neither batches nor other lanes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from supervm.kernels.cpu.hashes.emitter import HashEmitter
from supervm.kernels.cpu.lanes.addresses import copy, fill, stack_room, store8, store64
from supervm.kernels.cpu.lanes.lanes import I32, I64
from supervm.kernels.hash_spec import Ripemd160Spec

# mypy: disallow_untyped_defs=False

BLOCK = 64
"""Bytes of a block."""

TAIL = 2 * BLOCK
"""Bytes of the last blocks at most: what is left of the message, one byte and the length."""

_ROUND = 16
"""Steps that share a function and a constant."""

_Function = Callable[[HashEmitter, ir.Value, ir.Value, ir.Value], ir.Value]

_FUNCTIONS: tuple[_Function, ...] = (
    lambda emit, x, y, z: emit.xor(x, y, z),
    lambda emit, x, y, z: emit.choose(x, y, z),
    lambda emit, x, y, z: emit.xor(emit.builder.or_(x, emit.builder.not_(y)), z),
    lambda emit, x, y, z: emit.choose(z, x, y),
    lambda emit, x, y, z: emit.xor(x, emit.builder.or_(y, emit.builder.not_(z))),
)
"""Of the left line's rounds; the right line's has them from the last to the first."""


def _line(
    emit: HashEmitter, spec: Ripemd160Spec, side: int, state: list[ir.Value], block: list[ir.Value]
) -> list[ir.Value]:
    """Eighty steps of one line."""
    a, b, c, d, e = state
    functions = _FUNCTIONS if side == 0 else _FUNCTIONS[::-1]
    for step, (word, amount) in enumerate(zip(spec.orders[side], spec.rotations[side], strict=True)):
        which = step // _ROUND
        mixed = emit.add(a, functions[which](emit, b, c, d), block[word])
        mixed = emit.add(mixed, emit.constant(spec.constants[side][which]))
        turned = emit.add(emit.rotate_left(mixed, amount), e)
        a, b, c, d, e = e, turned, b, emit.rotate_left(c, spec.rotation), d
    return [a, b, c, d, e]


@intrinsic
def _compress(typingctx: Any, kernel: Any, state: Any, block: Any) -> Any:
    """Take a block at an address into the five 32-bit words at another."""
    spec = kernel.spec

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        emit = HashEmitter(builder, kernel.lanes)
        at, of = (builder.inttoptr(address, I32.as_pointer()) for address in args[1:])

        def loaded(base: ir.Value, count: int) -> list[ir.Value]:
            places = [builder.gep(base, [ir.Constant(I64, index)]) for index in range(count)]
            return [builder.load(place, align=1) for place in places]

        before, words = loaded(at, len(spec.initial)), loaded(of, spec.block_words)
        left, right = (_line(emit, spec, side, before, words) for side in range(2))
        count = len(before)
        for index in range(count):
            total = emit.add(
                before[(index + 1) % count], left[(index + 2) % count], right[(index + 3) % count]
            )
            builder.store(total, builder.gep(at, [ir.Constant(I64, index)]), align=1)
        return context.get_dummy_value()

    return types.void(kernel, types.int64, types.int64), codegen


@intrinsic
def _begin(typingctx: Any, kernel: Any, state: Any) -> Any:
    """Write the starting state to an address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = builder.inttoptr(args[1], I32.as_pointer())
        for index, word in enumerate(kernel.spec.initial):
            builder.store(ir.Constant(I32, word), builder.gep(at, [ir.Constant(I64, index)]), align=1)
        return context.get_dummy_value()

    return types.void(kernel, types.int64), codegen


@njit(nogil=True, cache=True)
def compress(kernel, state, block):
    """Take a block of 64 bytes at an address into the state at another. A function of its own: it is compiled once."""
    _compress(kernel, state, block)


@njit(nogil=True, cache=True)
def digest(kernel, data, size, out):
    """Write the digest of `size` bytes at an address, 20 bytes, to another; they may overlap.

    Args:
        kernel: `HashKernel` of the specification in one lane of 32 bits.
    """
    tail, state = stack_room(TAIL), stack_room(BLOCK)
    fill(tail, 0, TAIL)
    _begin(kernel, state)
    whole = size // BLOCK
    for index in range(whole):
        compress(kernel, state, data + BLOCK * index)
    rest = size - BLOCK * whole
    copy(tail, data + BLOCK * whole, rest)
    store8(tail + rest, 0x80)
    blocks = 1 if rest + 9 <= BLOCK else 2
    store64(tail + BLOCK * blocks - 8, 8 * size)
    for index in range(blocks):
        compress(kernel, state, tail + BLOCK * index)
    copy(out, state, 20)
