# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns a batch into an executable block: early rejections, and contracts and entry points by number."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from supervm.engine.arrays import ragged
from supervm.engine.blocks import kernels
from supervm.engine.blocks.interning import InternedBatch, declared_keys
from supervm.engine.blocks.kernels import NOBODY
from supervm.engine.blocks.shielded import CALL_GAS, Pools, ShieldedCalls, announced, reject
from supervm.engine.execution import columns as c
from supervm.engine.execution.columns import Columns
from supervm.engine.execution.plug_in import PluggedColumns, PlugIn
from supervm.engine.privacy.shielded_calls import enters
from supervm.engine.state.pools import Pool
from supervm.engine.transactions.batch import Scheme, TransactionBatch
from supervm.kernels.array_types import Bytes, Flags, Numbers
from supervm.kernels.arrays import borrow
from supervm.kernels.keys import KeyTable
from supervm.kernels.work import Ragged
from supervm.vm.modules import Contract
from supervm.vm.outcomes import Reason

_NOTHING = np.zeros(0, np.int64)
"""Contracts and entry points of a block without calls: nobody looks."""


@dataclass
class Contracts:
    """The deployed contracts, by number, and what finds them.

    Args:
        contracts: in the order of their first deployment.
        names: numbers of entry points' names.
        pools: native contracts, which have no code.
        changes: how often it changed what stands where; a block that was laid out before a change must be laid out again.
        lock: of whoever changes them, and of whoever lays a block out.
    """

    contracts: list[Contract] = field(default_factory=list)
    names: KeyTable = field(default_factory=KeyTable)
    pools: Pools = field(default_factory=Pools)
    changes: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    _numbers: dict[bytes, int] = field(default_factory=dict)
    _by_account: Numbers = field(default_factory=lambda: np.zeros(0, np.int64))
    _entries: Numbers = field(default_factory=lambda: np.zeros((0, 0), np.int64))

    def deploy(self, contract: Contract, account: int) -> None:
        """A contract stands at the account with this key number."""
        with self.lock:
            self._deploy(contract, account)
            self.changes += 1

    def place(self, pool: Pool) -> None:
        """A pool stands in the state."""
        with self.lock:
            self.pools.place(pool)
            self.changes += 1

    def _deploy(self, contract: Contract, account: int) -> None:
        digest = contract.info.code_hash
        if digest not in self._numbers:
            self._numbers[digest] = len(self.contracts)
            self.contracts.append(contract)
            names = [name.encode() for name in contract.info.entry_points]
            numbers = self.names.intern(_strings(names))
            size = (len(self.contracts), max(len(self.names), 1))
            entries = np.full(size, NOBODY, np.int64)
            entries[: self._entries.shape[0], : self._entries.shape[1]] = self._entries
            entries[-1, numbers] = np.arange(len(names))
            self._entries = entries
        self._reach(account + 1)
        self._by_account[account] = self._numbers[digest]

    def clear(self) -> None:
        """No contract stands anywhere any more; what was compiled stays known."""
        with self.lock:
            self._by_account[:] = NOBODY
            self.pools.clear()
            self.changes += 1

    def of_accounts(self, accounts: Numbers, keys: int) -> Numbers:
        """The number of the contract at each account, `NOBODY` where none is."""
        self._reach(keys)
        found: Numbers = self._by_account[accounts]
        return found

    def of_codes(self, digests: list[bytes]) -> Numbers:
        """The number of the contract with each code's hash, `NOBODY` where none was deployed."""
        return np.array([self._numbers.get(digest, NOBODY) for digest in digests], np.int64)

    def entries(self, contracts: Numbers, names: Ragged) -> Numbers:
        """The number of each entry point at its contract, `NOBODY` where there is none of that name."""
        if not self.contracts:
            return np.full(contracts.size, NOBODY, np.int64)
        runs = np.empty(contracts.size, np.int64)
        kernels.runs_of_names(borrow(names.data), borrow(names.offsets), runs)
        first = np.flatnonzero(np.diff(runs, prepend=-1))
        numbers = self.names.find(names.take(first))[runs]
        found = self._entries[np.maximum(contracts, 0), np.maximum(numbers, 0)]
        return np.where((contracts < 0) | (numbers < 0), NOBODY, found)

    def use_balances(self) -> Flags:
        """Which contracts read or move balances of their choice."""
        return np.array([contract.info.uses_balance for contract in self.contracts], np.bool_)

    def _reach(self, keys: int) -> None:
        if self._by_account.size < keys:
            grown = np.full(max(keys, 2 * self._by_account.size), NOBODY, np.int64)
            grown[: self._by_account.size] = self._by_account
            self._by_account = grown


@dataclass(frozen=True, eq=False)
class Plugged:
    """The transactions of a plug-in, m of them: which they are, int64 (m,), and its columns."""

    rows: Numbers
    columns: PluggedColumns


@dataclass(frozen=True, eq=False)
class Block:
    """A batch that can be executed.

    Args:
        interned: the batch.
        columns: for compiled code.
        calls: bool (n,), calls that are not rejected.
        transfers: bool (n,), transfers that are not rejected.
        pays: bool (n,), which move a value.
        free_balances: whether a call may read or move balances that it did not declare.
        changes: `Contracts.changes` when it was laid out.
        shielded: the calls of pools among `calls`; None if there are none.
        plugged: what the plug-in executes among `calls`; None if there is nothing.
    """

    interned: InternedBatch
    columns: Columns
    calls: Flags
    transfers: Flags
    pays: Flags
    free_balances: bool
    changes: int
    shielded: ShieldedCalls | None
    plugged: Plugged | None = None

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def live(self) -> Flags:
        """Which are not rejected beforehand."""
        return self.calls | self.transfers

    @property
    def announces(self) -> Flags:
        """Of which the keys that they touch are known, if they have told the truth."""
        known = self.interned.batch.declared | self.transfers
        if self.shielded is not None:
            known[self.shielded.rows] = True
        return known


def intrinsic_gas(batch: TransactionBatch) -> tuple[NDArray[np.uint64], Flags]:
    """What each transaction pays at least, uint64 (n,), and whether its encoding is too large for the rules, bool (n,)."""
    gas, large = np.empty(len(batch), np.uint64), np.empty(len(batch), np.bool_)
    kernels.weigh(
        tuple(borrow(each.offsets) for each in (batch.entry, batch.input, batch.proof, batch.signature)),
        borrow(batch.proof.data),
        borrow(batch.object_offsets),
        (borrow(batch.read_offsets), borrow(batch.read_keys.offsets)),
        (borrow(batch.write_offsets), borrow(batch.write_keys.offsets)),
        (borrow(batch.private), borrow(batch.declared)),
        gas,
        large,
    )
    return gas, large


def prepare_block(
    interned: InternedBatch,
    contracts: Contracts,
    chain_id: int,
    refused: Bytes,
    keys: int,
    plug_in: PlugIn | None = None,
) -> Block:
    """Reject transactions that are invalid in every state, and lay out the rest.

    Args:
        chain_id: the engine's.
        refused: uint8 (n,), `Reason` of what authentication or the verifier refused, else 0.
        keys: how many key numbers there are.
        plug_in: what executes Ethereum transactions; without, they are rejected.
    """
    batch, count = interned.batch, len(interned)
    plugged, refused = _plugged(batch, plug_in, refused)
    entry_offsets = borrow(batch.entry.offsets)
    intrinsic, large = intrinsic_gas(batch)
    rejected = np.empty(count, np.uint8)
    is_call = np.diff(batch.entry.offsets) > 0
    contract = entry = called = _NOTHING
    if is_call.any():
        contract = contracts.of_accounts(interned.targets, keys)
        entry = contracts.entries(contract, batch.entry.ragged)
    if contracts.pools.pools:
        called = contracts.pools.of_accounts(interned.targets)
        pooled = is_call & (called != NOBODY)
        if pooled.any():
            intrinsic[pooled] += np.uint64(CALL_GAS)
            contract[pooled], entry[pooled] = 0, np.where(enters(batch)[pooled], 0, NOBODY)
    kernels.reject(
        refused,
        borrow(batch.chain_id),
        np.uint64(chain_id),
        large,
        borrow(batch.gas_limit),
        intrinsic,
        entry_offsets,
        contract,
        entry,
        rejected,
    )
    shielded = reject(interned, called, contracts.pools.pools, chain_id, rejected) if len(called) else None
    live = rejected == 0
    pays = np.empty(count, np.bool_)
    kernels.any_bytes(np.ascontiguousarray(batch.value).view(np.uint64), pays)
    if plugged is not None:
        is_call[plugged.rows] = True
    calls = is_call & live
    undeclared = calls & ~batch.declared
    kinds = is_call.view(np.uint8)
    if shielded is not None:
        undeclared[shielded.rows] = pays[shielded.rows] = False
        kinds = kinds.copy()
        kinds[shielded.rows] = c.SHIELDED_CALL
    if plugged is not None:
        undeclared[plugged.rows] = False
        kinds = kinds.copy()
        kinds[plugged.rows] = c.PLUGGED_IN
    free = plugged is not None and bool(live[plugged.rows].any())
    return Block(
        interned,
        _columns(interned, rejected, kinds, intrinsic, contract, entry, shielded, plugged),
        calls,
        live & ~is_call,
        pays,
        free or bool(undeclared.any() and contracts.use_balances()[contract[undeclared]].any()),
        contracts.changes,
        shielded,
        plugged,
    )


def _plugged(batch: TransactionBatch, plug_in: PlugIn | None, refused: Bytes) -> tuple[Plugged | None, Bytes]:
    """The plug-in's transactions that nothing has refused, and what is refused besides what was."""
    carried = batch.scheme == Scheme.ETHEREUM
    if not carried.any():
        return None, refused
    refused = refused.copy()
    if plug_in is None:
        refused[carried & np.isin(refused, (Reason.NONE, Reason.MALFORMED_ETHEREUM))] = Reason.NO_EVM
        return None, refused
    rows = np.flatnonzero(carried & (refused == 0))
    if not rows.size:
        return None, refused
    refused[rows], columns = plug_in.lay_out(batch, rows)
    return Plugged(rows, columns), refused


def _columns(
    interned: InternedBatch,
    rejected: Bytes,
    kinds: Bytes,
    intrinsic: NDArray[np.uint64],
    contract: Numbers,
    entry: Numbers,
    shielded: ShieldedCalls | None,
    plugged: Plugged | None,
) -> Columns:
    batch = interned.batch
    places = _NOTHING
    if plugged is not None:
        places = np.zeros(len(batch), np.int64)
        places[plugged.rows] = np.arange(plugged.rows.size)
    offsets, numbers, writes = declared_keys(interned)
    rows, words, events = _NOTHING, _NOTHING, np.zeros(0, np.uint8)
    if shielded is not None:
        offsets, numbers, writes = announced(shielded, interned.senders, (offsets, numbers, writes))
        rows = np.zeros(len(batch), np.int64)
        rows[shielded.rows] = np.arange(len(shielded.rows))
        words, events = shielded.words, shielded.events
    return Columns(
        {
            c.REJECTED: rejected,
            c.CALLS: kinds,
            c.SENDERS: interned.senders,
            c.SENDER_ADDRESSES: np.ascontiguousarray(batch.sender),
            c.TARGETS: interned.targets,
            c.TARGET_ADDRESSES: np.ascontiguousarray(batch.to),
            c.NONCES: np.ascontiguousarray(batch.nonce),
            c.VALUES: np.ascontiguousarray(batch.value),
            c.GAS_LIMITS: np.ascontiguousarray(batch.gas_limit),
            c.GAS_PRICES: np.ascontiguousarray(batch.gas_price),
            c.INTRINSIC: intrinsic,
            c.CONTRACTS: contract,
            c.ENTRIES: entry,
            c.INPUT: borrow(batch.input.data),
            c.INPUT_OFFSETS: np.ascontiguousarray(batch.input.offsets),
            c.OBJECT_OFFSETS: np.ascontiguousarray(batch.object_offsets),
            c.OBJECTS: interned.objects,
            c.DECLARED_OFFSETS: offsets,
            c.DECLARED: numbers,
            c.DECLARED_WRITES: writes,
            c.SHIELDED: rows,
            c.SHIELDED_WORDS: words,
            c.SHIELDED_EVENTS: events,
            c.PLUGGED: places,
            c.PLUGGED_COLUMNS: _NOTHING if plugged is None else plugged.columns.words,
        }
    )


def _strings(strings: list[bytes]) -> Ragged:
    offsets = ragged.offsets_of(np.array([len(string) for string in strings], np.int64))
    return Ragged(np.frombuffer(b"".join(strings) or b"\0", np.uint8), offsets)
