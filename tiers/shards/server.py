# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm.shard.v1.Shard` over gRPC, around a participant; and the process that serves one."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import grpc

from supervm.engine.config import EngineConfig
from supervm.tiers.compose import engine_config
from supervm.tiers.hardware import Hardware
from supervm.tiers.node.circuits import circuits_of
from supervm.tiers.node.connecting import OFF
from supervm.tiers.node.stopping import Stopping
from supervm.tiers.observability.observing import observing
from supervm.tiers.observability.status import State
from supervm.tiers.service.operations import OperationsServer
from supervm.tiers.service.security import ServerTls
from supervm.tiers.service.v1 import shard_pb2 as pb
from supervm.tiers.service.v1 import shard_pb2_grpc
from supervm.tiers.settings import Settings
from supervm.tiers.shards.links import OPTIONS, STATUSES
from supervm.tiers.shards.meters import ShardMetrics
from supervm.tiers.shards.participant import Participant
from supervm.tiers.shards.shard_map import ShardMap

log = logging.getLogger(__name__)

THREADS = 4
"""Calls at once; one of them is carried out, the others wait for it."""

STOP_SECONDS = 2.0

Reply = TypeVar("Reply")


class _Calls(shard_pb2_grpc.ShardServicer):
    """The calls of the protocol, as gRPC calls them."""

    def __init__(self, participant: Participant) -> None:
        self._participant = participant

    def Version(self, request: pb.VersionRequest, context: Any) -> pb.VersionReply:  # noqa: N802
        """See the protocol."""
        return _answered(context, self._participant.version, request)

    def Prepare(self, request: pb.PrepareRequest, context: Any) -> pb.Vote:  # noqa: N802
        """See the protocol. A vote that nobody waits for any more is not given."""
        return _answered(context, self._participant.prepare, request, lambda: not context.is_active())

    def Commit(self, request: pb.CommitRequest, context: Any) -> pb.CommitReply:  # noqa: N802
        """See the protocol."""
        return _answered(context, self._participant.commit, request)

    def Abort(self, request: pb.AbortRequest, context: Any) -> pb.AbortReply:  # noqa: N802
        """See the protocol."""
        return _answered(context, self._participant.abort, request)


def _answered(context: Any, function: Callable[..., Reply], *arguments: Any) -> Reply:
    try:
        return function(*arguments)
    except Exception as error:
        status = next(
            (code for kind, code in STATUSES.items() if isinstance(error, kind)), grpc.StatusCode.INTERNAL
        )
        if status is grpc.StatusCode.INTERNAL:
            log.error("a call failed", exc_info=error)
        context.abort(status, str(error) or type(error).__name__)
        raise  # not reached: aborting raises


class ShardServer:
    """A gRPC server of a participant.

    Args:
        participant: the shard.
        address: HOST:PORT to listen on; port 0 is any free one.
        tls: None for a port in the clear.

    Raises:
        OSError: the address cannot be listened on.
        BrokenFile: a file of certificates or keys.
    """

    def __init__(self, participant: Participant, address: str, tls: ServerTls | None = None) -> None:
        threads = ThreadPoolExecutor(THREADS, thread_name_prefix="supervm-shard")
        self._server = grpc.server(threads, options=(*OPTIONS, ("grpc.so_reuseport", 0)))
        shard_pb2_grpc.add_ShardServicer_to_server(_Calls(participant), self._server)
        try:
            if tls is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, tls.credentials())
        except RuntimeError as error:
            raise OSError(f"cannot listen on {address}: {error}") from None
        self.address = f"{address.rpartition(':')[0]}:{port}"

    def start(self) -> None:
        """Answer calls."""
        self._server.start()

    def stop(self) -> None:
        """Take no more calls, and end those that are at work."""
        self._server.stop(STOP_SECONDS).wait()


@dataclass(frozen=True)
class Ready:
    """What a shard says of itself when it runs.

    Args:
        shard: its number.
        grpc, http: addresses; None where it does not listen.
        version, root: where its state stands.
        durable: whether it keeps its state and its votes on a disk.
    """

    shard: int
    grpc: str
    http: str | None
    version: int
    root: str
    durable: bool


def run_shard(
    settings: Settings,
    hardware: Hardware,
    shard_map: ShardMap,
    number: int,
    state: Path | None,
    address: str,
    http: str,
    tls: ServerTls | None,
    ready: Callable[[Ready], None],
    *,
    signatures: bool,
) -> None:
    """Run a shard until a signal stops it.

    Args:
        number: of the shard in the map.
        state: its directory; None keeps everything in memory.
        address, http: HOST:PORT of both ports; `http` may be 'off'.
        ready: called once, when it listens.
        signatures: whether transactions are signed.

    Raises:
        SettingError: circuits' keys that cannot be used.
        StorageError, VoteDamaged, WrongShard, BrokenFile, OSError: as `Participant` and its servers.
    """
    stopped = threading.Event()
    with ExitStack() as stack:
        stopping = stack.enter_context(Stopping(settings.node_drain_seconds).watching())
        seen = stack.enter_context(observing(settings, hardware))
        circuits = circuits_of(settings)
        seen.metrics.watch_proofs(circuits.verifier)
        config: EngineConfig = engine_config(
            settings,
            hardware,
            signatures=signatures,
            verifier=circuits.proofs,
            on_verified=seen.metrics.verified,
        )
        meters = ShardMetrics(seen.metrics.registry)
        participant = Participant(number, shard_map, state, config, meters)
        stack.callback(participant.close)
        server = ShardServer(participant, address, tls)
        server.start()
        stack.callback(server.stop)
        pages = None
        if http != OFF:
            pages = OperationsServer(seen, http)
            pages.start()
            stack.callback(pages.stop)
        stopping.ready(stopped.set)
        seen.board.become(State.READY)
        position = participant.engine.state.position
        ready(
            Ready(
                number,
                server.address,
                None if pages is None else pages.address,
                position.height,
                position.root.hex(),
                state is not None,
            )
        )
        stopped.wait()
        seen.board.become(State.DRAINING)
