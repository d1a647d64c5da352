# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backends computed what a thread asked for.

Callers of batch functions never see where their work ran, and with a scheduler nobody can say beforehand. Whoever must know
it (for a label, a trace) asks inside a block:

    with witness() as seen:
        digests = sha256_batch(messages)
    seen.backend("sha256")      # "ifma"; "cuda+ifma" where a batch was cut, or done again in part
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Witness:
    """What a thread has seen inside a `witness` block."""

    def __init__(self) -> None:
        self._seen: dict[str, set[str]] = {}

    def backend(self, operation: str) -> str:
        """The backends whose results of this operation were kept, by name and joined with +; "none" without items."""
        return "+".join(sorted(self._seen.get(operation, ()))) or "none"

    def add(self, operation: str, backend: str) -> None:
        """A backend's result was kept."""
        self._seen.setdefault(operation, set()).add(backend)


class _Here(threading.local):
    """What this thread has. A missing attribute would take a third of a microsecond to ask for; the class has one."""

    witness: Witness | None = None


_here = _Here()


@contextmanager
def witness() -> Iterator[Witness]:
    """See what this thread asks for inside the block; an outer block does not see it."""
    outer = _here.witness
    _here.witness = seen = Witness()
    try:
        yield seen
    finally:
        _here.witness = outer


def computed(operation: str, backend: str) -> None:
    """Tell this thread's witness, if there is one, that a backend's result is what the caller gets."""
    seen = _here.witness
    if seen is not None:
        seen.add(operation, backend)
