# SPDX-License-Identifier: GPL-3.0-or-later
"""Inside a room, imports run down: a folder imports folders of lower floors only, and none of its own floor."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

FLOORS = {
    "kernels/cpu": (
        ("lanes",),
        ("backends", "bound", "fields", "conflicts", "state"),
        ("curves", "hashes", "ntt"),
        ("signatures", "msm", "merkle", "pairings"),
    ),
    "kernels/cuda": (
        ("constants", "runtime"),
        ("msm_plan",),
        ("conflicts", "merkle", "msm", "ntt", "sparse_products"),
    ),
    "engine": (
        ("arrays", "conflicts", "errors", "work_classes"),
        ("files", "host_callbacks", "scheduler", "storage", "transactions"),
        ("config", "ethereum", "privacy"),
        ("state",),
        ("execution",),
        ("blocks", "evm"),
        ("engine",),
        ("single_call", "workloads"),
    ),
}
"""Of each room, the ground floor first: folders, and modules that stand alone."""


def imported(text: str) -> Iterator[str]:
    """Every module, or member of one, that a source imports."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def upward(room: str, path: str, text: str) -> list[str]:
    """What a source of a room, at a path inside it, imports from its own floor or one above."""
    floor = {name: number for number, names in enumerate(FLOORS[room]) for name in names}
    prefix = f"supervm.{room.replace('/', '.')}."
    own = path.removesuffix(".py").split("/")[0]
    found = []
    for name in imported(text):
        if name.startswith(prefix):
            other = name.removeprefix(prefix).split(".")[0]
            if other != own and floor[other] >= floor[own]:
                found.append(f"{room}/{path} imports {name}")
    return found


@pytest.mark.parametrize("room", FLOORS)
def test_imports_run_down(room: str) -> None:
    sources = [
        path for path in (ROOT / room).rglob("*.py") if path.parent != ROOT / room or path.stem != "__init__"
    ]
    found = {path.relative_to(ROOT / room).parts[0].removesuffix(".py") for path in sources}
    assert found == {name for names in FLOORS[room] for name in names}
    assert not [
        line
        for path in sources
        for line in upward(room, str(path.relative_to(ROOT / room)), path.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize(
    "text",
    [
        "from supervm.kernels.cpu.curves.curve import Curve",
        "def f():\n    import supervm.kernels.cpu.msm.msm",
        "from supervm.kernels.cpu.conflicts import detect",
        "from supervm.kernels.cpu import merkle",
    ],
)
def test_an_import_that_runs_up_is_seen(text: str) -> None:
    assert upward("kernels/cpu", "fields/field.py", text)
    assert not upward("kernels/cpu", "fields/field.py", "from supervm.kernels.cpu.lanes import lanes")
    assert not upward("kernels/cpu", "fields/field.py", "from supervm.kernels.cpu.fields import powers")
