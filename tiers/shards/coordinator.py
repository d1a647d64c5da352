# SPDX-License-Identifier: GPL-3.0-or-later
"""`Coordinator`: blocks in, decided on all shards or on none.

    cut the block ─ Version: read what shards need of others ─ Prepare on all shards ─ decide on the disk ─ Commit on all

A block that is not decided leaves nothing behind; one that is decided is told to every shard until it is done. Whoever ends
in between opens the log again: what it says is told, and every other vote is over.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any

import numpy as np

from supervm.crypto.messages import Messages
from supervm.engine.arrays import ragged
from supervm.engine.config import FEE_COLLECTOR
from supervm.engine.state.keys import ACCOUNT, CODE
from supervm.engine.transactions.batch import TransactionBatch
from supervm.kernels.errors import ArgumentError
from supervm.tiers.service.v1 import shard_pb2 as pb
from supervm.tiers.shards.errors import (
    CoordinatorLogDamaged,
    ShardError,
    ShardUnavailable,
    VersionGone,
    WrongShard,
)
from supervm.tiers.shards.links import Link, Links
from supervm.tiers.shards.messages import NO_ENTRIES, Entries, entries_of, kinds_of, strings_of
from supervm.tiers.shards.participant import AMOUNT_BYTES, Step
from supervm.tiers.shards.planning import Plan, Planner
from supervm.tiers.shards.receipts import ShardedBlock
from supervm.tiers.shards.records import DecisionLog
from supervm.tiers.shards.shard_map import ShardMap
from supervm.tiers.shards.votes import Votes, checked

PREPARE_SECONDS = 60.0
"""For an answer, and for a vote: after it the block is given up."""

COMMIT_SECONDS = 60.0
"""For which a shard that does not answer is told a decision, before the caller hears of it."""

RETRY_SECONDS = 0.05

EPOCH_BITS = 32
"""Attempts are counted below the number of the log's beginning."""


class Coordinator:
    """Orders blocks on shards. One thread calls it.

    Args:
        shard_map: which shard has which key.
        links: to every shard, in the order of the map.
        log: the file of decisions; None keeps them in memory, for shards that keep nothing either.
        fee_collector: the account that fees go to, 20 bytes.
        prepare_seconds, commit_seconds: see the constants.
        step: told of each step before it is taken; a test ends the coordinator there.

    Raises:
        ArgumentError: no log, for shards that keep their state.
        CoordinatorLogDamaged: the log is damaged, or not that of these shards.
        WrongShard: a link leads to another shard, or one of another map.
        ShardUnavailable: a shard does not answer.
    """

    def __init__(
        self,
        shard_map: ShardMap,
        links: Sequence[Link],
        log: Path | str | None = None,
        *,
        fee_collector: bytes = FEE_COLLECTOR,
        prepare_seconds: float = PREPARE_SECONDS,
        commit_seconds: float = COMMIT_SECONDS,
        step: Step = lambda name: None,
    ) -> None:
        if len(links) != len(shard_map):
            raise ArgumentError("links", str(len(links)), f"{len(shard_map)}, one for each shard")
        self.map, self._links, self._step = shard_map, Links(links), step
        self._seconds, self._patience = prepare_seconds, commit_seconds
        self._collector = shard_map.owner(bytes([ACCOUNT]) + fee_collector)
        self._planner = Planner(shard_map)
        self._log = DecisionLog(log, shard_map.digest)
        self._attempt = self._log.epoch << EPOCH_BITS
        self._roots: tuple[bytes, ...] = ()  # empty while nobody knows where all shards stand
        self.height, self.timestamp = 0, 0
        try:
            self._settle()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Coordinator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the log and of the links. A second call does nothing."""
        self._log.close()
        self._links.close()

    @property
    def roots(self) -> tuple[bytes, ...]:
        """Of every shard's state after the last block; none after a block that failed, until the next call."""
        return self._roots

    # ---------------------------------------------------------------------------------------------- blocks

    def execute(self, batch: TransactionBatch, *, timestamp: int | None = None) -> ShardedBlock:
        """Execute a block on all shards.

        Args:
            batch: its transactions, in its order.
            timestamp: seconds; without, one more than the last block's.

        Raises:
            MalformedBatch, UndeclaredAccess: the block cannot be executed; nothing was done.
            VoteRefused, ShardsDisagree: a shard votes no, or finds something else than another; nothing was done.
            VersionGone: a shard has ended and come back behind the others; nothing was done: send the block again.
            ShardUnavailable: a shard does not answer; the error says whether the block is decided.
            CoordinatorLogDamaged: the decision could not be kept; open the log again to know whether it was made.
        """
        began = perf_counter()
        plan = self._planner.plan(batch)
        return self._execute(plan, timestamp, {"plan": perf_counter() - began})

    def run(self, batches: Iterable[TransactionBatch]) -> Iterator[ShardedBlock]:
        """Execute blocks one after the other; while one is executed the next one is cut. Errors as `execute`."""
        waiting = iter(batches)

        def planned() -> tuple[Plan, float] | None:
            batch = next(waiting, None)
            began = perf_counter()
            return None if batch is None else (self._planner.plan(batch), perf_counter() - began)

        with ThreadPoolExecutor(1, thread_name_prefix="supervm-shard-plan") as ahead:
            following = ahead.submit(planned)
            while (found := following.result()) is not None:
                following = ahead.submit(planned)
                yield self._execute(found[0], None, {"plan": found[1]})

    def put(self, entries: Entries, codes: Sequence[bytes] = ()) -> tuple[bytes, ...]:
        """Give keys of the state values without a transaction, as one block; the roots.

        Args:
            entries: each key once, all present.
            codes: of contracts; their entries (`02 …`) go to every shard.

        Raises: as `execute`.
        """
        owners = self.map.owners(entries.keys.ragged)
        code = kinds_of(entries.keys) == CODE
        requests = []
        for shard in range(len(self.map)):
            mine = entries.take(np.flatnonzero((owners == shard) | code))
            request = self._request(self.timestamp)
            request.entry_keys.CopyFrom(strings_of(mine.keys))
            request.entry_values.CopyFrom(strings_of(mine.values))
            request.codes.extend(codes)
            requests.append(request)
        self._decide(requests, self.timestamp, {})
        return self._roots

    def read(self, keys: Messages) -> Entries:
        """What keys hold after the last block.

        Raises:
            ShardUnavailable: a shard does not answer.
            VersionGone: a shard has ended and come back behind the others; ask again.
        """
        self._ready()
        owners = self.map.owners(keys.ragged)
        rows = [np.flatnonzero(owners == shard) for shard in range(len(self.map))]
        values = Entries.joined(self._read(tuple(ragged.taken(keys, each) for each in rows)))
        places = np.empty(len(keys), np.int64)
        places[np.concatenate(rows)] = np.arange(len(keys))
        return values.take(places)

    def supply(self) -> int:
        """The sum of all balances after the last block. Errors as `read`."""
        self._ready()
        asked = pb.VersionRequest(version=self.height, map_digest=self.map.digest, supply=True)
        replies = self._versions([asked] * len(self._links))
        return sum(int.from_bytes(reply.supply) for reply in replies)

    # ---------------------------------------------------------------------------------------------- two phases

    def _execute(self, plan: Plan, timestamp: int | None, seconds: dict[str, float]) -> ShardedBlock:
        self._ready()
        stamp = self.timestamp + 1 if timestamp is None else timestamp
        if not 0 <= stamp < 1 << 63:
            raise ArgumentError("timestamp", repr(timestamp), "0 to 2^63 − 1")
        began = perf_counter()
        values = self._read(plan.wanted)
        requests = []
        for part in plan.parts:
            foreign = plan.foreign(part, values)
            request = self._request(stamp)
            request.transactions.CopyFrom(strings_of(part.transactions))
            request.transactions.SetInParent()
            request.home = part.home.tobytes()
            request.foreign_keys.CopyFrom(strings_of(foreign.keys))
            request.foreign_values.CopyFrom(strings_of(foreign.values))
            request.foreign_present = foreign.present.tobytes()
            requests.append(request)
        seconds["read"] = perf_counter() - began
        votes = self._decide(requests, stamp, seconds, plan)
        assert votes.receipts is not None
        return ShardedBlock(
            self.height,
            stamp,
            votes.receipts,
            self._roots,
            votes.fees,
            plan.transactions,
            plan.cross,
            tuple(len(part.rows) for part in plan.parts),
            seconds,
        )

    def _request(self, timestamp: int) -> pb.PrepareRequest:
        self._ready()
        return pb.PrepareRequest(
            height=self.height + 1,
            timestamp=timestamp,
            map_digest=self.map.digest,
            coordinator=self._log.identity,
        )

    def _read(self, wanted: tuple[Messages, ...]) -> list[Entries]:
        """What shards say that these keys of theirs hold at the last version."""
        requests: list[pb.VersionRequest | None] = [
            pb.VersionRequest(version=self.height, keys=strings_of(keys), map_digest=self.map.digest)
            if len(keys)
            else None
            for keys in wanted
        ]
        found = []
        for keys, reply in zip(wanted, self._versions(requests), strict=True):
            if reply is None:
                found.append(NO_ENTRIES)
                continue
            entries = entries_of("values", strings_of(keys), reply.values, reply.present)
            found.append(entries)
        return found

    def _versions(self, requests: Sequence[pb.VersionRequest | None]) -> list[Any]:
        """What shards answer about the last version."""
        try:
            return self._links.all("Version", requests, self._seconds)
        except VersionGone:
            self._roots = ()  # a shard has come back behind it: it is told again what was decided
            raise

    def _decide(
        self,
        requests: list[pb.PrepareRequest],
        timestamp: int,
        seconds: dict[str, float],
        plan: Plan | None = None,
    ) -> Votes:
        """Have all shards vote, decide, and tell them."""
        self._attempt += 1
        attempt, height = self._attempt, self.height + 1
        for request, root in zip(requests, self._roots, strict=True):
            request.attempt, request.base_root = attempt, root
        began = perf_counter()
        self._step("prepare")
        try:
            votes = checked(self._links.all("Prepare", requests, self._seconds), plan, self._links)
        except BaseException:
            self._give_up(attempt, height)
            raise
        voted = perf_counter()
        self._step("decide")
        fees = votes.fees.to_bytes(AMOUNT_BYTES)
        decision = pb.LogRecord(height=height, attempt=attempt, timestamp=timestamp, fees=fees)
        # From here on nobody knows whether it is decided, until the log says so.
        self._roots = ()
        self._log.decide(decision)
        self.height, self.timestamp = height, timestamp
        self._step("decided")
        decided = perf_counter()
        self._roots = self._tell(decision)
        self._step("committed")
        ended = perf_counter()
        seconds |= {"prepare": voted - began, "decide": decided - voted, "commit": ended - decided}
        return votes

    def _give_up(self, attempt: int, height: int) -> None:
        """The attempt is over: shards that can be told forget it at once, others when they hear of a later one."""
        self._roots = ()  # a vote of no may be that of a shard that stands elsewhere: look before the next block
        request = self._abort(attempt, height)
        calls = [self._links.begin(shard, "Abort", request, self._seconds) for shard in range(len(self.map))]
        for reply in calls:
            with suppress(ShardError):
                reply()

    def _abort(self, attempt: int, height: int) -> pb.AbortRequest:
        return pb.AbortRequest(
            attempt=attempt, height=height, map_digest=self.map.digest, coordinator=self._log.identity
        )

    def _tell(self, decision: pb.LogRecord) -> tuple[bytes, ...]:
        """Tell every shard that a block is committed, until it is; their roots."""
        until = time.monotonic() + self._patience
        roots: dict[int, bytes] = {}
        while len(roots) < len(self._links):
            left = [shard for shard in range(len(self._links)) if shard not in roots]
            replies = [
                self._links.begin(shard, "Commit", self._commit(decision, shard), self._seconds)
                for shard in left
            ]
            problem: ShardUnavailable | None = None
            for shard, reply in zip(left, replies, strict=True):
                try:
                    roots[shard] = reply().root
                except ShardError as error:
                    words = error.problem if isinstance(error, ShardUnavailable) else str(error)
                    problem = ShardUnavailable(shard, self._links.address(shard), words, decided=True)
            if problem is not None:
                if time.monotonic() >= until:
                    raise problem
                time.sleep(RETRY_SECONDS)
        return tuple(roots[shard] for shard in range(len(self._links)))

    def _commit(self, decision: pb.LogRecord, shard: int) -> pb.CommitRequest:
        return pb.CommitRequest(
            attempt=decision.attempt,
            height=decision.height,
            fees=decision.fees if shard == self._collector else b"",
            map_digest=self.map.digest,
            coordinator=self._log.identity,
        )

    # ---------------------------------------------------------------------------------------------- where all stand

    def _ready(self) -> None:
        if not self._roots:
            self._settle()

    def _settle(self) -> None:
        """Bring every shard to the last decided block, and end every other vote. Nothing is done unless all can be."""
        self._log.check()
        requests = [pb.VersionRequest(map_digest=self.map.digest)] * len(self._links)
        replies = self._links.all("Version", requests, self._seconds)
        height = self._log.height
        for shard, reply in enumerate(replies):
            self._check(shard, reply, height)
        for shard, reply in enumerate(replies):
            self._bring(shard, reply, height)
        replies = self._links.all("Version", requests, self._seconds)
        if any(reply.version != height for reply in replies):
            found = [reply.version for reply in replies]
            raise VersionGone(f"shards stand at {found}, not all at block {height}")
        self.height = height
        self.timestamp = max(reply.timestamp for reply in replies)
        # Also a log that was restored from a copy counts on behind what was done since.
        self._attempt = max(self._attempt, *(reply.attempt for reply in replies))
        self._roots = tuple(reply.root for reply in replies)

    def _check(self, shard: int, reply: pb.VersionReply, height: int) -> None:
        """A shard is the one that the map means, and stands where this log can have brought it."""
        if reply.shard != shard:
            raise WrongShard(
                f"shard {reply.shard} answers at {self._links.address(shard)}, not shard {shard}"
            )
        if reply.durable and not self._log.durable:
            raise ArgumentError(
                "log", "none", f"a file: shard {shard} keeps its state, and nobody else what was decided"
            )
        problem = ""
        if reply.version > height:
            problem = f"it ends at block {height}, and shard {shard} is at block {reply.version}"
        elif any(missing not in self._log.decisions for missing in range(reply.version + 1, height + 1)):
            problem = f"it ends at block {height}, and shard {shard} is only at block {reply.version}"
        elif reply.coordinator not in (b"", self._log.identity):
            problem = f"shard {shard} has blocks of another log"
        if problem:
            raise CoordinatorLogDamaged(self._log.path, problem)

    def _bring(self, shard: int, reply: pb.VersionReply, height: int) -> None:
        for missing in range(reply.version + 1, height + 1):
            self._links.begin(
                shard, "Commit", self._commit(self._log.decisions[missing], shard), self._seconds
            )()
        for voted in reply.voted:
            if voted.height > height:
                self._links.begin(shard, "Abort", self._abort(voted.attempt, voted.height), self._seconds)()
