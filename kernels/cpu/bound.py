# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiled functions whose first arguments stay the same, called without a look at the types of the others.

Numba asks Python for the type of every marker at every call: microseconds, many times what it takes to hash a message.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numba import typeof

from supervm.kernels.arrays import borrow
from supervm.kernels.cpu.lanes.lanes import FMA
from supervm.kernels.rounding import to_nearest


class Bound:
    """A compiled function with its first arguments.

    The types of the other ones are looked up at the first call, and every later call must pass the same: numbers of the same
    kind, arrays of one dtype and dimension, contiguous and aligned. Read-only arrays may be passed where nothing writes.

    Where the function multiplies doubles, they are rounded to nearest, whatever mode the caller left.

    Args:
        function: made by `numba.njit`.
        first: its first arguments; a marker among them says in which lanes it works.
    """

    __slots__ = ("_call", "_first", "_function")

    def __init__(self, function: Any, *first: Any) -> None:
        self._function, self._first = function, first
        self._call: Any = self._first_call

    def __call__(self, *others: Any) -> Any:
        return self._call(*self._first, *others)

    def _first_call(self, *arguments: Any) -> Any:
        """Compile the function for these arguments, or load it, and call it from now on as it is."""
        types = tuple(typeof(borrow(each) if isinstance(each, np.ndarray) else each) for each in arguments)
        call = self._function.compile(types)
        lanes = [each.lanes.multiplier for each in self._first if hasattr(each, "lanes")]
        self._call = partial(_rounded, call) if FMA in lanes else call
        return self._call(*arguments)


def _rounded(call: Any, *arguments: Any) -> Any:
    with to_nearest():
        return call(*arguments)
