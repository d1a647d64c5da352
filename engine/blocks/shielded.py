# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls of shielded pools in a block (docs/privacy-pool.md): what is rejected beforehand, what is known before the block is
executed, and what is done to the pools after it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from supervm.engine.arrays import amounts, ragged
from supervm.engine.blocks.interning import InternedBatch, InternedCalls
from supervm.engine.blocks.kernels import NOBODY, find_rows
from supervm.engine.execution import columns as c
from supervm.engine.execution.columns import Columns
from supervm.engine.execution.shielded import (
    EVENT_BYTES,
    EVENT_PARTS,
    FEE,
    HELD,
    KEYS,
    KNOWN_REASON,
    POOL_BYTES,
    PUBLIC_IN,
    PUBLIC_OUT,
    RECIPIENT,
    TIGHT,
    UNIT,
    WORDS,
    number_notes,
)
from supervm.engine.privacy import shielded_calls as calls_of
from supervm.engine.privacy.shielded_calls import NOTES
from supervm.engine.state import pools
from supervm.engine.state.pools import DEPTH, Pool, PoolState
from supervm.engine.state.store import StateStore
from supervm.engine.transactions.batch import TransactionBatch
from supervm.kernels.array_types import Bytes, Numbers
from supervm.vm.gas import SHIELDED_NOTE
from supervm.vm.outcomes import Reason

_WORD, _ADDRESS = 8, POOL_BYTES
_AMOUNTS = (calls_of.PUBLIC_IN, calls_of.PUBLIC_OUT, calls_of.FEE)

CALL_GAS = NOTES * SHIELDED_NOTE
"""Intrinsic gas of a call beside that of any private call."""


class Pools:
    """The pools that stand in the state; who changes them, or looks one up, has the lock of `layout.Contracts`."""

    def __init__(self) -> None:
        self.pools: list[Pool] = []
        self._by_account: dict[int, int] = {}

    def place(self, pool: Pool) -> None:
        """A pool stands in the state."""
        self._by_account[pool.account] = len(self.pools)
        self.pools.append(pool)

    def clear(self) -> None:
        """None does any more."""
        self.pools, self._by_account = [], {}

    def at(self, address: bytes) -> Pool | None:
        """The pool at an address, 20 bytes; None if there is none."""
        return next((pool for pool in self.pools if pool.address == address), None)

    def of_addresses(self, addresses: Bytes) -> Numbers:
        """The number of the pool at each address, uint8 (n, 20), `NOBODY` where none is; int64 (n,)."""
        found = np.full(len(addresses), NOBODY, np.int64)
        for number, pool in enumerate(self.pools):
            found[(addresses == np.frombuffer(pool.address, np.uint8)).all(axis=1)] = number
        return found

    def of_accounts(self, accounts: Numbers) -> Numbers:
        """The number of the pool at each account, by key number, `NOBODY` where none is; int64 (n,)."""
        found = np.full(len(accounts), NOBODY, np.int64)
        for account, number in self._by_account.items():
            found[accounts == account] = number
        return found


@dataclass(eq=False)
class ShieldedCalls:
    """The calls of pools that are not rejected beforehand, k of them.

    Args:
        pools: of the state.
        interned: the calls and their keys.
        which: int64 (k,), the pool of each.
        words: int64 (k, `WORDS`), for compiled code.
        events: uint8 (k, 2, `EVENT_BYTES`), likewise.
        states: of the pools that are called, before the block.
        tight: pools that may hold too little for the block.
    """

    pools: list[Pool]
    interned: InternedCalls
    which: Numbers
    words: Numbers
    events: Bytes
    states: dict[int, PoolState] = field(default_factory=dict)
    tight: set[int] = field(default_factory=set)

    @property
    def rows(self) -> Numbers:
        """Which transactions they are, int64 (k,)."""
        return self.interned.calls.rows

    def column(self, place: int) -> NDArray[np.uint64]:
        """A column of the words, uint64 (k,)."""
        words: NDArray[np.uint64] = self.words[:, place // _WORD].view(np.uint64)
        return words

    def begin(self, store: StateStore, columns: Columns) -> None:
        """The block is about to be executed on the last commit: what fails in any case, and which pools are tight."""
        senders = columns[c.SENDERS][self.rows]
        for number in np.unique(self.which).tolist():
            state = self.states[number] = pools.read(store, self.pools[number])
            mine = np.flatnonzero(self.which == number)
            roots = self.interned.calls.inputs[mine, calls_of.ROOT]
            known = np.empty(len(mine), np.bool_)
            find_rows(*(np.ascontiguousarray(each).view(np.uint64) for each in (roots, state.recent)), known)
            room = state.notes + NOTES * np.arange(1, len(mine) + 1) <= 1 << DEPTH
            reasons = np.select([~known, ~room], [Reason.UNKNOWN_ROOT, Reason.POOL_FULL], 0)
            self.column(KNOWN_REASON)[mine] = reasons
            if self._most_leaves(mine) > state.held:
                self.tight.add(number)
                self.column(TIGHT)[mine] = 1
        tight = self.column(TIGHT) != 0
        numbers = np.array([pool.held for pool in self.pools], np.int64)[self.which]
        columns[c.DECLARED][self._places(columns) + HELD] = np.where(tight, numbers, senders)

    def _most_leaves(self, mine: Numbers) -> int:
        """A bound of the units that these calls take from their pool, in whatever order, and whichever of them fail."""
        come, out, fee = (self.column(place)[mine] for place in (PUBLIC_IN, PUBLIC_OUT, FEE))
        takes = (out + fee < out) | (out + fee > come)
        return amounts.word_total(out[takes]) + amounts.word_total(fee[takes])

    def _places(self, columns: Columns) -> Numbers:
        """Where among the announced keys those of the calls begin, int64 (k,)."""
        places: Numbers = columns[c.DECLARED_OFFSETS][self.rows]
        return places

    def finish(self, store: StateStore, columns: Columns, left: Numbers, backend: str) -> tuple[Numbers, int]:
        """The block is executed: number its notes in their events, and write the pools under the next commit's number.

        Args:
            store: of the state.
            columns: of the block, with results.
            left: int64, address of what each worker left behind.
            backend: where the trees are hashed.

        Returns:
            (the keys that were written, as `versions.HAS_MORE` says; the sum of all fees, in units of balances).
        """
        good = columns[c.REASONS][self.rows] == 0
        fees, changed = 0, []
        for number, state in self.states.items():
            done = np.flatnonzero(good & (self.which == number))
            if not len(done):
                continue
            first = state.notes + NOTES * np.arange(len(done), dtype=np.int64)
            number_notes(columns.address, left, self.rows[done], first)
            inputs = self.interned.calls.inputs[done, calls_of.COMMITMENT : calls_of.COMMITMENT + NOTES]
            state = state.appended(inputs.reshape(NOTES * len(done), -1), backend)
            come, out, fee = (
                amounts.word_total(self.column(place)[done]) for place in (PUBLIC_IN, PUBLIC_OUT, FEE)
            )
            state = replace(state, held=state.held + come - out - fee)
            fees += fee * state.unit
            changed.append(state.entries(self.pools[number], held=number not in self.tight))
        if not changed:
            return np.zeros(0, np.int64), 0
        numbers = np.concatenate([each for each, _ in changed])
        values = ragged.joined([each for _, each in changed])
        return store.put(numbers, values.ragged, np.ones(len(numbers), np.bool_)), fees


def reject(
    interned: InternedBatch, called: Numbers, registered: list[Pool], chain_id: int, rejected: Bytes
) -> ShieldedCalls | None:
    """Reject the transactions to pools that are wrong in every state; the calls that are not.

    Args:
        interned: a block of n.
        called: int64 (n,), the number of the pool at each `to`, `NOBODY` where none is.
        registered: the pools of the state.
        chain_id: the engine's.
        rejected: uint8 (n,), reasons so far; others are added where there is none.
    """
    to = (called != NOBODY) & (rejected == 0)
    if not to.any():
        return None
    found = interned.shielded
    forms = None if found is None else found.calls
    rejected[to] = wrong_calls(interned.batch, forms, called, registered, chain_id)[to]
    if found is None:
        return None
    places = np.flatnonzero(to[found.calls.rows] & (rejected[found.calls.rows] == 0))
    return _laid_out(found, places, called, registered)


def wrong_calls(
    batch: TransactionBatch,
    found: calls_of.ShieldedCalls | None,
    called: Numbers,
    registered: list[Pool],
    chain_id: int,
) -> NDArray[np.uint8]:
    """What is wrong in every state with transactions to pools, `Reason` or 0, uint8 (n,); 0 for all others.

    Args:
        found: the calls of pools in the batch, by their form; None if there are none.
        batch, called, registered, chain_id: as of `reject`.
    """
    to = called != NOBODY
    required = ~batch.private | (np.diff(batch.entry.offsets) == 0)
    conditions = [~to, required, ~calls_of.has_circuit(batch), ~calls_of.has_notes(batch)]
    reasons = [0, Reason.PROOF_REQUIRED, Reason.WRONG_CIRCUIT, Reason.BAD_NOTES]
    # Whatever it is otherwise, it is no call of a pool; of those that are, more is looked at.
    wrong = np.select(conditions, reasons, Reason.WRONG_CIRCUIT).astype(np.uint8)
    if found is not None:
        calls = found.take(np.flatnonzero(to[found.rows]))
        wrong[calls.rows] = _wrong(batch, calls, called, registered, chain_id)
    return wrong


def _wrong(
    batch: TransactionBatch,
    calls: calls_of.ShieldedCalls,
    called: Numbers,
    registered: list[Pool],
    chain_id: int,
) -> NDArray[np.uint8]:
    """What public inputs and value of each call of a pool break, `Reason` or 0."""
    inputs = calls.inputs
    meant = np.zeros((len(calls), 32), np.uint8)
    meant[:, -_ADDRESS:] = batch.to[calls.rows]
    meant[:, -_ADDRESS - _WORD : -_ADDRESS] = np.frombuffer(chain_id.to_bytes(_WORD), np.uint8)
    long = inputs[:, _AMOUNTS, :-_WORD].any(axis=(1, 2))
    long |= inputs[:, calls_of.RECIPIENT, :-_ADDRESS].any(axis=1)
    come, units = _amounts(inputs, calls_of.PUBLIC_IN), _units(registered)[called[calls.rows]]
    paid = amounts.to_big_endian(amounts.products(come, units))
    conditions = [
        (inputs[:, calls_of.POOL] != meant).any(axis=1),
        long,
        (batch.value[calls.rows] != paid).any(axis=1),
    ]
    return np.select(conditions, [Reason.WRONG_POOL, Reason.OUT_OF_RANGE, Reason.WRONG_VALUE], 0).astype(
        np.uint8
    )


def _amounts(inputs: Bytes, place: int) -> NDArray[np.uint64]:
    """The low 64 bits of a public input of each call, uint64 (k,)."""
    return np.ascontiguousarray(inputs[:, place, -_WORD:]).view(">u8")[:, 0].astype(np.uint64)


def _units(registered: list[Pool]) -> NDArray[np.uint64]:
    return np.array([pool.unit for pool in registered], np.uint64)


def _addresses(registered: list[Pool]) -> Bytes:
    return np.frombuffer(b"".join(pool.address for pool in registered), np.uint8).reshape(-1, _ADDRESS)


def _laid_out(
    found: InternedCalls, places: Numbers, called: Numbers, registered: list[Pool]
) -> ShieldedCalls:
    """The calls at these places of those that a block has, for compiled code."""
    taken = found.take(places)
    which, inputs = called[taken.calls.rows], taken.calls.inputs
    words = np.zeros((len(places), WORDS), np.int64)
    for place, source in zip((PUBLIC_IN, PUBLIC_OUT, FEE), _AMOUNTS, strict=True):
        words[:, place // _WORD] = _amounts(inputs, source).view(np.int64)
    words[:, UNIT // _WORD] = _units(registered)[which].view(np.int64)
    events = np.zeros((len(places), NOTES, EVENT_BYTES), np.uint8)
    addresses, _, commitments, nullifiers, notes = np.split(events, np.cumsum(EVENT_PARTS)[:-1], axis=2)
    addresses[:] = _addresses(registered)[which][:, None]
    commitments[:] = inputs[:, calls_of.COMMITMENT : calls_of.COMMITMENT + NOTES]
    nullifiers[:] = inputs[:, calls_of.NULLIFIER : calls_of.NULLIFIER + NOTES]
    notes[:] = taken.calls.notes
    return ShieldedCalls(registered, taken, which, words, events)


def announced(
    made: ShieldedCalls, senders: Numbers, declared: tuple[Numbers, Numbers, Numbers]
) -> tuple[Numbers, Numbers, Numbers]:
    """What the transactions of a block announce, with the keys of the calls in place of what those say themselves.

    Args:
        made: the calls.
        senders: int64 (n,), key numbers of accounts.
        declared: as `interning.declared_keys` gives it.
    """
    offsets, numbers, writes = declared
    rows = made.rows
    counts = np.diff(offsets)
    counts[rows] = KEYS
    grown = np.zeros_like(offsets)
    np.cumsum(counts, out=grown[1:])
    listed = np.empty(int(grown[-1]), np.int64)
    kept = np.ones(len(senders), np.bool_)
    kept[rows] = False
    owners = np.repeat(kept, np.diff(offsets))
    target = np.ones(len(listed), np.bool_)
    places = grown[:-1][rows][:, None] + np.arange(KEYS)
    target[places] = False
    listed[target] = numbers[offsets[0] : offsets[-1]][owners]
    keys = np.repeat(senders[rows][:, None], KEYS, axis=1)
    keys[:, :NOTES] = made.interned.nullifiers
    paid = made.column(PUBLIC_OUT) != 0
    keys[paid, RECIPIENT] = made.interned.recipients[paid]
    listed[places] = keys
    begins = grown[:-1] + (writes - offsets[:-1])
    begins[rows] = grown[:-1][rows]
    return grown, listed, begins
