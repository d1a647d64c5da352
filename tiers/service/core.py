# SPDX-License-Identifier: GPL-3.0-or-later
"""The verification service, whatever carries its messages: requests in, replies or a `ServiceError` out.

gRPC (`server.py`) and HTTP call the same methods, so that limits, queue and drain are one. Nothing is computed on the
event loop: signatures are gathered and verified on one or two threads, all other calls take turns on another. Whoever
carries messages may have threads of its own, to parse and write them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from supervm.crypto.groth16 import Circuits
from supervm.crypto.schemes import ECDSA, ED25519
from supervm.kernels.array_types import Bytes, Verdicts
from supervm.kernels.backend_trace import witness
from supervm.kernels.errors import (
    ArgumentError,
    BackendUnavailable,
    DeviceError,
    DeviceLost,
    DeviceOutOfMemory,
)
from supervm.kernels.threads import get_threads
from supervm.tiers.errors import ServiceError
from supervm.tiers.known_answers import known_answers
from supervm.tiers.service import calls
from supervm.tiers.service.access import Access
from supervm.tiers.service.admission import Queue, Rates
from supervm.tiers.service.codes import Code
from supervm.tiers.service.columns import SCHEMES, Kind, signatures
from supervm.tiers.service.computation import Computation
from supervm.tiers.service.gathering import Answer, Columns, Gatherer, Pending, Sink, expired
from supervm.tiers.service.job_pool import JobPool
from supervm.tiers.service.kept_keys import KeptKeys
from supervm.tiers.service.meters import Meter, Unmetered
from supervm.tiers.service.pairing_columns import (
    BLS_WIDTHS,
    PairingKind,
    blob_columns,
    bls_columns,
    groth16_columns,
)
from supervm.tiers.service.v1 import verification_pb2 as pb

if TYPE_CHECKING:
    from supervm.crypto.kzg import TrustedSetup

Reply = TypeVar("Reply")

log = logging.getLogger(__name__)

BATCHES_AT_ONCE = 2
"""Batches that are verified at a time, where one may use several threads: the second takes the cores that the last slices of
the first, and the Python between two batches, leave idle. On two cores, requests of 4,096 signatures gain 7 %."""

PAIRINGS_AT_ONCE = 256
"""Proofs, BLS signatures or keys of aggregates that are verified by one call: a tenth of a second, after which others have
their turn. More of them are hardly cheaper."""

HELD = 2
"""Copies of a request while it waits: the packed message, which its carrier keeps, and its columns."""


class State(StrEnum):
    """What the service says of itself."""

    READY = "ready"
    LEAVING = "leaving"
    DRAINING = "draining"
    FAILING = "failing"


@dataclass(frozen=True)
class Limits:
    """What the service takes on; the settings of the same names say what each one means.

    Args:
        batch_items: signatures of a full batch.
        batch_age: seconds.
        proof_items: proofs, or BLS signatures, of a batch that waits no longer.
        proof_age: seconds.
        queue_items, queue_bytes: accepted and not answered.
        client_rate: items a second and client; 0 is without a limit.
    """

    batch_items: int = 4096
    batch_age: float = 0.002
    proof_items: int = 32
    proof_age: float = 0.05
    queue_items: int = 1 << 18
    queue_bytes: int = 256 << 20
    client_rate: int = 0


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request.

    Args:
        name: the client whose rate it counts against.
        deadline: `time.monotonic()` after which nobody wants the answer, or None.
    """

    name: str = "local"
    deadline: float | None = None


LOCAL = Caller()


class Waiter:
    """A coroutine that waits for the verdicts of one request; see `gathering.Sink`."""

    def __init__(self, future: asyncio.Future[Answer]) -> None:
        self.gone = False
        self._future = future

    def deliver(self, request: Pending, answer: Answer) -> None:
        """See `gathering.Sink`; wakes the coroutine in `verdicts`, unless it was cancelled."""
        if not self._future.done():
            self._future.set_result(answer)

    async def verdicts(self) -> bytes:
        """Raises:
        ServiceError: there are none.
        """
        try:
            answer = await self._future
        finally:
            self.gone = True
        if isinstance(answer, ServiceError):
            raise answer.with_traceback(None)
        return answer


class VerificationService:
    """One method for each call; made, and used, in a running event loop.

    Every method raises `ServiceError`: INVALID_ARGUMENT names the field; RESOURCE_EXHAUSTED where the queue is full or the
    client too fast; UNAVAILABLE while draining; DEADLINE_EXCEEDED; INTERNAL where nothing could compute. A cancelled call
    is dropped from the queue.

    Args:
        limits: of queue, batches and clients.
        access: names clients; whoever carries messages asks it for the caller's name.
        backend: as in the settings.
        meter: what counts.
        circuits: whose Groth16 proofs need not bring a key.
        setup: of blobs; without one they are refused.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        access: Access | None = None,
        backend: str = "auto",
        meter: Meter | None = None,
        circuits: Circuits | None = None,
        setup: TrustedSetup | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.access = access or Access()
        self.queue = Queue(self.limits.queue_items, self.limits.queue_bytes)
        self.meter: Meter = meter or Unmetered()
        self._backend = backend
        self._rates = Rates(self.limits.client_rate)
        self._state = State.READY
        self._watchers: list[Callable[[State], None]] = []
        self._idle: list[asyncio.Future[None]] = []
        self._loop = asyncio.get_running_loop()
        self._verifying = JobPool("supervm-verify", self._loop, min(BATCHES_AT_ONCE, get_threads()))
        self._others = JobPool("supervm-calls", self._loop)
        self._pairings = JobPool("supervm-pairings", self._loop)
        self._pools = [self._verifying, self._others, self._pairings]
        self._gatherer = Gatherer(
            self._verifying,
            self._verify,
            self.limits.batch_items,
            self.limits.batch_age,
            self.failed,
            self._verified,
        )
        self._proofs = Gatherer(
            self._pairings,
            self._verify_pairings,
            max(PAIRINGS_AT_ONCE, self.limits.proof_items),
            self.limits.proof_age,
            partial(self.failed, vital=False),
            self._verified,
            self.limits.proof_items,
            PAIRINGS_AT_ONCE,
        )
        self._circuits, self._setup = circuits or Circuits(), setup
        self._kept = {variant: KeptKeys(variant) for variant in BLS_WIDTHS}
        self._known: set[str] = set()
        self.meter.queue("verify", lambda: self.queue.items)

    # Calls ------------------------------------------------------------------------------------------------

    async def verify(self, request: pb.VerifyRequest, caller: Caller = LOCAL) -> pb.VerifyReply:
        """Verdicts of one batch."""
        waiter = Waiter(self._loop.create_future())
        self.submit(request, caller, waiter)
        identity = request.id
        del request  # the queue has its columns; megabytes need not wait twice
        return pb.VerifyReply(id=identity, verdicts=await waiter.verdicts())

    def submit(self, request: pb.VerifyRequest, caller: Caller, sink: Sink) -> None:
        """Have a request verified; `sink` gets the verdicts later, and the request's id as the tag.

        Raises:
            ServiceError: it is refused; nothing is delivered.
        """
        self._gather(self._gatherer, signatures(request), HELD * request.ByteSize(), caller, sink, request.id)

    def recover(
        self, request: pb.RecoverRequest, caller: Caller = LOCAL
    ) -> Coroutine[Any, Any, pb.RecoverReply]:
        """The keys that made signatures over digests."""
        return self._other(calls.recover, request, caller)

    def hash(self, request: pb.HashRequest, caller: Caller = LOCAL) -> Coroutine[Any, Any, pb.HashReply]:
        """Digests of messages."""
        return self._other(calls.hashes_of, request, caller)

    def merkle_root(
        self, request: pb.MerkleRootRequest, caller: Caller = LOCAL
    ) -> Coroutine[Any, Any, pb.MerkleRootReply]:
        """The root over leaves."""
        return self._other(calls.merkle_root, request, caller)

    def msm(self, request: pb.MsmRequest, caller: Caller = LOCAL) -> Coroutine[Any, Any, pb.MsmReply]:
        """A sum of multiples of points."""
        return self._other(calls.sum_of_products, request, caller)

    def poseidon(
        self, request: pb.PoseidonRequest, caller: Caller = LOCAL
    ) -> Coroutine[Any, Any, pb.PoseidonReply]:
        """Poseidon of rows of field elements."""
        return self._other(calls.field_hashes, request, caller)

    async def detect_conflicts(
        self, request: pb.DetectConflictsRequest, caller: Caller = LOCAL
    ) -> pb.DetectConflictsReply:
        """Waves of a block's transactions."""
        computing = self._other(calls.detected_conflicts, request, caller)
        del request  # as in `verify`
        reply = await computing
        self.meter.conflicts(len(reply.edges) // calls.EDGE_BYTES)
        return reply

    def verify_groth16(
        self, request: pb.VerifyGroth16Request, caller: Caller = LOCAL
    ) -> Coroutine[Any, Any, pb.VerifyReply]:
        """Verdicts of proofs of one circuit."""
        return self._proved(lambda asked: groth16_columns(asked, self._circuits), request, caller)

    def verify_bls(
        self, request: pb.VerifyBlsRequest, caller: Caller = LOCAL
    ) -> Coroutine[Any, Any, pb.VerifyReply]:
        """Verdicts of signatures on BLS12-381, single or aggregated."""
        return self._proved(lambda asked: bls_columns(asked, self._kept), request, caller)

    def verify_blobs(
        self, request: pb.VerifyBlobsRequest, caller: Caller = LOCAL
    ) -> Coroutine[Any, Any, pb.VerifyReply]:
        """Verdicts of blobs against their commitments."""
        return self._proved(lambda asked: blob_columns(asked, self._setup), request, caller)

    # State ------------------------------------------------------------------------------------------------

    @property
    def names_clients(self) -> bool:
        """Whether the names of callers matter, to a rate or to who may call."""
        return self.access.needs_token or self.limits.client_rate > 0

    @property
    def state(self) -> State:
        """What health checks are told."""
        return self._state

    def watch(self, watcher: Callable[[State], None]) -> None:
        """Call `watcher` with every new state."""
        self._watchers.append(watcher)

    def leave(self) -> None:
        """Say that others should be asked from now on; what comes none the less is answered."""
        self._enter_state(State.LEAVING)

    def drain(self) -> None:
        """Refuse requests from now on; those that were accepted are answered."""
        self._enter_state(State.DRAINING)

    async def idle(self) -> None:
        """Wait until every accepted request is answered."""
        if self.queue.requests:
            future: asyncio.Future[None] = self._loop.create_future()
            self._idle.append(future)
            await future

    def pool(self, name: str) -> JobPool:
        """One more thread, for whoever carries messages; it ends with the service."""
        pool = JobPool(name, self._loop)
        self._pools.append(pool)
        return pool

    def close(self) -> None:
        """End the threads after what they compute; who still waits is told that the service stops."""
        self._enter_state(State.DRAINING)
        for pool in self._pools:
            pool.close(stopping())

    # Inside -----------------------------------------------------------------------------------------------

    def _enter(self, caller: Caller, items: int, size: int) -> None:
        """Admit a request; `_leave` takes it out again."""
        if self._state is State.DRAINING:
            raise stopping()
        if caller.deadline is not None and caller.deadline <= time.monotonic():
            raise expired()
        self._rates.spend(caller.name, items)
        self.queue.enter(items, size)

    def _leave(self, items: int, size: int, begun: float) -> None:
        self.queue.leave(items, size, time.monotonic() - begun)
        if self._idle and not self.queue.requests:
            for waiting in self._idle:
                if not waiting.done():
                    waiting.set_result(None)
            self._idle.clear()

    def _gather(
        self, gatherer: Gatherer, columns: Columns, held: int, caller: Caller, sink: Sink, tag: int
    ) -> None:
        """Have columns verified with those of others.

        Raises:
            ServiceError: they are not taken in.
        """
        size = held + columns.items
        self._enter(caller, columns.weight, size)
        pending = Pending(columns, caller.deadline, sink, tag, size)
        if columns.items:
            gatherer.put(pending)
        else:
            gatherer.settle(pending, b"")

    def _verified(self, request: Pending) -> None:
        self._leave(request.columns.weight, request.size, request.begun)

    async def _proved(self, check: Callable[[Any], Columns], request: Any, caller: Caller) -> pb.VerifyReply:
        """Check a request, and gather what it has."""
        waiter = Waiter(self._loop.create_future())
        self._gather(self._proofs, check(request), HELD * request.ByteSize(), caller, waiter, 0)
        del request
        return pb.VerifyReply(verdicts=await waiter.verdicts())

    async def _other(
        self, check: Callable[[Any, str], calls.Call[Reply]], request: Any, caller: Caller
    ) -> Reply:
        """Check a request, and compute its reply when its turn comes."""
        call = check(request, self._backend)
        items, size = max(1, call.items), HELD * request.ByteSize() + call.reply_size
        del request
        self._enter(caller, items, size)
        leave = partial(self._leave, items, size, time.monotonic())
        future: asyncio.Future[Reply] = self._loop.create_future()
        failed = partial(self.failed, vital=False)
        self._others.put(Computation(call.compute, caller.deadline, future, failed, leave))
        return await future

    def _verify(self, kind: Kind, keys: Bytes, signed: Any, packed: Bytes) -> Verdicts:
        """The library's batch function; on the pool's thread."""
        begun = time.perf_counter()
        with witness() as seen:
            verdicts = self._batch_function(kind)(keys, signed, packed)
        self.meter.stage("verify", time.perf_counter() - begun)
        scheme = SCHEMES[kind.scheme]
        self.meter.verified(scheme.name, seen.backend(scheme.operation), verdicts)
        if self._state is State.FAILING:
            self._loop.call_soon_threadsafe(self._enter_state, State.READY)
        return verdicts

    def _verify_pairings(self, kind: PairingKind, *columns: Any) -> Verdicts:
        """The batch function of a kind, on the pool's thread; before the first one, those whose answers are known."""
        for operation in kind.operations:
            if operation not in self._known:
                test = known_answers(operation, self._backend)
                if not test.ok:
                    raise BackendUnavailable(self._backend, f"{operation}: {test.detail}")
                self._known.add(operation)
        begun = time.perf_counter()
        with witness() as seen:
            verdicts = kind.verify(*columns, backend=self._backend)
        self.meter.stage("verify", time.perf_counter() - begun)
        self.meter.verified(kind.name, seen.backend(kind.operations[0]), verdicts)
        return verdicts

    def _batch_function(self, kind: Kind) -> Callable[[Bytes, Any, Bytes], Verdicts]:
        scheme, options = SCHEMES[kind.scheme], dict[str, Any]()
        if scheme is ED25519:
            options["rule"] = kind.rule
        elif scheme is ECDSA:
            options["low_s"] = kind.low_s
        return partial(scheme.verify_batch, **options, backend=self._backend)

    def failed(self, error: BaseException, vital: bool = True) -> ServiceError:
        """What the callers of failed work are told.

        Health follows the signatures, and lost devices: other calls may ask for what a backend does not have, or cannot do
        in time, and whoever sends such a call must not take the service from everybody else.
        """
        if isinstance(error, ServiceError):
            return error
        if isinstance(error, ArgumentError):
            return calls.of_argument(error)
        if isinstance(error, (MemoryError, DeviceOutOfMemory)):
            return ServiceError(
                Code.RESOURCE_EXHAUSTED, "", "too little memory: send less at once", self.queue.retry_after
            )
        if isinstance(error, (DeviceError, BackendUnavailable)):
            log.error("nothing can compute: %s", error)
            if vital or isinstance(error, DeviceLost):
                self._enter_state(State.FAILING)
            return ServiceError(Code.INTERNAL, "", f"nothing can compute: {error}")
        log.error("a request failed", exc_info=error)
        return ServiceError(
            Code.INTERNAL, "", f"a defect of the service, {type(error).__name__}; its log says more"
        )

    def _enter_state(self, state: State) -> None:
        last = (State.LEAVING, State.DRAINING)  # after which there is no way back
        if state is not self._state and (self._state not in last or state is State.DRAINING):
            self._state = state
            for watcher in self._watchers:
                watcher(state)


def stopping() -> ServiceError:
    """What a request is told when the service takes no more."""
    return ServiceError(Code.UNAVAILABLE, "", "the service is stopping: ask another one, or later")
