# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory: (operation, backend) → callable, with the reason where a backend cannot run.

Backends, best first: `cuda`; `ifma` (AVX-512 IFMA, eight lanes); `avx512`, `avx2` and `neon` (eight, four and two lanes of
doubles with fused multiply-adds); `scalar` (any 64-bit CPU). The oracle in
`supervm.crypto.oracle` is a reference, not a backend that `auto` would choose.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from supervm.kernels import choices
from supervm.kernels.backend_trace import computed
from supervm.kernels.errors import ArgumentError, BackendUnavailable, UnknownOperation
from supervm.kernels.work import Work

BACKENDS = ("cuda", "ifma", "avx512", "avx2", "neon", "scalar")

Dispatcher = Callable[[Work], None]


class Backend(NamedTuple):
    """One way to run an operation: its name, the callable, and why it cannot run here (empty if it can)."""

    operation: str
    name: str
    function: Callable[..., Any]
    reason: str

    @property
    def available(self) -> bool:
        """Whether it can run here."""
        return not self.reason


_table: dict[str, dict[str, tuple[Callable[..., Any], Callable[[], str]]]] = {}
_found: dict[tuple[str, str], tuple[object, Backend]] = {}
"""What was resolved before, by operation and name, and the row of the table it is from; a GPU is asked every time."""
_dispatcher: Dispatcher | None = None


def register(
    operation: str, backend: str, function: Callable[..., Any], unavailable: Callable[[], str] = lambda: ""
) -> None:
    """List `function` as `backend` of `operation`; `unavailable()` says why it cannot run, or returns ''."""
    if backend not in BACKENDS:
        raise ArgumentError("backend", repr(backend), f"one of {', '.join(BACKENDS)}")
    _table.setdefault(operation, {})[backend] = (function, unavailable)
    _found.clear()


def operations() -> list[str]:
    """Every registered operation, in the order of registration."""
    return list(_table)


def backends(operation: str) -> list[Backend]:
    """The backends of `operation`, best first, each with its reason if it cannot run here."""
    row = _row(operation)
    return [Backend(operation, name, row[name][0], row[name][1]()) for name in BACKENDS if name in row]


def set_dispatcher(dispatcher: Dispatcher | None) -> None:
    """Let a scheduler run what is asked of `auto`: it computes the work, or raises. None: the best CPU backend does."""
    global _dispatcher
    _dispatcher = dispatcher


def dispatcher() -> Dispatcher | None:
    """Who runs what is asked of `auto`, or None."""
    return _dispatcher


def run(work: Work, backend: str = "auto") -> None:
    """Compute `work` with the named backend, or where the dispatcher, if one is set, thinks best.

    Raises: as `resolve`.
    """
    dispatcher = _dispatcher  # read once: another thread may take it away
    if backend == "auto" and dispatcher is not None:
        dispatcher(work)
    else:
        found = resolve(work.operation, backend, work.items)
        work.run(found.function)
        computed(work.operation, found.name)


def resolve(operation: str, backend: str = "auto", items: int | None = None) -> Backend:
    """The backend that will run `operation`, on so many items if that is known.

    `auto` is the CPU backend that was measured to be the fastest for so many items, or else the best one that can run here.
    What an accelerator is worth, only a scheduler knows.

    Raises:
        UnknownOperation: no such operation.
        ArgumentError: a backend name that does not exist.
        BackendUnavailable: the named backend is not implemented for this operation or cannot run here.
    """
    row = _row(operation)
    if backend == "auto" and items is not None:
        fastest = choices.fastest(operation, items)
        if fastest in row and fastest != "cuda" and not row[fastest][1]():
            backend = fastest
    known = _found.get((operation, backend))
    if known is not None and known[0] is row:
        return known[1]
    found = _find_best(operation) if backend == "auto" else _find(operation, backend)
    if found.name != "cuda":
        _found[operation, backend] = row, found
    return found


def _find_best(operation: str) -> Backend:
    row = _row(operation)
    for name in BACKENDS:
        if name in row and name != "cuda" and not row[name][1]():
            return Backend(operation, name, row[name][0], "")
    raise BackendUnavailable("auto", f"no CPU backend of {operation} can run on this machine")


def _find(operation: str, backend: str) -> Backend:
    if backend not in BACKENDS:
        raise ArgumentError("backend", repr(backend), f"'auto', {', '.join(map(repr, BACKENDS))}")
    row = _row(operation)
    if backend not in row:
        raise BackendUnavailable(
            backend, f"{operation} is not implemented for it; use {', '.join(row)} or auto"
        )
    function, unavailable = row[backend]
    reason = unavailable()
    if reason:
        raise BackendUnavailable(backend, reason)
    return Backend(operation, backend, function, "")


def _row(operation: str) -> dict[str, tuple[Callable[..., Any], Callable[[], str]]]:
    try:
        return _table[operation]
    except KeyError:
        raise UnknownOperation(f"no operation '{operation}'; known: {', '.join(_table) or 'none'}") from None
