# SPDX-License-Identifier: GPL-3.0-or-later
"""The judge's scenarios on the engine: transactions to columns, the engine's answers to the judge's receipts and states.

A `Way` is one manner in which an engine can execute: its settings, and how much it is pushed to use its threads. A block
of few transactions is not worth sharing to an engine that is left alone; `eager` ones share every block, speculate
whatever is hot and never turn to block order, so that small blocks interleave.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

import numpy as np
from blocks import Block, Scenario, begin
from cell_census import check_cells
from judge import Judge, Receipt, Tx
from judge.rules import ACCOUNT

from supervm.crypto.messages import Messages
from supervm.engine.blocks import runner
from supervm.engine.blocks.heat import HeatTable
from supervm.engine.blocks.receipts import Receipts
from supervm.engine.blocks.result import BlockResult, BlockStats
from supervm.engine.config import EngineConfig
from supervm.engine.engine import Engine
from supervm.engine.execution import executor
from supervm.engine.transactions.batch import TransactionBatch

NEVER = 100
"""Percentage of repeated transactions that is never exceeded."""


@dataclass(frozen=True)
class Way:
    """A manner of execution: a name, settings of the engine, and whether it is pushed."""

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    eager: bool = False
    sharing: bool = False
    """Every block is worth sharing, but for the rest the engine is left alone."""

    def config(self, **more: Any) -> EngineConfig:
        return EngineConfig(**{**self.settings, **more})

    @contextmanager
    def pushed(self) -> Iterator[None]:
        """While a block is executed in this manner."""
        with ExitStack() as stack:
            if self.eager or self.sharing:
                stack.enter_context(patch.object(runner, "WORTH_SHARING", 1))
            if self.eager:
                stack.enter_context(patch.object(executor, "TURN_PERCENT", NEVER))
                stack.enter_context(patch.object(HeatTable, "hot", _nothing_is_hot))
            yield


def _nothing_is_hot(table: HeatTable) -> Any:
    return np.zeros(0, np.int64)


def speculation(threads: int, **settings: Any) -> Way:
    """Everything ahead, on so many threads."""
    return Way(
        f"speculation on {threads}", {"threads": threads, "schedule": "speculation"} | settings, eager=True
    )


def waves(threads: int, **settings: Any) -> Way:
    """Waves where transactions declare, on so many threads."""
    return Way(f"waves on {threads}", {"threads": threads, "schedule": "waves"} | settings, eager=True)


SEQUENTIAL = Way("sequential", {"mode": "sequential"})
WAYS = [
    SEQUENTIAL,
    Way("sequential on 2", {"mode": "sequential", "threads": 2}),
    Way("auto on 1"),
    Way("auto on 2", {"threads": 2}, sharing=True),
    Way("auto on 5", {"threads": 5}, sharing=True),
    *(speculation(threads) for threads in (2, 3, 4, 8)),
    *(waves(threads) for threads in (2, 4)),
]
"""All manners, under distinct names; the first is the plainest."""

FEW_WAYS = [SEQUENTIAL, Way("auto on 2", {"threads": 2}, sharing=True), speculation(3), waves(2)]
"""One of each kind."""


def batch_of(transactions: Sequence[Tx]) -> TransactionBatch:
    """The judge's transactions in columns."""

    def rows(name: str, width: int, strings: list[bytes]) -> Any:
        return np.frombuffer(b"".join(strings), np.uint8).reshape(-1, width)

    def numbers(name: str, dtype: Any = np.uint64) -> Any:
        return np.array([getattr(tx, name) for tx in transactions], dtype)

    def strings(name: str) -> Messages:
        return Messages.of([getattr(tx, name) for tx in transactions])

    def lists(items: list[list[bytes]]) -> tuple[Any, list[bytes]]:
        offsets = np.cumsum([0, *map(len, items)]).astype(np.int64)
        return offsets, [item for each in items for item in each]

    offsets, objects = lists([tx.objects for tx in transactions])
    reads = lists([tx.reads if tx.declared else [] for tx in transactions])
    writes = lists([tx.writes if tx.declared else [] for tx in transactions])
    return TransactionBatch.of(
        sender=rows("sender", 20, [tx.sender for tx in transactions]),
        nonce=numbers("nonce"),
        to=rows("to", 20, [tx.to for tx in transactions]),
        value=rows("value", 32, [tx.value.to_bytes(32, "big") for tx in transactions]),
        chain_id=numbers("chain_id"),
        gas_limit=numbers("gas_limit"),
        gas_price=numbers("gas_price"),
        entry=strings("entry"),
        input=strings("input"),
        private=numbers("private", np.bool_),
        proof=strings("proof"),
        objects=(offsets, rows("objects", 32, objects)),
        reads=(reads[0], Messages.of(reads[1])),
        writes=(writes[0], Messages.of(writes[1])),
        declared=numbers("declared", np.bool_),
        scheme=numbers("scheme", np.uint8),
        signature=strings("signature"),
    )


def receipts_of(receipts: Receipts) -> list[Receipt]:
    """The engine's receipts as the judge writes them; the path is left out."""
    found = []
    for index in range(len(receipts)):
        one = receipts[index]
        found.append(
            Receipt(
                one.accepted,
                one.success,
                int(one.reason),
                one.gas,
                one.return_value,
                one.output,
                list(one.events),
            )
        )
    return found


def state_of(engine: Engine) -> dict[bytes, bytes]:
    """Every key of the last commit with its value."""
    store = engine.state.store
    numbers = np.arange(len(store.keys))
    values, present = store.values(numbers, store.watermark)
    keys, held = Messages(*store.keys.strings(numbers)), Messages(*values)
    return {keys[number]: held[number] for number in np.flatnonzero(present).tolist()}


def money(engine: Engine) -> int:
    """The sum of all balances."""
    return sum(int.from_bytes(value[8:]) for key, value in state_of(engine).items() if key[:1] == ACCOUNT)


def set_up(engine: Engine, scenario: Scenario) -> None:
    """The scenario's genesis, each entry a commit, as at the judge."""
    for address, amount in scenario.credits:
        engine.credit(_row(address), _row(amount.to_bytes(32, "big")))
    for id, kind, owner in scenario.objects:
        engine.create_objects(_row(id), _row(owner), np.array([kind], np.uint8))
    for code, salt in scenario.contracts:
        engine.deploy(code, salt)


def _row(data: bytes) -> Any:
    return np.frombuffer(data, np.uint8).reshape(1, -1)


def opened(scenario: Scenario, way: Way = SEQUENTIAL, **settings: Any) -> Engine:
    """A new engine after the scenario's genesis."""
    settings = {"chain_id": scenario.chain_id, "fee_collector": scenario.fee_collector} | settings
    engine = Engine.open(None, way.config(**settings))
    set_up(engine, scenario)
    return engine


def executed(engine: Engine, way: Way, block: Block) -> BlockResult:
    """A block of the judge's transactions, in this manner."""
    with way.pushed():
        return engine.execute(batch_of(block.transactions), timestamp=block.timestamp)


@dataclass(frozen=True)
class Judged:
    """What the judge says of a scenario: receipts, root, state and timestamp after each block."""

    scenario: Scenario
    receipts: list[list[Receipt]]
    roots: list[bytes]
    states: list[dict[bytes, bytes]]
    timestamps: list[int]
    first_height: int


def judged(scenario: Scenario, **options: Any) -> Judged:
    """Ask the judge."""
    judge: Judge = begin(scenario, **options)
    found = Judged(scenario, [], [], [], [], judge.height + 1)
    for block in scenario.blocks:
        found.receipts.append(judge.execute(block.transactions, block.timestamp))
        found.roots.append(judge.root())
        found.states.append(dict(judge.state))
        found.timestamps.append(judge.timestamp)
    return found


def agree(engine: Engine, way: Way, expected: Judged) -> list[BlockStats]:
    """Execute the scenario's blocks and hold everything against the judge; how the blocks went."""
    stats = []
    total = sum(amount for _, amount in expected.scenario.credits)
    for number, block in enumerate(expected.scenario.blocks):
        result = executed(engine, way, block)
        where = f"{way.name}, block {number}"
        receipts = receipts_of(result.receipts)
        for index, (one, other) in enumerate(zip(receipts, expected.receipts[number], strict=True)):
            assert one == other, f"{where}, transaction {index}: {block.transactions[index]}"
        assert state_of(engine) == expected.states[number], where
        assert result.state_root == engine.state_root == expected.roots[number], where
        assert (result.height, result.timestamp) == (
            expected.first_height + number,
            expected.timestamps[number],
        ), where
        fees = sum(r.gas * tx.gas_price for r, tx in zip(receipts, block.transactions, strict=True))
        assert result.fees == fees == sum(result.fee_split), where
        assert money(engine) == total == engine.supply, where
        stats.append(result.stats)
    check_cells(engine)
    return stats


def run_all(
    scenario: Scenario,
    ways: Sequence[Way] = tuple(WAYS),
    *,
    judge: dict[str, Any] | None = None,
    **settings: Any,
) -> dict[str, list[BlockStats]]:
    """The scenario on the judge and on a new engine for each way, all of which must agree."""
    expected = judged(scenario, **(judge or {}))
    found = {}
    for way in ways:
        with opened(scenario, way, **settings) as engine:
            found[way.name] = agree(engine, way, expected)
    return found


class Engines:
    """An engine for each way, used for many scenarios; each begins on the empty state again, by a rollback.

    Attributes:
        last: what the judge said of the last scenario.
    """

    last: Judged

    def __init__(self, ways: Sequence[Way] = tuple(WAYS), **settings: Any) -> None:
        self._engines = [(way, Engine.open(None, way.config(**settings))) for way in ways]
        for _, engine in self._engines:
            engine.snapshot("empty")

    def run_all(self, scenario: Scenario, **judge: Any) -> dict[str, list[BlockStats]]:
        """As the function, for scenarios of the engines' chain and collector."""
        found = {}
        expected = self.last = judged(scenario, **judge)
        for way, engine in self._engines:
            assert engine.rollback("empty") == bytes(32)
            set_up(engine, scenario)
            found[way.name] = agree(engine, way, expected)
        return found

    def close(self) -> None:
        for _, engine in self._engines:
            engine.close()


def declaring(scenario: Scenario, change: Callable[[Tx, Receipt], Tx]) -> Scenario:
    """The scenario with transactions that declare what `change` makes of them and of their logged receipts."""
    judge = begin(scenario, log_access=True)
    blocks = []
    for block in scenario.blocks:
        receipts = judge.execute(block.transactions, block.timestamp)
        changed = [change(tx, r) for tx, r in zip(block.transactions, receipts, strict=True)]
        blocks.append(replace(block, transactions=changed))
    return replace(scenario, blocks=blocks)
