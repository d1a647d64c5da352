# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells when Numba compiles a kernel, which happens once per machine and source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def telling_of_compilations(tell: Callable[[str], None]) -> Iterator[None]:
    """Call `tell` with a text when a compilation begins and with '' when the outermost one ends.

    Loading a kernel from the cache is no compilation. Calls may come from any thread.
    """
    from numba.core import event

    class Compilations(event.Listener):
        """Counts the kernels compiled so far, and how many compilations are nested in each other."""

        def __init__(self) -> None:
            self.count = 0
            self.depth = 0

        def on_start(self, happened: Any) -> None:
            self.depth += 1
            self.count += 1
            name = happened.data["dispatcher"].py_func.__name__
            tell(f"compiling {name} ({self.count} so far, kept for the next time)")

        def on_end(self, happened: Any) -> None:
            self.depth -= 1
            if self.depth == 0:
                tell("")

    with event.install_listener("numba:compile", Compilations()):
        yield
