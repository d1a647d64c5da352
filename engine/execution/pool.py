# SPDX-License-Identifier: GPL-3.0-or-later
"""Threads that execute transactions: one for each worker, with a stack that is large enough for any contract."""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait

from supervm.engine.errors import EngineClosed

STACK_BYTES = 16 << 20
"""Of each thread: wasm code may use 6 MiB (`supervm.vm.config`), host functions and Python come on top."""

_stack_size = threading.Lock()


class ExecutionPool:
    """`threads` threads; task i always runs on thread i."""

    def __init__(self, threads: int) -> None:
        self._queues: list[queue.SimpleQueue[tuple[Callable[[], object], Future[None]] | None]] = []
        self._threads = []
        with _stack_size:
            before = threading.stack_size(STACK_BYTES)
            try:
                for number in range(threads):
                    tasks: queue.SimpleQueue[tuple[Callable[[], object], Future[None]] | None] = (
                        queue.SimpleQueue()
                    )
                    thread = threading.Thread(
                        target=_serve, args=(tasks,), name=f"supervm-execute-{number}", daemon=True
                    )
                    self._queues.append(tasks)
                    self._threads.append(thread)
                    thread.start()
            finally:
                threading.stack_size(before)

        self._end = weakref.finalize(self, _end, self._queues)

    def __len__(self) -> int:
        return len(self._threads)

    def run(self, *tasks: Callable[[], object], own: Callable[[], object] | None = None) -> None:
        """Run task i on thread i; the first error is raised.

        Args:
            tasks: at most as many as there are threads.
            own: one more, for the thread that calls, which need not wake for it; it raises nothing.

        The tasks share one piece of work, of which nothing is left when one of them has ended: those that have not begun by
        then are not waited for, since on a busy machine a thread may wake long after.

        Raises:
            EngineClosed: the threads have been ended.
        """
        if not self._end.alive:
            raise EngineClosed
        futures = []
        for tasks_of, task in zip(self._queues, tasks, strict=False):
            future: Future[None] = Future()
            tasks_of.put((task, future))
            futures.append(future)
        try:
            if own is None:
                wait(futures, return_when=FIRST_COMPLETED)
            else:
                own()
            errors = [future.exception() for future in futures if not future.cancel()]
        except BaseException:
            # Compiled code cannot be interrupted; nobody may touch what it works on before it has ended.
            wait(futures)
            raise
        for error in errors:
            if error is not None:
                raise error

    def close(self) -> None:
        """End the threads. A second call does nothing."""
        self._end()
        for thread in self._threads:
            thread.join()


def _end(queues: list[queue.SimpleQueue[tuple[Callable[[], object], Future[None]] | None]]) -> None:
    for tasks in queues:
        tasks.put(None)


def _serve(tasks: queue.SimpleQueue[tuple[Callable[[], object], Future[None]] | None]) -> None:
    while True:
        item = tasks.get()
        if item is None:
            return
        task, future = item
        if future.set_running_or_notify_cancel():
            try:
                task()
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(None)
        del item, task, future
