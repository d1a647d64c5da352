# SPDX-License-Identifier: GPL-3.0-or-later
"""The known-answer test that lets a device in again after its circuit was open."""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol

import numpy as np

from supervm.engine.scheduler.device import GpuExecutor
from supervm.engine.scheduler.workloads import Workload
from supervm.kernels import registry
from supervm.kernels.errors import UnknownOperation

COMPARED_ITEMS = 64
"""Where there are no known answers, the device is compared with the CPU on so many items of typical work."""


class Outcome(Protocol):
    """Of a known-answer test, as `supervm.crypto.selftest` returns it."""

    @property
    def ok(self) -> bool:
        """Whether every answer was right."""

    @property
    def detail(self) -> str:
        """How many items agree, or the first that does not, or why the backend did not run."""


class KnownAnswers(Protocol):
    """Runs the known-answer test of an operation on a backend, on the current device of the calling thread.

    Raises:
        UnknownOperation: there are no known answers for this operation.
    """

    def __call__(self, operation: str, backend: str) -> Outcome: ...


class Prober:
    """Tests devices.

    Args:
        known_answers: the tests.
        workload: typical work, where there are none.
    """

    def __init__(self, known_answers: KnownAnswers, workload: Workload) -> None:
        self._known_answers, self._workload = known_answers, workload

    def revive(self, executor: GpuExecutor) -> bool:
        """Whether the device may be given work; tests it if its cool-down is over, on the thread of whoever comes first.

        Others do not wait for the test: for them the device is not ready yet.
        """
        if executor.trouble:
            return False
        operations = executor.breaker.probe()
        if operations:
            reason = "the known-answer test was interrupted"
            try:
                reason = next(
                    filter(None, (self._wrong(executor, operation) for operation in operations)), ""
                )
            finally:
                executor.breaker.probed(reason)
        return executor.ready

    def _wrong(self, executor: GpuExecutor, operation: str) -> str:
        """What is wrong with an operation there, or ''."""
        deadline = executor.deadline(operation, 0.0)
        try:
            test = partial(self._known_answers, operation, executor.backend)
            outcome: Any = executor.begin(test, operation, deadline).result()
        except UnknownOperation:
            return self._differs(executor, operation)
        except Exception as error:  # whatever goes wrong in the test is its outcome
            return f"{operation}: {type(error).__name__}: {error}"
        return "" if outcome.ok else f"{operation}: {outcome.detail}"

    def _differs(self, executor: GpuExecutor, operation: str) -> str:
        try:
            found = executor.submit(self._workload(operation, COMPARED_ITEMS)).result()
            count = found.mismatches(registry.resolve(operation).function, 1.0, np.random.default_rng())
        except Exception as error:
            return f"{operation}: {type(error).__name__}: {error}"
        return f"{operation}: {count} results differ from the CPU's" if count else ""
