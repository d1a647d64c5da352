# SPDX-License-Identifier: GPL-3.0-or-later
"""Functions that compiled code reaches by address."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from numba import cfunc


class CompiledFunction:
    """A C function: compiled, or loaded from the cache, when its address is first asked for.

    Args:
        function: as it is written.
        signature: its C type, as Numba spells it.
    """

    def __init__(self, function: Callable[..., Any], signature: str) -> None:
        self._function, self._signature = function, signature
        self._lock = threading.Lock()
        self._code: Any = None

    @property
    def address(self) -> int:
        """Of the machine code; good for as long as the process lives."""
        with self._lock:
            if self._code is None:
                plain = getattr(self._function, "py_func", self._function)
                self._code = cfunc(self._signature, cache=True, error_model="numpy")(plain)
            return int(self._code.address)
