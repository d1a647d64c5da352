# SPDX-License-Identifier: GPL-3.0-or-later
"""`Team`: workers that execute the transactions of a block in parallel, with the result of block order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from supervm.engine.ethereum.receipts import Logs
from supervm.engine.evm import speculation as s
from supervm.engine.evm.environment import Environment
from supervm.engine.evm.logs import logs_of_records
from supervm.engine.evm.sequential import run_in_order
from supervm.engine.evm.worker import KEYS_WRITTEN, EvmWorker
from supervm.engine.execution.pool import ExecutionPool
from supervm.kernels.array_types import Numbers
from supervm.kernels.cpu.state import access_set, sharing
from supervm.vm.evm import columns as c
from supervm.vm.evm.columns import TransactionColumns
from supervm.vm.evm.forks import BLOB_MAX, NO_LIMIT
from supervm.vm.evm.intrinsic_gas import TRANSACTION_GAS
from supervm.vm.evm.transaction_words import BLOCK_BLOBS_LEFT, BLOCK_GAS_LEFT

SEGMENT_ENTRIES, SEGMENT_VALUES = 1 << 12, 1 << 18
"""Entries and bytes of values for one chunk of speculation, at first."""

FEWEST = 128
"""Transactions of a block below which waking threads and committing in turn costs more than they save: blocks of mainnet and
of a test chain with 4 to 66 transactions took 1.1 to 1.6 times as long on two threads."""

LEAST_GAS = 4_000_000
"""Gas for code, the limits of transactions with input, and `GAS_BESIDE` for each transaction, below which likewise: what is
executed in order in half a millisecond, if half of the limits is used."""

GAS_BESIDE = 3_000
"""Gas of code that takes as long as what a transaction does besides: 0.6 µs."""


def _is_worth_it(columns: TransactionColumns, fewest: int) -> bool:
    """Whether a block is executed by a team; `fewest` 0 says that it is, whatever it costs."""
    count = len(columns)
    if not fewest or count < fewest:
        return count > 0 and not fewest
    called = np.diff(columns[c.INPUT_OFFSETS]) > 0
    for_code = int(columns[c.GAS_LIMITS][called].sum()) - int(called.sum()) * TRANSACTION_GAS
    return for_code + count * GAS_BESIDE >= LEAST_GAS


@dataclass
class Course:
    """How a block went: transactions that were committed, those that were executed again, whether the rest was done in
    order because of those."""

    executed: int = 0
    repeated: int = 0
    turned: bool = False


class Team:
    """Workers over one world, the first on the thread that calls, with a thread for each of the others; those are made for
    the first block that is worth it.

    Args:
        first: executes what is not a transaction, and what is not worth a team.
        threads: at least one.
    """

    def __init__(self, first: EvmWorker, threads: int) -> None:
        self._threads = threads
        self._all = [first]
        self._at_work = self._all[:1]
        self._pool: ExecutionPool | None = None
        self._machines = np.zeros(threads, np.int64)
        self._shared = sharing.shared_words(self._machines, s.FURTHER)
        self._heat = np.zeros(1 << s.HEAT_BITS, np.int64)
        self._shared[s.HEAT] = self._heat.ctypes.data

    def close(self) -> None:
        """End the threads, if there are any."""
        if self._pool is not None:
            self._pool.close()

    def begin(self) -> None:
        """A block has begun, on the first worker."""
        self._at_work = self._all[:1]

    def run(self, columns: TransactionColumns, environment: Environment, *, fewest: int = FEWEST) -> Course:
        """Execute the block's transactions; `executed` is less than all of them where one breaks a rule.

        Args:
            columns: the transactions.
            environment: of the block.
            fewest: a block of fewer transactions, or of less gas than `LEAST_GAS`, is executed in order, on the first
                worker; 0: no block is.

        Raises:
            MissingState: execution reached what nobody has given.
        """
        shared, total, course = self._shared, len(columns), Course()
        for word in (sharing.COMMITTED, sharing.START, sharing.REPEATED):
            shared[word] = 0
        shared[sharing.STOP], shared[s.GAS_LEFT] = total, environment.gas_limit
        shared[s.BLOBS_LEFT] = environment.fork[BLOB_MAX] or NO_LIMIT
        if self._threads == 1 or not _is_worth_it(columns, fewest):
            course.executed = self._rest_in_order(columns, 0)
            return course
        self._assemble(environment, total)
        columns[c.READY][:] = s.WAITING
        while shared[sharing.COMMITTED] < total:
            shared[sharing.HALT] = shared[sharing.LOCK] = 0
            shared[sharing.NEXT] = shared[sharing.COMMITTED]
            columns[c.READY][int(shared[sharing.COMMITTED]) :] = s.WAITING
            self._share_out(columns)
            halt = int(shared[sharing.HALT])
            if halt == sharing.TURN or halt == s.BROKEN:
                course.turned = halt == sharing.TURN
                break
            if halt == sharing.FULL:
                for worker in self._at_work:
                    worker.make_room(s.SEGMENTS)
        course.executed, course.repeated = int(shared[sharing.COMMITTED]), int(shared[sharing.REPEATED])
        if course.turned:
            course.executed = self._rest_in_order(columns, course.executed)
        return course

    def logs(self, columns: TransactionColumns, executed: int) -> Logs:
        """The logs of the transactions that were executed."""
        places = np.array([worker.logs_address for worker in self._at_work], np.int64)
        bases = places[columns[c.OWNERS][:executed]]
        return logs_of_records(bases + columns[c.LOG_PLACES][:executed], columns[c.LOG_COUNTS][:executed])

    def written(self) -> Numbers:
        """The keys that the block wrote, as `versions.HAS_MORE` says."""
        return np.concatenate([worker.written() for worker in self._at_work])

    def undo(self) -> None:
        """Nothing of the block has happened."""
        self._all[0].world.store.undo(self.written())
        for worker in self._at_work:
            worker.begin_commit()

    def _assemble(self, environment: Environment, transactions: int) -> None:
        """Let all workers, which are made where they are not there yet, begin the block, with room for its transactions:
        who lacks room halts all the others."""
        first = self._all[0]
        if self._pool is None:
            self._pool = ExecutionPool(self._threads - 1)
            self._all += [EvmWorker(first.world, first.codes) for _ in range(1, self._threads)]
            self._machines[:] = [worker.machine.address for worker in self._all]
        for worker in self._all[1:]:
            if worker.world is not first.world:
                worker.attach(first.world)
            if worker.codes is not first.codes:
                worker.use(first.codes)
            worker.begin_commit()
            worker.begin_block(environment)
        first.world.store.reserve_cells(KEYS_WRITTEN * transactions)
        for worker in self._all:
            worker.expect(transactions)
        self._at_work = self._all

    def _share_out(self, columns: TransactionColumns) -> None:
        assert self._pool is not None
        tasks: list[Callable[[], object]] = []
        for number, worker in enumerate(self._at_work):
            worker.words[access_set.IN_PLACE] = worker.words[access_set.NEEDS] = 0
            entries, values = worker.segments(s.SEGMENTS, SEGMENT_ENTRIES, SEGMENT_VALUES)
            places = (
                worker.machine.address,
                number,
                columns.address,
                int(self._shared.ctypes.data),
                entries,
                values,
            )
            tasks.append(partial(s.speculate, *places))
        own, *others = tasks
        self._pool.run(*others, own=own)
        for worker in self._at_work:
            worker.use_whole_buffers()

    def _rest_in_order(self, columns: TransactionColumns, start: int) -> int:
        worker, words = self._all[0], self._all[0].machine.words
        words[BLOCK_GAS_LEFT], words[BLOCK_BLOBS_LEFT] = self._shared[s.GAS_LEFT], self._shared[s.BLOBS_LEFT]
        worker.words[access_set.IN_PLACE] = 1  # nobody else reads
        columns[c.OWNERS][start:] = 0
        while start < len(columns):
            worker.words[access_set.NEEDS] = 0
            start = int(run_in_order(worker.machine.address, columns.address, 0, start, len(columns)))
            if not worker.words[access_set.NEEDS]:
                break
            worker.make_room()
        return start
