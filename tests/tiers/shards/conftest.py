# SPDX-License-Identifier: GPL-3.0-or-later
"""Two shards with directories, and money on both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from shard_runs import Cluster
from two_accounts import EVERYBODY, MAP, amounts

from supervm.tiers.shards.genesis import credit


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Two shards of this process, each of two accounts with 100."""
    made = Cluster(tmp_path, MAP)
    credit(made.revive(), EVERYBODY, amounts(100, 100))
    yield made
    made.close()
