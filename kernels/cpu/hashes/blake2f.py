# SPDX-License-Identifier: GPL-3.0-or-later
"""The compression function F of BLAKE2b with a number of rounds of the caller's: RFC 7693, section 3.2."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from supervm.kernels.cpu.hashes.blake2b import one_round
from supervm.kernels.cpu.hashes.emitter import HashEmitter
from supervm.kernels.cpu.lanes.lanes import I64

# mypy: disallow_untyped_defs=False

PERIOD = 10
"""Rounds after which the orders of the message's words come again."""


@intrinsic
def _compress(
    typingctx: Any, kernel: Any, state: Any, block: Any, low: Any, high: Any, last: Any, rounds: Any
) -> Any:
    spec = kernel.spec

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, state, block, low, high, last, rounds = args
        emit = HashEmitter(builder, kernel.lanes)
        at, of = (builder.inttoptr(address, I64.as_pointer()) for address in (state, block))
        places = [builder.gep(at, [ir.Constant(I64, index)]) for index in range(8)]
        before = [builder.load(place, align=1) for place in places]
        words = [
            builder.load(builder.gep(of, [ir.Constant(I64, index)]), align=1)
            for index in range(spec.block_words)
        ]
        vector = before + [emit.constant(word) for word in spec.initial]
        for index, word in ((12, low), (13, high), (14, last)):
            vector[index] = emit.xor(vector[index], word)
        kept = emit.keep(vector)
        left = cgutils.alloca_once_value(builder, rounds)
        more, end = builder.append_basic_block("more"), builder.append_basic_block("end")
        builder.branch(more)
        builder.position_at_end(more)
        for turn in range(PERIOD):
            going, count = builder.append_basic_block(f"round{turn}"), builder.load(left)
            builder.cbranch(builder.icmp_signed(">", count, ir.Constant(I64, 0)), going, end)
            builder.position_at_end(going)
            builder.store(builder.sub(count, ir.Constant(I64, 1)), left)
            vector = kept.read()
            one_round(emit, spec, vector, words, spec.schedule[turn])
            kept.write(vector)
        builder.branch(more)
        builder.position_at_end(end)
        vector = kept.read()
        for place, old, first, second in zip(places, before, vector[:8], vector[8:], strict=True):
            builder.store(emit.xor(old, first, second), place, align=1)
        return context.get_dummy_value()

    number = types.int64
    return types.void(kernel, number, number, number, number, number, number), codegen


@njit(nogil=True, cache=True)
def compress(kernel, state, block, low, high, last, rounds):
    """Take a block into the state.

    Args:
        kernel: `HashKernel` of BLAKE2b in one lane of 64 bits.
        state: address of eight words, read and written.
        block: address of sixteen words.
        low, high: the words of the number of bytes so far.
        last: −1 for the last block, else 0.
        rounds: how many, 12 in BLAKE2b.
    """
    _compress(kernel, state, block, low, high, last, rounds)
