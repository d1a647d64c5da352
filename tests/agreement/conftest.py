# SPDX-License-Identifier: GPL-3.0-or-later
"""Engines that many scenarios share: making one for each costs more than most scenarios do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from engine_adapter import Engines


@pytest.fixture(scope="session")
def engines() -> Iterator[Engines]:
    """One engine for every way."""
    made = Engines()
    yield made
    made.close()
