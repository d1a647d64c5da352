# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests of this room's public functions run on every backend, the CUDA sources among them, as the host twin.

A module whose operations have fewer backends names one of them as `OPERATION`.
"""

from __future__ import annotations

import host_twin
import pytest
from host_device import HostDevice

from supervm.kernels import registry
from supervm.kernels.cpu.lanes.features import ifma_unavailable
from supervm.kernels.cuda.runtime import devices


@pytest.fixture(params=["ifma", "scalar", pytest.param("cuda", marks=pytest.mark.twin)])
def backend(request, monkeypatch):
    """Each backend by name; one that cannot run here, or that the module's operation lacks, is skipped with the reason."""
    operation = getattr(request.module, "OPERATION", None)
    if operation and request.param not in {found.name for found in registry.backends(operation)}:
        pytest.skip(f"{operation} has no backend {request.param}")
    reasons = {"ifma": ifma_unavailable, "scalar": lambda: "", "cuda": host_twin.missing}
    reason = reasons[request.param]()
    if reason:
        pytest.skip(f"{request.param}: {reason}")
    if request.param == "cuda":
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
