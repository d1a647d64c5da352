# SPDX-License-Identifier: GPL-3.0-or-later
"""The hash of a byte and two rows of 32 bytes, one such message per lane: what a Merkle tree is made of.

Every message has 65 bytes, so the padding is known when the code is written: nothing is staged. The rows are read
where they lie, the byte in front is shifted in between registers, and of a second block of SHA-2, in which one byte is
not padding, most of the first words of the message schedule are constants.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

from supervm.kernels.cpu.hashes import keccak, sha2
from supervm.kernels.cpu.hashes.emitter import HashEmitter, HashKernelType
from supervm.kernels.cpu.hashes.padding import CHUNK
from supervm.kernels.cpu.hashes.sha_instructions import BYTES, QUAD, TOGETHER, rounds_for
from supervm.kernels.cpu.lanes.lanes import I8, I32, I64, vector
from supervm.kernels.cpu.lanes.transpose import transpose
from supervm.kernels.hash_spec import KeccakSpec, Sha2Spec

ROW = 32
"""Bytes of a row, which is also the size of a digest."""

MESSAGE = 1 + 2 * ROW
"""Bytes of a message."""

GROUP = 16
"""Messages that the instructions for SHA-256 take in one call."""

PAIR_PLAN_ROWS = 3
"""Rows of a plan: where each lane's first row lies, where its second one lies, where its digest goes."""


@intrinsic
def pair_width(typingctx: Any, kernel: HashKernelType) -> Any:
    """Messages that `hash_pairs` takes at once."""
    width = GROUP if kernel.dedicated else kernel.lanes.width

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(I64, width)

    return types.int64(kernel), codegen


@intrinsic
def _hash_pairs(typingctx: Any, kernel: Any, prefix: Any, plan: Any) -> Any:
    spec = kernel.spec
    if not isinstance(spec, (Sha2Spec, KeccakSpec)) or spec.digest_bytes != ROW:
        raise TypingError(f"pairs of rows are hashed by SHA-2 or Keccak with 32 bytes of digest, not {spec}")
    if kernel.dedicated and spec.name != "sha256":
        raise TypingError(f"there are instructions for SHA-256 only, not for {spec.name}")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        # Without this, registers are spilled to addresses that cross cache lines.
        # (llvmlite prints a stack alignment only beside another attribute.)
        if kernel.lanes.width > 1:
            builder.function.attributes.alignstack = CHUNK
            builder.function.attributes.add("norecurse")
        write_pairs = _DedicatedPairs if kernel.dedicated else _Pairs
        write_pairs(builder, kernel, args[2]).write(args[1])
        return context.get_dummy_value()

    return types.void(kernel, types.int64, types.int64), codegen


@njit(nogil=True, cache=True)
def hash_pairs(kernel: Any, prefix: Any, plan: Any) -> None:
    """Hash the message of each lane: `prefix`, then its two rows.

    No array is an argument: Numba would count a reference for each group.

    Args:
        kernel: a `HashKernel` of SHA-256 or Keccak-256.
        prefix: the byte in front.
        plan: the address of int64 (PAIR_PLAN_ROWS, `pair_width`), which holds addresses. Every digest is written
            after all rows have been read.
    """
    _hash_pairs(kernel, np.int64(prefix), np.int64(plan))


class _Pairs:
    """The code of one group."""

    def __init__(self, builder: ir.IRBuilder, kernel: HashKernelType, plan: ir.Value) -> None:
        self.builder = builder
        self.spec = kernel.spec
        self.lanes = kernel.lanes
        self.emit = HashEmitter(builder, kernel.lanes)
        self.plan = builder.inttoptr(plan, I64.as_pointer())

    def write(self, prefix: ir.Value) -> None:
        """Read, hash, store."""
        message = self._message(prefix, self._rows())
        if isinstance(self.spec, KeccakSpec):
            digest = self._keccak(self.spec, message)
        else:
            assert isinstance(self.spec, Sha2Spec)
            digest = self._sha2(self.spec, message)
        words = digest[: self.spec.digest_words]
        if self.spec.big_endian:
            words = [self.emit.swap_bytes(word) for word in words]
        self.emit.store_words(words, [self._pointer(2, lane) for lane in range(self.lanes.width)])

    def _pointer(self, row: int, lane: int) -> ir.Value:
        place = ir.Constant(I64, row * self.lanes.width + lane)
        address = self.builder.load(self.builder.gep(self.plan, [place]))
        return self.builder.inttoptr(address, ir.IntType(8).as_pointer())

    def _rows(self) -> list[ir.Value]:
        """The words of both rows."""
        half = ROW * 8 // self.lanes.bits
        width = self.lanes.width
        if width == 2 * half:
            pairs = [[self._row(self._pointer(row, lane), half) for row in (0, 1)] for lane in range(width)]
            order = ir.Constant(
                ir.VectorType(I32, width), [ir.Constant(I32, place) for place in range(width)]
            )
            words = transpose(self.builder, [self.builder.shuffle_vector(*pair, order) for pair in pairs])
        else:
            words = []
            for row in (0, 1):
                pointers = [self._pointer(row, lane) for lane in range(width)]
                words += self.emit.load_words(pointers, half)
        return [self.emit.swap_bytes(word) for word in words] if self.spec.big_endian else words

    def _row(self, pointer: ir.Value, words: int) -> ir.Value:
        """One row as a short vector."""
        row = vector(ir.IntType(self.lanes.bits), words)
        return self.builder.load(self.builder.bitcast(pointer, row.as_pointer()), align=1)

    def _message(self, prefix: ir.Value, words: list[ir.Value]) -> list[ir.Value | int]:
        """The words of the padded message: everything moved on by a byte, then integers."""
        emit, spec, bits = self.emit, self.spec, self.spec.word_bits
        element = ir.IntType(bits)
        first = emit.every(prefix if bits == 64 else self.builder.trunc(prefix, element))
        total = spec.blocks(MESSAGE) * spec.block_words
        tail: list[ir.Value | int] = [0] * (total - len(words) - 1)
        if spec.big_endian:
            words = [first, *words, emit.constant(spec.marker << (bits - 8))]
            moved = [emit.join_left(a, b, bits - 8) for a, b in pairwise(words)]
            tail[-1] = 8 * MESSAGE
        else:
            first = self.builder.shl(first, emit.constant(bits - 8))
            words = [first, *words, emit.constant(spec.marker)]
            moved = [emit.join_left(b, a, 8) for a, b in pairwise(words)]
            tail[-1] = spec.last_marker << (bits - 8)
        return moved + tail

    def _sha2(self, spec: Sha2Spec, message: list[ir.Value | int]) -> list[ir.Value]:
        emit = self.emit
        state = [emit.constant(word) for word in spec.initial]
        for first in range(0, len(message), spec.block_words):
            block = message[first : first + spec.block_words]
            known = any(isinstance(word, int) for word in block)
            compress = sha2.compress_partly_known if known else sha2.compress
            added = compress(emit, spec, state, block)
            state = [emit.add(old, new) for old, new in zip(state, added, strict=True)]
        return state

    def _keccak(self, spec: KeccakSpec, message: list[ir.Value | int]) -> list[ir.Value]:
        emit = self.emit
        block = [emit.constant(word) if isinstance(word, int) else word for word in message]
        return keccak.permute(emit, spec, block + [emit.constant(0)] * (25 - len(block)))


class _DedicatedPairs:
    """The code of one group with the instructions for SHA-256.

    First blocks first, `TOGETHER` messages at a time. The second block of a message holds its last byte and padding: the
    sums of its schedule and the constants are a row of a table.
    """

    def __init__(self, builder: ir.IRBuilder, kernel: HashKernelType, plan: ir.Value) -> None:
        assert isinstance(kernel.spec, Sha2Spec)
        self.builder = builder
        self.spec = kernel.spec
        self.rounds = rounds_for(builder, kernel.spec)
        self.plan = builder.inttoptr(plan, I64.as_pointer())
        self.midway = cgutils.alloca_once(builder, ir.ArrayType(QUAD, 2 * GROUP))
        table = self.rounds.emit.table(f"{kernel.spec.name}.last_bytes", _last_blocks(kernel.spec))
        self.table = builder.bitcast(table, I8.as_pointer())

    def write(self, prefix: ir.Value) -> None:
        """Read, hash, store."""
        builder, rounds = self.builder, self.rounds
        initial = rounds.initial()
        turns = ir.Constant(I64, GROUP // TOGETHER)
        front = builder.insert_element(
            ir.Constant(BYTES, ir.Undefined), builder.trunc(prefix, I8), ir.Constant(I32, 15)
        )
        with cgutils.for_range(builder, turns) as loop:
            blocks = [self._first_block(front, loop.index, item) for item in range(TOGETHER)]
            for item, added in enumerate(rounds.compress([initial] * TOGETHER, blocks)):
                for part, word in enumerate(rounds.add(initial, added)):
                    builder.store(word, self._midway(loop.index, item, part))
        with cgutils.for_range(builder, turns) as loop:
            items = range(TOGETHER)
            states = [
                tuple(builder.load(self._midway(loop.index, item, part)) for part in (0, 1)) for item in items
            ]
            keyed = [self._last_block(loop.index, item) for item in items]
            for item, added in enumerate(rounds.compress_scheduled(states, keyed)):
                rounds.store(rounds.add(states[item], added), self._address(2, loop.index, item))

    def _address(self, row: int, turn: ir.Value, item: int) -> ir.Value:
        place = self.builder.mul(turn, ir.Constant(I64, TOGETHER))
        place = self.builder.add(place, ir.Constant(I64, row * GROUP + item))
        return self.builder.inttoptr(self.builder.load(self.builder.gep(self.plan, [place])), I8.as_pointer())

    def _midway(self, turn: ir.Value, item: int, part: int) -> ir.Value:
        place = self.builder.mul(turn, ir.Constant(I64, 2 * TOGETHER))
        place = self.builder.add(place, ir.Constant(I64, 2 * item + part))
        return self.builder.gep(self.midway, [ir.Constant(I64, 0), place])

    def _first_block(self, front: ir.Value, turn: ir.Value, item: int) -> list[ir.Value]:
        """The words of a message without its last byte."""
        rounds = self.rounds
        left, right = (self._address(row, turn, item) for row in (0, 1))
        a, b, c, d = (rounds.load(row, offset) for row in (left, right) for offset in (0, 16))
        return [rounds.words(*pair, 15) for pair in pairwise([front, a, b, c, d])]

    def _last_block(self, turn: ir.Value, item: int) -> ir.Value:
        """Where the sums for a message's last byte are."""
        byte = self.rounds.load(self._address(1, turn, item), ROW - 1, I8)
        row = self.builder.zext(byte, I64)
        return self.builder.gep(
            self.table, [self.builder.mul(row, ir.Constant(I64, 4 * len(self.spec.constants)))]
        )


def _last_blocks(spec: Sha2Spec) -> list[int]:
    """For each last byte of a message the sums for its second block."""
    middle = [0] * (spec.block_words - 2)
    return [
        keyed
        for byte in range(256)
        for keyed in sha2.known_schedule(spec, [byte << 24 | spec.marker << 16, *middle, 8 * MESSAGE])
    ]
