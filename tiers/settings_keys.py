# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings there are: name, type, accepted values and meaning, each stated once.

`batch.items` is the key `items` in the table `[batch]` of a profile or configuration file, the variable
`SUPERVM_BATCH_ITEMS` and the attribute `Settings.batch_items`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from supervm.engine.scheduler.settings import Strategy
from supervm.kernels.registry import BACKENDS

PREFIX = "SUPERVM_"
BYTE_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
TASKS = ("consensus", "zk_proof", "transaction_execution", "query", "local_operation")
"""Task types that a node may be allowed to do, the heaviest kinds first."""
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("json", "text")
MOST_PROCESSES = 1024
EACH = ("numa", "gpu")
"""What there may be a process for each of: NUMA nodes, GPUs."""
STRATEGIES = tuple(strategy.value for strategy in Strategy)

SettingValue = int | float | str | tuple[str, ...]


class Mismatch(Exception):
    """A value is not of a kind; the message says what was found."""


@dataclass(frozen=True)
class Count:
    """A whole number of at least `minimum`."""

    minimum: int

    @property
    def expected(self) -> str:
        """What is accepted, as an error says it."""
        return f"a whole number, {self.minimum} or more"

    def of_text(self, text: str) -> SettingValue:
        """An int from the text of a variable: at most 18 decimal digits, with or without a sign.

        Raises:
            Mismatch: anything else, or a number below `minimum`.
        """
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", text.strip()):
            raise Mismatch(repr(text))
        return self.of_value(int(text))

    def of_value(self, value: object) -> SettingValue:
        """`value`, from a table or a flag, if it is an int and no bool.

        Raises:
            Mismatch: anything else, or a number below `minimum`.
        """
        if not isinstance(value, int) or isinstance(value, bool) or value < self.minimum:
            raise Mismatch(repr(value))
        return value


@dataclass(frozen=True)
class ByteCount:
    """A number of bytes of at least `minimum`: a whole number, or text with a binary unit such as '2 GiB'."""

    minimum: int

    @property
    def expected(self) -> str:
        """What is accepted, as an error says it."""
        return f"bytes, {self.minimum} or more, such as 268435456 or '256 MiB' ({', '.join(BYTE_UNITS)})"

    def of_text(self, text: str) -> SettingValue:
        """Bytes from text: at most 18 decimal digits, with or without one of `BYTE_UNITS` behind them.

        Raises:
            Mismatch: anything else, or fewer bytes than `minimum`.
        """
        match = re.fullmatch(r"([0-9]{1,18})\s*([A-Za-z]*)", text.strip())
        unit = BYTE_UNITS.get(match[2] or "B") if match else None
        if match is None or unit is None or int(match[1]) * unit < self.minimum:
            raise Mismatch(repr(text))
        return int(match[1]) * unit

    def of_value(self, value: object) -> SettingValue:
        """Bytes from an int that is no bool, or from text as `of_text` takes it.

        Raises:
            Mismatch: anything else, or fewer bytes than `minimum`.
        """
        if isinstance(value, str):
            return self.of_text(value)
        if not isinstance(value, int) or isinstance(value, bool) or value < self.minimum:
            raise Mismatch(repr(value))
        return value


@dataclass(frozen=True)
class Share:
    """A number from 0 to 1."""

    @property
    def expected(self) -> str:
        """What is accepted, as an error says it."""
        return "a number from 0 to 1"

    def of_text(self, text: str) -> SettingValue:
        """A float from the text of a variable, as `float` reads it.

        Raises:
            Mismatch: anything else, or a number outside 0 … 1.
        """
        try:
            return self.of_value(float(text))
        except ValueError:
            raise Mismatch(repr(text)) from None

    def of_value(self, value: object) -> SettingValue:
        """`value` as a float, if it is an int or a float and no bool.

        Raises:
            Mismatch: anything else, or a number outside 0 … 1.
        """
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= 1:
            raise Mismatch(repr(value))
        return float(value)


@dataclass(frozen=True)
class Quantity:
    """A number of at least `minimum`, in a unit that the name says."""

    minimum: float

    @property
    def expected(self) -> str:
        """What is accepted, as an error says it."""
        return f"a number, {self.minimum:g} or more"

    def of_text(self, text: str) -> SettingValue:
        """A float from the text of a variable, as `float` reads it.

        Raises:
            Mismatch: anything else, a number below `minimum`, infinity or NaN.
        """
        try:
            return self.of_value(float(text))
        except ValueError:
            raise Mismatch(repr(text)) from None

    def of_value(self, value: object) -> SettingValue:
        """`value` as a float, if it is an int or a float and no bool.

        Raises:
            Mismatch: anything else, a number below `minimum`, infinity or NaN.
        """
        if (
            not isinstance(value, (int, float))
            or isinstance(value, bool)
            or not self.minimum <= value < math.inf
        ):
            raise Mismatch(repr(value))
        return float(value)


@dataclass(frozen=True)
class Address:
    """Where to listen, HOST:PORT; port 0 is any free one. 'off' is nowhere."""

    @property
    def expected(self) -> str:
        """What is accepted, as an error says it."""
        return "HOST:PORT, such as 127.0.0.1:50051 or [::1]:50051, or 'off'"

    def of_text(self, text: str) -> SettingValue:
        """As `of_value`, of a variable's text without space around it.

        Raises:
            Mismatch: anything else.
        """
        return self.of_value(text.strip())

    def of_value(self, value: object) -> SettingValue:
        """`value`, if it is 'off' or HOST:PORT with a port up to 65535; the host is not looked up.

        Raises:
            Mismatch: anything else.
        """
        match = (
            re.fullmatch(r"([^\s:/]+|\[[0-9A-Fa-f:.%]+\]):([0-9]{1,5})", value)
            if isinstance(value, str)
            else None
        )
        if value != "off" and (match is None or int(match[2]) > 65535):
            raise Mismatch(repr(value))
        assert isinstance(value, str)
        return value


@dataclass(frozen=True)
class Addresses:
    """Where to call, HOST:PORT, several separated by commas. 'off' is nowhere."""

    @property
    def expected(self) -> str:
        """What is accepted, as an error says it."""
        return "HOST:PORT, or several with commas between them, none of them twice, or 'off'"

    def of_text(self, text: str) -> SettingValue:
        """As `of_value`, of a variable's text without space around addresses."""
        return self.of_value(",".join(word.strip() for word in text.split(",")))

    def of_value(self, value: object) -> SettingValue:
        """`value`, if it is 'off' or addresses, as `Address` has them, with commas between them.

        Raises:
            Mismatch: anything else.
        """
        words = value.split(",") if isinstance(value, str) else []
        if value != "off" and (not words or "off" in words or len(set(words)) != len(words)):
            raise Mismatch(repr(value))
        for word in words:
            Address().of_value(word)
        assert isinstance(value, str)
        return value


@dataclass(frozen=True)
class Processes:
    """How many processes: a whole number of at least 1, or one for each of what a word of `EACH` names."""

    @property
    def expected(self) -> str:
        """What is accepted, as an error says it."""
        return f"a whole number from 1 to {MOST_PROCESSES}, or {' or '.join(map(repr, EACH))}: one for each"

    def of_text(self, text: str) -> SettingValue:
        """As `of_value`, of a variable's text without space around it.

        Raises:
            Mismatch: anything else.
        """
        return self.of_value(text.strip())

    def of_value(self, value: object) -> SettingValue:
        """An int that is such a number and no bool, or its decimal digits; or a word of `EACH`.

        Raises:
            Mismatch: anything else.
        """
        if value in EACH:
            return str(value)
        number = int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value) else value
        if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= MOST_PROCESSES:
            raise Mismatch(repr(value))
        return number


@dataclass(frozen=True)
class FileName:
    """The name of a file; '' is none."""

    @property
    def expected(self) -> str:
        """What is accepted, as an error says it."""
        return "the name of a file, or '' for none"

    def of_text(self, text: str) -> SettingValue:
        """The text of a variable, whatever it is; nothing looks for the file."""
        return text

    def of_value(self, value: object) -> SettingValue:
        """`value`, if it is a str; nothing looks for the file.

        Raises:
            Mismatch: anything else.
        """
        if not isinstance(value, str):
            raise Mismatch(repr(value))
        return value


@dataclass(frozen=True)
class Endpoint:
    """Where to send to, http://HOST:PORT or https://HOST:PORT; '' is nowhere."""

    @property
    def expected(self) -> str:
        """What is accepted, as an error says it."""
        return "http://HOST:PORT or https://HOST:PORT, or '' for nowhere"

    def of_text(self, text: str) -> SettingValue:
        """As `of_value`, of a variable's text without space around it.

        Raises:
            Mismatch: anything else.
        """
        return self.of_value(text.strip())

    def of_value(self, value: object) -> SettingValue:
        """`value`, if it is '' or http:// or https:// with HOST:PORT and nothing behind.

        Raises:
            Mismatch: anything else.
        """
        if not isinstance(value, str) or not re.fullmatch(r"(https?://[^\s/:@]+:[0-9]{1,5})?", value):
            raise Mismatch(repr(value))
        return value


@dataclass(frozen=True)
class Choice:
    """One of a few words."""

    choices: tuple[str, ...]

    @property
    def expected(self) -> str:
        """What is accepted, as an error says it."""
        return f"one of {', '.join(self.choices)}"

    def of_text(self, text: str) -> SettingValue:
        """As `of_value`, of a variable's text without space around it.

        Raises:
            Mismatch: anything else.
        """
        return self.of_value(text.strip())

    def of_value(self, value: object) -> SettingValue:
        """`value`, if it is one of `choices`, letter by letter.

        Raises:
            Mismatch: anything else.
        """
        if not isinstance(value, str) or value not in self.choices:
            raise Mismatch(repr(value))
        return value


@dataclass(frozen=True)
class Choices:
    """A list of words, none of them twice; in text, separated by commas."""

    choices: tuple[str, ...]

    @property
    def expected(self) -> str:
        """What is accepted, as an error says it."""
        return f"a list of {', '.join(self.choices)}, none of them twice"

    def of_text(self, text: str) -> SettingValue:
        """A tuple of the words of a variable's text, in its order; empty words between commas do not count.

        Raises:
            Mismatch: a word that is none of `choices`, or one that comes twice.
        """
        return self.of_value([word.strip() for word in text.split(",") if word.strip()])

    def of_value(self, value: object) -> SettingValue:
        """The words of a list as a tuple, in their order; it may be empty.

        Raises:
            Mismatch: no list of str, a word that is none of `choices`, or one that comes twice.
        """
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            raise Mismatch(repr(value))
        if len(set(value)) != len(value) or not set(value).issubset(self.choices):
            raise Mismatch(repr(value))
        return tuple(value)


@dataclass(frozen=True)
class Key:
    """A setting: its dotted name, kind, meaning, and the command line's flag for it ('' if it has none)."""

    name: str
    kind: (
        Count
        | ByteCount
        | Share
        | Quantity
        | Address
        | Addresses
        | Processes
        | FileName
        | Endpoint
        | Choice
        | Choices
    )
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
