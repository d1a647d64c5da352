# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that is a node: from settings to a running one, and from a signal to its end.

What a node keeps its state in says what it is: `rocksdb` executes (L1, L2), `lru` is an edge node (L3), `sqlite` a mobile
one (L4). SIGTERM and SIGINT stop it after the block in hand (`stopping`).
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from supervm.engine.blocks.result import BlockResult
from supervm.engine.config import EngineConfig
from supervm.engine.work_classes import Work
from supervm.kernels.errors import ArgumentError
from supervm.kernels.threads import set_threads
from supervm.tiers.cluster.runners import runner
from supervm.tiers.compose import engine_config, scheduling, threads
from supervm.tiers.errors import SettingError
from supervm.tiers.hardware import Hardware
from supervm.tiers.node.account_cache import AccountCache
from supervm.tiers.node.admission import CONNECTIONS, OPEN_CALLS, QUESTION_BYTES, bounds
from supervm.tiers.node.blocks import MOST_BYTES
from supervm.tiers.node.circuits import NodeCircuits, circuits_of
from supervm.tiers.node.connecting import OFF, upstream_of
from supervm.tiers.node.edge_service import EdgeService
from supervm.tiers.node.errors import UpstreamFailed
from supervm.tiers.node.full_node import KEPT_FOR_EVER, FullNode, Observer
from supervm.tiers.node.full_service import FullService, prune_inbox
from supervm.tiers.node.inbox import Inbox
from supervm.tiers.node.light_client import check_accounts, replay_queue
from supervm.tiers.node.limits import BlockLimits, InboxLimits
from supervm.tiers.node.packing import Packer
from supervm.tiers.node.server import NodeServer
from supervm.tiers.node.sources import SubmittedBlocks
from supervm.tiers.node.stopping import Stopping
from supervm.tiers.node.task_desk import TaskDesk
from supervm.tiers.node.tasks import TaskRouter
from supervm.tiers.node.wallet import Wallet
from supervm.tiers.observability.observing import Observation, observing
from supervm.tiers.observability.status import State
from supervm.tiers.service.access import Access
from supervm.tiers.service.process import allow_open_files, prepare, settle
from supervm.tiers.service.security import ServerTls, access_of, mode, server_tls
from supervm.tiers.settings import Settings

log = logging.getLogger(__name__)

FULL, EDGE, MOBILE = "full", "edge", "mobile"
ROLES = {"rocksdb": FULL, "lru": EDGE, "sqlite": MOBILE}
"""What a node is, by the setting `storage.engine`."""

MOBILE_SECONDS = 5.0
"""How often a mobile node sends its queue and checks its accounts."""

MOBILE_PATIENCE = 5.0
"""Seconds that it waits for an answer."""

CALLS_SECONDS = 2.0
"""How long a node that stops waits for the calls that it answers."""

Door = tuple[ServerTls | None, Access]
"""Who may come through the gRPC port: those who have what TLS asks for, and a token."""

AROUND_BLOCK = 1 << 10
"""Bytes of a message beside the block that it carries, at most."""

OPEN_DOOR: Door = (None, Access())


@dataclass(frozen=True)
class Places:
    """Files and directories that a node is given.

    Args:
        genesis: the genesis file, and `state`, the node's own directory, of a node that executes.
        blocks: the directory of block files that it follows; None takes submitted blocks.
        wallet: the directory of a mobile node.
    """

    genesis: Path | None = None
    state: Path | None = None
    blocks: Path | None = None
    wallet: Path | None = None


@dataclass(frozen=True)
class Ready:
    """What a node says of itself when it runs.

    Args:
        process: its number.
        grpc, http: addresses; None where it does not listen.
        tls: of the gRPC port: 'off', 'on', or 'mutual' where callers need a certificate.
        tokens: whether its callers need a token.
        number, state_root: where the chain stands.
        circuits: whose proofs private transactions may carry, by id, and the digests of their keys.
    """

    process: int
    tier: str
    role: str
    grpc: str | None
    http: str | None
    tls: str
    tokens: bool
    number: int
    state_root: str
    threads: int
    circuits: dict[str, str]


@dataclass(frozen=True)
class Outcome:
    """What a node did from its start to its stop.

    Args:
        number, state_root: where it stands.
        blocks, transactions, committed: that it executed.
        seconds: from the first look for a block until the last one was on disk.
    """

    number: int
    state_root: str
    blocks: int
    transactions: int
    committed: int
    seconds: float

    @property
    def rate(self) -> float:
        """Committed transactions a second."""
        return self.committed / self.seconds if self.seconds else 0.0


@dataclass
class _Counter:
    """Counts what a node executes."""

    blocks: int = 0
    transactions: int = 0
    committed: int = 0

    def __call__(self, number: int, result: BlockResult) -> None:
        self.blocks += 1
        self.transactions += result.stats.transactions
        self.committed += result.stats.committed


def role_of(settings: Settings) -> str:
    """What a node of these settings is."""
    return ROLES[settings.storage_engine]


def run_full(
    settings: Settings,
    hardware: Hardware,
    places: Places,
    ready: Callable[[Ready], None],
    *,
    signatures: bool = True,
    sync: bool = False,
    until: int | None = None,
) -> Outcome:
    """Run a node that executes until a signal stops it, or the block `until` is on disk.

    Args:
        ready: called once, when it listens.
        signatures: whether the chain's transactions are signed.
        sync: whether each block waits for the disk.

    Raises:
        TaskRefused: the tier does not execute.
        ArgumentError: no genesis or no directory was given.
        SettingError, BrokenFile: files of certificates, tokens or circuits' keys that cannot be used.
        BlockRefused, WrongChain, InputFileError, StorageError, OSError: as `FullNode` and its servers.
    """
    router = TaskRouter(settings.tier, settings.work_allowed)
    router.require(Work.TRANSACTION_EXECUTION)
    door = _door(settings)
    with ExitStack() as stack:
        stopping = stack.enter_context(Stopping(settings.node_drain_seconds).watching())
        seen = stack.enter_context(observing(settings, hardware))
        metrics, board = seen.metrics, seen.board
        seen.watch(stack.enter_context(scheduling(settings, hardware)))
        circuits = circuits_of(settings)
        metrics.watch_proofs(circuits.verifier)
        config = engine_config(
            settings,
            hardware,
            signatures=signatures,
            verifier=circuits.proofs,
            sync=sync,
            keep_receipts=settings.storage_blocks or KEPT_FOR_EVER,
            on_verified=metrics.verified,
        )
        counter = _Counter()
        node, inbox = _open(stack, settings, config, places, [counter, _told(seen)])
        if isinstance(node.source, SubmittedBlocks):
            source = node.source
            metrics.queue("blocks", lambda: float(source.waiting))
        service = FullService(node, router, inbox, _desk(stack, settings, router))
        grpc, http = _serve(stack, settings, service, seen, door, stopping)
        stopping.ready(node.stop)
        board.become(State.READY)
        where = node.number, node.engine.state_root
        ready(_ready(settings, hardware, FULL, (grpc, http), door, where, circuits))
        began = time.perf_counter()
        try:
            node.run(until)
        except BaseException as error:
            board.become(State.FAILING, str(error))
            raise
        seconds = time.perf_counter() - began
        board.become(State.DRAINING)
        counts = (counter.blocks, counter.transactions, counter.committed)
        return Outcome(node.number, node.engine.state_root.hex(), *counts, seconds)


def _open(
    stack: ExitStack, settings: Settings, config: EngineConfig, places: Places, observers: list[Observer]
) -> tuple[FullNode, Inbox | None]:
    """The node, and its inbox if it packs blocks; closed with the stack."""
    if places.genesis is None or places.state is None:
        raise ArgumentError("genesis", "no genesis file, or no directory", "--genesis FILE and --state DIR")
    keep, most = settings.storage_blocks, settings.node_pack_transactions
    inbox = None
    if most:
        places.state.mkdir(parents=True, exist_ok=True)
        inbox = Inbox(places.state / "inbox.sqlite", _limits(settings), sync=config.sync)
        stack.callback(inbox.close)
        if keep:
            observers = [*observers, prune_inbox(inbox, keep)]
    node = stack.enter_context(
        FullNode(
            places.state,
            places.genesis,
            config,
            blocks=places.blocks,
            keep_blocks=keep,
            observers=tuple(observers),
        )
    )
    if inbox is not None:
        node.idle = Packer(node, inbox, settings.node_pack_seconds).idle
    return node, inbox


def _limits(settings: Settings) -> InboxLimits:
    """Of what waits and is packed.

    Raises:
        SettingError: blocks that nobody could read.
    """
    if settings.node_pack_bytes > MOST_BYTES:
        name = "node.pack.bytes"
        expected = f"at most {MOST_BYTES:,} bytes, which is what every node reads"
        raise SettingError(settings.origins[name], name, f"{settings.node_pack_bytes:,}", expected)
    if settings.node_pack_bytes > settings.node_message_bytes - AROUND_BLOCK:
        name = "node.pack.bytes"
        expected = (
            f"{AROUND_BLOCK:,} less than node.message.bytes: a node like this one takes no larger block"
        )
        raise SettingError(settings.origins[name], name, f"{settings.node_pack_bytes:,}", expected)
    return InboxLimits(
        BlockLimits(settings.node_pack_transactions, settings.node_pack_bytes, settings.node_pack_gas),
        price=settings.node_pack_price,
        transactions=settings.node_inbox_transactions,
        bytes=settings.node_inbox_bytes,
        seconds=settings.node_inbox_seconds,
        sender_transactions=settings.node_inbox_sender_transactions,
        sender_bytes=settings.node_inbox_sender_bytes,
        sender_gap=settings.node_inbox_sender_gap,
    )


def run_edge(
    settings: Settings, hardware: Hardware, ready: Callable[[Ready], None], *, signatures: bool = True
) -> None:
    """Run an edge node until a signal stops it.

    Raises:
        TaskRefused: the tier answers no questions.
        ArgumentError: no upstream was given.
        SettingError, BrokenFile: files of certificates, tokens or circuits' keys that cannot be used.
        OSError: an address cannot be listened on.
    """
    router = TaskRouter(settings.tier, settings.work_allowed)
    router.require(Work.QUERY)
    door = _door(settings)
    stopped = threading.Event()
    with ExitStack() as stack:
        stopping = stack.enter_context(Stopping(settings.node_drain_seconds).watching())
        set_threads(threads(settings, hardware))
        seen = stack.enter_context(observing(settings, hardware))
        seen.watch(stack.enter_context(scheduling(settings, hardware)))
        circuits = circuits_of(settings)
        seen.metrics.watch_proofs(circuits.verifier)
        upstream = stack.enter_context(upstream_of(settings))
        cache = AccountCache(settings.node_cache_bytes, settings.node_cache_seconds)
        service = EdgeService(
            upstream,
            router,
            cache,
            signatures=signatures,
            verifier=circuits.proofs,
            backend=settings.backend,
            on_verified=seen.metrics.verified,
            desk=_desk(stack, settings, router),
        )
        grpc, http = _serve(stack, settings, service, seen, door, stopping)
        stopping.ready(stopped.set)
        seen.board.become(State.READY)
        ready(_ready(settings, hardware, EDGE, (grpc, http), door, circuits=circuits))
        stopped.wait()


def run_mobile(
    settings: Settings, hardware: Hardware, places: Places, passphrase: str, ready: Callable[[Ready], None]
) -> None:
    """Run a mobile node: send its queue and check its accounts, again and again, until a signal stops it.

    An upstream that does not answer is tried again; a proof that does not hold ends it.

    Raises:
        ArgumentError: no wallet or no upstream was given.
        SettingError: files of certificates or of a token that cannot be used.
        ProofRefused: see `check_accounts`.
    """
    TaskRouter(settings.tier, settings.work_allowed).require(Work.LOCAL_OPERATION)
    if places.wallet is None:
        raise ArgumentError("wallet", "none", "--wallet DIR")
    stopped = threading.Event()

    def stop() -> None:
        stopped.set()
        upstream.close()  # what waits for an answer waits no longer

    with (
        Stopping(settings.node_drain_seconds).watching() as stopping,
        observing(settings, hardware),
        upstream_of(settings, MOBILE_PATIENCE) as upstream,
        Wallet(places.wallet, passphrase) as wallet,
    ):
        stopping.ready(stop)
        ready(_ready(settings, hardware, MOBILE, (None, None)))
        while not stopped.is_set():
            try:
                replay_queue(wallet, upstream)
                check_accounts(wallet, upstream)
            except UpstreamFailed as error:  # offline: the queue stays
                if stopped.is_set():
                    break
                level = logging.WARNING if error.code == "UNAUTHENTICATED" else logging.INFO
                log.log(level, "the upstream did not answer; trying again", extra={"problem": str(error)})
            stopped.wait(MOBILE_SECONDS)


def _desk(stack: ExitStack, settings: Settings, router: TaskRouter) -> TaskDesk:
    """Where shares of tasks are taken; who does what this node does not is left with the stack."""
    elsewhere = stack.enter_context(runner(settings))
    return TaskDesk(router, elsewhere, open_to_others=settings.node_tasks == "accept")


def _door(settings: Settings) -> Door:
    return server_tls(settings, "node"), access_of(settings, "node")


def _told(seen: Observation) -> Observer:
    def tell(number: int, result: BlockResult) -> None:
        seen.metrics.block(result)
        # The engine's own height counts the commits of the genesis, too.
        numbered = replace(result, height=number)
        seen.board.block(numbered)
        seen.tracer.block(numbered)

    return tell


def _serve(
    stack: ExitStack,
    settings: Settings,
    service: Any,
    seen: Observation,
    door: Door,
    stopping: Stopping,
) -> tuple[str | None, str | None]:
    """Start the servers that the settings ask for; their addresses."""
    grpc = http = None
    if settings.node_grpc != OFF:
        prepare()
        most = settings.node_message_bytes
        if not service.takes_blocks:
            most = min(most, QUESTION_BYTES)  # gRPC refuses more when it is announced
        server = NodeServer(
            service,
            settings.node_grpc,
            seen.metrics.request,
            bounds(most, allow_open_files("node.grpc", OPEN_CALLS, CONNECTIONS)),
            seen.tracer,
            *door,
        )
        stack.callback(lambda: server.stop(min(CALLS_SECONDS, stopping.left)))
        server.start()
        settle()
        grpc = server.address
    if settings.node_http != OFF:
        from supervm.tiers.service.operations import OperationsServer  # it loads FastAPI

        pages = OperationsServer(seen, settings.node_http)
        pages.start()
        stack.callback(pages.stop)
        http = pages.address
    return grpc, http


def _ready(
    settings: Settings,
    hardware: Hardware,
    role: str,
    addresses: tuple[str | None, str | None],
    door: Door = OPEN_DOOR,
    where: tuple[int, bytes] = (0, b""),
    circuits: NodeCircuits | None = None,
) -> Ready:
    (tls, access), (number, root) = door, where
    return Ready(
        process=os.getpid(),
        tier=settings.tier.name,
        role=role,
        grpc=addresses[0],
        http=addresses[1],
        tls=mode(tls),
        tokens=access.needs_token,
        number=number,
        state_root=root.hex(),
        threads=threads(settings, hardware),
        circuits=circuits.digests if circuits is not None else {},
    )
