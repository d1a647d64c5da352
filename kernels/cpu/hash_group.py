# SPDX-License-Identifier: GPL-3.0-or-later
"""One message per lane, from the first block to the digest, as one piece of LLVM code.

The state stays in registers from block to block. Lanes may hold messages of different numbers of blocks: a
lane that has had its last block keeps its state while the others go on.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from supervm.kernels.cpu import blake2b, keccak, sha2
from supervm.kernels.cpu.hash_emit import HashEmitter, HashKernelType
from supervm.kernels.cpu.lanes import I1, I8, I64, element_pointer, vector
from supervm.kernels.hash_spec import Blake2Spec, HashSpec, KeccakSpec, Sha2Spec

CHUNK = 64
"""Bytes that are copied at once into the scratch where the last blocks are padded."""


def tail_stride(spec: HashSpec) -> int:
    """Bytes of scratch per lane: the padded blocks of one message, up to whole chunks."""
    blocks = 1 if spec.padding_bytes <= 1 else 2
    return -(-blocks * spec.block_bytes // CHUNK) * CHUNK


def _constant(name: str, read: Any) -> Any:
    @intrinsic
    def constant(typingctx: Any, kernel: HashKernelType) -> Any:
        value = read(kernel)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return ir.Constant(I64, value)

        return types.int64(kernel), codegen

    return constant


width = _constant("width", lambda kernel: kernel.lanes.width)
block_bytes = _constant("block_bytes", lambda kernel: kernel.spec.block_bytes)
padding_bytes = _constant("padding_bytes", lambda kernel: kernel.spec.padding_bytes)
digest_bytes = _constant("digest_bytes", lambda kernel: kernel.spec.digest_bytes)
marker = _constant("marker", lambda kernel: kernel.spec.marker)
last_marker = _constant("last_marker", lambda kernel: kernel.spec.last_marker)
length_bytes = _constant("length_bytes", lambda kernel: kernel.spec.length_bytes)
stride = _constant("stride", lambda kernel: tail_stride(kernel.spec))


@intrinsic
def hash_group(
    typingctx: Any,
    kernel: Any,
    data: Any,
    scratch: Any,
    begin: Any,
    length: Any,
    count: Any,
    most: Any,
    out: Any,
    target: Any,
) -> Any:
    """Hash the message of each lane.

    Args:
        data: uint8, where the messages lie.
        scratch: uint8, for each lane `stride` bytes: what follows the last whole block, padded.
        begin, length: int64 per lane, where its message starts in `data` and its bytes.
        count: int64 per lane, its blocks, padding included.
        most: the largest count.
        out: uint8, where digests go.
        target: int64 per lane, where its digest starts in `out`.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        types_by_name = dict(zip(("data", "scratch", "begin", "length", "count", "out", "target"), [data, scratch, begin, length, count, out, target], strict=True))
        _, data_value, scratch_value, begin_value, length_value, count_value, most_value, out_value, target_value = args
        zero = ir.Constant(I64, 0)

        def base(name: str, value: ir.Value) -> ir.Value:
            return element_pointer(context, builder, types_by_name[name], value, zero)

        group = _Group(
            builder,
            kernel,
            data=base("data", data_value),
            scratch=base("scratch", scratch_value),
            begin=base("begin", begin_value),
            length=base("length", length_value),
            count=base("count", count_value),
        )
        group.run(most_value)
        group.finish(base("out", out_value), base("target", target_value))
        return context.get_dummy_value()

    return types.void(kernel, data, scratch, begin, length, count, types.int64, out, target), codegen


class _Group:
    """The code of one group: where its lanes read, its state, its loop over blocks."""

    def __init__(
        self,
        builder: ir.IRBuilder,
        kernel: HashKernelType,
        data: ir.Value,
        scratch: ir.Value,
        begin: ir.Value,
        length: ir.Value,
        count: ir.Value,
    ) -> None:
        self.builder = builder
        self.spec = kernel.spec
        self.lanes = kernel.lanes
        self.emit = HashEmitter(builder, kernel.lanes)
        wide = vector(I64, self.lanes.width)
        self.length = builder.load(builder.bitcast(length, wide.as_pointer()), align=8)
        self.count = builder.load(builder.bitcast(count, wide.as_pointer()), align=8)
        self.sources = [self._lane_source(lane, data, scratch, begin, length) for lane in range(self.lanes.width)]

    def _lane_source(self, lane: int, data: ir.Value, scratch: ir.Value, begin: ir.Value, length: ir.Value) -> tuple[ir.Value, ir.Value, ir.Value]:
        """Whole blocks in the message, the address of block 0, and the same for the blocks in the scratch."""
        builder = self.builder
        index = ir.Constant(I64, lane)
        size = ir.Constant(I64, self.spec.block_bytes)
        whole = builder.udiv(builder.load(builder.gep(length, [index])), size)
        inside = builder.gep(data, [builder.load(builder.gep(begin, [index]))])
        row = ir.Constant(I64, lane * tail_stride(self.spec))
        behind = builder.gep(scratch, [builder.sub(row, builder.mul(whole, size))])
        return whole, inside, behind

    def run(self, most: ir.Value) -> None:
        """Take every block of every lane."""
        builder = self.builder
        slots = [cgutils.alloca_once_value(builder, word) for word in self._initial()]
        with cgutils.for_range(builder, most) as loop:
            state = [builder.load(slot) for slot in slots]
            block = self.emit.load_words(self._cursors(loop.index), self.spec.block_words)
            if self.spec.big_endian:
                block = [self.emit.swap_bytes(word) for word in block]
            for slot, word in zip(slots, self._absorb(state, block, loop.index), strict=True):
                builder.store(word, slot)
        self.state = [builder.load(slot) for slot in slots]

    def _initial(self) -> list[ir.Value]:
        spec = self.spec
        if isinstance(spec, KeccakSpec):
            return [self.emit.constant(0)] * 25
        words = list(spec.initial)
        if isinstance(spec, Blake2Spec):
            words[0] ^= spec.parameters
        return [self.emit.constant(word) for word in words]

    def _cursors(self, turn: ir.Value) -> list[ir.Value]:
        """Where each lane's block stands."""
        builder = self.builder
        distance = builder.mul(turn, ir.Constant(I64, self.spec.block_bytes))
        return [
            builder.gep(builder.select(builder.icmp_signed("<", turn, whole), inside, behind), [distance])
            for whole, inside, behind in self.sources
        ]

    def _absorb(self, state: list[ir.Value], block: list[ir.Value], turn: ir.Value) -> list[ir.Value]:
        """The state after one block, unchanged in lanes that have had their last."""
        emit, spec = self.emit, self.spec
        if isinstance(spec, Sha2Spec):
            added = self._where_active(turn, sha2.compress(emit, spec, state, block))
            return [emit.add(old, new) for old, new in zip(state, added, strict=True)]
        if isinstance(spec, Blake2Spec):
            taken, last = self._progress(turn)
            added = self._where_active(turn, blake2b.compress(emit, spec, state, block, taken, last))
            return [emit.xor(old, new) for old, new in zip(state, added, strict=True)]
        mixed = [emit.xor(old, new) for old, new in zip(state, block, strict=False)] + state[len(block) :]
        return self._where_active(turn, keccak.permute(emit, spec, mixed), state)

    def _where_active(self, turn: ir.Value, words: list[ir.Value], others: list[ir.Value] | None = None) -> list[ir.Value]:
        """`words` in lanes that still have blocks, `others` (zeros) elsewhere; one lane always has."""
        if self.lanes.width == 1:
            return words
        active = self.builder.icmp_signed("<", self._every(turn), self.count)
        others = others or [self.emit.constant(0)] * len(words)
        return [self.builder.select(active, word, other) for word, other in zip(words, others, strict=True)]

    def _progress(self, turn: ir.Value) -> tuple[ir.Value, ir.Value]:
        """Bytes taken up to the end of this block, and all bits where it is the last."""
        builder = self.builder
        following = builder.add(turn, ir.Constant(I64, 1))
        end = self._every(builder.mul(following, ir.Constant(I64, self.spec.block_bytes)))
        taken = builder.select(builder.icmp_signed("<", self.length, end), self.length, end)
        last = builder.sext(builder.icmp_signed("==", self._every(following), self.count), self.length.type)
        return taken, last

    def _every(self, value: ir.Value) -> ir.Value:
        """A 64-bit value in as many elements as there are lanes."""
        if self.lanes.width == 1:
            return value
        wide = vector(I64, self.lanes.width)
        single = self.builder.insert_element(ir.Constant(wide, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes.width), None)
        return self.builder.shuffle_vector(single, ir.Constant(wide, ir.Undefined), zeros)

    def finish(self, out: ir.Value, target: ir.Value) -> None:
        """Write the digests."""
        builder = self.builder
        words = self.state[: self.spec.digest_words]
        if self.spec.big_endian:
            words = [self.emit.swap_bytes(word) for word in words]
        targets = [builder.gep(out, [builder.load(builder.gep(target, [ir.Constant(I64, lane)]))]) for lane in range(self.lanes.width)]
        self.emit.store_words(words, targets)


@intrinsic
def copy_tail(typingctx: Any, kernel: Any, scratch: Any, to: Any, data: Any, start: Any, remaining: Any) -> Any:
    """Put `min(remaining, CHUNK)` bytes of `data` at `start` into `scratch` at `to`, zeros up to CHUNK; never reads further."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        target = element_pointer(context, builder, scratch, args[1], args[2])
        source = element_pointer(context, builder, data, args[3], args[4])
        whole = ir.Constant(I64, CHUNK)
        size = builder.select(builder.icmp_signed("<", args[5], whole), args[5], whole)
        size = builder.select(builder.icmp_signed(">", size, ir.Constant(I64, 0)), size, ir.Constant(I64, 0))
        if kernel.lanes.width == 1:
            cgutils.memset(builder, target, whole, 0)
            cgutils.raw_memcpy(builder, target, source, size, ir.Constant(I64, 1))
        else:
            _copy_masked(builder, target, source, size)
        return context.get_dummy_value()

    return types.void(kernel, scratch, types.int64, data, types.int64, types.int64), codegen


def _copy_masked(builder: ir.IRBuilder, target: ir.Value, source: ir.Value, size: ir.Value) -> None:
    """One masked load and one store of a whole register; bytes that the mask leaves out are not touched."""
    wide = ir.VectorType(I8, CHUNK)
    positions = ir.Constant(wide, [ir.Constant(I8, index) for index in range(CHUNK)])
    single = builder.insert_element(ir.Constant(wide, ir.Undefined), builder.trunc(size, I8), ir.Constant(ir.IntType(32), 0))
    limit = builder.shuffle_vector(single, ir.Constant(wide, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), CHUNK), None))
    mask = builder.icmp_unsigned("<", positions, limit)
    name = "llvm.masked.load.v64i8.p0"
    pointer = builder.bitcast(source, wide.as_pointer())
    function = builder.module.globals.get(name)
    if function is None:
        signature = ir.FunctionType(wide, [wide.as_pointer(), ir.IntType(32), ir.VectorType(I1, CHUNK), wide])
        function = ir.Function(builder.module, signature, name)
    value = builder.call(function, [pointer, ir.Constant(ir.IntType(32), 1), mask, ir.Constant(wide, None)])
    builder.store(value, builder.bitcast(target, wide.as_pointer()), align=1)
