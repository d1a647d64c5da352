# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells when a kernel is compiled, by Numba or NVRTC, which happens once per machine and source, and how long that took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from supervm.kernels.cuda import cubins


@dataclass
class Compilations:
    """Compilations so far.

    Args:
        count: functions and programs compiled, those that others call included.
        seconds: time in which at least one was going on.
        depth: how many are going on now, nested in each other.
    """

    count: int = 0
    seconds: float = 0.0
    depth: int = 0
    begun: float = 0.0

    def start(self) -> None:
        """One more begins."""
        if self.depth == 0:
            self.begun = time.perf_counter()
        self.depth += 1
        self.count += 1

    def end(self) -> bool:
        """One has ended; whether it was the outermost."""
        self.depth -= 1
        if self.depth == 0:
            self.seconds += time.perf_counter() - self.begun
        return self.depth == 0


@contextmanager
def telling_of_compilations(tell: Callable[[str], None]) -> Iterator[Compilations]:
    """Call `tell` with a text when a compilation begins and with '' when the outermost one ends.

    Loading a kernel from the cache is no compilation. Calls may come from any thread.
    """
    from numba.core import event

    so_far = Compilations()

    class Listener(event.Listener):
        def on_start(self, happened: Any) -> None:
            so_far.start()
            name = happened.data["dispatcher"].py_func.__name__
            tell(f"compiling {name} ({so_far.count} so far, kept for the next time)")

        def on_end(self, happened: Any) -> None:
            if so_far.end():
                tell("")

    def of_program(text: str) -> None:
        if text:
            so_far.start()
            tell(text)
        elif so_far.end():
            tell("")

    with event.install_listener("numba:compile", Listener()), cubins.telling(of_program):
        yield so_far
