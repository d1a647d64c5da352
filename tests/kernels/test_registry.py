# SPDX-License-Identifier: GPL-3.0-or-later
"""The registry: names, reasons, and what `auto` means."""

from __future__ import annotations

import pytest

from supervm.kernels import registry
from supervm.kernels.errors import ArgumentError, BackendUnavailable, UnknownOperation


@pytest.fixture(autouse=True)
def empty(monkeypatch):
    """A registry of its own for each test."""
    monkeypatch.setattr(registry, "_table", {})
    monkeypatch.setattr(registry, "_chooser", None)


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


def test_auto_takes_the_best_processor_backend_that_runs():
    listed(scalar="", cuda="", ifma="no IFMA here")
    assert registry.resolve("op").name == "scalar"
    listed(ifma="")
    assert registry.resolve("op").name == "ifma"
    assert registry.resolve("op").function() == "IFMA"


def test_auto_asks_the_chooser():
    listed(scalar="", ifma="", cuda="")
    asked = []
    registry.set_chooser(lambda operation, items: asked.append((operation, items)))
    assert registry.resolve("op", items=9).name == "ifma"
    assert asked == [("op", 9)]
    registry.set_chooser(lambda operation, items: "cuda" if items > 5 else None)
    assert registry.resolve("op", items=9).name == "cuda"
    assert registry.resolve("op", items=2).name == "ifma"
    assert registry.resolve("op", "scalar", items=9).name == "scalar"
    registry.set_chooser(None)
    assert registry.resolve("op", items=9).name == "ifma"


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


@pytest.mark.parametrize("named", ["cuda", "auto", "abacus"])
def test_a_chooser_that_names_what_cannot_run_is_not_followed(named):
    """`auto` still finds a backend, and a chooser that answers "auto" does not ask itself again."""
    listed(scalar="", cuda="no device")
    registry.set_chooser(lambda operation, items: named)
    assert registry.resolve("op").name == "scalar"
