# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects of wasmtime that are still open when the interpreter ends.

wasmtime-py frees an object when Python does. At the end of the interpreter its own modules may have been taken apart by
then, and it says so on stderr. What is open at that moment is given up instead of being freed: the process ends, and a
thread may still be using it.
"""

from __future__ import annotations

import atexit
import contextlib
import weakref
from typing import Any, TypeVar

Managed = TypeVar("Managed")

_open: weakref.WeakSet[Any] = weakref.WeakSet()


def guarded(managed: Managed) -> Managed:
    """The same object of wasmtime's, which may now stay open until the interpreter ends."""
    _open.add(managed)
    return managed


@atexit.register
def _give_up() -> None:
    for managed in list(_open):
        with contextlib.suppress(ValueError):  # closed already
            managed._consume()
