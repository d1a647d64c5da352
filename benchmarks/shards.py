# SPDX-License-Identifier: GPL-3.0-or-later
"""The suite `shards`: blocks of transfers on two shards, each in a process of its own, over gRPC on this machine.

A run is two fresh shards, a genesis, and all blocks; all but the first are timed, from the batch to the last answer that
they are committed, with receipts. Runs of a case take turns, and the best of each counts; `ratio` of a row is its rate ÷
that of the run beside it. After every run the accounts must hold what one engine gives them, and so every unit of money.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
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
from supervm.tiers.environment import version
from supervm.tiers.shards.coordinator import Coordinator
from supervm.tiers.shards.genesis import credit
from supervm.tiers.shards.links import GrpcLink
from supervm.tiers.shards.shard_map import ShardMap

SHARD_COUNT = 2
TRANSACTIONS, ACCOUNTS, BLOCK = 200_000, 100_000, 20_000
SIGNED_TRANSACTIONS, SIGNED_ACCOUNTS = 60_000, 10_000
BALANCE = 10**30
ROUNDS = 3
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
        block: transactions of a block.
        expected: uint8 (k, 40), the accounts at the end, as one engine has them.
    """

    addresses: Bytes
    batch: TransactionBatch
    block: int
    expected: Bytes

    @property
    def timed(self) -> int:
        """Transactions behind the first block."""
        return len(self.batch) - self.block

    @property
    def blocks(self) -> Iterator[TransactionBatch]:
        """In order."""
        for at in range(0, len(self.batch), self.block):
            yield self.batch.slice(at, min(at + self.block, len(self.batch)))


def run_shards(
    *, threads: int | None = None, transactions: int | None = None, progress: Progress | None = None
) -> list[Row]:
    """Measure the suite.

    Args:
        threads: only rows with this number: each of the two shards has one.
        transactions: of every workload; by default each case's own number.
        progress: told about each step before it runs: done, in all, name.

    Raises:
        RunsDisagree: shards came to other accounts than one engine.
        ServerFailed: a shard did not run.
        MissingPackage: `cryptography`, which signs the transactions, is not installed.
    """
    rows: list[Row] = []
    if threads not in (None, SHARD_COUNT):
        return rows
    for done, settings in enumerate(CASES):
        if progress is not None:
            progress(done, len(CASES), settings[0].operation)
        rows += _rows(settings, transactions)
    return rows


def _rows(settings: Sequence[Setting], transactions: int | None) -> Iterator[Row]:
    taken: dict[Setting, list[float]] = {setting: [] for setting in settings}
    made = {setting: traffic(setting, transactions) for setting in settings}
    for _ in range(ROUNDS):
        for setting in settings:
            taken[setting].append(_run(setting, made[setting]))
    timings = {setting: Timing.of(made[setting].timed, taken[setting]) for setting in settings}
    first = timings[settings[0]]
    for place, setting in enumerate(settings):
        own = timings[setting]
        beside: tuple[PeerRow, ...] = ()
        if place:
            beside = (PeerRow(settings[0].name, version(), first.rate, own.rate / first.rate, first.spread),)
        backend = registry.resolve("sha256").name
        yield Row(
            SHARDS,
            setting.operation,
            backend,
            SHARD_COUNT,
            made[setting].block,
            own.rate,
            1e9 / own.rate,
            "none",
            beside,
            own.spread,
        )


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
    unchecked = Traffic(addresses, batch, min(BLOCK, count // 2), np.zeros((0, 40), np.uint8))
    with Engine.open(None, EngineConfig(mode=Mode.SEQUENTIAL)) as engine:
        engine.credit(addresses, _balances(accounts))
        for block in unchecked.blocks:
            engine.execute(block)
        found, balances = engine.accounts(addresses)
    return Traffic(
        addresses,
        batch,
        unchecked.block,
        np.concatenate([found.astype(">u8").view(np.uint8).reshape(-1, 8), balances], axis=1),
    )


def _run(setting: Setting, made: Traffic) -> float:
    """Seconds of all blocks but the first, on fresh shards."""
    with tempfile.TemporaryDirectory() as folder, _shards(Path(folder), setting) as coordinator:
        credit(coordinator, made.addresses, _balances(len(made.addresses)))
        results = coordinator.run(made.blocks)
        committed = int(next(results).receipts.success.sum())  # loads what is compiled
        began = perf_counter()
        committed += sum(int(each.receipts.success.sum()) for each in results)
        seconds = perf_counter() - began
        held = coordinator.read(Messages.of(account_keys(made.addresses)))
    if committed != len(made.batch) or not np.array_equal(held.values.data.reshape(-1, 40), made.expected):
        raise RunsDisagree(setting.operation, "accounts that one engine does not have", "the same ones")
    return seconds


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
