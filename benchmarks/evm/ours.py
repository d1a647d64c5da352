# SPDX-License-Identifier: GPL-3.0-or-later
"""This project's EVM on the suite's programs and blocks."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from supervm.benchmarks.errors import RunsDisagree
from supervm.benchmarks.evm.peers import Answer
from supervm.benchmarks.evm.programs import FORK, Program
from supervm.engine.evm.accounts import Account, in_columns
from supervm.engine.evm.environment import Environment
from supervm.engine.evm.session import Session
from supervm.engine.evm.world import World
from supervm.kernels.array_types import Bytes
from supervm.vm.evm import columns as c
from supervm.vm.evm.columns import TransactionColumns, to_words
from supervm.vm.evm.forks import fork_named


class OurEvm:
    """A session that runs programs, each on its own state."""

    def __init__(self) -> None:
        self._session = Session()

    def run(self, program: Program, times: int) -> tuple[Answer, list[float]]:
        """The answer of a program, and the seconds of each time, undone after it.

        Raises:
            RunsDisagree: a transaction that breaks a rule, or two answers.
        """
        session, world = self._session, World()
        accounts = [
            Account(address, place.nonce, place.balance, place.code, place.storage)
            for address, place in program.places.items()
        ]
        world.load(*in_columns(accounts))
        session.attach(world)
        columns, environment = _columns(program), _environment(program)
        answers: set[Answer] = set()
        seconds = []
        for _ in range(times):
            session.begin(environment)
            begun = perf_counter()
            done, missing = session.run(columns, None, 0, 1)
            seconds.append(perf_counter() - begun)
            if done != 1:
                found = str(missing) if missing else f"rule {int(columns[c.RULES][0])} broken"
                raise RunsDisagree(program.name, found, "a transaction that is executed")
            answers.add(self._answer(columns))
            session.undo()
        if len(answers) != 1:
            raise RunsDisagree(program.name, f"{len(answers)} answers", "one")
        return answers.pop(), seconds

    def _answer(self, columns: TransactionColumns) -> Answer:
        first, size = int(columns[c.OUTPUT_PLACES][0]), int(columns[c.OUTPUT_SIZES][0])
        output = self._session.worker.logs()[first : first + size].tobytes().hex()
        return bool(columns[c.SUCCESS][0]), int(columns[c.GAS_USED][0]), output


def _environment(program: Program) -> Environment:
    block = program.environment
    return Environment(
        fork=fork_named(FORK),
        chain_id=block.chain_id,
        number=block.number,
        timestamp=block.timestamp,
        coinbase=block.coinbase,
        gas_limit=block.gas_limit,
        base_fee=0,
        random=block.random,
    )


def _columns(program: Program) -> TransactionColumns:
    """The call as a legacy transaction of gas price 0."""
    call = program.call
    nothing = to_words(np.zeros((1, 32), np.uint8))
    return TransactionColumns(
        {
            c.TYPES: np.zeros(1, np.uint8),
            c.SENDERS: _row(call.sender),
            c.HAS_TO: np.ones(1, np.uint8),
            c.TARGETS: _row(call.to),
            c.NONCES: np.array([program.places[call.sender].nonce], np.uint64),
            c.VALUES: to_words(_row(call.value.to_bytes(32))),
            c.GAS_LIMITS: np.array([call.gas], np.uint64),
            c.MAX_FEES: nothing,
            c.PRIORITY_FEES: nothing.copy(),
            c.BLOB_FEES: nothing.copy(),
            c.INPUT: np.frombuffer(call.data, np.uint8).copy(),
            c.INPUT_OFFSETS: np.array([0, len(call.data)], np.int64),
        }
    )


def _row(data: bytes) -> Bytes:
    return np.frombuffer(data, np.uint8).reshape(1, -1).copy()
