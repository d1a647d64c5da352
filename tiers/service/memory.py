# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the memory of a serving process near what its requests take."""

from __future__ import annotations

import ctypes

M_MMAP_THRESHOLD = -3
OWN_MAPPING_BYTES = 128 << 10


def return_large_blocks() -> None:
    """Have glibc give blocks of 128 KiB and more back when they are freed, other C libraries as they do.

    Left alone, glibc raises that bound to the largest block it has seen freed (mallopt(3), M_MMAP_THRESHOLD), and messages
    then leave their size behind in holes of the heap: 64 refused requests of half a megabyte each, 120 MiB.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, OWN_MAPPING_BYTES)
