# SPDX-License-Identifier: GPL-3.0-or-later
"""When old versions go, by a clock of the test's own."""

from __future__ import annotations

import numpy as np
import pytest
from access_worker import chains

from supervm.crypto.messages import Messages
from supervm.engine.config import Collection
from supervm.engine.state.collecting import Collector
from supervm.engine.state.store import StateStore
from supervm.kernels.errors import ArgumentError

HISTORY = 64
"""Bytes of a small version."""


class History:
    """A store whose collector lives by `now`."""

    def __init__(self, **rules: float) -> None:
        self.store, self.now = StateStore(), 1_000.0
        self.collector = Collector(self.store, Collection(**rules), clock=lambda: self.now)

    def commit(self, *keys: bytes, seconds: float = 0) -> None:
        """Give keys a value, `seconds` after the last commit."""
        self.now += seconds
        numbers = self.store.intern(Messages.of(list(keys)).ragged)
        values = Messages.of([b"%d" % self.store.next_commit] * len(keys))
        written = self.store.put(numbers, values.ragged, np.ones(len(keys), np.bool_))
        self.store.publish()
        self.collector.committed(written)

    def commits(self, key: bytes) -> list[int]:
        """Of the versions of a key, newest first."""
        return [version.commit for version in chains(self.store)[0][self.store.number(key)]]


def test_only_so_many_versions_of_a_key_stay():
    history = History(versions=3, seconds=1_000, threshold=0, least_interval=0, most_interval=0)
    for _ in range(10):
        history.commit(b"key")
        assert len(history.commits(b"key")) <= 3
    assert history.commits(b"key") == [10, 9, 8]


def test_versions_stay_for_so_many_seconds_after_they_were_replaced():
    history = History(versions=100, seconds=60, threshold=0, least_interval=0, most_interval=0)
    history.commit(b"key")
    for _ in range(11):
        history.commit(b"key", seconds=10)
    # Commit 6 was made 60 seconds ago: what it replaced goes, what later ones replaced stays.
    assert history.commits(b"key") == [12, 11, 10, 9, 8, 7, 6]


def test_no_pass_is_made_below_the_threshold():
    history = History(versions=2, seconds=0, threshold=20, least_interval=0, most_interval=0)
    for number in range(20):
        history.commit(b"key")
        assert len(history.commits(b"key")) == number + 1
    history.commit(b"key")
    assert history.commits(b"key") == [21]


def test_passes_keep_their_distance():
    history = History(versions=2, seconds=0, threshold=0, least_interval=10, most_interval=10)
    for seconds, expected in ((0, 1), (9, 2), (0.5, 3), (0.5, 1), (0, 2), (9.9, 3), (0.1, 1)):
        history.commit(b"key", seconds=seconds)
        assert len(history.commits(b"key")) == expected


def test_the_interval_adapts_within_its_bounds():
    history = History(versions=1_000, seconds=10_000, threshold=0, least_interval=10, most_interval=60)
    history.commit(b"key")
    history.commit(b"key")
    intervals = []
    for _ in range(5):
        history.commit(b"key", seconds=61)
        intervals.append(history.collector._interval)
    assert intervals == [20, 40, 60, 60, 60], "nothing was old enough to go"
    intervals = []
    for _ in range(5):
        history.commit(b"key", seconds=10_000)
        intervals.append(history.collector._interval)
    assert intervals == [30, 15, 10, 10, 10]


def test_too_much_history_is_dropped_at_once():
    history = History(versions=100, seconds=60, threshold=0, history_bytes=5 * HISTORY)
    for _ in range(40):
        history.commit(b"key")
    assert history.store.replaced_bytes <= 6 * HISTORY
    assert len(history.commits(b"key")) <= 7
    assert history.commits(b"key")[0] == 40


def test_history_goes_by_and_by_though_there_was_too_much():
    """Commits that keep nothing themselves must not keep what was there for ever."""
    history = History(versions=100, seconds=60, threshold=0, history_bytes=5 * HISTORY)
    for _ in range(7):
        history.commit(b"old")
    for _ in range(5):
        history.commit(b"key", seconds=50)
    assert history.commits(b"old") == [7]
    assert history.store.replaced_bytes <= 5 * HISTORY


def test_no_history_at_all():
    history = History(versions=1)
    for number in range(5):
        history.commit(b"key")
        assert history.commits(b"key") == [number + 1]
    assert history.store.replaced == 0


@pytest.mark.parametrize("versions", [1, 2])
def test_a_reader_keeps_what_it_sees_and_no_longer(versions):
    """The key is never written again after the reader has gone; passes over other keys free its version."""
    history = History(versions=versions, seconds=0, threshold=0, least_interval=0, most_interval=0)
    history.commit(b"key")
    with history.store.reading() as mark:
        for _ in range(5):
            history.commit(b"key")
            assert history.store.read(b"key", mark) == b"1"
            assert history.commits(b"key")[0] == history.store.watermark
            assert history.commits(b"key")[-1] == 1
            assert len(history.commits(b"key")) <= 3
        history.commit(b"other")
        assert history.store.read(b"key", mark) == b"1"
    history.commit(b"other")
    history.commit(b"other")
    assert history.commits(b"key") == [6]


def test_a_pass_with_nothing_to_do():
    history = History()
    assert history.collector.collect() == 0
    history.commit(b"key")
    assert history.collector.collect() == 0


@pytest.mark.parametrize(
    "rules",
    [
        {"versions": 0},
        {"seconds": -1},
        {"threshold": -1},
        {"history_bytes": -1},
        {"least_interval": -1},
        {"least_interval": 20, "most_interval": 10},
    ],
)
def test_rules_that_cannot_be(rules):
    with pytest.raises(ArgumentError):
        Collection(**rules)
