# SPDX-License-Identifier: GPL-3.0-or-later
"""A small block that is always at hand: executing it compiles what whole blocks need, precompiled contracts apart."""

from __future__ import annotations

import numpy as np

from supervm.crypto import hashes
from supervm.crypto.messages import Messages
from supervm.engine.ethereum.account_leaves import AccountLeaves, encoded_leaves
from supervm.engine.ethereum.proven_state import ProvenState
from supervm.engine.ethereum.receipts import block_bloom, logs_bloom, receipts_root
from supervm.engine.ethereum.rlp import encoded_list
from supervm.engine.ethereum.state_root import state_root
from supervm.engine.evm.accounts import Account, in_columns
from supervm.engine.evm.environment import Environment
from supervm.engine.evm.missing import unknown_slots
from supervm.engine.evm.rewards import Payment, withdrawal_payments
from supervm.engine.evm.roots import changes_of, world_root
from supervm.engine.evm.session import Session
from supervm.engine.evm.single_call import call_code
from supervm.engine.evm.world import World
from supervm.engine.state.store import key_numbers
from supervm.vm.evm import columns as c
from supervm.vm.evm.columns import TransactionColumns
from supervm.vm.evm.forks import fork_named

_CODE = bytes.fromhex("602060002060005560016000a16000600060006000600060045af100")
"""KECCAK256 of memory into slot 0, a log, a call of a precompiled contract."""

_SENDER, _CONTRACT, _OTHER = (bytes(19) + bytes([last]) for last in (0xA1, 0xA2, 0xA3))
_LEAF_PATH = 0x20
"""First byte of a leaf's path of 64 nibbles (Yellow Paper, appendix C)."""


def warm() -> None:
    """Compile the interpreter, execution in order and in parallel, receipts and roots."""
    session = Session(2)
    try:
        call_code(_CODE, b"", gas=100_000, session=session)
        world = World()
        accounts, codes = in_columns([Account(_SENDER, 0, 10**20), Account(_CONTRACT, 1, 1, _CODE, {1: 1})])
        world.load(accounts, codes)
        session.attach(world)
        environment = Environment(fork_named("Prague"), 1, 1, 1, _OTHER, 1 << 30, 1, 1)
        session.begin(environment)
        session.call_system(_CONTRACT, b"")
        columns = _columns()
        session.run(columns, np.zeros(2, np.int64), 0, 2)
        logs = session.logs(columns, range(2))
        session.pay([Payment(_OTHER, 1), *withdrawal_payments([encoded_list([b"", b"", _OTHER, b"\1"])])])
        session.move_all([_OTHER], _SENDER)
        unknown_slots(world, accounts, 0)
        blooms = logs_bloom(logs)
        block_bloom(blooms)
        gas = np.cumsum(columns[c.GAS_USED], dtype=np.uint64)
        receipts_root(columns[c.TYPES], np.ones(2, np.bool_), gas, blooms, logs)
        world_root(world)
        _warm_proofs(session)
        session.undo()
        session.begin(environment)
        team = session.team(environment)
        team.run(columns, environment, fewest=0)
        team.logs(columns, 2)
        team.undo()
    finally:
        session.close()


def _warm_proofs(session: Session) -> None:
    """A state of one account, as a witness with one node gives it, and what the block changes of it."""
    before = AccountLeaves.empty(1)
    address = np.frombuffer(_SENDER, np.uint8)[None]
    root = state_root(address, before)
    path = bytes([_LEAF_PATH]) + hashes.keccak256(_SENDER)
    proof = ProvenState(Messages.of([encoded_list([path, encoded_leaves(before)[0]])]), root)
    proof.slots(address, np.array([0, 1]), np.zeros((1, 32), np.uint8))
    proof.root_after(changes_of(session.world.changed(key_numbers(session.worker.written()))))


def _columns() -> TransactionColumns:
    """A call and a creation."""
    prices = np.array([[2, 0, 0, 0]] * 2, np.uint64)
    return TransactionColumns(
        {
            c.TYPES: np.zeros(2, np.uint8),
            c.SENDERS: np.tile(np.frombuffer(_SENDER, np.uint8), (2, 1)),
            c.HAS_TO: np.array([1, 0], np.uint8),
            c.TARGETS: np.tile(np.frombuffer(_CONTRACT, np.uint8), (2, 1)),
            c.NONCES: np.array([0, 1], np.uint64),
            c.VALUES: np.zeros((2, 4), np.uint64),
            c.GAS_LIMITS: np.array([200_000, 200_000], np.uint64),
            c.MAX_FEES: prices,
            c.PRIORITY_FEES: prices.copy(),
            c.BLOB_FEES: np.zeros((2, 4), np.uint64),
            c.INPUT: np.frombuffer(_CODE, np.uint8),
            c.INPUT_OFFSETS: np.array([0, 0, len(_CODE)]),
        }
    )
