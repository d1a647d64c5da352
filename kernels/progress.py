# SPDX-License-Identifier: GPL-3.0-or-later
"""How work that takes longer than a second tells how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, float | None], None]
"""Called with what is being done, and the part of it that is done, 0 to 1, if that is known."""


def untold(doing: str, fraction: float | None = None) -> None:
    """Progress that nobody wants to hear of."""
