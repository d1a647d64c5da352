# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernels that Numba compiles. Importing this folder makes saving them safe between processes, and compiling them faster."""

import gc
from typing import Any

from numba.core import event
from numba.core.caching import IndexDataCacheFile

from supervm.kernels.cache import save_alone

IndexDataCacheFile.save = save_alone


class _CollectorPaused(event.Listener):
    """Lets Python's cycle collector rest while something compiles.

    A compiler makes millions of objects that live until it is done. The collector looks through all of them again each time
    that a quarter has been added, which was a third of the time that it took to compile. Numba compiles under one lock, so
    one depth serves all threads.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._was_on = False

    def on_start(self, event: Any) -> None:
        if self._depth == 0:
            self._was_on = gc.isenabled()
            gc.disable()
        self._depth += 1

    def on_end(self, event: Any) -> None:
        self._depth -= 1
        if self._depth == 0 and self._was_on:
            gc.enable()


event.register("numba:compile", _CollectorPaused())
