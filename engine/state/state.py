# SPDX-License-Identifier: GPL-3.0-or-later
"""`State`: versions, their Merkle tree, named snapshots, and the storage that they come back from.

Everything that changes the state is a commit: values are written under the next commit's number, `commit` brings the
tree up to date, hands the change to the storage, and makes it visible. Commits are numbered alike here and on disk.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from supervm.crypto.messages import Messages
from supervm.crypto.sparse_merkle import Proof, SparseMerkleTree
from supervm.engine.config import Collection
from supervm.engine.errors import StorageCorrupt
from supervm.engine.state.collecting import Collector
from supervm.engine.state.store import StateStore, kept, key_numbers
from supervm.engine.storage import CHECKPOINT_BYTES, Commit, Storage
from supervm.kernels.array_types import Numbers
from supervm.kernels.errors import ArgumentError
from supervm.kernels.work import Ragged

CHUNK_KEYS = 65_536
"""Keys that a checkpoint reads at once."""


@dataclass(frozen=True)
class Position:
    """Where the state stands, or stood at a snapshot: number of the commit, block height, timestamp, root (32 bytes)."""

    commit: int
    height: int
    timestamp: int
    root: bytes


class State:
    """The state. One thread changes it; any thread reads.

    Args:
        path: of the storage; None keeps everything in memory.
        hash: of the tree.
        collection: of old versions.
        sync, keep_receipts, checkpoint_bytes: of the storage.

    Raises:
        StorageUnavailable, StorageCorrupt, StorageFailed: the storage cannot be opened, or does not give the root
            that it says.
    """

    def __init__(
        self,
        path: Path | str | None = None,
        *,
        hash: str = "sha256",
        collection: Collection | None = None,
        sync: bool = False,
        keep_receipts: int = 0,
        checkpoint_bytes: int = CHECKPOINT_BYTES,
    ) -> None:
        self.store = StateStore()
        self._hash = hash
        self.tree = SparseMerkleTree(hash)
        self.position = Position(0, 0, 0, self.tree.root)
        self.snapshots: dict[str, Position] = {}
        self.storage: Storage | None = None
        self._tree_lock = threading.RLock()  # tree and position change together
        self._collector = Collector(self.store, collection or Collection())
        if path is not None:
            self.storage = Storage.open(
                path, sync=sync, keep_blocks=keep_receipts, checkpoint_bytes=checkpoint_bytes
            )
            try:
                self._load(self.storage)
            except BaseException:
                self.storage.close()
                raise

    def close(self) -> None:
        """Write what waits and close the storage."""
        if self.storage is not None:
            self.storage.close()

    def detach(self) -> None:
        """Write what waits, close the storage and go on in memory, which holds the whole state."""
        self.close()
        self.storage = None

    def get(self, key: bytes, watermark: int | None = None) -> bytes | None:
        """The value of a key at a watermark, by default the last commit's; None if there is none."""
        return self.store.read(key, watermark)

    def put(self, keys: Messages, values: Messages, present: NDArray[np.bool_]) -> Numbers:
        """Write values under the next commit's number; the keys as `commit` takes them. Each key once."""
        numbers = self.store.intern(keys.ragged)
        return self.store.put(numbers, values.ragged, present)

    def commit(
        self,
        written: Numbers,
        *,
        height: int,
        timestamp: int,
        codes: Sequence[bytes] = (),
        receipts: bytes | None = None,
    ) -> bytes:
        """Make what was written under the next commit's number the state; the new root.

        Args:
            written: the keys, each once: their numbers, or as compiled code notes them (`versions.HAS_MORE`).
            height, timestamp: of the block, or of the last one.
            codes, receipts: what the storage keeps beside it.

        Raises:
            StorageFailed: the storage takes no more; the state is what it was.
        """
        with self._tree_lock:
            root = self._commit(written, height, timestamp, codes, receipts)
        self._collector.committed(written)
        return root

    def _commit(
        self,
        written: Numbers,
        height: int,
        timestamp: int,
        codes: Sequence[bytes],
        receipts: bytes | None,
    ) -> bytes:
        updated = False
        try:
            values, present = self.store.newest(written)
            self._add_paths()
            root = self.tree.update(written.astype(np.uint32), Messages(*values), present)
            updated = True
            if self.storage is not None:
                self._persist(written, values, present, root, height, timestamp, codes, receipts)
        except BaseException:
            if updated:
                self.abort(written)
            else:
                # An update that was broken off, by an interruption say, leaves the tree in no known state.
                self.store.undo(written, counted=True)
                self._build_tree()
            raise
        self.store.publish()
        self.position = Position(self.store.watermark, height, timestamp, root)
        return root

    def abort(self, written: Numbers) -> None:
        """Forget what was written under the next commit's number; keys as `commit` takes them."""
        self.store.undo(written, counted=True)
        numbers = key_numbers(written)
        values, present = self.store.values(numbers)
        with self._tree_lock:
            self._add_paths()
            self.tree.update(numbers.astype(np.uint32), Messages(*values), present)

    def prove(self, key: bytes) -> Proof:
        """That the key has its value, or that it has none, under the last root; for any thread."""
        with self._tree_lock:
            return self.tree.prove(key, value_of=lambda number: self.store.read_number(number) or b"")

    def snapshot(self, name: str) -> Position:
        """Name the last commit; its versions are kept until the name is forgotten.

        Raises:
            ArgumentError: the name is taken, empty or too long.
        """
        if name in self.snapshots or not 0 < len(name.encode()) <= 255:
            raise ArgumentError("name", repr(name), "a name of 1 to 255 bytes that is not taken")
        if self.storage is not None:
            self.storage.name_snapshot(name)
        self.store.hold(self.position.commit)
        self.snapshots[name] = self.position
        return self.position

    def forget(self, name: str) -> None:
        """Drop a snapshot's name.

        Raises:
            ArgumentError: there is no such snapshot.
        """
        position = self._snapshot(name)
        if self.storage is not None:
            self.storage.forget_snapshot(name)
        del self.snapshots[name]
        self.store.release(position.commit)

    def rollback(self, name: str) -> bytes:
        """A commit that gives every key the value that it had at a snapshot, and the height of then; the root.

        Raises:
            ArgumentError: there is no such snapshot.
            StorageFailed: the storage takes no more; the state is what it was.
        """
        to = self._snapshot(name)
        numbers = self.store.changed_since(to.commit)
        values, present = self.store.values(numbers, to.commit)
        written = self.store.put(numbers, values, present)
        return self.commit(written, height=to.height, timestamp=to.timestamp)

    def _snapshot(self, name: str) -> Position:
        if name not in self.snapshots:
            known = ", ".join(map(repr, self.snapshots)) or "none"
            raise ArgumentError("name", repr(name), f"the name of a snapshot; there are: {known}")
        return self.snapshots[name]

    def _add_paths(self) -> None:
        """Give the tree the keys that were numbered since."""
        known, count = self.tree.keys, len(self.store.keys)
        if known < count:
            self.tree.add_keys(known, Messages(*self.store.keys.strings(np.arange(known, count))))

    def _persist(
        self,
        written: Numbers,
        values: Ragged,
        present: NDArray[np.bool_],
        root: bytes,
        height: int,
        timestamp: int,
        codes: Sequence[bytes],
        receipts: bytes | None,
    ) -> None:
        assert self.storage is not None
        keys = Messages(*self.store.keys.strings(key_numbers(written)))
        commit = Commit(self.store.next_commit, height, root, timestamp, keys, Messages(*values), present)
        # Before the commit is handed over, since after that nothing may fail any more.
        due = self.storage.checkpoint_due()
        if due is not None:
            self.storage.start_checkpoint(due, self._chunks(due))
        self.storage.commit(commit, codes=codes, receipts=receipts)

    def _chunks(self, watermark: int) -> Generator[tuple[Messages, Messages]]:
        """The whole state at a watermark, which the storage's thread reads while commits go on."""
        count = len(self.store.keys)

        def chunks() -> Generator[tuple[Messages, Messages]]:
            with self.store.reading(watermark):
                yield Messages.of([]), Messages.of([])
                for first in range(0, count, CHUNK_KEYS):
                    yield self.store.chunk(first, min(first + CHUNK_KEYS, count), watermark)

        begun = chunks()
        next(begun)  # From here on the watermark is held, and let go of however this ends.
        return begun

    def _load(self, storage: Storage) -> None:
        """Rebuild versions and tree: the checkpoint as one commit, then every later one as its own."""
        head, checkpoint = storage.head, storage.checkpoint
        named = Counter(snapshot.sequence for snapshot in head.snapshots.values())
        self.store.watermark = checkpoint.sequence - 1 if checkpoint.sequence else 0
        for keys, values in storage.pages():
            self.put(keys, values, np.ones(len(keys), np.bool_))
        positions: dict[int, Position] = {}
        if checkpoint.sequence:
            self.store.publish()
            positions[checkpoint.sequence] = Position(
                checkpoint.sequence, checkpoint.height, checkpoint.timestamp, checkpoint.root
            )
        self._hold(self.store.watermark, named)
        for commit in storage.commits():
            written = self.put(commit.keys, commit.values, commit.present)
            self.store.publish()
            self.store.collect_replaced(written)
            if commit.sequence in named:
                self._hold(commit.sequence, named)
                positions[commit.sequence] = Position(
                    commit.sequence, commit.height, commit.timestamp, commit.root
                )
        self._collector.remember(np.arange(len(self.store.keys)))
        self._check_root(storage)
        self.position = Position(head.sequence, head.height, head.timestamp, head.root)
        for name, snapshot in head.snapshots.items():
            self.snapshots[name] = positions.get(snapshot.sequence, Position(0, 0, 0, bytes(32)))

    def _hold(self, watermark: int, named: Counter[int]) -> None:
        """Keep what a watermark sees, once for each of its names."""
        for _ in range(named[watermark]):
            self.store.hold(watermark)

    def _build_tree(self) -> bytes:
        """Build the tree of the last commit anew; its root."""
        self.tree = SparseMerkleTree(self._hash)
        self._add_paths()
        numbers = np.arange(len(self.store.keys))
        values, present = self.store.values(numbers, self.store.watermark)
        return self.tree.update(numbers[present].astype(np.uint32), kept(values, present), present[present])

    def _check_root(self, storage: Storage) -> None:
        root = self._build_tree()
        if root != storage.head.root:
            raise StorageCorrupt(
                storage.path,
                f"the state has the root {root.hex()}, the last commit says {storage.head.root.hex()}",
                "restore a copy of the directory; was it written with another hash?",
            )
