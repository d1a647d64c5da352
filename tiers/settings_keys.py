# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings there are: name, kind, accepted values and meaning, each stated once.

`batch.items` is the key `items` in the table `[batch]` of a profile or configuration file, the variable
`SUPERVM_BATCH_ITEMS` and the attribute `Settings.batch_items`.
"""

from __future__ import annotations

from dataclasses import dataclass

from supervm.engine.scheduler.settings import Strategy
from supervm.kernels.registry import BACKENDS
from supervm.tiers.settings_kinds import (
    Address,
    Addresses,
    ByteCount,
    Choice,
    Choices,
    Count,
    Endpoint,
    FileName,
    Kind,
    Processes,
    Quantity,
    Share,
)

PREFIX = "SUPERVM_"
TASKS = ("consensus", "zk_proof", "transaction_execution", "query", "local_operation")
"""Task types that a node may be allowed to do, the heaviest kinds first."""
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("json", "text")
STRATEGIES = tuple(strategy.value for strategy in Strategy)


@dataclass(frozen=True)
class Key:
    """A setting: its dotted name, kind, meaning, and the command line's flag for it ('' if it has none)."""

    name: str
    kind: Kind
    meaning: str
    flag: str = ""

    @property
    def variable(self) -> str:
        """The environment variable."""
        return PREFIX + self.attribute.upper()

    @property
    def attribute(self) -> str:
        """The attribute of `Settings`."""
        return self.name.replace(".", "_")


KEYS = (
    Key("workers", Count(0), "threads of a batch; 0 is one for every usable core", "--threads"),
    Key("backend", Choice(("auto", *BACKENDS)), "what runs the kernels", "--backend"),
    Key("strategy", Choice(STRATEGIES), "where work goes that `auto` may place", "--strategy"),
    Key("recheck", Share(), "share of accelerated results that the processor computes again"),
    Key("batch.items", Count(1), "signatures verified by one call", "--batch"),
    Key("memory.budget", ByteCount(1 << 20), "bytes for batches in flight"),
    Key("storage.engine", Choice(("rocksdb", "lru", "sqlite")), "where a node keeps state"),
    Key("storage.blocks", Count(0), "blocks of history that a node keeps; 0 is all"),
    Key("service.grpc", Address(), "where `supervm serve` listens for gRPC", "--grpc"),
    Key("service.http", Address(), "where it listens for HTTP", "--http"),
    Key(
        "service.processes", Processes(), "processes that serve, 'numa' or 'gpu' for one each", "--processes"
    ),
    Key(
        "service.addresses",
        Choice(("shared", "own")),
        "one address for all processes, or one each",
        "--addresses",
    ),
    Key("service.batch.items", Count(1), "signatures of small requests that are verified together"),
    Key("service.batch.milliseconds", Quantity(0), "how long a small request waits for others"),
    Key("service.proofs.items", Count(1), "proofs or BLS signatures of a batch that waits no longer"),
    Key("service.proofs.milliseconds", Quantity(0), "how long one of them waits for others, at most"),
    Key("service.groth16.keys", FileName(), "a folder of keys of circuits, ID.json each", "--groth16-keys"),
    Key(
        "service.groth16.test_keys",
        Choice(("refuse", "allow")),
        "keys that are marked as made for tests alone",
        "--allow-test-keys",
    ),
    Key("service.kzg.setup", FileName(), "a file of the trusted setup of blobs", "--kzg-setup"),
    Key("service.queue.items", Count(1), "items accepted and not answered, at most"),
    Key("service.queue.bytes", ByteCount(1 << 16), "bytes of them and of their answers, at most"),
    Key("service.message.bytes", ByteCount(1 << 10), "bytes of a request, at most"),
    Key("service.body.bytes", ByteCount(1 << 10), "bytes of a body of HTTP, at most; gRPC takes larger ones"),
    Key("service.calls", Count(1), "calls at a time, streams among them; beyond, they are refused"),
    Key("service.stream.requests", Count(1), "requests in flight in one stream; then no more are read"),
    Key("service.client.rate", Count(0), "items a second of one client; 0 is without a limit"),
    Key("service.tokens", FileName(), "a file of bearer tokens; then calls need one", "--tokens"),
    Key("service.tls.certificate", FileName(), "a PEM file; then the ports speak TLS", "--tls-certificate"),
    Key("service.tls.key", FileName(), "a PEM file, the certificate's key", "--tls-key"),
    Key("service.tls.clients", FileName(), "a PEM file of who signs callers' certificates", "--tls-clients"),
    Key("service.drain.seconds", Quantity(0), "how long a stop waits for accepted requests"),
    Key("service.notice.seconds", Quantity(0), "how long a stop still takes requests, saying that it leaves"),
    Key("service.message.seconds", Quantity(0.1), "how long a request may take to come"),
    Key("service.client.connections", Count(1), "connections of one address"),
    Key("service.client.calls", Count(1), "calls of one address at a time, of gRPC"),
    Key("service.connection.calls", Count(1), "calls of one connection at a time; further ones wait"),
    Key("service.connection.seconds", Quantity(0), "after which one is asked to make room; 0 is never"),
    Key("service.connection.resets", Count(1), "calls that one connection may abandon in a second"),
    Key("service.stream.seconds", Quantity(0.1), "how long a stream, or a connection of gRPC, may idle"),
    Key("service.operations", Address(), "where it answers operators alone; off: at service.http too"),
    Key("service.idle.seconds", Quantity(0.1), "how long an HTTP connection may take to ask something"),
    Key("node.grpc", Address(), "where `supervm node` listens for gRPC", "--grpc"),
    Key("node.http", Address(), "where it listens for an operator's HTTP", "--http"),
    Key("node.tokens", FileName(), "a file of bearer tokens; then a node's gRPC calls need one", "--tokens"),
    Key(
        "node.tls.certificate",
        FileName(),
        "a PEM file; then a node's gRPC port speaks TLS",
        "--tls-certificate",
    ),
    Key("node.tls.key", FileName(), "a PEM file, the certificate's key", "--tls-key"),
    Key("node.tls.clients", FileName(), "a PEM file of who signs callers' certificates", "--tls-clients"),
    Key(
        "node.groth16.keys",
        FileName(),
        "a folder of keys of the circuits of private transactions",
        "--groth16-keys",
    ),
    Key(
        "node.groth16.test_keys",
        Choice(("refuse", "allow")),
        "keys that are marked as made for tests alone",
        "--allow-test-keys",
    ),
    Key("node.upstream", Addresses(), "the node that L3 and L4 turn to, or several", "--upstream"),
    Key("node.tasks", Choice(("refuse", "accept")), "shares of tasks that others send"),
    Key("upstream.token", FileName(), "a file with the token that this node needs there", "--upstream-token"),
    Key(
        "upstream.tls.authorities",
        FileName(),
        "a PEM file; then it is called over TLS",
        "--upstream-tls-authorities",
    ),
    Key(
        "upstream.tls.certificate", FileName(), "a PEM file, if it asks for one", "--upstream-tls-certificate"
    ),
    Key("upstream.tls.key", FileName(), "a PEM file, that certificate's key", "--upstream-tls-key"),
    Key("node.drain.seconds", Quantity(0), "how long a stop waits for the block in hand and for calls"),
    Key("node.message.bytes", ByteCount(1 << 20), "bytes of a request, a block among them, at most"),
    Key("node.cache.bytes", ByteCount(1 << 10), "memory of the accounts that an L3 node keeps"),
    Key("node.cache.seconds", Quantity(0), "after which an L3 node asks for an account again"),
    Key("node.pack.transactions", Count(0), "of a block that L1 and L2 pack, at most; 0 packs none"),
    Key("node.pack.seconds", Quantity(0), "how long transactions wait for others of their block"),
    Key("node.pack.bytes", ByteCount(1 << 21), "of a packed block, at most; no node reads more than 1 GiB"),
    Key("node.pack.gas", Count(1), "that the transactions of a packed block could use, at most"),
    Key("node.pack.price", Count(0), "the least gas price of a transaction that is packed"),
    Key("node.inbox.transactions", Count(1), "that wait for a block, at most; then the best stay"),
    Key("node.inbox.bytes", ByteCount(1 << 21), "of them, at most"),
    Key("node.inbox.seconds", Quantity(0), "how long a transaction waits, at most"),
    Key("node.inbox.sender.transactions", Count(1), "of one sender that wait, at most"),
    Key("node.inbox.sender.bytes", ByteCount(1 << 20), "of them, at most"),
    Key("node.inbox.sender.gap", Count(1), "a nonce this far ahead of the account's is refused"),
    Key("cluster.address", Address(), "the head of the cluster that batches are computed on", "--cluster"),
    Key("log.level", Choice(LOG_LEVELS), "the least that a running process logs"),
    Key("log.format", Choice(LOG_FORMATS), "lines of JSON, or of text for people"),
    Key("traces.endpoint", Endpoint(), "an OTLP collector for traces; needs supervm-engine[traces]"),
    Key("work.allowed", Choices(TASKS), "task types that a node of this tier takes on"),
)

RESERVED_VARIABLES = tuple(
    PREFIX + name for name in ("TIER", "CONFIG", "CACHE_DIR", "WALLET_PASSPHRASE", "WITHOUT")
)
"""Variables read elsewhere: tier and file by `settings.load`, the folder of compiled kernels, the wallet's passphrase."""
