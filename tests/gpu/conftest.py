# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests on a real device share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from supervm.kernels import get_threads, set_threads
from supervm.kernels.cuda.runtime import devices


@pytest.fixture(autouse=True)
def all_cores() -> Iterator[None]:
    """The CPU's answers on every core."""
    before = get_threads()
    set_threads(len(os.sched_getaffinity(0)))
    yield
    set_threads(before)


@pytest.fixture
def gpu() -> Any:
    """The first device."""
    assert not devices.unavailable()
    return devices.devices()[0]
