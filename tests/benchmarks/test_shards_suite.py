# SPDX-License-Identifier: GPL-3.0-or-later
"""The suite `shards`, on shards of this process: its rows, and that a wrong state is no row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from supervm.benchmarks import shards
from supervm.benchmarks.errors import RunsDisagree
from supervm.kernels.errors import ArgumentError
from supervm.tiers.shards.coordinator import Coordinator
from supervm.tiers.shards.links import LocalLink
from supervm.tiers.shards.participant import Participant
from supervm.tiers.shards.shard_map import ShardMap


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards in this process, and nothing signed."""

    @contextmanager
    def in_this_process(folder: Path, setting: shards.Setting) -> Iterator[Coordinator]:
        found = ShardMap.uniform(shards.SHARD_COUNT)
        paths = [folder / str(number) if setting.durable else None for number in range(len(found))]
        each = [Participant(number, found, path) for number, path in enumerate(paths)]
        links = [LocalLink(lambda number=number: each[number]) for number in range(len(found))]
        with Coordinator(found, links, folder / "log" if setting.durable else None) as coordinator:
            yield coordinator
        for one in each:
            one.close()

    monkeypatch.setattr(shards, "_shards", in_this_process)
    monkeypatch.setattr(shards, "ACCOUNTS", 60)
    monkeypatch.setattr(shards, "CASES", shards.CASES[:2])


def test_rows() -> None:
    rows = shards.run_shards(transactions=205)
    assert [(row.operation, row.batch, row.threads) for row in rows] == [
        (f"shards.transfers [{name}]", 20, 2)
        for name in (
            "all between shards",
            "all between shards, on disk",
            "none between shards",
            "30 % between shards",
        )
    ]
    assert [[peer.name for peer in row.peers] for row in rows] == [
        [],
        ["all between shards"],
        [],
        ["none between shards"],
    ]


def test_shares_are_what_they_say() -> None:
    owners = ShardMap.uniform(2)
    for share in (0.0, 0.3, 1.0):
        batch = shards.traffic(shards.Setting("", share), 1_000).batch
        cross = sum(
            owners.owner(b"\0" + one.tobytes()) != owners.owner(b"\0" + other.tobytes())
            for one, other in zip(batch.sender, batch.to, strict=True)
        )
        assert cross == pytest.approx(1_000 * share, abs=60 if share == 0.3 else 0)


def test_another_state_than_one_engines_is_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    traffic = shards.traffic

    def wrong(setting: shards.Setting, transactions: int | None = None) -> shards.Traffic:
        made = traffic(setting, transactions)
        expected = made.expected.copy()
        expected[7, 39] ^= 1
        return replace(made, expected=expected)

    monkeypatch.setattr(shards, "traffic", wrong)
    with pytest.raises(RunsDisagree, match="accounts that one engine does not have"):
        shards.run_shards(transactions=100)


def test_too_few_transactions() -> None:
    with pytest.raises(ArgumentError, match="one for each block"):
        shards.run_shards(transactions=9)
