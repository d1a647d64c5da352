# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm.v1.Node` over gRPC, around the calls of a node of any tier."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
import math
import re
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import aclosing
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from supervm.engine.errors import MalformedBatch
from supervm.kernels.errors import ArgumentError, SupervmError
from supervm.tiers.errors import ServiceError
from supervm.tiers.node.admission import (
    BLOCKS,
    COMPUTING,
    COMPUTING_OF_CONNECTION,
    QUESTION_BYTES,
    STREAMS,
    UNREAD_BYTES,
    WAITING,
    WAITING_OF_CONNECTION,
    bounds,
    queue,
    streams_of_blocks,
)
from supervm.tiers.node.block_stream import BlockStream
from supervm.tiers.node.callers import Asker, asker, caller_waits
from supervm.tiers.node.errors import (
    BlockRefused,
    NodeError,
    NotKept,
    TaskRefused,
    TasksClosed,
    TooManySnapshots,
    UpstreamFailed,
)
from supervm.tiers.node.turns import Caller, Turns, Unread, caller_of
from supervm.tiers.node.upstream import MOST_MESSAGE_BYTES
from supervm.tiers.observability.traces import Tracer
from supervm.tiers.service.access import Access, authorization_of
from supervm.tiers.service.bounds import Bounds
from supervm.tiers.service.codes import Code
from supervm.tiers.service.guard import Guard
from supervm.tiers.service.guarded_calls import requests
from supervm.tiers.service.health import NAME as HEALTH
from supervm.tiers.service.health import Health
from supervm.tiers.service.security import ServerTls
from supervm.tiers.service.sockets import Sockets
from supervm.tiers.service.v1 import node_pb2 as pb

log = logging.getLogger(__name__)

KEEPALIVE_MILLISECONDS = 60_000
PING_MILLISECONDS = 60_000
"""After how long without a word a connection is asked whether anybody is there, and how long that answer may take: so long
a caller that vanished holds the places of its streams."""

CUT_OFF_SECONDS = 1.0
"""How long a stop takes beyond its time, at most."""

LAST_WORDS_SECONDS = 0.2
"""How long an answer has to reach its caller when the node stops."""

THREADS = {"compute": COMPUTING, "wait": WAITING, "status": 2, "blocks": 2 * STREAMS}
"""Threads for calls that compute, that wait, that ask how the node is, and for what streams of blocks wait for."""

SMALL_REPLY = 4 << 10
"""Bytes of a reply that is not worth counting until its caller has read it."""

NO_FAULT = frozenset({grpc.StatusCode.NOT_FOUND, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.INTERNAL})
"""Codes of answers that a caller may need often; others are refusals."""

STOPS = "the node stops; ask again when it runs"

STATUS = frozenset({"GetStatus", "RouteTask"})
"""Calls that are answered whatever the others wait for."""

SERVICE = pb.DESCRIPTOR.services_by_name["Node"]

T = TypeVar("T")
Meter = Callable[[str, str, float], None]
"""Told of each call: its name, the status it ended with, and the seconds it took."""


class NodeServer:
    """A server of a node's calls, on an event loop that has a thread of its own.

    A call has a thread when its request is there and nothing else of it is to come: whoever sends none holds none.

    Args:
        service: `FullService` or `EdgeService`, whose functions are called from threads; `waits` has the names of calls that
            wait for something else than a core.
        address: HOST:PORT to listen on; port 0 is any free one.
        meter: told of each call.
        callers: what they may take.
        tracer: of calls that ask once; a stream lasts as long as its caller.
        tls: None for a port in the clear.
        access: whether calls need a token.

    Raises:
        OSError: the address cannot be listened on.
        BrokenFile: a file of certificates or keys.
    """

    def __init__(
        self,
        service: Any,
        address: str,
        meter: Meter = lambda call, code, seconds: None,
        callers: Bounds | None = None,
        tracer: Tracer | None = None,
        tls: ServerTls | None = None,
        access: Access | None = None,
    ) -> None:
        self._service, self._meter, self._tracer = service, meter, tracer or Tracer()
        self._access, self._callers = access or Access(), callers or bounds(MOST_MESSAGE_BYTES)
        self._queue = queue(self._callers.message_bytes)
        self._answering: set[asyncio.Task[Any]] = set()
        self._streams: set[BlockStream] = set()
        self._health = Health((SERVICE.full_name, HEALTH, reflection.SERVICE_NAME))
        self._stops = False
        self._turns = {
            "compute": Turns(COMPUTING, COMPUTING_OF_CONNECTION),
            "wait": Turns(WAITING, WAITING_OF_CONNECTION),
            "status": Turns(THREADS["status"], 1),
        }
        credentials = None if tls is None else tls.credentials()
        self._threads = {
            name: ThreadPoolExecutor(most, thread_name_prefix=f"supervm-node-{name}")
            for name, most in THREADS.items()
        }
        self._loop = _event_loop()
        try:
            self.address = self._do(self._open(address, credentials))
        except BaseException:
            self._close()
            raise

    @property
    def streams(self) -> int:
        """Calls of `SubmitBlocks` that are open."""
        return len(self._streams)

    @property
    def held(self) -> int:
        """Bytes of requests that arrive, or are here and not answered."""
        return self._queue.arriving + self._queue.size

    @property
    def unread(self) -> int:
        """Bytes of answers that their callers have not read."""
        return self._unread.total

    def start(self) -> None:
        """Answer calls."""
        self._do(self._start())

    def stop(self, seconds: float = 2.0) -> None:
        """Take no more calls, and let those whose requests are there be answered within so many seconds.

        Whatever callers do, it returns a second later at most.
        """
        try:
            self._do(self._stop(seconds), seconds + CUT_OFF_SECONDS)
        except TimeoutError:
            log.warning("calls were left behind that did not end")
        self._close()

    # ---------------------------------------------------------------------------------------------- the event loop

    def _do(self, work: Coroutine[Any, Any, T], seconds: float | None = None) -> T:
        """Do something on the event loop, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    def _close(self) -> None:
        for each in self._threads.values():
            each.shutdown(wait=False, cancel_futures=True)

    async def _open(self, address: str, credentials: Any) -> str:
        identify = self._identify if self._access.needs_token else None
        own = {BLOCKS: streams_of_blocks()}
        self._guard = Guard(self._callers, self._meter, self._queue, identify, own)
        options = (
            *self._guard.options,
            ("grpc.keepalive_time_ms", KEEPALIVE_MILLISECONDS),
            ("grpc.http2.ping_timeout_ms", PING_MILLISECONDS),
        )
        self._server = grpc.aio.server(interceptors=(self._guard,), options=options)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        handlers = {method.name: self._handler(method) for method in SERVICE.methods}
        generic = grpc.method_handlers_generic_handler(SERVICE.full_name, handlers)
        self._server.add_generic_rpc_handlers((generic,))
        names = (SERVICE.full_name, HEALTH, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)
        try:
            if credentials is None:
                bound = self._server.add_insecure_port(address)
            else:
                bound = self._server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise OSError(f"cannot listen on {address}: {error}") from None
        self._guard.start(bound)
        self._unread = Unread(UNREAD_BYTES, Sockets(bound).drop)
        host, _, port = address.rpartition(":")
        return f"{host}:{bound if port == '0' else port}"

    async def _start(self) -> None:
        await self._server.start()
        self._health.set(serving=True)

    async def _stop(self, seconds: float) -> None:
        self._stops = True
        self._health.set(serving=False)
        self._guard.stop(ServiceError(Code.UNAVAILABLE, "", STOPS))
        for stream in self._streams:
            if stream.busy():
                stream.stop()
        end = self._loop.time() + seconds
        while self._answering and (left := end - self._loop.time()) > 0:
            await asyncio.wait(self._answering, timeout=left)
        # What is over may still be on its way to its caller; what is not is cut off.
        await self._server.stop(min(LAST_WORDS_SECONDS, seconds))
        self._guard.close()

    def _identify(self, context: Any) -> None:
        self._access.client(authorization_of(context.invocation_metadata()), None, "")

    # ---------------------------------------------------------------------------------------------- calls

    def _handler(self, method: Any) -> Any:
        function = getattr(self._service, re.sub(r"(?<!^)(?=[A-Z])", "_", method.name).lower())
        if method.client_streaming:
            return grpc.stream_stream_rpc_method_handler(self._stream(method.name, function))
        read = GetMessageClass(method.input_type).FromString
        return grpc.unary_unary_rpc_method_handler(self._unary(method.name, function, read))

    def _unary(
        self, name: str, function: Callable[[Any], Any], read: Callable[[bytes], Any]
    ) -> Callable[[bytes, Any], Awaitable[bytes]]:
        kind = "status" if name in STATUS else "wait" if name in self._service.waits else "compute"

        def answered(packed: bytes) -> bytes:
            reply: bytes = function(read(packed)).SerializeToString()
            return reply

        async def answer(packed: bytes, context: Any) -> bytes:
            left = context.time_remaining()
            caller_waits.set(math.inf if left is None else time.monotonic() + left)
            asker.set(asking := Asker())
            headers = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
            caller = caller_of(context.peer())
            if len(packed) > QUESTION_BYTES:
                text = f"the request has {len(packed)} bytes, expected at most {QUESTION_BYTES}: send less at once"
                raise ServiceError(Code.RESOURCE_EXHAUSTED, "", text)
            self._queue.enter(1, len(packed))
            try:
                with self._tracer.request(name, headers):
                    reply = await self._in_turn(kind, caller, answered, packed)
            except asyncio.CancelledError:
                asking.leave()
                raise
            finally:
                self._queue.leave(1, len(packed), 0.0)
            size = len(reply)
            if size > SMALL_REPLY:
                self._unread.add(caller, size)
                # gRPC keeps this in a cycle with the context: it must not hold the reply.
                context.add_done_callback(functools.partial(self._taken, self._turns[kind], caller, size))
            return reply

        return self._call(name, answer)

    def _stream(
        self, name: str, function: Callable[[], BlockStream]
    ) -> Callable[[Any, Any], Awaitable[None]]:
        run = functools.partial(self._on, self._threads["blocks"])

        async def answer(given: AsyncIterator[bytes], context: Any) -> None:
            stream = function()
            requests.get().call.busy = stream.busy
            self._streams.add(stream)
            try:
                async with aclosing(stream.acknowledgements(self._counted(given), run)) as replies:
                    async for reply in replies:
                        await context.write(reply.SerializeToString())
            finally:
                self._streams.discard(stream)

        return self._call(name, answer)

    async def _counted(self, given: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The requests of a stream, each of which counts until the next one is wanted."""
        async for packed in given:
            self._queue.enter(1, len(packed))
            try:
                yield packed
            finally:
                self._queue.leave(1, len(packed), 0.0)

    def _call(
        self, name: str, answer: Callable[[Any, Any], Awaitable[T]]
    ) -> Callable[[Any, Any], Awaitable[T]]:
        """What is done for any call: it is counted, and its error becomes a status, unless the guard does that."""

        async def call(given: Any, context: Any) -> T:
            began, code, text, guarded = time.perf_counter(), grpc.StatusCode.OK, "", False
            task = asyncio.current_task()
            assert task is not None
            self._answering.add(task)
            try:
                if self._stops:
                    raise NodeError(STOPS)
                return await answer(given, context)
            except asyncio.CancelledError:
                asked = requests.get(None)
                guarded = asked is not None and asked.call.error is not None
                late = context.time_remaining() == 0
                code = grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.CANCELLED
                raise
            except ServiceError:
                guarded = True
                raise
            except Exception as error:
                code, text = status_of(error)
                if code not in NO_FAULT and not self._stops:
                    asked = requests.get(None)
                    await self._guard.refused(context, len(given) if asked is None else asked.call.held)
            finally:
                self._answering.discard(task)
                del task  # else it holds its exception, which holds this frame, and so what was given
                if not guarded:
                    self._meter(name, code.name, time.perf_counter() - began)
            await context.abort(code, text)
            raise AssertionError  # not reached: aborting raises

        return call

    async def _in_turn(
        self, kind: str, caller: Caller, function: Callable[[bytes], bytes], packed: bytes
    ) -> bytes:
        """Answer on a thread of a kind in the caller's turn, which lasts until the function returns, whoever waits for it.

        An answer that is not small is kept for the caller: whoever has that lets it go.
        """
        turns = self._turns[kind]
        await turns.take(caller)
        work = self._threads[kind].submit(contextvars.copy_context().run, function, packed)
        try:
            reply = await asyncio.wrap_future(work)
            if len(reply) > SMALL_REPLY:
                turns.keep(caller)
            return reply
        finally:
            if work.done():
                turns.give_back(caller)
            else:  # nobody waits for it any more
                work.add_done_callback(lambda _: self._loop.call_soon_threadsafe(turns.give_back, caller))

    def _taken(self, turns: Turns, caller: Caller, size: int, context: object) -> None:
        """A reply of so many bytes, kept for its caller, is read, or nobody is there to read it."""
        self._unread.taken(caller, size)
        turns.let_go(caller)

    def _on(self, threads: Executor, function: Callable[..., T], *arguments: object) -> Awaitable[T]:
        """Call a function on a thread, with the context variables of its call."""
        run = contextvars.copy_context().run
        return self._loop.run_in_executor(threads, run, function, *arguments)


@functools.cache
def _event_loop() -> asyncio.AbstractEventLoop:
    """The one event loop of a process's ports; it runs until the process ends.

    gRPC has one queue of events for all loops, and what is left there for one that is closed fails on another.
    """
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="supervm-node-port", daemon=True).start()
    return loop


def status_of(error: Exception) -> tuple[grpc.StatusCode, str]:
    """The status that an error is answered with, and its text."""
    if isinstance(error, UpstreamFailed):
        # Who is refused upstream is this node, for its own token; its caller's may be right.
        if error.code == grpc.StatusCode.UNAUTHENTICATED.name:
            log.warning("the upstream refuses this node", extra={"problem": str(error)})
            return grpc.StatusCode.UNAVAILABLE, str(error)
        return grpc.StatusCode[error.code], str(error)
    for kinds, code in (
        ((BlockRefused, ArgumentError, MalformedBatch, DecodeError), grpc.StatusCode.INVALID_ARGUMENT),
        ((NotKept,), grpc.StatusCode.NOT_FOUND),
        ((TaskRefused, TasksClosed), grpc.StatusCode.FAILED_PRECONDITION),
        ((TooManySnapshots,), grpc.StatusCode.RESOURCE_EXHAUSTED),
        ((NodeError,), grpc.StatusCode.UNAVAILABLE),
        ((TimeoutError,), grpc.StatusCode.DEADLINE_EXCEEDED),
    ):
        if isinstance(error, kinds):
            return code, str(error) or type(error).__name__
    if not isinstance(error, SupervmError):
        log.error("a call failed", exc_info=error)
    return grpc.StatusCode.INTERNAL, str(error) or type(error).__name__
