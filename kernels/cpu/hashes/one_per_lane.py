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

from supervm.kernels.cpu.hashes import blake2b, keccak, sha2
from supervm.kernels.cpu.hashes.emitter import HashEmitter, HashKernelType
from supervm.kernels.cpu.hashes.padding import CHUNK, tail_stride
from supervm.kernels.cpu.lanes.lanes import I32, I64, LanesType, element_pointer, every, vector
from supervm.kernels.hash_spec import Blake2Spec, KeccakSpec, Ripemd160Spec, Sha2Spec


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
scheduled_words = _constant("scheduled_words", lambda kernel: len(getattr(kernel.spec, "constants", ())))

PLAN_ROWS = 6
WHOLE, INSIDE, BEHIND, LENGTH, COUNT, TARGET = range(PLAN_ROWS)
"""Rows of a group's plan, one column per lane: whole blocks in the message; where block 0 stands in the data;
where block 0 would stand in the scratch; bytes of the message; blocks with padding; where the digest goes."""


@intrinsic
def hash_group(
    typingctx: Any, kernel: Any, data: Any, scratch: Any, plan: Any, keyed: Any, known: Any, out: Any
) -> Any:
    """Hash the message of each lane.

    Args:
        data: uint8, where whole blocks are read.
        scratch: uint8, where the padded blocks are read, after the whole ones.
        plan: int64 (PLAN_ROWS · lanes,); the last lane has the largest count.
        keyed: uint64, what `schedule_padding` wrote.
        known: 1 if the last block of every lane is the one that `keyed` stands for, else 0.
        out: uint8, where digests go.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        zero = ir.Constant(I64, 0)
        data_at, scratch_at, plan_at, keyed_at, out_at = (
            element_pointer(context, builder, signature.args[index], args[index], zero)
            for index in (1, 2, 3, 4, 6)
        )
        # Without this, registers are spilled to addresses that cross cache lines.
        # (llvmlite prints a stack alignment only beside another attribute.)
        if kernel.lanes.width > 1:
            builder.function.attributes.alignstack = CHUNK
            builder.function.attributes.add("norecurse")
        group = _Group(builder, kernel, data_at, scratch_at, plan_at)
        group.run(args[5])
        if isinstance(kernel.spec, Sha2Spec):
            group.add_known(kernel.spec, args[5], keyed_at)
        group.finish(out_at)
        return context.get_dummy_value()

    return types.void(kernel, data, scratch, plan, keyed, types.int64, out), codegen


class _Group:
    """The code of one group: its loop over blocks, its state, its digests."""

    def __init__(
        self,
        builder: ir.IRBuilder,
        kernel: HashKernelType,
        data: ir.Value,
        scratch: ir.Value,
        plan: ir.Value,
    ) -> None:
        self.builder = builder
        self.spec = kernel.spec
        self.lanes = kernel.lanes
        self.emit = HashEmitter(builder, kernel.lanes)
        self.wide = vector(I64, self.lanes.width)
        self.data, self.scratch, self.plan = data, scratch, plan
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

    def run(self, known: ir.Value) -> None:
        """Take every block of every lane, but the last one if that is known."""
        builder = self.builder
        most = builder.sub(self._entry(COUNT, self.lanes.width - 1), known)
        self.state = self.emit.keep(self._initial())
        with cgutils.for_range(builder, most) as loop:
            block = self.emit.load_words(self._cursors(loop.index), self.spec.block_words)
            if self.spec.big_endian:
                block = [self.emit.swap_bytes(word) for word in block]
            self.state.write(self._absorb(self.state.read(), block, loop.index))

    def add_known(self, spec: Sha2Spec, known: ir.Value, keyed: ir.Value) -> None:
        """Take the last block of SHA-2, of which the message schedule is known."""
        builder = self.builder
        keyed = builder.bitcast(keyed, ir.IntType(spec.word_bits).as_pointer())
        with builder.if_then(builder.icmp_signed("!=", known, ir.Constant(I64, 0))):
            state = self.state.read()
            added = sha2.compress_scheduled(self.emit, spec, state, keyed)
            self.state.write([self.emit.add(old, new) for old, new in zip(state, added, strict=True)])

    def _cursors(self, turn: ir.Value) -> list[ir.Value]:
        """Where each lane's block stands, one by one: the scalar units are idle, the vector units are not.

        A lane that has had its last block reads it again: what comes behind it may be nobody's memory.
        """
        builder = self.builder
        cursors = []
        for lane in range(self.lanes.width):
            whole, inside, behind = (self._entry(row, lane) for row in (WHOLE, INSIDE, BEHIND))
            own = turn
            if lane + 1 < self.lanes.width:
                last = builder.sub(self._entry(COUNT, lane), ir.Constant(I64, 1))
                own = builder.select(builder.icmp_signed("<", turn, last), turn, last)
            distance = builder.mul(own, ir.Constant(I64, self.spec.block_bytes))
            within = builder.icmp_signed("<", own, whole)
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
        if isinstance(spec, Ripemd160Spec):
            raise TypeError(f"{spec.name} hashes one message at an address, by `ripemd160.digest`")
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

    def finish(self, out: ir.Value) -> None:
        """Write the digests."""
        builder = self.builder
        words = self.state.read()[: self.spec.digest_words]
        if self.spec.big_endian:
            words = [self.emit.swap_bytes(word) for word in words]
        targets = [builder.gep(out, [self._entry(TARGET, lane)]) for lane in range(self.lanes.width)]
        self.emit.store_words(words, targets)


@intrinsic
def schedule_padding(typingctx: Any, kernel: Any, keyed: Any, length: Any) -> Any:
    """Write the message schedule of the last block of a message of `length` bytes, a multiple of the block.

    That block is padding alone. Only for SHA-2; `keyed` is uint64 and holds `scheduled_words` words.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        spec = kernel.spec
        if not isinstance(spec, Sha2Spec):
            return context.get_dummy_value()
        emit = HashEmitter(builder, LanesType(spec.word_bits, 1))
        bits = builder.shl(args[2], ir.Constant(I64, 3))
        block: list[ir.Value] = [emit.constant(0)] * spec.block_words
        block[0] = emit.constant(spec.marker << (spec.word_bits - 8))
        block[-1] = bits if spec.word_bits == 64 else builder.trunc(bits, I32)
        if spec.word_bits == 32:
            block[-2] = builder.trunc(builder.lshr(bits, ir.Constant(I64, 32)), I32)
        first = element_pointer(context, builder, keyed, args[1], ir.Constant(I64, 0))
        first = builder.bitcast(first, ir.IntType(spec.word_bits).as_pointer())
        sha2.write_schedule(emit, spec, block, first)
        return context.get_dummy_value()

    return types.void(kernel, keyed, types.int64), codegen
