# SPDX-License-Identifier: GPL-3.0-or-later
"""How a time is taken: warm-up first, then rounds in which every contender runs once, best round kept.

Rounds go ours, peer, peer, …, ours, peer, …: a machine that slows down for a second slows all of them. A peer's
run is short and repeats in its turn, so that it has several chances where ours has one. The best run is the one
that other work on the machine disturbed least, so a ratio of two best runs is the fairest figure that a shared
machine gives. Garbage collection is off meanwhile.
"""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

MIN_ROUNDS = 3
MAX_ROUNDS = 15
PEER_SHARE = 0.25
"""Part of our time in a round that each peer gets at least, in as many short runs as fit."""


@dataclass(frozen=True)
class Contender:
    """Something to time: `run` handles `items` items at every call."""

    run: Callable[[], object]
    items: int


@dataclass(frozen=True)
class Timing:
    """What the timed runs of a contender showed.

    Args:
        rate: items a second, of the best run.
        spread: the median run's time ÷ the best one's − 1: how far a usual run was from the figure that counts.
    """

    rate: float
    spread: float

    @classmethod
    def of(cls, items: int, seconds: Sequence[float]) -> Timing:
        """From the seconds of every run, each of so many items."""
        best = min(seconds)
        return cls(items / best, statistics.median(seconds) / best - 1)


def rounds(budget: float) -> Iterator[int]:
    """Numbers of the rounds that are to be run, without garbage collection.

    Args:
        budget: seconds after which no new round starts, once there were `MIN_ROUNDS`.
    """
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        begin = time.perf_counter()
        for count in range(MAX_ROUNDS):
            if count >= MIN_ROUNDS and time.perf_counter() - begin > budget:
                return
            yield count
    finally:
        if collecting:
            gc.enable()


def timings(contenders: Sequence[Contender], budget: float) -> list[Timing]:
    """Best run and spread of each contender; each has run once before the first round.

    Args:
        contenders: in the order in which they take turns; the first is ours.
        budget: as `rounds` has it.
    """
    taken: list[list[float]] = [[] for _ in contenders]
    for contender in contenders:
        contender.run()
    for _ in rounds(budget):
        share = 0.0
        for index, contender in enumerate(contenders):
            turn = time.perf_counter()
            while True:
                start = time.perf_counter()
                contender.run()
                end = time.perf_counter()
                taken[index].append(end - start)
                if end - turn >= share:
                    break
            if index == 0:
                share = (end - turn) * PEER_SHARE
    return [Timing.of(contender.items, seconds) for contender, seconds in zip(contenders, taken, strict=True)]


@dataclass(frozen=True)
class Method:
    """How the times of one recorded run were taken.

    Args:
        rounds: the fewest and the most rounds of which the best counts.
        loop_overhead_ns: what a peer's Python loop costs for each item besides the library.
        load_average: of the machine over the last minute of the run; much above the threads that were
            measured, it says that other work ran too.
    """

    rounds: str
    loop_overhead_ns: float
    load_average: float


def method() -> Method:
    """The rules above, with the loop's cost and the load of this machine."""
    rounds = f"best of {MIN_ROUNDS} to {MAX_ROUNDS}, interleaved, after one warm-up"
    return Method(rounds, round(loop_overhead_ns(), 1), round(os.getloadavg()[0], 2))


def loop_overhead_ns(items: int = 20_000) -> float:
    """Nanoseconds for one item of a loop that calls a function which does nothing and keeps its answer."""
    triples = [(b"", b"", b"")] * items

    def run() -> list[int]:
        return [len(first) for first, _second, _third in triples]

    return 1e9 / timings([Contender(run, items)], budget=0.05)[0].rate
