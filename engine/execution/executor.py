# SPDX-License-Identifier: GPL-3.0-or-later
"""`BlockExecutor`: takes a block's columns, returns results and written keys; chooses the schedule that the block allows.

The schedule never changes a result. Full buffers grow between runs of compiled code, which then resume where they stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from supervm.engine.execution import columns as c
from supervm.engine.execution import optimistic, waves
from supervm.engine.execution.columns import Columns
from supervm.engine.execution.fast_path import add_to_account, run_fast_path
from supervm.engine.execution.host_crypto import FUNCTIONS, check_addresses
from supervm.engine.execution.plug_in import PlugIn
from supervm.engine.execution.pool import ExecutionPool
from supervm.engine.execution.sequential import DONE, run_sequential
from supervm.engine.host_callbacks import no_answer
from supervm.engine.state.store import StateStore
from supervm.kernels.array_types import Numbers
from supervm.kernels.cpu.state import access_set, sharing
from supervm.kernels.cpu.state.versions import TAKEN_AT_ONCE
from supervm.vm import context as w
from supervm.vm.modules import Contract, ModuleCache
from supervm.vm.worker import Worker

TURN_PERCENT = 35
"""Share of transactions executed again above which block order is cheaper: measured on two threads."""

SEGMENT_ENTRIES, SEGMENT_VALUES = 1 << 10, 1 << 16
"""Entries and bytes of values for one chunk of speculation, at first."""


@dataclass
class Course:
    """How a block went.

    Args:
        way: "sequential", "speculation", "waves".
        repeated: transactions that were executed again, or in order only, under speculation.
        turned: whether speculation, or waves, gave up for block order.
        undeclared: whether a transaction touched what it had not declared.
    """

    way: str = "sequential"
    repeated: int = 0
    turned: bool = False
    undeclared: bool = False


class BlockExecutor:
    """Executes blocks against a store, with workers and threads of its own.

    Args:
        store: the state's versions; commits are made by whoever calls.
        cache: of contracts.
        threads: how many workers.
        plug_in: what executes transactions of its own kind beside the contracts, if anything does.
    """

    def __init__(
        self, store: StateStore, cache: ModuleCache, threads: int, plug_in: PlugIn | None = None
    ) -> None:
        self._store, self._plug_in = store, plug_in
        self.pool = ExecutionPool(threads)
        self._workers = [Worker(cache, store.keys.address, store.versions, FUNCTIONS) for _ in range(threads)]
        for worker in self._workers:
            for word, address in check_addresses().items():
                worker.words[word] = address
            if plug_in is not None:
                worker.words[w.PLUG_IN] = plug_in.address
                worker.words[w.PLUG_IN_STATE] = plug_in.attach(worker.address)
        self._addresses = np.array([worker.address for worker in self._workers], np.int64)
        self._marks = np.zeros(0, np.uint32)
        self._shared = sharing.shared_words(self._addresses, waves.FURTHER)

    @property
    def threads(self) -> int:
        """How many workers there are, with a thread each."""
        return len(self._workers)

    def close(self) -> None:
        """End the threads and give instances back."""
        self.pool.close()
        for worker in self._workers:
            worker.close()

    def begin(self, contracts: list[Contract], number: int, timestamp: int) -> None:
        """A block with this number and timestamp begins, in the commit that is being made."""
        for worker in self._workers:
            worker.prepare(contracts)
            words = worker.words
            words[access_set.COMMIT_NUMBER] = self._store.next_commit
            for word in (access_set.DIRTY_COUNT, access_set.AGAIN_COUNT, access_set.REPLACED, w.EVENTS_USED):
                words[word] = 0
            words[w.BLOCK_NUMBER], words[w.TIMESTAMP], words[w.FAST_MARKS] = number, timestamp, 0
            self._whole_buffers(worker)

    def written(self) -> Numbers:
        """The keys that the block wrote, each once, as `versions.HAS_MORE` says."""
        return np.concatenate(
            [self._list(worker, access_set.DIRTY, access_set.DIRTY_COUNT) for worker in self._workers]
        )

    def seal(self) -> None:
        """The block is complete: its versions are the commit's."""
        again = [self._list(worker, access_set.AGAIN, access_set.AGAIN_COUNT) for worker in self._workers]
        replaced = sum(int(worker.words[access_set.REPLACED]) for worker in self._workers)
        self._store.seal(np.concatenate(again), replaced)

    def undo(self) -> None:
        """Forget everything that was executed since `begin`; what it left behind too."""
        self._store.undo(self.written())
        for worker in self._workers:
            for word in (access_set.DIRTY_COUNT, access_set.AGAIN_COUNT, access_set.REPLACED, w.EVENTS_USED):
                worker.words[word] = 0
            worker.words[w.FAST_MARKS] = 0
            self._whole_buffers(worker)

    def left(self) -> NDArray[np.int64]:
        """Addresses of what the calls of each worker left behind; good until the next block begins."""
        return np.array([int(worker.words[w.EVENTS]) for worker in self._workers], np.int64)

    # -------------------------------------------------------------------------------------------------

    def run_fast_path(self, columns: Columns, items: Numbers) -> None:
        """The fast path: these transfers, in block order; to others they are done."""
        worker = self._workers[0]
        worker.words[access_set.IN_PLACE] = 1
        at = 0
        while at < items.size:
            at = self._on_first(run_fast_path, 0, columns.address, items, at)
            if at < items.size:
                self._make_room(worker)
        columns[c.READY][items] = DONE

    def mark(self, accounts: Numbers) -> None:
        """These accounts are the fast path's; contracts that touch one of them by their own choice are reported."""
        self._grow_marks()
        self._marks[accounts] = self._store.next_commit
        for worker in self._workers:
            worker.words[w.FAST_MARKS] = self._marks.ctypes.data

    def _grow_marks(self) -> None:
        """A mark for every key number that there can be; those that are set stay."""
        if self._marks.size < self._store.keys.capacity:
            marks = np.zeros(self._store.keys.capacity, np.uint32)
            marks[: self._marks.size] = self._marks
            self._marks = marks
            for worker in self._workers:
                if worker.words[w.FAST_MARKS]:
                    worker.words[w.FAST_MARKS] = marks.ctypes.data

    def add_to_account(self, number: int, amount: NDArray[np.uint8]) -> None:
        """Add an amount, big-endian, to the balance of an account by key number."""
        while not self._on_first(add_to_account, number, amount):
            self._make_room(self._workers[0])

    def run_sequential(self, columns: Columns, start: int = 0) -> None:
        """One by one, on one thread."""
        worker = self._workers[0]
        worker.words[access_set.IN_PLACE] = 1
        self._whole_buffers(worker)
        while start < len(columns):
            start = self._on_first(run_sequential, 0, columns.address, start, len(columns))
            if start < len(columns):
                self._make_room(worker)

    def run_optimistic(self, columns: Columns) -> Course:
        """Optimistically on all threads; the rest in order if that turns out to be cheaper."""
        course = Course("speculation")
        shared, total = self._shared, len(columns)
        for word in (sharing.NEXT, sharing.COMMITTED, sharing.START, sharing.REPEATED):
            shared[word] = 0
        shared[sharing.STOP] = total
        while shared[sharing.COMMITTED] < total:
            shared[sharing.HALT] = shared[sharing.LOCK] = 0
            shared[sharing.NEXT] = shared[sharing.COMMITTED]
            # What was executed ahead is gone with the buffers that it lay in; hot and fast ones stay what they are.
            ready = columns[c.READY][int(shared[sharing.COMMITTED]) :]
            ready[(ready == optimistic.EXECUTED) | (ready == optimistic.CROWDED)] = optimistic.WAITING
            first = int(shared[sharing.COMMITTED])
            self._share_out(columns)
            halt = int(shared[sharing.HALT])
            # With fewer instances than workers want, they could take them from each other for ever.
            stuck = self._lacks_instances() and first == shared[sharing.COMMITTED]
            if halt == sharing.TURN or (halt == sharing.FULL and stuck):
                course.turned = True
                break
            if halt == sharing.FULL:
                self._make_room_everywhere()
        course.repeated = int(shared[sharing.REPEATED])
        if course.turned:
            self.run_sequential(columns, int(shared[sharing.COMMITTED]))
        return course

    def run_waves(self, columns: Columns, order: Numbers, bounds: Numbers) -> Course:
        """Wave after wave on all threads. Nothing is done if a transaction had not declared what it touches (then the course
        is `undeclared`), or if there are too few instances for all threads (`turned`)."""
        shared = self._shared
        while True:
            for word in (sharing.NEXT, sharing.HALT, waves.WAVE, waves.DONE):
                shared[word] = 0
            for worker in self._workers:
                worker.words[access_set.IN_PLACE] = 1
                self._whole_buffers(worker)
            arguments = (columns.address, self._shared.ctypes.data, order, bounds)
            self.pool.run(
                *(
                    _bound(waves.run_waves, worker.address, number, *arguments)
                    for number, worker in enumerate(self._workers)
                )
            )
            halt = int(shared[sharing.HALT])
            if not halt:
                return Course("waves")
            needs = [
                (worker.words[access_set.NEEDS], worker.words[access_set.NEEDED]) for worker in self._workers
            ]
            self.undo()
            if halt == waves.UNDECLARED:
                return Course("waves", undeclared=True)
            if any(need == w.NEEDS_INSTANCES for need, _ in needs):
                for worker in self._workers:
                    worker.discard_instances()
                return Course("waves", turned=True)
            for worker, (need, needed) in zip(self._workers, needs, strict=True):
                worker.words[access_set.NEEDS], worker.words[access_set.NEEDED] = need, needed
            self._make_room_everywhere()

    # -------------------------------------------------------------------------------------------------

    def _on_first(self, function: object, *arguments: object) -> int:
        """Run compiled code on the first worker's thread; what it returns."""
        result: list[int] = []
        worker = self._workers[0].address
        self.pool.run(lambda: result.append(int(function(worker, *arguments))))  # type: ignore[operator]
        return result[0]

    def _share_out(self, columns: Columns) -> None:
        segments = optimistic.SEGMENTS
        tasks: list[Callable[[], object]] = []
        for number, worker in enumerate(self._workers):
            words = worker.words
            words[access_set.IN_PLACE] = 0
            words[access_set.NEEDS] = 0
            for need, least in (
                (access_set.NEEDS_ENTRIES, SEGMENT_ENTRIES),
                (access_set.NEEDS_VALUES, SEGMENT_VALUES),
            ):
                if worker.capacity(need) < segments * least:
                    worker.grow(need, segments * least - worker.capacity(need))
            entries = worker.capacity(access_set.NEEDS_ENTRIES) // segments
            values = worker.capacity(access_set.NEEDS_VALUES) // segments & ~63
            arguments = (worker.address, number, columns.address, self._shared.ctypes.data)
            tasks.append(_bound(optimistic.speculate, *arguments, TURN_PERCENT, entries, values))
        self.pool.run(*tasks)

    def _lacks_instances(self) -> bool:
        return any(worker.words[access_set.NEEDS] == w.NEEDS_INSTANCES for worker in self._workers)

    def _make_room_everywhere(self) -> None:
        for worker in self._workers:
            self._make_room(worker)

    def _make_room(self, worker: Worker) -> None:
        """Grow what was full at a worker.

        Raises:
            HostFunctionFailed: nothing was full, but a host function got no answer.
            EngineError: what the plug-in lacks cannot be brought.
            KeyboardInterrupt, SystemExit: it got none since somebody interrupts the program.
        """
        need, needed = int(worker.words[access_set.NEEDS]), int(worker.words[access_set.NEEDED])
        worker.words[access_set.NEEDS] = 0
        if need == access_set.NEEDS_KEYS:
            self._store.make_room(len(self._store.keys) // 2, needed)
            self._grow_marks()
        elif need == w.NEEDS_INSTANCES:
            for each in self._workers:
                each.discard_instances()
        elif need == w.NEEDS_ANSWER:
            raise no_answer(worker.address)
        elif need >= w.PLUG_IN_NEEDS and self._plug_in is not None:
            self._plug_in.make_room(worker.address, need, needed)
        elif need == access_set.NEEDS_CELLS:
            self._store.grow_cells(needed + TAKEN_AT_ONCE * len(self._workers))
            if worker.capacity(need) < needed + TAKEN_AT_ONCE:
                worker.grow(need, needed + TAKEN_AT_ONCE)
        elif need in (access_set.NEEDS_ENTRIES, access_set.NEEDS_VALUES):
            # Under speculation a transaction has one of many segments to itself.
            worker.grow(need, optimistic.SEGMENTS * needed)
        elif need:
            worker.grow(need, needed)

    def _whole_buffers(self, worker: Worker) -> None:
        for need in (access_set.NEEDS_ENTRIES, access_set.NEEDS_VALUES):
            worker.use_all(need)
        for word in (access_set.ENTRY_FIRST, access_set.ENTRY_COUNT, access_set.VALUES_USED):
            worker.words[word] = 0

    @staticmethod
    def _list(worker: Worker, address: int, count: int) -> Numbers:
        return worker.buffer(address, 8 * int(worker.words[count])).view(np.int64).copy()


def _bound(function: Callable[..., object], *arguments: object) -> Callable[[], object]:
    return lambda: function(*arguments)
