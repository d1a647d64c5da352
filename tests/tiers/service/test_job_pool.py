# SPDX-License-Identifier: GPL-3.0-or-later
"""A pool of threads for jobs: so many jobs at a time and no more, in order, pieces in turn, and an end for every thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable

import pytest
from patience import PATIENCE, until_async

from supervm.tiers.service.job_pool import AHEAD, JobPool


class Piecework:
    """A job of several pieces that can be held up, and that notes what is computed at the same time.

    Args:
        name: in `log`.
        pieces: how many steps.
        log: names, as steps begin.
        held: steps wait for it.
    """

    computing = 0
    most = 0
    lock = threading.Lock()

    def __init__(self, name: str, pieces: int, log: list[str], held: threading.Event) -> None:
        self.ended: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
        self.started = 0
        self._alone = threading.Lock()
        self._name, self._left, self._log, self._held = name, pieces, log, held

    def start(self) -> bool:
        self.started += 1
        return True

    def step(self) -> bool:
        assert self._alone.acquire(blocking=False), "two threads have the same job"
        with Piecework.lock:
            Piecework.computing += 1
            Piecework.most = max(Piecework.most, Piecework.computing)
            self._log.append(self._name)
        assert self._held.wait(PATIENCE)
        with Piecework.lock:
            Piecework.computing -= 1
        self._alone.release()
        self._left -= 1
        return self._left > 0

    def finish(self) -> None:
        self.ended.set_result(None)

    def fail(self, error: BaseException) -> None:
        self.ended.set_result(error)


@pytest.fixture(autouse=True)
def nothing_computed() -> None:
    Piecework.computing = Piecework.most = 0


async def all_of(jobs: list[Piecework]) -> list[BaseException | None]:
    waiting: list[Awaitable[BaseException | None]] = [job.ended for job in jobs]
    async with asyncio.timeout(PATIENCE):
        return await asyncio.gather(*waiting)


def threads_named(name: str) -> int:
    return sum(thread.name == name for thread in threading.enumerate())


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_as_many_jobs_at_a_time_as_threads(threads: int) -> None:
    async def run() -> None:
        held, log = threading.Event(), list[str]()
        pool = JobPool("counted", asyncio.get_running_loop(), threads)
        jobs = [Piecework(str(n), 1, log, held) for n in range(8)]
        for job in jobs:
            pool.put(job)
        await until_async(lambda: Piecework.computing == threads)
        assert [job.started for job in jobs] == [1] * (threads + AHEAD) + [0] * (8 - threads - AHEAD)
        assert pool.waiting == 8
        held.set()
        assert await all_of(jobs) == [None] * 8
        assert Piecework.most == threads
        assert sorted(log[:threads]) == [str(n) for n in range(threads)]
        assert sorted(log) == [str(n) for n in range(8)]
        pool.close(RuntimeError("closed"))
        await until_async(lambda: threads_named("counted") == 0)

    asyncio.run(run())


@pytest.mark.parametrize("threads", [1, 2])
def test_pieces_of_a_job_take_turns_and_are_never_computed_at_once(threads: int) -> None:
    async def run() -> None:
        held, log = threading.Event(), list[str]()
        held.set()
        pool = JobPool("turns", asyncio.get_running_loop(), threads)
        long, short = Piecework("long", 50, log, held), Piecework("short", 1, log, held)
        pool.put(long)
        pool.put(short)
        assert await all_of([long, short]) == [None, None]
        assert log.count("long") == 50
        assert log.index("short") <= threads  # it does not wait for what was longer and came before
        pool.close(RuntimeError("closed"))

    asyncio.run(run())


def test_a_closed_lane_ends_what_it_was_given_and_fails_the_rest() -> None:
    async def run() -> None:
        held, log, reason = threading.Event(), list[str](), RuntimeError("closed")
        pool = JobPool("closing", asyncio.get_running_loop(), 2)
        jobs = [Piecework(str(n), 1, log, held) for n in range(6)]
        for job in jobs:
            pool.put(job)
        pool.close(reason)
        late = Piecework("late", 1, log, held)
        pool.put(late)
        held.set()
        handed = 2 + AHEAD
        assert await all_of([*jobs, late]) == [None] * handed + [reason] * (6 - handed + 1)
        await until_async(lambda: threads_named("closing") == 0)

    asyncio.run(run())
