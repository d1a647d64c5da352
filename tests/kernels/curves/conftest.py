# SPDX-License-Identifier: GPL-3.0-or-later
"""Formulas rest on what each kind of lanes promises of its sums: their compiled tests run on each."""

from __future__ import annotations

import pytest
from lanes_here import KINDS


@pytest.fixture(params=KINDS)
def backend(request: pytest.FixtureRequest) -> str:
    """A CPU backend of each multiplier, by name."""
    name: str = request.param
    return name
