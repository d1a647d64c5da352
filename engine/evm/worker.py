# SPDX-License-Identifier: GPL-3.0-or-later
"""`EvmWorker`: the machine of one thread and its access set over a world; it makes room where compiled code lacks it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from supervm.engine.evm.evm_machine import EvmMachine
from supervm.engine.evm.world import World
from supervm.kernels.array_types import Numbers
from supervm.kernels.cpu.state import access_set
from supervm.kernels.cpu.state.versions import TAKEN_AT_ONCE
from supervm.kernels.keys import aligned
from supervm.vm.evm import machine as m
from supervm.vm.evm.code_store import CodeStore
from supervm.vm.evm.outcomes import MEANINGS, HaltReason
from supervm.vm.evm.state.records import LOGS, LOGS_CAPACITY, LOGS_USED, NEEDS_LOGS

_BUFFERS = {
    access_set.NEEDS_ENTRIES: (
        access_set.ENTRIES,
        access_set.ENTRY_CAPACITY,
        access_set.ENTRY_BYTES,
        1 << 12,
    ),
    access_set.NEEDS_VALUES: (access_set.VALUES, access_set.VALUES_CAPACITY, 1, 1 << 18),
    access_set.NEEDS_CELLS: (access_set.STACK, access_set.STACK_CAPACITY, 4, 1 << 12),
    access_set.NEEDS_DIRTY: (access_set.DIRTY, access_set.DIRTY_CAPACITY, 8, 1 << 12),
    access_set.NEEDS_AGAIN: (access_set.AGAIN, access_set.AGAIN_CAPACITY, 8, 1 << 12),
}
"""What can be full in the access set → words of address and capacity, bytes of one unit, units at first."""

KEYS_WRITTEN, LOG_BYTES = 8, 512
"""Of a transaction, more than most have: the keys that it writes, the bytes of its logs and its output."""


class EvmWorker(EvmMachine):
    """What one thread needs to execute transactions against a world.

    Args:
        world: the state.
        codes: the analysed codes of the fork whose rules hold.

    Attributes:
        words: of the access set.
        machine: the EVM's.
    """

    def __init__(self, world: World, codes: CodeStore) -> None:
        self.words = np.zeros(access_set.ACCESS_WORDS, np.int64)
        self._buffers: dict[int, NDArray[np.uint8]] = {}
        for need in _BUFFERS:
            self._grow(need, 0)
        self._index = aligned(8 << access_set.INDEX_BITS, fill=True)
        self.words[access_set.INDEX] = self._index.ctypes.data
        super().__init__(int(self.words.ctypes.data), codes, lambda digest: self.world.code(digest))
        self.attach(world)

    def attach(self, world: World) -> None:
        """Work on this world from now on, whose next commit begins."""
        self.world = world
        self.words[access_set.VERSIONS] = world.store.versions
        self.words[access_set.STACK_COUNT] = 0
        self.begin_commit()

    def begin_commit(self) -> None:
        """A commit of the world's store begins."""
        words, store = self.words, self.world.store
        words[access_set.KEYS], words[access_set.COMMIT_NUMBER] = store.keys.address, store.next_commit
        for word in (access_set.DIRTY_COUNT, access_set.AGAIN_COUNT, access_set.REPLACED, access_set.NEEDS):
            words[word] = 0
        words[access_set.IN_PLACE] = 1
        self.forget()
        self.drop_logs()

    def repeat(self, function: Callable[..., int], *arguments: object) -> int:
        """Call compiled code until it needs nothing more; its answer, which is negative only where a rule says so.

        Raises:
            MissingState: a code or an ancestor's hash that nobody has given.
            HostFunctionFailed: a precompiled contract could not be computed on this machine.
        """
        while True:
            self.words[access_set.NEEDS] = 0
            answer = function(self.machine.address, *arguments)
            if not self.words[access_set.NEEDS]:
                return answer
            self.make_room()

    def make_room(self, segments: int = 1) -> None:
        """Make room for what was full, or bring what was missing; nothing where nothing was.

        Args:
            segments: into how many parts the entries and values are divided.
        """
        need, amount = int(self.words[access_set.NEEDS]), int(self.words[access_set.NEEDED])
        self.words[access_set.NEEDS] = 0
        store = self.world.store
        if need == access_set.NEEDS_KEYS:
            store.make_room(max(len(store.keys) // 2, 1), amount)
        elif need == access_set.NEEDS_CELLS:
            store.grow_cells(amount + TAKEN_AT_ONCE)
            if self._capacity(need) < amount + TAKEN_AT_ONCE:
                self._grow(need, amount + TAKEN_AT_ONCE)
        elif need in (access_set.NEEDS_ENTRIES, access_set.NEEDS_VALUES):
            self._grow(need, segments * amount)
        elif need in _BUFFERS:
            self._grow(need, amount)
        elif need:
            self.bring(need, amount)

    @property
    def logs_address(self) -> int:
        """Where `logs` lie."""
        return int(self.machine.words[LOGS])

    def expect(self, transactions: int) -> None:
        """Make room for what so many transactions usually write; more is made where that does not do."""
        for need in (access_set.NEEDS_DIRTY, access_set.NEEDS_AGAIN):
            lacking = KEYS_WRITTEN * transactions - self._capacity(need)
            if lacking > 0:
                self._grow(need, lacking)
        lacking = LOG_BYTES * transactions - int(self.machine.words[LOGS_CAPACITY])
        if lacking > 0:
            self.machine.grow(NEEDS_LOGS, lacking)

    def segments(self, count: int, entries: int, values: int) -> tuple[int, int]:
        """Divide entries and values into `count` parts, of at least so many; what each part has."""
        for need, least in ((access_set.NEEDS_ENTRIES, entries), (access_set.NEEDS_VALUES, values)):
            if self._capacity(need) < count * least:
                self._grow(need, count * least - self._capacity(need))
        of_entries = self._capacity(access_set.NEEDS_ENTRIES) // count
        return of_entries, self._capacity(access_set.NEEDS_VALUES) // count & ~63

    def use_whole_buffers(self) -> None:
        """Entries and values are one part again, and there are none."""
        for need in (access_set.NEEDS_ENTRIES, access_set.NEEDS_VALUES):
            self.words[_BUFFERS[need][1]] = self._capacity(need)
        self.forget()

    def logs(self) -> NDArray[np.uint8]:
        """Logs and outputs of the transactions since `begin_commit`, where the columns say; good until the next one."""
        return self.machine.buffer(NEEDS_LOGS)[: int(self.machine.words[LOGS_USED])]

    def output(self) -> bytes:
        """What the last call returned."""
        size = int(self.machine.words[m.RETURN_BYTES])
        return self.machine.buffer(m.NEEDS_RETURN_DATA)[:size].tobytes()

    def written(self) -> Numbers:
        """The keys that the commit wrote, each once, as `versions.HAS_MORE` says."""
        return self._list(access_set.NEEDS_DIRTY, access_set.DIRTY_COUNT)

    def halt_reason(self) -> str:
        """Why the last frame halted, in words."""
        reason = int(self.machine.words[m.HALT_REASON])
        return MEANINGS[HaltReason(reason)] if reason else "halted"

    def seal(self) -> None:
        """The commit is complete."""
        again = self._list(access_set.NEEDS_AGAIN, access_set.AGAIN_COUNT)
        self.world.store.seal(again, int(self.words[access_set.REPLACED]))

    def undo(self) -> None:
        """Forget everything that was executed since `begin_commit`."""
        self.world.store.undo(self.written())
        self.begin_commit()

    def forget(self) -> None:
        """There are no entries and no written values."""
        for word in (access_set.ENTRY_FIRST, access_set.ENTRY_COUNT, access_set.VALUES_USED):
            self.words[word] = 0

    def _capacity(self, need: int) -> int:
        return self._buffers[need].size // _BUFFERS[need][2] if need in self._buffers else 0

    def _grow(self, need: int, amount: int) -> None:
        """Make room for `amount` units more, at least twice as much as before; what it holds is kept."""
        address, capacity, unit, least = _BUFFERS[need]
        old = self._capacity(need)
        units = max(least, 2 * old, old + amount)
        buffer = aligned(units * unit)
        if old:
            buffer[: old * unit] = self._buffers[need]
        self._buffers[need] = buffer
        self.words[address], self.words[capacity] = buffer.ctypes.data, units

    def _list(self, need: int, count: int) -> Numbers:
        return self._buffers[need].view(np.int64)[: int(self.words[count])].copy()
