# SPDX-License-Identifier: GPL-3.0-or-later
"""SHA-256 with the processor's own instructions for it, one message in two registers.

Those of x86 do two rounds each on the words A B E F and C D G H, the first of each in the uppermost place; those of 64-bit
ARM (FEAT_SHA256 in the Arm Architecture Reference Manual) do four on A B C D and E F G H, the first in the lowermost. A step
waits four cycles and more for the one before it, so messages go together in fours (`TOGETHER`), one step of each after the
other.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from llvmlite import ir

from supervm.kernels.cpu.hashes.emitter import HashEmitter
from supervm.kernels.cpu.lanes.lanes import I8, I32, I64, LanesType, call_llvm, is_arm
from supervm.kernels.hash_spec import Sha2Spec

TOGETHER = 4
"""Messages whose rounds alternate: fewer wait for each other, more need registers that there are not."""

QUAD = ir.VectorType(I32, 4)
BYTES = ir.VectorType(I8, 16)

_SWAPPED = (3, 2, 1, 0)
"""The bytes of a word in the other order."""

State = tuple[ir.Value, ir.Value]


class Rounds(ABC):
    """Writes compressions of `TOGETHER` blocks at the builder's position."""

    STATE: ClassVar[tuple[Sequence[int], Sequence[int]]]
    """The words of the state in each of its two registers, from the lowermost place."""

    DIGEST: ClassVar[tuple[Sequence[int], Sequence[int]]]
    """Where the words of the digest stand in both registers, eight places in all."""

    def __init__(self, builder: ir.IRBuilder, spec: Sha2Spec) -> None:
        self.builder = builder
        self.spec = spec
        self.emit = HashEmitter(builder, LanesType(32, 1))

    def initial(self) -> State:
        """The state before the first block."""
        words = [ir.Constant(I32, word) for word in self.spec.initial]
        first, second = ([words[place] for place in places] for places in self.STATE)
        return ir.Constant(QUAD, first), ir.Constant(QUAD, second)

    def load(self, address: ir.Value, offset: int, typ: ir.Type = BYTES) -> ir.Value:
        """What lies at an i8 pointer."""
        place = self.builder.gep(address, [ir.Constant(I64, offset)])
        return self.builder.load(self.builder.bitcast(place, typ.as_pointer()), align=1)

    def words(self, first: ir.Value, second: ir.Value, skipped: int) -> ir.Value:
        """Four words of a message: its bytes are those of both registers after the first `skipped`."""
        chosen = [skipped + 4 * word + byte for word in range(4) for byte in _SWAPPED]
        return self.builder.bitcast(self._shuffled(first, second, chosen), QUAD)

    def compress(self, states: Sequence[State], blocks: Sequence[Sequence[ir.Value]]) -> list[State]:
        """What a block of each message adds to its state."""
        keys = self.emit.table(f"{self.spec.name}.constants", self.spec.constants)
        keys = self.builder.bitcast(keys, I8.as_pointer())
        now = list(states)
        words = [list(block) for block in blocks]
        turns = len(self.spec.constants) // 4
        for turn in range(turns):
            for item in range(len(states)):
                key = self.load(keys, 16 * turn, QUAD)
                keyed = self.builder.add(words[item][turn % 4], key)
                now[item] = self._four_rounds(now[item], keyed)
                if turn < turns - 4:
                    words[item][turn % 4] = self._next_words(words[item], turn)
        return now

    @abstractmethod
    def compress_scheduled(self, states: Sequence[State], keyed: Sequence[ir.Value]) -> list[State]:
        """`compress` for blocks of which `keyed` points to the sums of schedule and constants (`sha2.known_schedule`)."""

    def add(self, state: State, added: State) -> State:
        """The state after a block."""
        return self.builder.add(state[0], added[0]), self.builder.add(state[1], added[1])

    def store(self, state: State, target: ir.Value) -> None:
        """Write the digest to an i8 pointer."""
        first, second = (self.builder.bitcast(part, BYTES) for part in state)
        for half, places in enumerate(self.DIGEST):
            chosen = [4 * place + byte for place in places for byte in _SWAPPED]
            address = self.builder.gep(target, [ir.Constant(I64, 16 * half)])
            bytes_ = self._shuffled(first, second, chosen)
            self.builder.store(bytes_, self.builder.bitcast(address, BYTES.as_pointer()), align=1)

    def _shuffled(self, first: ir.Value, second: ir.Value, chosen: list[int]) -> ir.Value:
        mask = ir.Constant(ir.VectorType(I32, len(chosen)), [ir.Constant(I32, place) for place in chosen])
        return self.builder.shuffle_vector(first, second, mask)

    @abstractmethod
    def _four_rounds(self, state: State, keyed: ir.Value) -> State:
        """The state after four rounds, from the sums of their words and constants."""

    @abstractmethod
    def _next_words(self, words: Sequence[ir.Value], turn: int) -> ir.Value:
        """The four words of the schedule sixteen rounds after `words[turn]`."""


class _X86Rounds(Rounds):
    STATE = (5, 4, 1, 0), (7, 6, 3, 2)
    DIGEST = (3, 2, 7, 6), (1, 0, 5, 4)

    def compress_scheduled(self, states: Sequence[State], keyed: Sequence[ir.Value]) -> list[State]:
        now = list(states)
        for pair in range(0, len(self.spec.constants), 2):
            for item, address in enumerate(keyed):
                now[item] = self._two_rounds(now[item], self._half(address, 4 * pair))
        return now

    def _half(self, address: ir.Value, offset: int) -> ir.Value:
        """Two words from memory, where two rounds look for theirs."""
        both = ir.VectorType(I32, 2)
        return self._shuffled(self.load(address, offset, both), ir.Constant(both, None), [0, 1, 2, 3])

    def _four_rounds(self, state: State, keyed: ir.Value) -> State:
        state = self._two_rounds(state, keyed)
        return self._two_rounds(state, self._shuffled(keyed, keyed, [2, 3, 2, 3]))

    def _two_rounds(self, state: State, keyed: ir.Value) -> State:
        first, second = state
        return call_llvm(self.builder, "llvm.x86.sha256rnds2", QUAD, [second, first, keyed]), first

    def _next_words(self, words: Sequence[ir.Value], turn: int) -> ir.Value:
        own, next_, third, newest = (words[(turn + place) % 4] for place in range(4))
        begun = call_llvm(self.builder, "llvm.x86.sha256msg1", QUAD, [own, next_])
        middle = self._shuffled(third, newest, [1, 2, 3, 4])
        return call_llvm(self.builder, "llvm.x86.sha256msg2", QUAD, [self.builder.add(begun, middle), newest])


class _ArmRounds(Rounds):
    STATE = (0, 1, 2, 3), (4, 5, 6, 7)
    DIGEST = STATE

    def compress_scheduled(self, states: Sequence[State], keyed: Sequence[ir.Value]) -> list[State]:
        now = list(states)
        for first in range(0, len(self.spec.constants), 4):
            for item, address in enumerate(keyed):
                now[item] = self._four_rounds(now[item], self.load(address, 4 * first, QUAD))
        return now

    def _four_rounds(self, state: State, keyed: ir.Value) -> State:
        first, second = state
        return self._call("sha256h", first, second, keyed), self._call("sha256h2", second, first, keyed)

    def _next_words(self, words: Sequence[ir.Value], turn: int) -> ir.Value:
        own, next_, third, newest = (words[(turn + place) % 4] for place in range(4))
        return self._call("sha256su1", self._call("sha256su0", own, next_), third, newest)

    def _call(self, name: str, *operands: ir.Value) -> ir.Value:
        return call_llvm(self.builder, f"llvm.aarch64.crypto.{name}", QUAD, list(operands))


def rounds_for(builder: ir.IRBuilder, spec: Sha2Spec) -> Rounds:
    """With the instructions of the processor that the module is compiled for."""
    return _ArmRounds(builder, spec) if is_arm(builder) else _X86Rounds(builder, spec)
