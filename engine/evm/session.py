# SPDX-License-Identifier: GPL-3.0-or-later
"""`Session`: executes transactions, system calls and payments against a world, under the rules of any fork."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from supervm.engine.ethereum.receipts import Logs
from supervm.engine.evm.environment import Environment
from supervm.engine.evm.errors import MissingState
from supervm.engine.evm.evm_machine import MOST_CODES
from supervm.engine.evm.logs import logs_of_records
from supervm.engine.evm.parallel import Team
from supervm.engine.evm.rewards import Payment
from supervm.engine.evm.sequential import (
    MINT,
    MOVE_ALL,
    call_system,
    change_balances,
    run_in_order,
)
from supervm.engine.evm.trace import Tracer
from supervm.engine.evm.worker import EvmWorker
from supervm.engine.evm.world import World
from supervm.kernels.array_types import Bytes, Numbers, Words
from supervm.kernels.cpu.state.access_set import NEEDS
from supervm.vm.evm import columns as c
from supervm.vm.evm.code_store import CodeStore
from supervm.vm.evm.columns import TransactionColumns, to_words
from supervm.vm.evm.forks import Fork
from supervm.vm.evm.rules import Rule


class Session:
    """One worker, the world it works on, and the analysed codes of each fork that was used.

    Args:
        threads: of `run_parallel`.
    """

    def __init__(self, threads: int = 2) -> None:
        self._threads = threads
        self._team: Team | None = None
        self._stores: dict[tuple[str, bool], CodeStore] = {}
        self._kept: dict[tuple[str, bool], set[bytes]] = {}
        self._worker: EvmWorker | None = None
        self.world = World()

    @property
    def worker(self) -> EvmWorker:
        """The worker; there is one once a block has begun."""
        if self._worker is None:
            raise RuntimeError("no block has begun")
        return self._worker

    def attach(self, world: World) -> None:
        """Execute against this world from now on."""
        self.world = world
        if self._worker is not None:
            self._worker.attach(world)

    def begin(self, environment: Environment) -> None:
        """A block begins, as the next commit of the world's store."""
        codes = self._codes(environment.fork)
        if self._worker is None:
            self._worker = EvmWorker(self.world, codes)
        elif self._worker.codes is not codes:
            self._worker.use(codes)
        self._worker.begin_commit()
        self._worker.begin_block(environment)

    def _codes(self, fork: Fork, single: bool = False) -> CodeStore:
        """The analysed codes of a fork, those of the world among them; with `single` in blocks of one opcode."""
        key = fork.name, single
        if key not in self._stores or len(self._stores[key]) > MOST_CODES:
            self._stores[key], self._kept[key] = CodeStore(fork, single), set()
        store, kept = self._stores[key], self._kept[key]
        new = [(digest, code) for digest, code in self.world.codes.items() if digest not in kept]
        if new:
            digests = np.frombuffer(b"".join(digest for digest, _ in new), np.uint8).reshape(-1, 32)
            store.add([code for _, code in new], digests)
            kept.update(digest for digest, _ in new)
        return store

    def run(
        self, columns: TransactionColumns, known: Numbers | None, start: int, stop: int
    ) -> tuple[int, MissingState | None]:
        """Execute the transactions from `start` below `stop`.

        Args:
            columns: the block's.
            known: int64 (n,): gets how many keys the state has had in all, after each transaction; None if nobody asks.

        Returns:
            `stop`, or the transaction that could not be executed; and what it lacks, None where it breaks a rule.
        """
        worker = self.worker
        places = worker.machine.address, columns.address, 0 if known is None else known.ctypes.data
        while True:
            worker.words[NEEDS] = 0
            start = int(run_in_order(*places, start, stop))
            if start == stop or not worker.words[NEEDS]:
                return start, None
            try:
                worker.make_room()
            except MissingState as missing:
                return start, missing

    def run_traced(
        self, columns: TransactionColumns, known: Numbers | None, item: int, *, memory: bool = False
    ) -> tuple[int, MissingState | None, list[dict[str, Any]]]:
        """As `run`, for one transaction; and a line for each opcode, as EIP-3155 has them, and one for the end.

        Args:
            memory: whether each line has the frame's memory in it.
        """
        worker = self.worker
        usual = worker.codes
        worker.use(self._codes(usual.fork, single=True), single=True)
        tracer = Tracer(worker.machine, memory=memory)
        tracer.install()
        try:
            done, missing = self.run(columns, known, item, item + 1)
        finally:
            worker.use(usual)
        if tracer.failure is not None:
            raise tracer.failure
        first, size = (int(columns[word][item]) for word in (c.OUTPUT_PLACES, c.OUTPUT_SIZES))
        end = {
            "output": "0x" + worker.logs()[first : first + size].tobytes().hex(),
            "gasUsed": hex(int(columns[c.GAS_USED][item])),
            "pass": bool(columns[c.SUCCESS][item]),
            "fork": usual.fork.name,
        }
        return done, missing, [*tracer.lines, end]

    def run_one(self, columns: TransactionColumns, item: int) -> Rule | None:
        """Execute one transaction; the rule that it breaks, if it does.

        Raises:
            MissingState: it reaches what nobody has given.
        """
        done, missing = self.run(columns, None, item, item + 1)
        if missing is not None:
            raise missing
        return Rule(int(columns[c.RULES][item])) if done == item else None

    def call_system(self, target: bytes, data: bytes) -> tuple[int, bytes]:
        """Call a contract as the system does; the status and the output."""
        word = words_of(target)
        area = ctypes.create_string_buffer(data, max(len(data), 1))
        place = ctypes.addressof(area)
        status = self.worker.repeat(call_system, word.ctypes.data, place, len(data))
        return status, self.worker.output()

    def pay(self, payments: Sequence[Payment]) -> None:
        """Give wei that come from nowhere."""
        if payments:
            amounts = words_of(*(payment.amount.to_bytes(32) for payment in payments))
            self._change(MINT, words_of(*(payment.address for payment in payments)), amounts)

    def move_all(self, givers: Sequence[bytes], receiver: bytes) -> None:
        """Move everything that accounts have to one."""
        self._change(MOVE_ALL, words_of(*givers), words_of(*[receiver] * len(givers)))

    def _change(self, kind: int, addresses: Words, others: Words) -> None:
        places = addresses.ctypes.data, others.ctypes.data
        self.worker.repeat(change_balances, kind, *places, 0, len(addresses))

    def logs(self, columns: TransactionColumns, items: Sequence[int]) -> Logs:
        """The logs of these transactions, which were executed since `begin`."""
        rows = np.array(items, np.int64)
        places = self.worker.logs_address + columns[c.LOG_PLACES][rows]
        return logs_of_records(places, columns[c.LOG_COUNTS][rows])

    def team(self, environment: Environment) -> Team:
        """Who executes the block that has begun in parallel; this session's worker is the first of them."""
        if self._team is None:
            self._team = Team(self.worker, self._threads)
        self._team.begin()
        return self._team

    def close(self) -> None:
        """End the threads, if there are any."""
        if self._team is not None:
            self._team.close()

    def undo(self) -> None:
        """Nothing of the block has happened."""
        self.worker.undo()


def _rows(rows: Sequence[bytes]) -> Bytes:
    return np.frombuffer(b"".join(rows), np.uint8).reshape(-1, 32)


def words_of(*parts: bytes) -> Words:
    """Values (n, 4) of big-endian bytes, at most 32 each."""
    return to_words(_rows([part.rjust(32, b"\0") for part in parts]))
