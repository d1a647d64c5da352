# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests of this room's public functions run on the best CPU backend, on `scalar`, and as the CUDA sources' host twin.

A module whose operations have fewer backends names one of them as `OPERATION`.
"""

from __future__ import annotations

import host_twin
import pytest
from host_device import HostDevice
from lanes_here import FULL, TWIN

from supervm.kernels import registry
from supervm.kernels.cuda.runtime import devices


@pytest.fixture(params=[*FULL, TWIN])
def backend(request, monkeypatch):
    """A backend by name; one that the module's operation lacks, or a twin without a compiler, is skipped with the reason."""
    operation = getattr(request.module, "OPERATION", None)
    if operation and request.param not in {found.name for found in registry.backends(operation)}:
        pytest.skip(f"{operation} has no backend {request.param}")
    if request.param == "cuda":
        if host_twin.missing():
            pytest.skip(f"cuda: {host_twin.missing()}")
        monkeypatch.setattr(devices, "_search", lambda: ((HostDevice(),), ""))
    return request.param


@pytest.fixture
def device(monkeypatch):
    """The host twin as the only GPU."""
    if host_twin.missing():
        pytest.skip(host_twin.missing())
    one = HostDevice()
    monkeypatch.setattr(devices, "_search", lambda: ((one,), ""))
    return one
