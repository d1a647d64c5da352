# SPDX-License-Identifier: GPL-3.0-or-later
"""Which device a thread's `cuda` functions work on: the one it is using, else the first that the process may use."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from supervm.kernels.cuda.runtime.device import Device

_thread = threading.local()


@contextmanager
def using(device: Device) -> Iterator[None]:
    """Make `device` this thread's for the length of a `with` block."""
    before = getattr(_thread, "device", None)
    _thread.device = device
    try:
        yield
    finally:
        _thread.device = before


def chosen() -> Device | None:
    """The device that this thread is using, if it said so."""
    return getattr(_thread, "device", None)
