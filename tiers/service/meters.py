# SPDX-License-Identifier: GPL-3.0-or-later
"""What the service tells whoever counts. `supervm.tiers.observability.metrics.Metrics` does; `Unmetered` does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt


class Meter(Protocol):
    """The part of `Metrics` that the service needs."""

    def verified(self, scheme: str, backend: str, verdicts: npt.NDArray[np.int8]) -> None:
        """Signatures were verified."""

    def stage(self, stage: str, seconds: float) -> None:
        """A stage took so long."""

    def queue(self, stage: str, depth: Callable[[], float]) -> None:
        """How to read the depth of a queue."""

    def conflicts(self, edges: int) -> None:
        """Conflict detection listed so many edges."""

    def request(self, call: str, code: str, seconds: float) -> None:
        """A request was answered."""

    def closed(self, port: str, reason: str) -> None:
        """A connection was ended, not by its caller."""


class Unmetered:
    """Counts nothing."""

    def verified(self, scheme: str, backend: str, verdicts: npt.NDArray[np.int8]) -> None:
        """See `Meter`; does nothing."""

    def stage(self, stage: str, seconds: float) -> None:
        """See `Meter`; does nothing."""

    def queue(self, stage: str, depth: Callable[[], float]) -> None:
        """See `Meter`; never calls `depth`."""

    def conflicts(self, edges: int) -> None:
        """See `Meter`; does nothing."""

    def request(self, call: str, code: str, seconds: float) -> None:
        """See `Meter`; does nothing."""

    def closed(self, port: str, reason: str) -> None:
        """See `Meter`; does nothing."""
