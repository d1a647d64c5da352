# SPDX-License-Identifier: GPL-3.0-or-later
"""Every host function begins by checking its pointers and charging (read from the syntax trees)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = ("vm/host_storage.py", "vm/host_chain.py", "engine/execution/host_crypto.py")
ALLOWED_BEFORE = {"argument", "get", "min", "max", "range", "load32"}
"""Reads alone: nothing is written, and nothing of the guest's memory is looked at, before the pointers are checked."""


def openings(text: str) -> dict[str, list[str]]:
    """Host function → what it calls up to `opening`, which is last; without one, everything."""
    tree = ast.parse(text)
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    found = {}
    for name, node in functions.items():
        if "host_function" in {ast.unparse(each) for each in node.decorator_list}:
            found[name] = _called(node, functions)
    return found


def _called(node: ast.FunctionDef, functions: dict[str, ast.FunctionDef]) -> list[str]:
    calls: list[str] = []
    for statement in node.body:
        inner = [each for each in ast.walk(statement) if isinstance(each, ast.Call)]
        names = [ast.unparse(each.func) for each in inner]
        if isinstance(statement, ast.Return) and names and names[0] in functions:
            return calls + _called(functions[names[0]], functions)
        if "opening" in names:
            return [*calls, *(name for name in names if name != "opening"), "opening"]
        calls += names
    return calls


@pytest.mark.parametrize("path", FILES)
def test_host_functions_open(path: str) -> None:
    found = openings((ROOT / path).read_text("utf-8"))
    assert found
    for name, calls in found.items():
        assert calls[-1] == "opening", f"{name} does not check and charge"
        assert set(calls[:-1]) <= ALLOWED_BEFORE, f"{name} does too much before it"


def test_one_that_forgets_is_seen() -> None:
    text = "@host_function\ndef f(worker, caller, arguments, count):\n    return answer32(arguments, 0)\n"
    assert openings(text) == {"f": ["answer32"]}
