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
from supervm.kernels.cpu.lanes import I8, I32, I64, call_llvm, element_pointer, vector
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
stride = _constant("stride", lambda kernel: tail_stride(kernel.spec))

PLAN_ROWS = 6
WHOLE, INSIDE, BEHIND, LENGTH, COUNT, TARGET = range(PLAN_ROWS)
"""Rows of a group's plan, one column per lane: whole blocks in the message; where block 0 stands in the data;
where block 0 would stand in the scratch; bytes of the message; blocks with padding; where the digest goes."""


@intrinsic
def hash_group(typingctx: Any, kernel: Any, data: Any, scratch: Any, plan: Any, out: Any) -> Any:
    """Hash the message of each lane.

    Args:
        data: uint8, where whole blocks are read.
        scratch: uint8, where the padded blocks are read, after the whole ones.
        plan: int64 (PLAN_ROWS · lanes,); the last lane has the largest count.
        out: uint8, where digests go.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        zero = ir.Constant(I64, 0)
        pointers = [
            element_pointer(context, builder, array, value, zero)
            for array, value in zip(signature.args[1:], args[1:], strict=True)
        ]
        group = _Group(builder, kernel, *pointers)
        group.run()
        group.finish()
        return context.get_dummy_value()

    return types.void(kernel, data, scratch, plan, out), codegen


class _Group:
    """The code of one group: its loop over blocks, its state, its digests."""

    def __init__(
        self,
        builder: ir.IRBuilder,
        kernel: HashKernelType,
        data: ir.Value,
        scratch: ir.Value,
        plan: ir.Value,
        out: ir.Value,
    ) -> None:
        self.builder = builder
        self.spec = kernel.spec
        self.lanes = kernel.lanes
        self.emit = HashEmitter(builder, kernel.lanes)
        self.wide = vector(I64, self.lanes.width)
        self.data, self.scratch, self.plan, self.out = data, scratch, plan, out
        self.count = self._row(COUNT)

    def _row(self, row: int) -> ir.Value:
        """A row of the plan, as one vector."""
        address = self.builder.gep(self.plan, [ir.Constant(I64, row * self.lanes.width)])
        return self.builder.load(self.builder.bitcast(address, self.wide.as_pointer()), align=8)

    def _entry(self, row: int, lane: int) -> ir.Value:
        """One number of the plan."""
        return self.builder.load(
            self.builder.gep(self.plan, [ir.Constant(I64, row * self.lanes.width + lane)])
        )

    def _every(self, value: ir.Value) -> ir.Value:
        return every(self.builder, self.wide, value)

    def run(self) -> None:
        """Take every block of every lane."""
        builder = self.builder
        most = self._entry(COUNT, self.lanes.width - 1)
        slots = [cgutils.alloca_once_value(builder, word) for word in self._initial()]
        with cgutils.for_range(builder, most) as loop:
            state = [builder.load(slot) for slot in slots]
            block = self.emit.load_words(self._cursors(loop.index), self.spec.block_words)
            if self.spec.big_endian:
                block = [self.emit.swap_bytes(word) for word in block]
            for slot, word in zip(slots, self._absorb(state, block, loop.index), strict=True):
                builder.store(word, slot)
        self.state = [builder.load(slot) for slot in slots]

    def _cursors(self, turn: ir.Value) -> list[ir.Value]:
        """Where each lane's block stands, one by one: the scalar units are idle, the vector units are not."""
        builder = self.builder
        distance = builder.mul(turn, ir.Constant(I64, self.spec.block_bytes))
        cursors = []
        for lane in range(self.lanes.width):
            whole, inside, behind = (self._entry(row, lane) for row in (WHOLE, INSIDE, BEHIND))
            within = builder.icmp_signed("<", turn, whole)
            base = builder.select(
                within, builder.gep(self.data, [inside]), builder.gep(self.scratch, [behind])
            )
            cursors.append(builder.gep(base, [distance]))
        return cursors

    def _initial(self) -> list[ir.Value]:
        spec = self.spec
        if isinstance(spec, KeccakSpec):
            return [self.emit.constant(0)] * 25
        words = list(spec.initial)
        if isinstance(spec, Blake2Spec):
            words[0] ^= spec.parameters
        return [self.emit.constant(word) for word in words]

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

    def _where_active(
        self, turn: ir.Value, words: list[ir.Value], others: list[ir.Value] | None = None
    ) -> list[ir.Value]:
        """`words` in lanes that still have blocks, `others` (zeros) elsewhere; one lane always has."""
        if self.lanes.width == 1:
            return words
        active = self.builder.icmp_signed("<", self._every(turn), self.count)
        others = others or [self.emit.constant(0)] * len(words)
        return [self.builder.select(active, word, other) for word, other in zip(words, others, strict=True)]

    def _progress(self, turn: ir.Value) -> tuple[ir.Value, ir.Value]:
        """Bytes taken up to the end of this block, and all bits where it is the last."""
        builder = self.builder
        length = self._row(LENGTH)
        following = builder.add(turn, ir.Constant(I64, 1))
        end = self._every(builder.mul(following, ir.Constant(I64, self.spec.block_bytes)))
        taken = builder.select(builder.icmp_signed("<", length, end), length, end)
        last = builder.sext(builder.icmp_signed("==", self._every(following), self.count), self.wide)
        return taken, last

    def finish(self) -> None:
        """Write the digests."""
        builder = self.builder
        words = self.state[: self.spec.digest_words]
        if self.spec.big_endian:
            words = [self.emit.swap_bytes(word) for word in words]
        targets = [builder.gep(self.out, [self._entry(TARGET, lane)]) for lane in range(self.lanes.width)]
        self.emit.store_words(words, targets)


@intrinsic
def pad(
    typingctx: Any,
    kernel: Any,
    data: Any,
    start: Any,
    rest: Any,
    scratch: Any,
    row: Any,
    size: Any,
    length: Any,
) -> Any:
    """Write the last blocks of a message: its bytes after the last whole block, then the padding.

    Args:
        start, rest: the bytes are data[start:start + rest]; nothing else is read.
        row: where in `scratch`; `stride` bytes are overwritten.
        size: bytes of the padded blocks.
        length: bytes of the whole message.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source = element_pointer(context, builder, data, args[1], args[2])
        target = element_pointer(context, builder, scratch, args[4], args[5])
        write = _pad_in_registers if kernel.lanes.width > 1 else _pad_in_memory
        write(builder, kernel.spec, source, args[3], target, args[6], args[7])
        return context.get_dummy_value()

    integer = types.int64
    return types.void(kernel, data, integer, integer, scratch, integer, integer, integer), codegen


def _pad_in_registers(
    builder: ir.IRBuilder,
    spec: HashSpec,
    source: ir.Value,
    rest: ir.Value,
    target: ir.Value,
    size: ir.Value,
    length: ir.Value,
) -> None:
    """Whole registers only, without a branch, so that the loads of the first block find what was stored.

    Masked-out bytes are not touched in memory, so a load past the end of the data is harmless.
    """
    bytes_type, words_type = vector(I8, CHUNK), vector(I64, CHUNK // 8)
    zero = ir.Constant(I64, 0)
    for first in range(0, tail_stride(spec), CHUNK):
        left = builder.sub(rest, ir.Constant(I64, first))
        left = builder.select(builder.icmp_signed("<", left, zero), zero, left)
        positions = ir.Constant(bytes_type, [ir.Constant(I8, index) for index in range(CHUNK)])
        # A rest of 192 bytes at most, less a multiple of 64: no two values that matter meet modulo 256.
        inside = builder.icmp_unsigned("<", positions, every(builder, bytes_type, builder.trunc(left, I8)))
        address = builder.gep(source, [ir.Constant(I64, first)])
        chunk = _load_masked(builder, bytes_type, address, inside)
        if spec.marker:
            place = builder.trunc(builder.sub(rest, ir.Constant(I64, first)), I8)
            marked = builder.icmp_unsigned("==", positions, every(builder, bytes_type, place))
            byte = ir.Constant(bytes_type, [ir.Constant(I8, spec.marker)] * CHUNK)
            chunk = builder.select(marked, byte, chunk)
        if spec.last_marker and first <= spec.block_bytes - 1 < first + CHUNK:
            bits = [
                spec.last_marker if first + index == spec.block_bytes - 1 else 0 for index in range(CHUNK)
            ]
            chunk = builder.or_(chunk, ir.Constant(bytes_type, [ir.Constant(I8, value) for value in bits]))
        if spec.length_bytes:
            words = builder.bitcast(chunk, words_type)
            indices = ir.Constant(
                words_type, [ir.Constant(I64, first + 8 * index + 8) for index in range(CHUNK // 8)]
            )
            final = builder.icmp_unsigned("==", indices, every(builder, words_type, size))
            words = builder.select(final, every(builder, words_type, _length_field(builder, length)), words)
            chunk = builder.bitcast(words, bytes_type)
        address = builder.gep(target, [ir.Constant(I64, first)])
        builder.store(chunk, builder.bitcast(address, bytes_type.as_pointer()), align=1)


def _pad_in_memory(
    builder: ir.IRBuilder,
    spec: HashSpec,
    source: ir.Value,
    rest: ir.Value,
    target: ir.Value,
    size: ir.Value,
    length: ir.Value,
) -> None:
    """The same with copies of bytes, for processors without masked loads."""
    one = ir.Constant(I64, 1)
    cgutils.memset(builder, target, ir.Constant(I64, tail_stride(spec)), 0)
    cgutils.raw_memcpy(builder, target, source, rest, one)
    if spec.marker:
        builder.store(ir.Constant(I8, spec.marker), builder.gep(target, [rest]))
    if spec.last_marker:
        place = builder.gep(target, [builder.sub(size, one)])
        builder.store(builder.or_(builder.load(place), ir.Constant(I8, spec.last_marker)), place)
    if spec.length_bytes:
        place = builder.gep(target, [builder.sub(size, ir.Constant(I64, 8))])
        builder.store(_length_field(builder, length), builder.bitcast(place, I64.as_pointer()), align=1)


def _length_field(builder: ir.IRBuilder, length: ir.Value) -> ir.Value:
    """The message's length in bits, big-endian; a length in bytes of 63 bits leaves the field's upper half zero."""
    return call_llvm(builder, "llvm.bswap.i64", I64, [builder.shl(length, ir.Constant(I64, 3))])


def _load_masked(builder: ir.IRBuilder, wide: ir.Type, address: ir.Value, mask: ir.Value) -> ir.Value:
    pointer = builder.bitcast(address, wide.as_pointer())
    operands = [pointer, ir.Constant(ir.IntType(32), 1), mask, ir.Constant(wide, None)]
    return call_llvm(builder, f"llvm.masked.load.v{wide.count}i8.p0", wide, operands)


def every(builder: ir.IRBuilder, wide: ir.Type, value: ir.Value) -> ir.Value:
    """A value in all elements of a vector; one element is a scalar."""
    if not isinstance(wide, ir.VectorType):
        return value
    undefined = ir.Constant(wide, ir.Undefined)
    single = builder.insert_element(undefined, value, ir.Constant(I32, 0))
    return builder.shuffle_vector(single, undefined, ir.Constant(ir.VectorType(I32, wide.count), None))
