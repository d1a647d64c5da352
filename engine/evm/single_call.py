# SPDX-License-Identifier: GPL-3.0-or-later
"""One call of a piece of code, in a world that has nothing else."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np

from supervm.engine.ethereum.receipts import Logs
from supervm.engine.evm.accounts import Account, in_columns
from supervm.engine.evm.environment import MAINNET, Environment
from supervm.engine.evm.logs import logs_of_records
from supervm.engine.evm.sequential import call_alone
from supervm.engine.evm.session import Session, words_of
from supervm.engine.evm.world import World
from supervm.vm.evm import machine as m
from supervm.vm.evm.forks import FORKS, HAS_BASE_FEE, HAS_RANDAO, Fork
from supervm.vm.evm.machine import REVERT, SUCCESS
from supervm.vm.evm.state.records import LOG_COUNT, REFUND

CONTRACT = bytes.fromhex("c0de").rjust(20, b"\0")
"""Where the code stands."""

CALLER = bytes.fromhex("ca11e2").rjust(20, b"\0")
"""Who calls it."""

BALANCE = 10**24
"""What the caller has, in wei."""


@dataclass(frozen=True)
class CallOutcome:
    """What a call left.

    Args:
        success: whether it ended by STOP, RETURN or SELFDESTRUCT.
        output: what it returned, or reverted with.
        gas_used: of what it was given, before refunds.
        refund: the refund counter.
        logs: of a successful call.
        error: '' of a success, 'revert', or why it halted.
    """

    success: bool
    output: bytes
    gas_used: int
    refund: int
    logs: Logs
    error: str


def call_code(
    code: bytes,
    data: bytes,
    *,
    gas: int,
    value: int = 0,
    fork: Fork | None = None,
    session: Session | None = None,
) -> CallOutcome:
    """Call a code once.

    Args:
        code: of the contract.
        data: the input.
        gas: that the call has; nothing is taken for a transaction.
        value: wei that come with it, at most `BALANCE`.
        fork: whose rules hold; by default the newest that mainnet has.
        session: to run it with.

    Raises:
        MissingState: it asks for the hash of a block.
    """
    rules = fork or [one for one in FORKS if one.block is not None or one.time is not None][-1]
    world = World()
    world.load(*in_columns([Account(CONTRACT, 1, 0, code), Account(CALLER, 0, BALANCE)]))
    session = session or Session()
    session.attach(world)
    session.begin(_environment(rules))
    worker = session.worker
    area = ctypes.create_string_buffer(data, max(len(data), 1))
    places = [words_of(part) for part in (CALLER, CONTRACT, value.to_bytes(32))]
    try:
        status = worker.repeat(
            call_alone, *(place.ctypes.data for place in places), ctypes.addressof(area), len(data), gas
        )
        words = worker.machine.words
        success = status == SUCCESS
        count = int(words[LOG_COUNT]) if success else 0
        return CallOutcome(
            success=success,
            output=worker.output(),
            gas_used=gas - int(words[m.GAS_LEFT]),
            refund=int(words[REFUND]) if success else 0,
            logs=logs_of_records(np.array([worker.logs_address]), np.array([count])),
            error="" if success else "revert" if status == REVERT else worker.halt_reason(),
        )
    finally:
        session.undo()


def _environment(fork: Fork) -> Environment:
    """A block of which nothing matters but its fork."""
    return Environment(
        fork=fork,
        chain_id=MAINNET,
        number=1,
        timestamp=1,
        coinbase=bytes(20),
        gas_limit=1 << 62,
        base_fee=1 if fork[HAS_BASE_FEE] else 0,
        random=1 if fork[HAS_RANDAO] else 0,
    )
