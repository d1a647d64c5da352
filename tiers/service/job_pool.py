# SPDX-License-Identifier: GPL-3.0-or-later
"""Threads that compute, fed from the event loop. Kernels release the GIL, so that the loop goes on meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from queue import SimpleQueue
from typing import Protocol

AHEAD = 1
"""Jobs handed over beyond those that are computed, so that no thread waits for the loop; jobs that are not handed over can
still take further requests, or be dropped."""


class Job(Protocol):
    """Work for a pool. The loop calls everything but `step`."""

    def start(self) -> bool:
        """Close the job to further requests; whether anybody still waits for it."""

    def step(self) -> bool:
        """Compute a piece, on a thread of the pool's; whether more are left."""

    def finish(self) -> None:
        """Deliver the results."""

    def fail(self, error: BaseException) -> None:
        """Deliver an error."""


class JobPool:
    """Jobs, begun in the order in which they came; those of several pieces take turns with others.

    Args:
        name: of its threads.
        loop: that delivers.
        threads: jobs computed at a time.
    """

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop, threads: int = 1) -> None:
        self.name = name
        self._loop = loop
        self._at_once = threads + AHEAD
        self._ready: deque[Job] = deque()
        self._handed = 0
        self._closed: BaseException | None = None
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._threads = threads
        for _ in range(threads):
            threading.Thread(target=self._run, name=name, daemon=True).start()

    def put(self, job: Job) -> None:
        """Have a job done after those that wait already."""
        if self._closed is not None:
            job.fail(self._closed)
            return
        self._ready.append(job)
        self._hand_over()

    def close(self, reason: BaseException) -> None:
        """End the threads after the jobs that they were given; all others fail for this reason, later ones too."""
        self._closed = reason
        for _ in range(self._threads):
            self._jobs.put(None)
        while self._ready:
            self._ready.popleft().fail(reason)

    @property
    def waiting(self) -> int:
        """Jobs that are not finished."""
        return len(self._ready) + self._handed

    def _hand_over(self) -> None:
        while self._ready and self._handed < self._at_once:
            job = self._ready.popleft()
            if job.start():
                self._handed += 1
                self._jobs.put(job)

    def _stepped(self, job: Job, more: bool, error: BaseException | None) -> None:
        self._handed -= 1
        if more:
            self.put(job)
        self._hand_over()
        if error is not None:
            job.fail(error)
        elif not more:
            job.finish()

    def _run(self) -> None:
        for job in iter(self._jobs.get, None):
            more, error = False, None
            try:
                more = job.step()
            except BaseException as caught:  # whatever it is, somebody waits for an answer
                error = caught
            try:
                self._loop.call_soon_threadsafe(self._stepped, job, more, error)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return
            del job, error  # megabytes would lie here until the next job comes
