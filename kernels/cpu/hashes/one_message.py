# SPDX-License-Identifier: GPL-3.0-or-later
"""One message through Keccak, by address, in one lane: for callers that have one short message at a time.

Nothing is allocated and nothing is ordered, which costs as much as a block in a batch of one.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

from supervm.kernels.cpu.hashes import keccak
from supervm.kernels.cpu.hashes.emitter import HashEmitter, HashKernelType
from supervm.kernels.cpu.lanes.lanes import I1, I8, I64, call_llvm
from supervm.kernels.hash_spec import KeccakSpec

_STATE_WORDS = 25


@intrinsic
def hash_one(typingctx: Any, kernel: Any, data: Any, size: Any, out: Any) -> Any:
    """hash_one(kernel, data, size, out): write the digest of `size` bytes at the address `data` to the address `out`.

    The kernel is one of Keccak with one lane. The areas may overlap.
    """
    if (
        not isinstance(kernel, HashKernelType)
        or not isinstance(kernel.spec, KeccakSpec)
        or kernel.lanes.width > 1
    ):
        raise TypingError(f"one message is hashed by Keccak in one lane, not by {kernel}")

    spec, lanes = kernel.spec, kernel.lanes

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _write(HashEmitter(builder, lanes), spec, *args[1:])
        return context.get_dummy_value()

    return types.void(kernel, types.int64, types.int64, types.int64), codegen


def _write(emit: HashEmitter, spec: KeccakSpec, data: ir.Value, size: ir.Value, out: ir.Value) -> None:
    builder = emit.builder
    block, zero = ir.Constant(I64, spec.block_bytes), ir.Constant(I64, 0)
    whole = builder.udiv(size, block)
    behind = builder.mul(whole, block)
    last = _padded(builder, spec, builder.add(data, behind), builder.sub(size, behind))
    state = emit.keep([zero] * _STATE_WORDS)
    with cgutils.for_range(builder, builder.add(whole, ir.Constant(I64, 1))) as loop:
        is_last = builder.icmp_unsigned("==", loop.index, whole)
        source = builder.select(is_last, last, builder.add(data, builder.mul(loop.index, block)))
        words = state.read()
        for place in range(spec.block_words):
            words[place] = emit.xor(words[place], builder.load(_pointer(builder, source, place), align=1))
        state.write(keccak.permute(emit, spec, words))
    for place, word in enumerate(state.read()[: spec.digest_words]):
        builder.store(word, _pointer(builder, out, place), align=1)


def _pointer(builder: ir.IRBuilder, address: ir.Value, place: int) -> ir.Value:
    return builder.inttoptr(builder.add(address, ir.Constant(I64, 8 * place)), I64.as_pointer())


def _padded(builder: ir.IRBuilder, spec: KeccakSpec, rest: ir.Value, count: ir.Value) -> ir.Value:
    """The address of the last block: `count` bytes at `rest`, padding behind them."""
    room = cgutils.alloca_once(builder, ir.ArrayType(I64, spec.block_words))
    for place in range(spec.block_words):
        builder.store(ir.Constant(I64, 0), builder.gep(room, [ir.Constant(I64, 0), ir.Constant(I64, place)]))
    target = builder.bitcast(room, I8.as_pointer())
    operands = [target, builder.inttoptr(rest, I8.as_pointer()), count, ir.Constant(I1, 0)]
    call_llvm(builder, "llvm.memcpy.p0.p0.i64", ir.VoidType(), operands)
    builder.store(ir.Constant(I8, spec.marker), builder.gep(target, [count]))
    end = builder.gep(target, [ir.Constant(I64, spec.block_bytes - 1)])
    builder.store(builder.or_(builder.load(end), ir.Constant(I8, spec.last_marker)), end)
    return builder.ptrtoint(room, I64)
