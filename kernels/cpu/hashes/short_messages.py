# SPDX-License-Identifier: GPL-3.0-or-later
"""SHA-256 of messages that fit one block, with the processor's own instructions for it, each read where it lies."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

from supervm.kernels.cpu.hashes.emitter import HashKernelType
from supervm.kernels.cpu.hashes.padding import CHUNK, pad_chunk, tail_stride
from supervm.kernels.cpu.hashes.pair import GROUP
from supervm.kernels.cpu.hashes.sha_instructions import TOGETHER, rounds_for
from supervm.kernels.cpu.lanes.lanes import I8, I64
from supervm.kernels.hash_spec import Sha2Spec

SHORT = 55
"""Most bytes of a message that fits one block of SHA-256 with its padding."""


@intrinsic
def is_dedicated(typingctx: Any, kernel: HashKernelType) -> Any:
    """Whether `hash_short` can be called."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(ir.IntType(1), int(kernel.dedicated))

    return types.boolean(kernel), codegen


@intrinsic
def hash_short(typingctx: Any, kernel: Any, messages: Any, offsets: Any, count: Any, digests: Any) -> Any:
    """Hash `count` messages, at least one, of no more than SHORT bytes each.

    Args:
        messages: the address that offsets count from.
        offsets: the address of int64 (count + 1,): where messages begin, and where the last one ends.
        digests: the address of the first digest; they lie one behind the other.
    """
    if kernel.dedicated and kernel.spec.name != "sha256":
        raise TypingError(f"there are instructions for SHA-256 only, not for {kernel.spec.name}")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if not kernel.dedicated:
            return (
                context.get_dummy_value()
            )  # behind `is_dedicated` it is compiled for others too, and never called
        if kernel.lanes.width > 1:
            builder.function.attributes.alignstack = CHUNK
            builder.function.attributes.add("norecurse")
        _ShortMessages(builder, kernel).write(*args[1:])
        return context.get_dummy_value()

    return types.void(kernel, *[types.int64] * 4), codegen


class _ShortMessages:
    """The code of a loop over GROUP messages each: all are padded, then hashed, `TOGETHER` at a time."""

    def __init__(self, builder: ir.IRBuilder, kernel: HashKernelType) -> None:
        assert isinstance(kernel.spec, Sha2Spec)
        self.builder = builder
        self.kernel = kernel
        self.rounds = rounds_for(builder, kernel.spec)
        self.stride = tail_stride(kernel.spec)
        self.blocks = cgutils.alloca_once(builder, ir.ArrayType(I8, self.stride * GROUP))
        self.blocks.align = CHUNK

    def write(self, messages: ir.Value, offsets: ir.Value, count: ir.Value, digests: ir.Value) -> None:
        """Read, hash, store."""
        builder = self.builder
        offsets = builder.inttoptr(offsets, I64.as_pointer())
        group = ir.Constant(I64, GROUP)
        with cgutils.for_range_slice(builder, ir.Constant(I64, 0), count, group) as (first, _):
            left = builder.sub(count, first)
            left = builder.select(builder.icmp_signed("<", left, group), left, group)
            with cgutils.for_range(builder, left) as loop:
                self._pad(messages, offsets, builder.add(first, loop.index), loop.index)
            turns = builder.sdiv(
                builder.add(left, ir.Constant(I64, TOGETHER - 1)), ir.Constant(I64, TOGETHER)
            )
            with cgutils.for_range(builder, turns) as loop:
                self._hash(digests, first, left, builder.mul(loop.index, ir.Constant(I64, TOGETHER)))

    def _pad(self, messages: ir.Value, offsets: ir.Value, place: ir.Value, item: ir.Value) -> None:
        """Write the block of a message."""
        builder = self.builder
        begin, end = (
            builder.load(builder.gep(offsets, [builder.add(place, ir.Constant(I64, after))]))
            for after in (0, 1)
        )
        source = builder.inttoptr(builder.add(messages, begin), I8.as_pointer())
        pad_chunk(builder, self.kernel, source, builder.sub(end, begin), self._block(item))

    def _block(self, item: ir.Value) -> ir.Value:
        offset = self.builder.mul(item, ir.Constant(I64, self.stride))
        return self.builder.gep(self.blocks, [ir.Constant(I64, 0), offset])

    def _hash(self, digests: ir.Value, first: ir.Value, left: ir.Value, turn: ir.Value) -> None:
        """Hash `TOGETHER` blocks from `turn` on; what is beyond the last one repeats it."""
        builder, rounds = self.builder, self.rounds
        last = builder.sub(left, ir.Constant(I64, 1))
        items = [builder.add(turn, ir.Constant(I64, item)) for item in range(TOGETHER)]
        items = [builder.select(builder.icmp_signed("<", item, last), item, last) for item in items]
        blocks = []
        for item in items:
            parts = [rounds.load(self._block(item), offset) for offset in range(0, CHUNK, 16)]
            blocks.append([rounds.words(part, part, 0) for part in parts])
        initial = rounds.initial()
        for item, added in zip(items, rounds.compress([initial] * TOGETHER, blocks), strict=True):
            place = builder.mul(builder.add(first, item), ir.Constant(I64, self.kernel.spec.digest_bytes))
            target = builder.inttoptr(builder.add(digests, place), I8.as_pointer())
            rounds.store(rounds.add(initial, added), target)
