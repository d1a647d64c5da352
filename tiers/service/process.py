# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets up a process that answers calls: its memory stays near what they take, and little keeps the event loop waiting."""

from __future__ import annotations

import ctypes
import gc
import sys

M_MMAP_THRESHOLD = -3
OWN_MAPPING_BYTES = 128 << 10

SWITCH_SECONDS = 0.0005
"""How long a thread may keep the GIL from another that wants it, a tenth of Python's own: an answer waits for that several
times, on the event loop and on the thread that computed it."""


def prepare() -> None:
    """Before the first call: see `return_large_blocks`, and `SWITCH_SECONDS`."""
    return_large_blocks()
    sys.setswitchinterval(SWITCH_SECONDS)


def settle() -> None:
    """When all is there that stays: it is not looked through again, which takes tens of milliseconds."""
    gc.collect()
    gc.freeze()
    gc.collect()  # counts what is not frozen: Python looks through old objects when new ones are a quarter of them


def return_large_blocks() -> None:
    """Have glibc give blocks of 128 KiB and more back when they are freed, other C libraries as they do.

    Left alone, glibc raises that bound to the largest block it has seen freed (mallopt(3), M_MMAP_THRESHOLD), and messages
    then leave their size behind in holes of the heap: 64 refused requests of half a megabyte each, 120 MiB.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, OWN_MAPPING_BYTES)
