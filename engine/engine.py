# SPDX-License-Identifier: GPL-3.0-or-later
"""`Engine`: blocks in, state out; the one entry to execution.

    with Engine.open(None, EngineConfig(threads=2)) as engine:      # None: in memory; a path: RocksDB
        address = engine.deploy(code)
        result = engine.execute(batch)

One thread deploys, executes and rolls back; any thread reads. What changes the state raises `EngineClosed` after `close`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervm.crypto.messages import Messages
from supervm.crypto.sparse_merkle import Proof
from supervm.engine.arrays import ragged
from supervm.engine.blocks.interning import InternedBatch
from supervm.engine.blocks.kernels import NOBODY
from supervm.engine.blocks.layout import Contracts, intrinsic_gas
from supervm.engine.blocks.pipeline import Batches, run_pipeline
from supervm.engine.blocks.result import BlockResult
from supervm.engine.blocks.runner import BlockRunner
from supervm.engine.blocks.shielded import CALL_GAS, wrong_calls
from supervm.engine.config import EngineConfig
from supervm.engine.errors import EngineClosed, StorageCorrupt
from supervm.engine.execution.executor import BlockExecutor
from supervm.engine.execution.plug_in import PlugIn
from supervm.engine.privacy.shielded_calls import enters, find
from supervm.engine.state import genesis, pools
from supervm.engine.state.keys import ACCOUNT, CODE, STORAGE, account_keys, code_keys
from supervm.engine.state.pools import PoolState
from supervm.engine.state.state import Position, State
from supervm.engine.transactions.addresses import contract_addresses
from supervm.engine.transactions.batch import Scheme, TransactionBatch
from supervm.kernels.errors import ArgumentError
from supervm.kernels.threads import get_threads, set_threads
from supervm.vm.modules import ModuleCache
from supervm.vm.outcomes import Reason

ADDRESS_BYTES = 20


class Engine:
    """An engine; `open` makes one.

    Attributes:
        config: its settings.
        state: keys, versions, tree and storage, for those who need more than the methods here.
    """

    def __init__(self, state: State, config: EngineConfig) -> None:
        """For `open` alone."""
        self.config = config
        self.state = state
        self._closed = False
        self._codes: dict[bytes, bytes] = {}
        self._cache = ModuleCache(config.instances)
        self._contracts = Contracts()
        self._plug_in = _plug_in(state, config)
        self._executor = BlockExecutor(state.store, self._cache, config.threads, self._plug_in)
        self._runner = BlockRunner(state, self._executor, self._contracts, config, self._plug_in)
        self._supply = genesis.supply(state)
        if get_threads() != config.threads:
            set_threads(config.threads)

    @classmethod
    def open(cls, path: Path | str | None = None, config: EngineConfig | None = None) -> Engine:
        """Open an engine on a state.

        Args:
            path: a directory for the state, created if it is not there; None keeps the state in memory.
            config: settings; without, the defaults.

        Raises:
            StorageUnavailable, StorageCorrupt, StorageFailed: the directory cannot be used, or does not give the root that
                it says.
            RuntimeProblem: wasmtime of another version than the gas schedule counts with.
        """
        config = config or EngineConfig()
        state = State(
            path,
            hash=config.hash,
            collection=config.collection,
            sync=config.sync,
            keep_receipts=config.keep_receipts,
            checkpoint_bytes=config.checkpoint_bytes,
        )
        try:
            engine = cls(state, config)
        except BaseException:
            state.close()
            raise
        try:
            engine._redeploy()
        except BaseException:
            engine.close()
            raise
        return engine

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the threads, write what waits, close the storage. The state in memory can still be read.

        A second call does nothing.
        """
        self._closed = True
        self._executor.close()
        self._cache.close()
        self.state.close()

    def detach(self) -> None:
        """Close the storage and go on in memory: nothing that happens from here on is persisted."""
        self.state.detach()

    # ---------------------------------------------------------------------------------------------- change

    def deploy(self, code: bytes, salt: bytes = bytes(32)) -> bytes:
        """Deploy a contract; its address, 20 bytes. The same code with the same salt has the same address.

        Raises:
            ArgumentError: the salt has not 32 bytes.
            ContractRejected: the code breaks a rule.
        """
        self._check_open()
        if not isinstance(salt, bytes) or len(salt) != 32:
            raise ArgumentError("salt", repr(salt), "32 bytes")
        contract = self._cache.contract(code)
        digest = contract.info.code_hash
        address: bytes = contract_addresses(_row(salt), _row(digest))[0].tobytes()
        numbers = self._put([bytes([CODE]) + address], [digest])
        self._commit(numbers, codes=(code,))
        self._place(address, code)
        return address

    def create_pool(self, salt: bytes = bytes(32), unit: int = pools.UNIT) -> bytes:
        """Create a shielded pool; its address, 20 bytes. The same salt and unit have the same address, and one pool.

        Args:
            salt: 32 bytes.
            unit: how much of a balance one unit of the pool's amounts is, 1 to 2^64 − 1.

        Raises:
            ArgumentError: another salt or unit.
        """
        self._check_open()
        address = pools.pool_address(salt, unit)
        if self._pool(address) is not None:
            self._commit(np.zeros(0, np.int64))
            return address
        self._commit(self._put(*pools.first_entries(address, unit)))
        self._contracts.place(pools.found(self.state.store, address, unit))
        return address

    def credit(self, addresses: Any, balances: Any) -> bytes:
        """Add to the balances of accounts; the new state root.

        Args:
            addresses: uint8 (k, 20); an address may come more than once.
            balances: uint8 (k, 32), big-endian.

        Raises:
            ArgumentError: other shapes, or more than 2^256 − 1 in all.
        """
        self._check_open()
        keys, values, total = genesis.credited(self.state, addresses, balances)
        if self._supply + total >= 1 << 256:
            raise ArgumentError("balances", f"{self._supply + total} in all", "at most 2^256 − 1")
        # An account of nothing is absent.
        present = values.data.reshape(-1, genesis.ACCOUNT_BYTES).any(axis=1)
        root = self._commit(self.state.put(keys, values, present))
        self._supply += total
        return root

    def create_objects(self, ids: Any, owners: Any, kinds: Any) -> bytes:
        """Create objects; the new state root.

        Args:
            ids: uint8 (o, 32), each new.
            owners: uint8 (o, 20).
            kinds: uint8 (o,), 0 owned, 1 shared, 2 immutable.

        Raises:
            ArgumentError: other shapes, an id that exists or comes twice, an unknown kind.
        """
        self._check_open()
        keys, values = genesis.new_objects(self.state, ids, owners, kinds)
        return self._commit(self.state.put(keys, values, np.ones(len(keys), np.bool_)))

    def preset(self, keys: Messages, values: Messages) -> bytes:
        """Give storage keys of contracts values without a transaction, as a genesis does; the new state root.

        Raises:
            ArgumentError: a key that is no storage key, or comes twice.
        """
        self._check_open()
        genesis.check_entries(keys, values)
        return self._commit(self.state.put(keys, values, np.ones(len(keys), np.bool_)))

    def intern(self, batch: TransactionBatch) -> InternedBatch:
        """Number the keys of a batch, as decoding does, ahead of `execute`.

        Raises:
            MalformedBatch: columns that are no batch.
        """
        return self._runner.decode(batch)

    def execute(
        self, batch: TransactionBatch | InternedBatch, *, timestamp: int | None = None
    ) -> BlockResult:
        """Execute a block and make it part of the state.

        Args:
            batch: its transactions, in its order.
            timestamp: seconds; without, one more than the last block's.

        Raises:
            MalformedBatch: columns that are no batch; nothing was executed.
            ArgumentError: a batch that another engine has numbered.
            StorageFailed: the block could not be persisted; the state is what it was.
        """
        self._check_open()
        began = perf_counter()
        interned = self._runner.decode(batch)
        decoded = perf_counter()
        refused = self._runner.verify(interned.batch)
        stages = {"decode": decoded - began, "verify": perf_counter() - decoded}
        block = self._runner.prepare(interned, refused, stages)
        return self._runner.run(block, self._runner.timestamp(timestamp), stages)

    def run(self, batches: Batches) -> Iterator[BlockResult]:
        """Execute blocks one after the other, verifying the next ones while one executes; results in order.

        Args:
            batches: the blocks, taken from another thread; a `TimedBatch` states its timestamp, else it is one more than
                the last block's.

        Raises: as `execute`; blocks before the one that failed are part of the state.
        """
        return run_pipeline(self._runner, batches, self.config.queue_depth)

    # ---------------------------------------------------------------------------------------------- read

    @property
    def height(self) -> int:
        """Blocks so far; deployments, credits and the like count as blocks."""
        return self.state.position.height

    @property
    def state_root(self) -> bytes:
        """After the last block, 32 bytes."""
        return self.state.position.root

    def get(self, address: bytes, key: bytes) -> bytes | None:
        """What a contract stores under a key; None if nothing."""
        return self.state.get(bytes([STORAGE]) + _address(address) + key)

    def account(self, address: bytes) -> tuple[int, int]:
        """Nonce and balance of an account."""
        value = self.state.get(bytes([ACCOUNT]) + _address(address)) or bytes(40)
        return int.from_bytes(value[:8]), int.from_bytes(value[8:])

    def pool(self, address: bytes, commit: int | None = None) -> PoolState:
        """What a shielded pool is.

        Args:
            address: 20 bytes.
            commit: of a named snapshot since which the pool stands there; without, the last one.

        Raises:
            ArgumentError: no pool stands at the address.
        """
        pool = self._pool(_address(address))
        if pool is None:
            raise ArgumentError("address", address.hex(), "the address of a shielded pool")
        return pools.read(self.state.store, pool, commit)

    def accounts(
        self, addresses: Any, commit: int | None = None
    ) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
        """Nonces, uint64 (n,), and balances, uint8 (n, 32) big-endian, of accounts; zero where there is none.

        Args:
            addresses: uint8 (n, 20).
            commit: of a named snapshot; without, the last one.
        """
        keys = Messages.of(account_keys(addresses))
        values, present = self.state.store.find(keys.ragged, commit)
        found = np.zeros((len(keys), genesis.ACCOUNT_BYTES), np.uint8)
        found[present] = values.reshape(-1, genesis.ACCOUNT_BYTES)
        nonces = np.ascontiguousarray(found[:, :8]).view(">u8")[:, 0].astype(np.uint64)
        return nonces, np.ascontiguousarray(found[:, 8:])

    def refused_calls(self, batch: TransactionBatch) -> NDArray[np.uint8]:
        """What rejects transactions on account of what executes them, now, `Reason` or 0, uint8 (n,).

        Unlike `execute` it numbers no keys: strangers' calls of contracts that nobody has leave nothing behind.
        """
        reasons = np.zeros(len(batch), np.uint8)
        with self._contracts.lock:
            registered = self._contracts.pools.pools
            called = self._contracts.pools.of_addresses(batch.to)
        pooled = called != NOBODY
        rows = np.flatnonzero(np.diff(batch.entry.offsets))
        if rows.size:
            keys = Messages.of(code_keys(batch.to[rows]))
            codes, present = self.state.store.find(keys.ragged)
            hashes, which = np.unique(codes.reshape(-1, 32), axis=0, return_inverse=True)
            contracts = np.full(rows.size, NOBODY, np.int64)
            with self._contracts.lock:
                numbers = self._contracts.of_codes([row.tobytes() for row in hashes])
                contracts[present] = numbers[which.reshape(-1)]
                entries = self._contracts.entries(contracts, ragged.taken(batch.entry, rows).ragged)
            contracts[pooled[rows]] = 0
            entries = np.where(pooled[rows], np.where(enters(batch)[rows], 0, NOBODY), entries)
            poor = pooled & (batch.gas_limit < intrinsic_gas(batch)[0] + np.uint64(CALL_GAS))
            reasons[rows] = np.select(
                [poor[rows], contracts == NOBODY, entries == NOBODY],
                [Reason.GAS_LIMIT_TOO_LOW, Reason.UNKNOWN_CONTRACT, Reason.UNKNOWN_ENTRY],
                0,
            )
        if pooled.any():
            found = find(batch) if batch.private.any() else None
            wrong = wrong_calls(batch, found, called, registered, self.config.chain_id)
            reasons = np.where(reasons != 0, reasons, wrong)
        carried = np.flatnonzero(batch.scheme == Scheme.ETHEREUM)
        if carried.size:
            refused = np.full(carried.size, Reason.NO_EVM, np.uint8)
            if self._plug_in is not None:
                refused = self._plug_in.refused(batch, carried)
            reasons[carried] = np.where(refused != 0, refused, reasons[carried])
        return reasons

    def prove(self, address: bytes, key: bytes | None = None) -> Proof:
        """Proof of what a contract stores under a key, or of nothing being there, against `state_root`.

        With one argument, that is a whole state key (docs/execution-rules.md, State).
        """
        whole = address if key is None else bytes([STORAGE]) + _address(address) + key
        return self.state.prove(whole)

    def receipts(self, height: int) -> bytes | None:
        """The canonical receipts of a block, if they are stored."""
        return self.state.storage.receipts(height) if self.state.storage is not None else None

    @property
    def supply(self) -> int:
        """The sum of all balances, and of what shielded pools hold."""
        return self._supply

    # ---------------------------------------------------------------------------------------------- snapshots

    @property
    def snapshots(self) -> dict[str, Position]:
        """The named snapshots."""
        return dict(self.state.snapshots)

    def snapshot(self, name: str) -> Position:
        """Name the state as it is; see `State.snapshot`."""
        return self.state.snapshot(name)

    def forget(self, name: str) -> None:
        """Drop a snapshot's name."""
        self.state.forget(name)

    def rollback(self, name: str) -> bytes:
        """Make the state what it was at a snapshot, height included; the root. The snapshot stays."""
        self._check_open()
        root = self.state.rollback(name)
        self._supply = genesis.supply(self.state)
        self._contracts.clear()
        self._redeploy()
        return root

    # ---------------------------------------------------------------------------------------------- inside

    def _pool(self, address: bytes) -> pools.Pool | None:
        with self._contracts.lock:
            return self._contracts.pools.at(address)

    def _check_open(self) -> None:
        if self._closed:
            raise EngineClosed

    def _put(self, keys: list[bytes], values: list[bytes]) -> NDArray[np.int64]:
        return self.state.put(Messages.of(keys), Messages.of(values), np.ones(len(keys), np.bool_))

    def _commit(self, numbers: NDArray[np.int64], codes: tuple[bytes, ...] = ()) -> bytes:
        position = self.state.position
        return self.state.commit(
            numbers, height=position.height + 1, timestamp=position.timestamp, codes=codes
        )

    def _place(self, address: bytes, code: bytes) -> None:
        self._codes[self._cache.contract(code).info.code_hash] = code
        account = self.state.store.intern(Messages.of([bytes([ACCOUNT]) + address]).ragged)
        self._contracts.deploy(self._cache.contract(code), int(account[0]))

    def _redeploy(self) -> None:
        """Find the contracts that the state has, and their code, and its pools, which have none."""
        shielded = dict(genesis.shielded(self.state))
        for address, unit in shielded.items():
            self._contracts.place(pools.found(self.state.store, address, unit))
        for address, digest in genesis.deployed(self.state):
            if address in shielded:
                continue
            code = self._codes.get(digest)
            if code is None and self.state.storage is not None:
                code = self.state.storage.code(digest)
            if code is None:
                where = self.state.storage.path if self.state.storage is not None else "memory"
                raise StorageCorrupt(
                    where, f"the code of contract {address.hex()} is missing", "restore a copy"
                )
            self._place(address, code)


def _plug_in(state: State, config: EngineConfig) -> PlugIn | None:
    """What executes Ethereum transactions, which an engine loads if it is told to."""
    if not config.evm:
        return None
    from supervm.engine.evm.plug_in import EvmPlugIn

    return EvmPlugIn(state.store, config.evm, config.chain_id, config.fee_collector, config.backend)


def _row(data: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(data, np.uint8).reshape(1, -1)


def _address(address: bytes) -> bytes:
    if len(address) != ADDRESS_BYTES:
        raise ArgumentError("address", f"{len(address)} bytes", f"{ADDRESS_BYTES} bytes")
    return bytes(address)
