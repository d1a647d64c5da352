# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests of this room's public functions run on every backend, the CUDA sources among them, as the host twin."""

from __future__ import annotations

import host_twin
import pytest
from host_device import HostDevice

from supervm.kernels.cpu.features import ifma_unavailable
from supervm.kernels.cuda import devices


@pytest.fixture(params=["ifma", "scalar", pytest.param("cuda", marks=pytest.mark.twin)])
def backend(request, monkeypatch):
    """Each backend by name; one that cannot run here is skipped with the reason."""
    reasons = {"ifma": ifma_unavailable, "scalar": lambda: "", "cuda": host_twin.missing}
    reason = reasons[request.param]()
    if reason:
        pytest.skip(f"{request.param}: {reason}")
    if request.param == "cuda":
        monkeypatch.setattr(devices, "_search", lambda: ((HostDevice(),), ""))
    return request.param
