# SPDX-License-Identifier: GPL-3.0-or-later
"""`Participant`: one shard in two-phase commit. Messages of `supervm.shard.v1` in, messages out, whoever carries them.

    nothing ── Prepare: execute, keep the vote on the disk, give it ──▶ voted ── Commit ──▶ nothing, one version later
                                                                        │
                                                                        └──── Abort, or a later attempt ──▶ nothing

Before its vote a shard may give up at any time; after it, it waits to be told. Every message may come twice, late or never.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import numpy as np

from supervm.engine.config import EngineConfig
from supervm.engine.state import genesis
from supervm.engine.state.state import Position
from supervm.engine.transactions.encoding import decode
from supervm.kernels.array_types import Numbers
from supervm.kernels.errors import ArgumentError
from supervm.tiers.service.v1 import shard_pb2 as pb
from supervm.tiers.shards.errors import ShardError, UndeclaredAccess, VersionGone, VoteMissing, WrongShard
from supervm.tiers.shards.messages import Entries, entries_of, flags_of, messages_of, strings_of
from supervm.tiers.shards.meters import NO_METERS, ShardMeters
from supervm.tiers.shards.records import VoteFiles
from supervm.tiers.shards.shard_engine import ShardEngine
from supervm.tiers.shards.shard_map import ShardMap

KEPT_VERSIONS = 8
"""Versions that readers can ask for, the last one included."""

AMOUNT_BYTES = 32

Step = Callable[[str], None]
"""Told of each step before it is taken; a test ends the process there."""


@dataclass
class _Voted:
    """A block that the shard voted for: what is on the disk, and the numbers of the keys that it locks."""

    record: pb.VoteRecord
    writes: Entries
    locked: Numbers = field(repr=False)


class Participant:
    """A shard. Any thread may call it; one call at a time is carried out.

    Args:
        number: of the shard.
        shard_map: which keys it has.
        path: a directory for its state and its votes; None keeps everything in memory.
        config: of its engine.
        meters: told of what happens.
        step: told of each step.

    Raises:
        StorageUnavailable, StorageCorrupt, StorageFailed, VoteDamaged: the directory cannot be used.
        WrongShard: it is another shard's.
    """

    def __init__(
        self,
        number: int,
        shard_map: ShardMap,
        path: Path | str | None = None,
        config: EngineConfig | None = None,
        meters: ShardMeters = NO_METERS,
        step: Step = lambda name: None,
    ) -> None:
        self.number, self.map = number, shard_map
        self._meters, self._step, self._lock = meters, step, threading.Lock()
        folder = None if path is None else Path(path)
        state = None if folder is None else folder / "state"
        self.engine = ShardEngine(number, shard_map, state, config or EngineConfig())
        self._votes: VoteFiles | None = None
        self._attempt = 0
        self._coordinator = b""  # the log whose blocks the shard has; empty before the first vote
        self._closed = False
        self._voted: dict[int, _Voted] = {}
        self._kept: OrderedDict[int, Position] = OrderedDict()
        try:
            self._keep()
            if folder is not None:
                self._votes = VoteFiles(folder)
                for record in self._votes.read():
                    self._attempt = max(self._attempt, record.attempt)
                    self._coordinator = record.coordinator
                    if record.height > self.engine.height:
                        self._stand(record)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let the call at work end, write what waits, and let go of the directory."""
        with self._lock:
            self._closed = True
            self.engine.close()
            if self._votes is not None:
                self._votes.close()

    # ---------------------------------------------------------------------------------------------- calls

    def version(self, request: pb.VersionRequest) -> pb.VersionReply:
        """Values at a version, and where the shard stands.

        Raises:
            WrongShard: a key, or the map, is not this shard's.
            VersionGone: the version is not kept, or not there yet.
            ArgumentError: keys that are no column.
            ShardError: the shard is closed; so of all calls.
        """
        self._check_map(request.map_digest)
        keys = messages_of("keys", request.keys)
        if len(keys) and (self.map.owners(keys.ragged) != self.number).any():
            row = int((self.map.owners(keys.ragged) != self.number).argmax())
            raise WrongShard(
                f"key {keys[row].hex()} is not shard {self.number}'s: ask shard {self.map.owner(keys[row])}"
            )
        with self._turn():
            height = request.version if request.HasField("version") else self.engine.height
            position = self._kept.get(height)
            if position is None:
                kept = f"{min(self._kept)} to {max(self._kept)}"
                raise VersionGone(f"shard {self.number} has the versions {kept}, not {height}")
            numbers = self.engine.state.store.keys.find(keys.ragged)
            values, present = self.engine.values(numbers, position.commit)
            locked = np.zeros(len(keys), np.bool_)
            for each in self._voted.values():
                locked |= np.isin(numbers, each.locked)
            return pb.VersionReply(
                version=position.height,
                root=position.root,
                timestamp=position.timestamp,
                values=strings_of(values),
                present=present.tobytes(),
                locked=locked.tobytes(),
                voted=[
                    pb.Voted(height=height, attempt=each.record.attempt)
                    for height, each in sorted(self._voted.items())
                ],
                shard=self.number,
                attempt=self._attempt,
                coordinator=self._coordinator,
                supply=self._supply() if request.supply else b"",
                durable=self._votes is not None,
            )

    def prepare(self, request: pb.PrepareRequest, late: Callable[[], bool] = lambda: False) -> pb.Vote:
        """Execute a part of a block, and vote.

        Args:
            request: the part.
            late: whether the caller's time is over, asked before the vote is kept.

        Raises:
            WrongShard: the map or the coordinator is another one, or a key that the state is given another shard's.
            ArgumentError, MalformedBatch: columns that are none, transactions that are no encodings, entries that the state
                cannot have.
            ContractRejected: code that breaks a rule.
            StorageFailed, VoteDamaged: the disk takes no more; there is no vote.
        """
        self._check_map(request.map_digest)
        began = perf_counter()
        with self._turn():
            self._check_coordinator(request.coordinator)
            vote = self._prepare(request, late)
        self._meters.prepared(vote.yes, perf_counter() - began)
        return vote

    def commit(self, request: pb.CommitRequest) -> pb.CommitReply:
        """Make a block that the shard voted for its state.

        Raises:
            WrongShard: the map or the coordinator is another one.
            VoteMissing: the shard has not voted for it.
            StorageFailed: the disk takes no more; the shard's state and its vote are what they were.
        """
        self._check_map(request.map_digest)
        with self._turn():
            self._check_coordinator(request.coordinator)
            if request.height > self.engine.height:
                self._commit(request)
            position = self._kept.get(request.height)
            return pb.CommitReply(version=request.height, root=b"" if position is None else position.root)

    def abort(self, request: pb.AbortRequest) -> pb.AbortReply:
        """Forget the vote of an attempt, and of those before it.

        Raises:
            WrongShard: the map or the coordinator is another one.
            VoteMissing: the block is committed.
        """
        self._check_map(request.map_digest)
        with self._turn():
            self._check_coordinator(request.coordinator)
            if request.height <= self.engine.height:
                raise VoteMissing(f"shard {self.number} has committed block {request.height}")
            self._attempt = max(self._attempt, request.attempt + 1)
            voted = self._voted.get(request.height)
            if voted is not None and voted.record.attempt <= request.attempt:
                self._step("abort")
                del self._voted[request.height]
                self._meters.aborted()
            if not self.engine.height and not self._voted:
                self._coordinator = b""  # nothing is anybody's yet
        return pb.AbortReply()

    # ---------------------------------------------------------------------------------------------- inside

    def _check_map(self, digest: bytes) -> None:
        if digest != self.map.digest:
            raise WrongShard(f"shard {self.number} goes by map {self.map.digest.hex()}, not {digest.hex()}")

    def _check_coordinator(self, identity: bytes) -> None:
        """Two coordinators that know nothing of each other would end each other's votes."""
        if self._coordinator and identity != self._coordinator:
            raise WrongShard(
                f"shard {self.number} has blocks of the log {self._coordinator.hex()}, not {identity.hex() or 'none'}"
            )

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One call after the other, until the shard is closed."""
        with self._lock:
            if self._closed:
                raise ShardError(f"shard {self.number} is closed")
            yield

    def _supply(self) -> bytes:
        return genesis.supply(self.engine.state).to_bytes(AMOUNT_BYTES)

    def _prepare(self, request: pb.PrepareRequest, late: Callable[[], bool]) -> pb.Vote:
        digest = hashlib.sha256(request.SerializeToString(deterministic=True)).digest()
        voted = self._voted.get(request.height)
        if voted is not None and voted.record.attempt == request.attempt:
            if voted.record.request != digest:
                return _no(pb.REFUSAL_STALE, f"attempt {request.attempt} was with another part of the block")
            return voted.record.vote
        position = self.engine.state.position
        if request.attempt < self._attempt or request.height <= position.height:
            return _no(pb.REFUSAL_STALE, f"attempt {request.attempt} at block {request.height} is over")
        # One coordinator counts attempts: a later one means that the earlier one is over.
        self._attempt = request.attempt
        self._voted.pop(request.height, None)
        for height, other in self._voted.items():
            first = self.engine.state.store.keys.strings(other.locked[:1]).data.tobytes().hex()
            text = f"block {height} locks {len(other.locked)} keys until it is decided, the first is {first or 'none'}"
            return _no(pb.REFUSAL_LOCKED, text)
        if request.height != position.height + 1 or request.base_root != position.root:
            text = f"version {position.height} has the root {position.root.hex()}"
            return _no(pb.REFUSAL_VERSION, text)
        self._step("execute")
        try:
            record = self._executed(request)
            record.coordinator, record.request = request.coordinator, digest
        except UndeclaredAccess as error:
            vote = _no(pb.REFUSAL_UNDECLARED, f"it {error.what}")
            vote.row = error.row
            return vote
        if late():
            return _no(pb.REFUSAL_LATE, "the time was over before the vote")
        self._step("vote")
        if self._votes is not None:
            # What this vote is written over must have become state that the disk has: two blocks before.
            self._flush()
            self._votes.write(record)
        self._step("voted")
        self._stand(record)
        return record.vote

    def _flush(self) -> None:
        storage = self.engine.state.storage
        assert storage is not None
        if storage.written < self.engine.state.position.commit - 1:
            storage.flush()

    def _executed(self, request: pb.PrepareRequest) -> pb.VoteRecord:
        if request.timestamp >> 63:
            raise ArgumentError("timestamp", str(request.timestamp), "0 to 2^63 − 1")
        codes: Sequence[bytes] = ()
        if request.HasField("transactions"):
            batch, faults = decode(messages_of("transactions", request.transactions))
            if faults:
                row = int(faults.rows[0])
                raise ArgumentError("transactions", faults.words(row), "canonical encodings")
            foreign = entries_of(
                "foreign", request.foreign_keys, request.foreign_values, request.foreign_present
            )
            home = flags_of("home", request.home, len(batch))
            outcome = self.engine.execute(batch, home, foreign, request.height, request.timestamp)
            writes = outcome.writes
            self._meters.refused_proofs(outcome.refused_proofs)
            vote = pb.Vote(
                yes=True,
                fees=outcome.fees.to_bytes(AMOUNT_BYTES),
                receipts=outcome.receipts.to_bytes(),
                reasons=outcome.reasons.tobytes(),
                gas=outcome.gas.tobytes(),
            )
        else:
            writes, codes = entries_of("entry", request.entry_keys, request.entry_values), request.codes
            self.engine.check(writes, codes)
            vote = pb.Vote(yes=True, fees=bytes(AMOUNT_BYTES))
        return pb.VoteRecord(
            attempt=request.attempt,
            height=request.height,
            timestamp=request.timestamp,
            keys=strings_of(writes.keys),
            values=strings_of(writes.values),
            present=writes.present.tobytes(),
            codes=codes,
            vote=vote,
        )

    def _stand(self, record: pb.VoteRecord) -> None:
        """The vote stands: its keys are locked, in ascending order of their numbers."""
        writes = entries_of("vote", record.keys, record.values, record.present)
        locked = np.sort(self.engine.state.store.intern(writes.keys.ragged))
        self._voted[record.height] = _Voted(record, writes, locked)
        self._coordinator = record.coordinator

    def _commit(self, request: pb.CommitRequest) -> None:
        voted = self._voted.get(request.height)
        if voted is None or voted.record.attempt != request.attempt:
            raise VoteMissing(
                f"shard {self.number} has no vote of attempt {request.attempt} for block {request.height}"
            )
        if request.height != self.engine.height + 1:
            raise VoteMissing(
                f"shard {self.number} is at block {self.engine.height}: commit the next one first"
            )
        self._step("apply")
        fees, record = int.from_bytes(request.fees), voted.record
        self.engine.apply(voted.writes, fees, record.height, record.timestamp, record.codes)
        self._step("applied")
        del self._voted[request.height]
        self._keep()
        self._meters.committed()

    def _keep(self) -> None:
        """Readers can ask for the last version, and one less of the oldest ones."""
        state = self.engine.state
        state.store.hold(state.position.commit)
        self._kept[state.position.height] = state.position
        while len(self._kept) > KEPT_VERSIONS:
            state.store.release(self._kept.popitem(last=False)[1].commit)


def _no(refusal: pb.Refusal, reason: str) -> pb.Vote:
    return pb.Vote(yes=False, refusal=refusal, reason=reason)
