# SPDX-License-Identifier: GPL-3.0-or-later
"""Python's cycle collector rests while Numba compiles, and is afterwards as it was."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numba import njit
from numba.core import event
from numba.core.errors import NumbaError

import supervm.kernels.cpu  # noqa: F401  (which registers it)


class Seen(event.Listener):
    """Whether the collector was on whenever a compilation began."""

    def __init__(self) -> None:
        self.on: list[bool] = []

    def on_start(self, event: Any) -> None:
        self.on.append(gc.isenabled())

    def on_end(self, event: Any) -> None:
        pass


@pytest.fixture
def seen() -> Iterator[Seen]:
    found = Seen()
    with event.install_listener("numba:compile", found):
        yield found


@pytest.fixture(params=[True, False], ids=["on", "off"])
def was_on(request: pytest.FixtureRequest) -> Iterator[bool]:
    """The collector as a caller left it."""
    before = gc.isenabled()
    (gc.enable if request.param else gc.disable)()
    yield request.param
    (gc.enable if before else gc.disable)()


def test_it_rests_until_the_outermost_is_done(seen: Seen, was_on: bool) -> None:
    @njit
    def inner(value):  # type: ignore[no-untyped-def]
        return value + 1

    @njit
    def outer(value):  # type: ignore[no-untyped-def]
        return inner(value) + 1

    assert outer(1) == 3
    assert seen.on == [False, False]
    assert gc.isenabled() == was_on


def test_a_failure_ends_the_rest(seen: Seen, was_on: bool) -> None:
    @njit
    def wrong(value):  # type: ignore[no-untyped-def]
        return value.no_such_thing

    with pytest.raises(NumbaError):
        wrong(np.zeros(1))
    assert seen.on == [False]
    assert gc.isenabled() == was_on
