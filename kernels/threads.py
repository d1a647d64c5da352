# SPDX-License-Identifier: GPL-3.0-or-later
"""The pool that runs `nogil` kernels on disjoint slices of a batch.

Numba's own `parallel=True` is not used: its threading layers do not nest, and the default one is not
thread-safe. The library starts with one thread; `supervm.tiers` sets the number from the profile.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

from supervm.kernels.errors import ArgumentError

_lock = threading.Lock()
_threads = 1
_pool: ThreadPoolExecutor | None = None
_inside = threading.local()


def set_threads(count: int) -> None:
    """Use `count` threads (1 or more) for every batch from now on; calls that are running end as they began."""
    global _threads, _pool
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ArgumentError("count", repr(count), "a whole number of threads, 1 or more")
    with _lock:
        if count != _threads:
            old, _pool = _pool, None
            _threads = count
            if old is not None:
                old.shutdown(wait=False)


def get_threads() -> int:
    """How many threads a batch may use."""
    return _threads


def run_slices(work: Callable[[int, int], object], items: int, grain: int) -> None:
    """Call `work(start, stop)` over `range(items)` in slices of at most `grain` items.

    Slices start at multiples of `grain`. With one thread, one slice, or when called from such a slice, everything
    runs on the caller's thread. Otherwise threads, the caller's among them, take the next slice as they become free,
    so that uneven slices even out; a thread that is not awake when all slices are taken is not waited for. The first
    exception is raised after all slices that had started have ended. Doubles are rounded to nearest, whatever mode the
    caller left.
    """
    with _rounding().to_nearest():
        if items <= grain or _threads == 1 or getattr(_inside, "slices", False):
            for start in range(0, items, grain):
                work(start, min(start + grain, items))
        else:
            _share_slices(work, items, grain)


@functools.cache
def _rounding() -> ModuleType:
    """What needs the compiler, which who only sets threads does not need."""
    from supervm.kernels import rounding

    return rounding


def _share_slices(work: Callable[[int, int], object], items: int, grain: int) -> None:
    slices = -(-items // grain)
    workers = min(_threads, slices)
    counter = iter(range(slices))
    failed = threading.Event()

    def take() -> None:
        _inside.slices = True
        try:
            while not failed.is_set():
                with _lock:
                    index = next(counter, None)
                if index is None:
                    return
                work(index * grain, min((index + 1) * grain, items))
        except BaseException:
            failed.set()
            raise
        finally:
            _inside.slices = False

    futures = [_submit(take) for _ in range(workers - 1)]
    try:
        take()
    finally:
        errors = [future.exception() for future in futures if not future.cancel()]
    for error in errors:
        if error is not None:
            raise error


def _forget_pool() -> None:
    """A forked process inherits the pool object and none of its threads; it makes its own when it needs one."""
    global _pool, _lock
    _pool, _lock = None, threading.Lock()
    _inside.slices = False


os.register_at_fork(after_in_child=_forget_pool)


def _submit(work: Callable[[], None]):  # type: ignore[no-untyped-def]
    global _pool
    with _lock:
        if _pool is None:
            workers = max(1, _threads - 1)
            _pool = ThreadPoolExecutor(workers, "supervm", initializer=_rounding().set_mode, initargs=(0,))
        return _pool.submit(work)
