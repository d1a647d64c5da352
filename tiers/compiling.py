# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells when a kernel is compiled, by Numba or NVRTC, which happens once per machine and source, how long that took, and
what is compiled already."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from supervm.kernels.cuda.runtime import cubins

INDEX_SUFFIX = ".nbi"
CODE_SUFFIX = ".nbc"


@dataclass
class Compilations:
    """Compilations so far.

    Args:
        count: functions and programs compiled, those that others call included.
        seconds: time in which at least one was going on.
        going_on: texts about those that are going on now, each inside the one before.
    """

    count: int = 0
    seconds: float = 0.0
    going_on: list[str] = field(default_factory=list)
    begun: float = 0.0

    def start(self, text: str) -> None:
        """One more begins."""
        if not self.going_on:
            self.begun = time.perf_counter()
        self.going_on.append(text)
        self.count += 1

    def end(self) -> str:
        """The innermost has ended; what goes on now, or ''."""
        if self.going_on:  # empty where one began before anybody listened
            self.going_on.pop()
            if not self.going_on:
                self.seconds += time.perf_counter() - self.begun
        return self.going_on[-1] if self.going_on else ""


@contextmanager
def telling_of_compilations(tell: Callable[[str], None]) -> Iterator[Compilations]:
    """Call `tell` with a text about the compilation that is going on whenever that changes, and with '' when none is.

    Loading a kernel from the cache is no compilation. Calls may come from any thread.
    """
    from numba.core import event

    so_far = Compilations()

    def start(text: str) -> None:
        so_far.start(text)
        tell(text)

    class Listener(event.Listener):
        def on_start(self, happened: Any) -> None:
            name = happened.data["dispatcher"].py_func.__name__
            start(f"compiling {name}, {so_far.count + 1} so far")

        def on_end(self, happened: Any) -> None:
            tell(so_far.end())

    def of_program(text: str) -> None:
        if text:
            start(text)
        else:
            tell(so_far.end())

    with event.install_listener("numba:compile", Listener()), cubins.telling(of_program):
        yield so_far


@dataclass(frozen=True)
class KernelCache:
    """The folder of compiled kernels.

    Args:
        folder: where it is; another one for every state of the sources.
        functions: module → functions that have compiled code there.
        specialisations: compiled variants of all functions together.
        size: bytes.
    """

    folder: str
    functions: dict[str, list[str]]
    specialisations: int
    size: int

    def to_json(self) -> dict[str, Any]:
        """Plain types, for `--json`."""
        return asdict(self)


def kernel_cache(folder: Path) -> KernelCache:
    """Read `folder`, which Numba writes: an index per function, a file of code per specialisation."""
    functions: dict[str, list[str]] = {}
    specialisations = 0
    size = 0
    for path in sorted(folder.rglob("*")):
        if path.suffix == INDEX_SUFFIX:
            # module.function-line.python.nbi
            module, _, name = path.name.rpartition("-")[0].partition(".")
            functions.setdefault(module, []).append(name)
        elif path.suffix == CODE_SUFFIX:
            specialisations += 1
        try:
            size += path.stat().st_size if path.is_file() else 0
        except OSError:  # another process replaced it just now
            continue
    return KernelCache(str(folder), functions, specialisations, size)
