# SPDX-License-Identifier: GPL-3.0-or-later
"""Python that host functions ask: C functions that answer with a number, and never with a wrong one.

ctypes prints what a callback raises and returns 0, which may be an answer. Here the error is kept instead, the guest's call
ends without one, and whoever executes the block raises it: a machine that cannot compute must not say what a contract sees.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from supervm.engine.errors import HostFunctionFailed
from supervm.vm.context import NO_ANSWER

_failures: dict[int, BaseException] = {}
"""Worker, by its address → what its last callback without an answer raised."""


def callback(function: Callable[..., int]) -> Any:
    """A C function of 64-bit integers, the worker's address first, of one that takes those behind it.

    Args:
        function: its answer is an i32, signed; whatever it raises is `no_answer` of the worker.
    """
    numbers = [ctypes.c_int64] * (1 + function.__code__.co_argcount)

    def call(worker: int, *arguments: int) -> int:
        try:
            return function(*arguments)
        except BaseException as error:
            _failures[worker] = error
            return NO_ANSWER

    return ctypes.CFUNCTYPE(ctypes.c_int64, *numbers)(call)


def no_answer(worker: int) -> BaseException:
    """What is raised for a worker that says `NEEDS_ANSWER`, by its address: what interrupts the program as it came."""
    failure = _failures.pop(worker, None)
    if failure is not None and not isinstance(failure, Exception):
        return failure
    problem = "it is not known why" if failure is None else f"{type(failure).__name__}: {failure}"
    error = HostFunctionFailed(problem)
    error.__cause__ = failure
    return error
