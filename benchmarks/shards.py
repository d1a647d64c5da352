# SPDX-License-Identifier: GPL-3.0-or-later
"""The suite `shards`: blocks of transfers on two shards, each in a process of its own, over gRPC on this machine.

Each kind of traffic has two fresh shards and a genesis. Its first block is not timed; the others are, in rounds, from the
batch to the last answer that they are committed, with receipts. The kinds of a case take turns, and the best round of each
counts; `ratio` of a row is its rate ÷ that of the kind beside it. At the end the accounts must hold what one engine gives
them, and so every unit of money. Each shard has one thread, whatever else is asked for.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from time import perf_counter

import numpy as np

from supervm.benchmarks.cases import SHARDS
from supervm.benchmarks.errors import RunsDisagree
from supervm.benchmarks.measure import Timing
from supervm.benchmarks.rows import PeerRow, Row
from supervm.benchmarks.service.process import server
from supervm.crypto.messages import Messages
from supervm.engine.arrays.ranks import ranks_within
from supervm.engine.config import EngineConfig, Mode
from supervm.engine.engine import Engine
from supervm.engine.state.keys import account_keys
from supervm.engine.transactions.batch import Scheme, TransactionBatch
from supervm.engine.workloads.signing import Keys
from supervm.kernels import registry
from supervm.kernels.array_types import Bytes
from supervm.kernels.errors import ArgumentError
from supervm.tiers.environment import version
from supervm.tiers.shards.coordinator import Coordinator
from supervm.tiers.shards.genesis import credit
from supervm.tiers.shards.links import GrpcLink
from supervm.tiers.shards.shard_map import ShardMap

SHARD_COUNT = 2
ROUNDS, ROUND_BLOCKS = 3, 3
BLOCKS = 1 + ROUNDS * ROUND_BLOCKS
TRANSACTIONS, ACCOUNTS = 200_000, 100_000
SIGNED_TRANSACTIONS, SIGNED_ACCOUNTS = 50_000, 10_000
BALANCE = 10**30
SEED = 18

COMMAND = (sys.executable, "-c", "from supervm.tiers.cli import main; main()", "shard", "serve", "--json")

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Setting:
    """One kind of run.

    Args:
        name: as it stands beside other rows.
        cross: share of transfers between the shards.
        durable: whether votes, decisions and blocks wait for the disk.
        signed: whether there are signatures, which every shard that executes a transaction checks.
    """

    name: str
    cross: float
    durable: bool = False
    signed: bool = False

    @property
    def operation(self) -> str:
        """Of its row."""
        return f"shards.transfers [{self.name}]"


LOCAL = Setting("none between shards", 0.0)
CASES: tuple[tuple[Setting, ...], ...] = (
    (Setting("all between shards", 1.0), Setting("all between shards, on disk", 1.0, durable=True)),
    (LOCAL, Setting("30 % between shards", 0.3)),
    (Setting("all between shards, Ed25519", 1.0, signed=True),),
)
"""The runs that are compared: each but the first has a row beside the first."""


@dataclass(frozen=True, eq=False)
class Traffic:
    """Accounts, and blocks of transfers between them.

    Args:
        addresses: uint8 (k, 20).
        batch: all transactions.
        expected: uint8 (k, 40), the accounts at the end, as one engine has them.
    """

    addresses: Bytes
    batch: TransactionBatch
    expected: Bytes

    @property
    def block(self) -> int:
        """Transactions of each block but the last one, which may have more."""
        return len(self.batch) // BLOCKS

    @property
    def blocks(self) -> list[TransactionBatch]:
        """In order."""
        bounds = [*range(0, BLOCKS * self.block, self.block), len(self.batch)]
        return [self.batch.slice(*each) for each in pairwise(bounds)]


def run_shards(*, transactions: int | None = None, progress: Progress | None = None) -> list[Row]:
    """Measure the suite.

    Args:
        transactions: of every workload, 10 at least; by default each case's own number.
        progress: told about each step before it runs: done, in all, name.

    Raises:
        ArgumentError: fewer transactions than blocks.
        RunsDisagree: shards came to other accounts than one engine.
        ServerFailed: a shard did not run.
        MissingPackage: `cryptography`, which signs the transactions, is not installed.
    """
    if transactions is not None and transactions < BLOCKS:
        raise ArgumentError("batch", str(transactions), f"{BLOCKS} or more, one for each block")
    rows: list[Row] = []
    for done, settings in enumerate(CASES):
        if progress is not None:
            progress(done, len(CASES), settings[0].operation)
        rows += _rows(settings, transactions)
    return rows


def _rows(settings: Sequence[Setting], transactions: int | None) -> list[Row]:
    made = [traffic(setting, transactions) for setting in settings]
    seconds: list[list[float]] = [[] for _ in settings]
    with ExitStack() as stack:
        runs = [
            stack.enter_context(_begun(setting, each)) for setting, each in zip(settings, made, strict=True)
        ]
        for _ in range(ROUNDS):
            for run, taken in zip(runs, seconds, strict=True):
                taken.append(_round(run))
        for run in runs:
            run.check()
    timings = [Timing.of(ROUND_BLOCKS * each.block, taken) for each, taken in zip(made, seconds, strict=True)]
    first = timings[0]
    rows = []
    for place, (setting, each, own) in enumerate(zip(settings, made, timings, strict=True)):
        peer = PeerRow(settings[0].name, version(), first.rate, own.rate / first.rate, first.spread)
        rows.append(
            Row(
                SHARDS,
                setting.operation,
                registry.resolve("sha256").name,
                SHARD_COUNT,
                each.block,
                own.rate,
                1e9 / own.rate,
                "none",
                (peer,) if place else (),
                own.spread,
            )
        )
    return rows


def traffic(setting: Setting, transactions: int | None = None) -> Traffic:
    """Transfers of which a share goes from one shard to another, and what they come to on one engine."""
    count = transactions or (SIGNED_TRANSACTIONS if setting.signed else TRANSACTIONS)
    accounts = SIGNED_ACCOUNTS if setting.signed else ACCOUNTS
    chosen = np.random.default_rng(SEED)
    keys = Keys(SEED, accounts) if setting.signed else None
    addresses = chosen.integers(0, 256, (accounts, 20), np.uint8) if keys is None else keys.addresses
    shards = ShardMap.uniform(SHARD_COUNT)
    owners = shards.owners(Messages.of(account_keys(addresses)).ragged)
    here = [np.flatnonzero(owners == shard) for shard in range(SHARD_COUNT)]
    senders = chosen.integers(0, accounts, count)
    between = chosen.random(count) < setting.cross
    home = owners[senders]
    receivers = np.empty(count, np.int64)
    for shard in range(SHARD_COUNT):
        for rows, to in ((home == shard) & ~between, shard), ((home == shard) & between, 1 - shard):
            receivers[rows] = chosen.choice(here[to], int(rows.sum()))
    nonces = ranks_within(senders, np.ones(count, np.bool_)).astype(np.uint64)
    batch = TransactionBatch.of(
        sender=addresses[senders],
        nonce=nonces,
        to=addresses[receivers],
        value=1,
        gas_limit=10_000,
        gas_price=1,
        scheme=Scheme.ED25519 if setting.signed else Scheme.UNSIGNED,
    )
    if keys is not None:
        batch = keys.sign(batch)
    # Checking signatures here compiles, for the shards too, what that takes.
    config = EngineConfig(mode=Mode.SEQUENTIAL, signatures=setting.signed)
    with Engine.open(None, config) as engine:
        engine.credit(addresses, _balances(accounts))
        engine.execute(batch)
        found, balances = engine.accounts(addresses)
    held = np.concatenate([found.astype(">u8").view(np.uint8).reshape(-1, 8), balances], axis=1)
    return Traffic(addresses, batch, held)


@dataclass
class _Run:
    """Blocks under way on two shards."""

    setting: Setting
    made: Traffic
    coordinator: Coordinator
    committed: int = 0
    done: int = 0

    def execute(self, blocks: int) -> None:
        """The next ones."""
        following = self.made.blocks[self.done : self.done + blocks]
        self.committed += sum(int(each.receipts.success.sum()) for each in self.coordinator.run(following))
        self.done += blocks

    def check(self) -> None:
        """Raises: RunsDisagree."""
        held = self.coordinator.read(Messages.of(account_keys(self.made.addresses)))
        right = np.array_equal(held.values.data.reshape(-1, 40), self.made.expected)
        if self.committed != len(self.made.batch) or not right:
            raise RunsDisagree(
                self.setting.operation, "accounts that one engine does not have", "its accounts"
            )


@contextmanager
def _begun(setting: Setting, made: Traffic) -> Iterator[_Run]:
    """Fresh shards with the genesis, behind the first block, which loads what is compiled."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="supervm-bench-"))
        coordinator = stack.enter_context(_shards(Path(folder), setting))
        credit(coordinator, made.addresses, _balances(len(made.addresses)))
        run = _Run(setting, made, coordinator)
        run.execute(1)
        yield run


def _round(run: _Run) -> float:
    """Seconds of the blocks of a round."""
    began = perf_counter()
    run.execute(ROUND_BLOCKS)
    return perf_counter() - began


@contextmanager
def _shards(folder: Path, setting: Setting) -> Iterator[Coordinator]:
    """A coordinator of two shards, each a process."""
    plain = ShardMap.uniform(SHARD_COUNT)
    file = folder / "map.json"
    file.write_text(ShardMap(plain.ranges, ("127.0.0.1:0",) * SHARD_COUNT).text(), encoding="utf-8")
    with ExitStack() as stack:
        links = []
        for shard in range(SHARD_COUNT):
            asked: list[object] = [shard, "--map", file, *([] if setting.signed else ["--no-signatures"])]
            if setting.durable:
                asked += ["--state", folder / f"shard-{shard}"]
            links.append(GrpcLink(shard, stack.enter_context(server(*asked, command=COMMAND)).grpc))
        log = folder / "log" if setting.durable else None
        yield stack.enter_context(Coordinator(plain, links, log))


def _balances(count: int) -> Bytes:
    return np.tile(np.frombuffer(BALANCE.to_bytes(32), np.uint8), (count, 1))
