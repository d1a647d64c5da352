# SPDX-License-Identifier: GPL-3.0-or-later
"""The registry: names, reasons, and what `auto` means."""

from __future__ import annotations

import numpy as np
import pytest

from supervm.kernels import registry
from supervm.kernels.cpu.backends import CPU_BACKENDS, best, register_on_cpu
from supervm.kernels.errors import ArgumentError, BackendUnavailable, UnknownOperation
from supervm.kernels.work import Batch


@pytest.fixture(autouse=True)
def empty(monkeypatch):
    """A registry of its own for each test."""
    monkeypatch.setattr(registry, "_table", {})
    monkeypatch.setattr(registry, "_dispatcher", None)


def listed(**reasons):
    for name, reason in reasons.items():
        registry.register("op", name, name.upper, lambda reason=reason: reason)


def test_backends_come_best_first_with_their_reasons():
    listed(scalar="", cuda="no device", ifma="")
    assert [(b.name, b.available, b.reason) for b in registry.backends("op")] == [
        ("cuda", False, "no device"),
        ("ifma", True, ""),
        ("scalar", True, ""),
    ]
    assert registry.operations() == ["op"]


def test_backends_of_the_processor_are_the_rows_of_their_table():
    assert ("cuda", *(row.name for row in CPU_BACKENDS)) == registry.BACKENDS
    register_on_cpu("op", lambda backend: backend.name.upper)
    assert [(b.name, b.function(), b.reason) for b in registry.backends("op")] == [
        (row.name, row.name.upper(), row.unavailable()) for row in CPU_BACKENDS
    ]
    assert registry.resolve("op").name == best().name
    assert CPU_BACKENDS[-1].unavailable() == ""
    assert all((row.of_bits(32), row.of_bits(64)) == (row.narrow, row.lanes) for row in CPU_BACKENDS)


def test_auto_takes_the_best_processor_backend_that_runs():
    listed(scalar="", cuda="", ifma="no IFMA here")
    assert registry.resolve("op").name == "scalar"
    listed(ifma="")
    assert registry.resolve("op").name == "ifma"
    assert registry.resolve("op").function() == "IFMA"


def work(operation="op"):
    return Batch(operation, (np.arange(3),), (np.zeros(3, np.int64),))


def test_auto_goes_to_the_dispatcher():
    registry.register("op", "scalar", lambda column, out: np.copyto(out, column))
    asked = []
    registry.set_dispatcher(asked.append)
    left, done = work(), work()
    registry.run(left)
    registry.run(done, "scalar")
    assert asked == [left]
    assert (left.outputs[0].tolist(), done.outputs[0].tolist()) == ([0, 0, 0], [0, 1, 2])
    registry.set_dispatcher(None)
    registry.run(left)
    assert left.outputs[0].tolist() == [0, 1, 2]
    assert registry.resolve("op").name == "scalar"


def test_errors_name_what_is_wrong():
    listed(ifma="no IFMA here")
    with pytest.raises(UnknownOperation, match=r"'other'.*op"):
        registry.resolve("other")
    with pytest.raises(ArgumentError, match=r"'fast'.*'scalar'"):
        registry.resolve("op", "fast")
    with pytest.raises(BackendUnavailable, match="no IFMA here"):
        registry.resolve("op", "ifma")
    with pytest.raises(BackendUnavailable, match="not implemented"):
        registry.resolve("op", "cuda")
    with pytest.raises(BackendUnavailable, match="no CPU backend"):
        registry.resolve("op")
    with pytest.raises(ArgumentError, match="'oracle'"):
        registry.register("op", "oracle", print)
