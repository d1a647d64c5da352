# SPDX-License-Identifier: GPL-3.0-or-later
"""`Team`: workers that execute the transactions of a block in parallel, with the result of block order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from supervm.engine.ethereum.receipts import Logs
from supervm.engine.evm import speculation as s
from supervm.engine.evm.environment import Environment
from supervm.engine.evm.logs import logs_of_records
from supervm.engine.evm.sequential import run_in_order
from supervm.engine.evm.worker import EvmWorker
from supervm.engine.execution.pool import ExecutionPool
from supervm.kernels.array_types import Numbers
from supervm.kernels.cpu.state import access_set, sharing
from supervm.vm.evm import columns as c
from supervm.vm.evm.columns import TransactionColumns
from supervm.vm.evm.forks import BLOB_MAX, NO_LIMIT
from supervm.vm.evm.transaction_words import BLOCK_BLOBS_LEFT, BLOCK_GAS_LEFT

SEGMENT_ENTRIES, SEGMENT_VALUES = 1 << 12, 1 << 18
"""Entries and bytes of values for one chunk of speculation, at first."""

FEWEST = 128
"""Transactions of a block below which waking threads and committing in turn costs more than they save: blocks of mainnet and
of a test chain with 4 to 66 transactions took 1.1 to 1.6 times as long on two threads."""


@dataclass
class Course:
    """How a block went: transactions that were committed, those that were executed again, whether the rest was done in
    order because of those."""

    executed: int = 0
    repeated: int = 0
    turned: bool = False


class Team:
    """Workers over one world, with a thread each.

    Args:
        workers: at least one; the first executes what is not a transaction.
    """

    def __init__(self, workers: list[EvmWorker]) -> None:
        self.workers = workers
        self._pool = ExecutionPool(len(workers))
        self._machines = np.array([worker.machine.address for worker in workers], np.int64)
        self._shared = sharing.shared_words(self._machines, s.FURTHER)

    def close(self) -> None:
        """End the threads."""
        self._pool.close()

    def run(self, columns: TransactionColumns, environment: Environment, *, fewest: int = FEWEST) -> Course:
        """Execute the block's transactions; `executed` is less than all of them where one breaks a rule.

        Args:
            columns: the transactions.
            environment: of the block.
            fewest: a block of fewer transactions is executed in order, on the first worker.

        Raises:
            MissingState: execution reached what nobody has given.
        """
        shared, total, course = self._shared, len(columns), Course()
        for word in (sharing.COMMITTED, sharing.START, sharing.REPEATED):
            shared[word] = 0
        shared[sharing.STOP], shared[s.GAS_LEFT] = total, environment.gas_limit
        shared[s.BLOBS_LEFT] = environment.fork[BLOB_MAX] or NO_LIMIT
        columns[c.READY][:] = s.WAITING
        if total < fewest:
            course.executed = self._rest_in_order(columns, 0)
            return course
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
                for worker in self.workers:
                    worker.make_room(s.SEGMENTS)
        course.executed, course.repeated = int(shared[sharing.COMMITTED]), int(shared[sharing.REPEATED])
        if course.turned:
            course.executed = self._rest_in_order(columns, course.executed)
        return course

    def logs(self, columns: TransactionColumns, executed: int) -> Logs:
        """The logs of the transactions that were executed."""
        places = np.array([worker.logs_address for worker in self.workers], np.int64)
        bases = places[columns[c.OWNERS][:executed]]
        return logs_of_records(bases + columns[c.LOG_PLACES][:executed], columns[c.LOG_COUNTS][:executed])

    def written(self) -> Numbers:
        """The keys that the block wrote, as `versions.HAS_MORE` says."""
        return np.concatenate([worker.written() for worker in self.workers])

    def undo(self) -> None:
        """Nothing of the block has happened."""
        self.workers[0].world.store.undo(self.written())
        for worker in self.workers:
            worker.begin_commit()

    def _share_out(self, columns: TransactionColumns) -> None:
        tasks: list[Callable[[], object]] = []
        for number, worker in enumerate(self.workers):
            worker.words[access_set.IN_PLACE] = worker.words[access_set.NEEDS] = 0
            entries, values = worker.segments(s.SEGMENTS, SEGMENT_ENTRIES, SEGMENT_VALUES)
            arguments = (
                worker.machine.address,
                number,
                columns.address,
                self._shared.ctypes.data,
                entries,
                values,
            )
            tasks.append(_bound(s.speculate, *arguments))
        self._pool.run(*tasks)
        for worker in self.workers:
            worker.use_whole_buffers()

    def _rest_in_order(self, columns: TransactionColumns, start: int) -> int:
        worker, words = self.workers[0], self.workers[0].machine.words
        words[BLOCK_GAS_LEFT], words[BLOCK_BLOBS_LEFT] = (
            self._shared[s.GAS_LEFT],
            self._shared[s.BLOBS_LEFT],
        )
        known = np.zeros(len(columns), np.int64)
        columns[c.OWNERS][start:] = 0
        while start < len(columns):
            worker.words[access_set.NEEDS] = 0
            places = worker.machine.address, columns.address, known.ctypes.data
            start = int(run_in_order(*places, start, len(columns)))
            if not worker.words[access_set.NEEDS]:
                break
            worker.make_room()
        return start


def _bound(function: Callable[..., object], *arguments: object) -> Callable[[], object]:
    return lambda: function(*arguments)
