# SPDX-License-Identifier: GPL-3.0-or-later
"""`ShardEngine`: the engine of one shard. It executes a part of a block, and gives what that writes; another call makes it
the state.

A part has transactions that touch keys of other shards. What those keys held at the version before is put beneath the part,
as a commit of its own that is taken back; what the part writes to them is dropped, since their shards execute the same
transactions. One thread executes: more cores take more shards.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from supervm.crypto.messages import Messages
from supervm.engine.arrays import ragged
from supervm.engine.blocks.layout import Block, Contracts
from supervm.engine.blocks.receipts import Receipts, gather_receipts
from supervm.engine.blocks.routing import paths
from supervm.engine.blocks.runner import BlockRunner
from supervm.engine.config import EngineConfig
from supervm.engine.errors import StorageCorrupt
from supervm.engine.execution.executor import BlockExecutor
from supervm.engine.execution.fast_path import sum_of_fees
from supervm.engine.state import genesis
from supervm.engine.state.keys import ACCOUNT, CODE
from supervm.engine.state.state import CHUNK_KEYS, State
from supervm.engine.storage.commit import check_pairs
from supervm.engine.transactions.batch import TransactionBatch
from supervm.kernels.array_types import Bytes, Flags, Numbers
from supervm.kernels.errors import ArgumentError
from supervm.kernels.threads import get_threads, set_threads
from supervm.tiers.shards.errors import UndeclaredAccess, WrongShard
from supervm.tiers.shards.messages import Entries, kinds_of
from supervm.tiers.shards.receipts import taken_receipts
from supervm.tiers.shards.shard_map import ShardMap
from supervm.vm.modules import ModuleCache
from supervm.vm.outcomes import Reason

THREADS = 1


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a part of a block does.

    Args:
        writes: to the shard's own keys.
        fees: of the transactions that are at home here.
        receipts: theirs, in block order.
        reasons, gas: uint8 and uint64, of the others.
        refused_proofs: transactions whose proof is wrong.
    """

    writes: Entries
    fees: int
    receipts: Receipts
    reasons: Bytes
    gas: NDArray[np.uint64]
    refused_proofs: int


class ShardEngine:
    """The state of a shard, and what executes on it. One thread calls it.

    Args:
        number: of the shard.
        shard_map: which keys it has.
        path: of its storage; None keeps the state in memory.
        config: of an engine; `threads` and `keep_receipts` do not count.

    Raises:
        StorageUnavailable, StorageCorrupt, StorageFailed: the storage cannot be used.
        WrongShard: it is that of another shard, or of another map.
    """

    def __init__(
        self, number: int, shard_map: ShardMap, path: Path | str | None, config: EngineConfig
    ) -> None:
        self.number, self.map = number, shard_map
        self.config = replace(config, threads=THREADS, keep_receipts=0, sync=path is not None)
        self.state = State(
            path,
            hash=config.hash,
            collection=config.collection,
            sync=self.config.sync,
            checkpoint_bytes=config.checkpoint_bytes,
        )
        try:
            self._check_owned(path)
        except BaseException:
            self.state.close()
            raise
        self._codes: dict[bytes, bytes] = {}
        self._cache = ModuleCache(config.instances)
        self._contracts = Contracts()
        self._executor = BlockExecutor(self.state.store, self._cache, THREADS)
        self._runner = BlockRunner(self.state, self._executor, self._contracts, self.config)
        self._collector = bytes([ACCOUNT]) + config.fee_collector
        if get_threads() != THREADS:
            set_threads(THREADS)
        try:
            self._redeploy()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Write what waits, and close the storage."""
        self._executor.close()
        self._cache.close()
        self.state.close()

    @property
    def height(self) -> int:
        """Blocks so far, which is the shard's version."""
        return self.state.position.height

    def _check_owned(self, path: Path | str | None) -> None:
        """Whatever the storage has is this shard's."""
        keys = self.state.store.keys
        for first in range(0, len(keys), CHUNK_KEYS):
            found = Messages(*keys.strings(np.arange(first, min(first + CHUNK_KEYS, len(keys)))))
            self._check_owners(found, f"{path} has the")

    def _check_owners(self, keys: Messages, where: str) -> None:
        """Keys are this shard's; code is everybody's."""
        foreign = (self.map.owners(keys.ragged) != self.number) & (kinds_of(keys) != CODE)
        if foreign.any():
            key = keys[int(foreign.argmax())]
            raise WrongShard(
                f"{where} key {key.hex()}, which shard {self.map.owner(key)} has by the map, not {self.number}"
            )

    # ---------------------------------------------------------------------------------------------- execute

    def execute(
        self, batch: TransactionBatch, home: Flags, foreign: Entries, height: int, timestamp: int
    ) -> Outcome:
        """Execute a part of a block, and leave the state what it was.

        Args:
            batch: its transactions, in block order.
            home: bool (n,), whose receipts and fees are wanted.
            foreign: keys of other shards that they touch, and what those held at the version before.
            height, timestamp: of the block.

        Raises:
            UndeclaredAccess: a call touched what it had not declared; the row is that of the part.
            ArgumentError: foreign keys that are own ones, or come twice; values that are none of their keys; or more to
                write than a commit may have.
        """
        if (self.map.owners(foreign.keys.ragged) == self.number).any():
            raise ArgumentError("foreign_keys", "keys of this shard", "those of others")
        _check_values("foreign", foreign)
        interned = self._runner.decode(batch)
        refused = self._runner.verify(interned.batch)
        with self._beneath(foreign):
            block = self._runner.prepare(interned, refused, {})
            self._executor.begin(self._contracts.contracts, height, timestamp)
            try:
                self._run(block)
                path = paths(batch.private, None, None, np.zeros(len(batch), np.bool_))
                every = gather_receipts(block.columns, path, self._executor.left())
                receipts = taken_receipts(every, np.flatnonzero(home))
                reasons, gas = every.reason[~home], every.gas[~home]
                writes = self._own_writes(bool(len(foreign)))
                check_pairs(writes.keys, writes.values)
            finally:
                self._executor.undo()
        fees = np.zeros(64, np.uint8)
        sum_of_fees(receipts.gas, batch.gas_price[home], ~receipts.accepted, fees)
        wrong = np.isin(refused, (Reason.BAD_PROOF, Reason.MALFORMED_PROOF, Reason.NO_VERIFIER))
        total = int.from_bytes(fees[:32].tobytes())
        return Outcome(writes, total, receipts, reasons, gas, int(wrong.sum()))

    @contextmanager
    def _beneath(self, foreign: Entries) -> Iterator[None]:
        """Inside, other shards' keys hold these values, in a commit that nobody else sees."""
        store = self.state.store
        if not len(foreign):
            yield
            return
        numbers = self._numbers("foreign_keys", foreign)
        written = store.put(numbers, foreign.values.ragged, foreign.present)
        store.publish()
        try:
            yield
        finally:
            store.watermark -= 1
            store.undo(written, counted=True)

    def _run(self, block: Block) -> None:
        """Execute in block order; calls are held to what they declare, and transfers touch nothing else anyway."""
        if not len(block):
            return
        if not block.calls.any():
            self._executor.run_sequential(block.columns)
            return
        if not self._keeps(block, len(block)):
            honest, liar = 0, len(block)
            while liar - honest > 1:
                middle = (honest + liar) // 2
                if self._keeps(block, middle):
                    honest = middle
                    self._executor.undo()
                else:
                    liar = middle
            raise UndeclaredAccess(honest, "touched a key that it had not declared")

    def _keeps(self, block: Block, count: int) -> bool:
        """Whether the first transactions keep to what they declare; only then they are executed."""
        order, bounds = np.arange(count), np.array([0, count])
        while True:
            # One wave on one worker is block order.
            course = self._executor.run_waves(block.columns, order, bounds)
            if not course.turned:
                return not course.undeclared

    def _own_writes(self, filtered: bool) -> Entries:
        store, written = self.state.store, self._executor.written()
        values, present = store.newest(written)
        keys = store.keys.strings(written & 0xFFFFFFFF)
        entries = Entries(Messages(*keys), Messages(*values), present)
        if not filtered:
            return entries
        return entries.take(np.flatnonzero(self.map.owners(keys) == self.number))

    # ---------------------------------------------------------------------------------------------- change

    def check(self, entries: Entries, codes: Sequence[bytes]) -> None:
        """Whether `apply` will take these entries, which no transaction has written.

        Raises:
            ArgumentError: a key or value that the state cannot have, a key that comes twice, or one of a contract whose code
                is not there.
            WrongShard: a key of another shard.
            ContractRejected: code that breaks a rule.
        """
        check_pairs(entries.keys, entries.values)
        self._check_owners(entries.keys, "the block gives this shard the")
        _check_values("entry", entries)
        self._numbers("entry_keys", entries)
        held = {self._cache.contract(code).info.code_hash for code in codes}
        for place in np.flatnonzero(kinds_of(entries.keys) == CODE).tolist():
            digest = entries.values[place]
            if digest not in held and self._code(digest) is None:
                raise ArgumentError("codes", f"none with the SHA-256 {digest.hex()}", "each contract's code")

    def _numbers(self, field: str, entries: Entries) -> Numbers:
        """The numbers of the keys of entries, each of which comes once."""
        numbers = self.state.store.intern(entries.keys.ragged)
        ordered = np.sort(numbers)
        if (ordered[1:] == ordered[:-1]).any():
            raise ArgumentError(field, "a key that comes twice", "each key once")
        return numbers

    def apply(
        self, writes: Entries, fees: int, height: int, timestamp: int, codes: Sequence[bytes] = ()
    ) -> bytes:
        """Make writes to own keys the state, as one commit; the root.

        Args:
            writes: each key once.
            fees: what the fee collector gets besides, whose account is here.
            height, timestamp: of the block, or the timestamp of the last one.
            codes: that the writes deploy.

        Raises:
            StorageFailed: the storage takes no more; the state is what it was.
        """
        if fees:
            writes = self._with_fees(writes, fees)
        written = self.state.put(writes.keys, writes.values, writes.present)
        root = self.state.commit(written, height=height, timestamp=timestamp, codes=codes)
        for code in codes:
            self._codes[self._cache.contract(code).info.code_hash] = code
        if codes:
            self._place_new(writes)
        return root

    def _with_fees(self, writes: Entries, fees: int) -> Entries:
        """The writes, the collector's account among them with the fees."""
        numbers = self.state.store.intern(writes.keys.ragged)
        others = numbers != self.state.store.number(self._collector)
        mine = np.flatnonzero(~others)
        before = bytes(genesis.ACCOUNT_BYTES)
        if len(mine):
            before = writes.values[int(mine[0])] or before
        else:
            before = self.state.get(self._collector) or before
        account = before[:8] + (int.from_bytes(before[8:]) + fees).to_bytes(32)
        with_them = Entries(Messages.of([self._collector]), Messages.of([account]), np.ones(1, np.bool_))
        return Entries.joined([writes.take(np.flatnonzero(others)), with_them])

    def values(self, numbers: Numbers, commit: int) -> tuple[Messages, Flags]:
        """What keys hold at a commit that is held, by their numbers, −1 for keys that nobody has touched."""
        known = np.flatnonzero(numbers >= 0)
        values, has = self.state.store.values(numbers[known], commit)
        sizes, present = np.zeros(len(numbers), np.int64), np.zeros(len(numbers), np.bool_)
        sizes[known], present[known] = np.diff(values.offsets), has
        return Messages(values.data, ragged.offsets_of(sizes)), present

    # ---------------------------------------------------------------------------------------------- contracts

    def _place_new(self, writes: Entries) -> None:
        for place in range(len(writes)):
            key = writes.keys[place]
            if key[0] == CODE:
                self._place(key[1:], writes.values[place])

    def _place(self, address: bytes, digest: bytes) -> None:
        code = self._code(digest)
        if code is None:
            where = self.state.storage.path if self.state.storage is not None else "memory"
            raise StorageCorrupt(where, f"the code of contract {address.hex()} is missing", "restore a copy")
        account = self.state.store.intern(Messages.of([bytes([ACCOUNT]) + address]).ragged)
        self._contracts.deploy(self._cache.contract(code), int(account[0]))

    def _code(self, digest: bytes) -> bytes | None:
        code = self._codes.get(digest)
        if code is None and self.state.storage is not None:
            code = self.state.storage.code(digest)
        return code

    def _redeploy(self) -> None:
        for address, digest in genesis.deployed(self.state):
            self._place(address, digest)


def _check_values(field: str, entries: Entries) -> None:
    """Accounts have the one size that compiled code goes by."""
    accounts = (kinds_of(entries.keys) == ACCOUNT) & entries.present
    if (np.diff(entries.values.offsets)[accounts] != genesis.ACCOUNT_BYTES).any():
        raise ArgumentError(
            f"{field}_values", "an account's of another length", f"{genesis.ACCOUNT_BYTES} bytes"
        )
