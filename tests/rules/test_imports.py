# SPDX-License-Identifier: GPL-3.0-or-later
"""Imports go one way, and each outside library is asked for in one room only (read from the syntax trees)."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("kernels", "crypto", "vm", "engine", "tiers", "benchmarks")

MAY_IMPORT = {
    "kernels": {"kernels"},
    "crypto": {"crypto", "kernels"},
    "vm": {"vm", "kernels"},
    "engine": {"engine", "vm", "crypto", "kernels"},
    "tiers": {"tiers", "engine", "vm", "crypto", "kernels"},
    "benchmarks": set(ROOMS),
}
EXCEPTIONS = {
    ("tiers/cli.py", "benchmarks"),
    ("tiers/workload_choice.py", "benchmarks"),
}
"""The benchmarks are the top room: the table of commands has the name of theirs, and one module finds their data."""

ONLY_IN = {
    "cupy": {"kernels"},
    "wasmtime": {"vm", "crypto"},  # contracts, and calculators of witnesses
    "rocksdict": {"engine"},
    "typer": {"tiers", "benchmarks"},  # a command of its own
    "rich": {"tiers"},
    "grpc": {"tiers", "benchmarks"},  # the load generator is a client of its own
    "prometheus_client": {"tiers"},
    "matplotlib": {"benchmarks"},
}
MODULE_NAME = re.compile(rf"supervm\.({'|'.join(ROOMS)})(\.\w+)*")
"""Text that names a module. `supervm.v1` is a package of protobuf, and no room."""
ARITHMETIC_ROOMS = ("kernels", "crypto")
ALWAYS_THERE = {"numpy", "numba", "llvmlite"}
WHERE_USED = {"kernels": {"cupy"}, "crypto": {"cryptography", "pyarrow", "wasmtime"}}
"""What the arithmetic rooms may ask for beyond that, inside a function or for types alone."""

CUPY_MODULE = "supervm.kernels.cuda.runtime.cupy_device"
"""The one module that imports CuPy as it is imported itself, which therefore happens inside functions only."""


def sources(room: str) -> Iterator[Path]:
    return (path for path in sorted((ROOT / room).rglob("*.py")) if "__pycache__" not in path.parts)


def imported(tree: ast.Module) -> Iterator[tuple[str, int, bool]]:
    """(dotted name, line, at module level) of every import, those by `import_module("…")` included."""
    deferred: set[ast.AST] = set()
    for node in ast.walk(tree):
        typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or typing_only:
            deferred.update(ast.walk(node))
    for node in ast.walk(tree):
        top = node not in deferred
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno, top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            if base == "supervm" or base + ".cupy_device" == CUPY_MODULE:
                yield from ((f"{base}.{alias.name}", node.lineno, top) for alias in node.names)
            else:
                yield base, node.lineno, top
        elif isinstance(node, ast.Constant) and MODULE_NAME.fullmatch(str(node.value)):
            yield str(node.value), node.lineno, False


def violations(room: str, path: str, text: str) -> list[str]:
    """What in this source breaks a rule, one line each."""
    found = []
    for name, line, top in imported(ast.parse(text)):
        parts = name.split(".")
        place = f"{path}:{line} imports {name}"
        if path == "kernels/cuda/runtime/cupy_device.py" and name == "cupy":
            continue
        if name.startswith(CUPY_MODULE) and top:
            found.append(f"{place}: only inside a function, where a GPU was found")
        elif name.startswith("."):
            found.append(f"{place}: imports are absolute")
        elif parts[0] in ROOMS:
            found.append(f"{place}: a room is imported as supervm.{parts[0]}")
        elif parts[0] == "supervm":
            target = parts[1] if len(parts) > 1 else ""
            if target not in MAY_IMPORT[room] and (path, target) not in EXCEPTIONS:
                found.append(f"{place}: {room} may import {', '.join(sorted(MAY_IMPORT[room]))}")
        elif parts[0] in ONLY_IN and room not in ONLY_IN[parts[0]]:
            found.append(f"{place}: only {', '.join(ONLY_IN[parts[0]])} may")
        elif room in ARITHMETIC_ROOMS and parts[0] not in sys.stdlib_module_names | ALWAYS_THERE:
            if top or parts[0] not in WHERE_USED[room]:
                found.append(f"{place}: {room} needs NumPy and Numba alone")
        elif "/oracle/" in path and parts[0] not in sys.stdlib_module_names:
            found.append(f"{place}: the oracle needs the standard library alone")
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_imports(room):
    paths = list(sources(room))
    assert paths
    assert not [
        line
        for path in paths
        for line in violations(room, str(path.relative_to(ROOT)), path.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("kernels/a.py", "from supervm.crypto import ed25519"),
        ("kernels/a.py", "def f():\n    import supervm.engine.conflicts"),
        ("crypto/a.py", "from supervm import vm"),
        ("vm/a.py", "import supervm.crypto.hashes"),
        ("engine/a.py", "from importlib import import_module\nimport_module('supervm.tiers.cli')"),
        ("engine/a.py", "from supervm.benchmarks import runner"),
        ("tiers/commands/verify.py", "from supervm.benchmarks import runner"),
        ("crypto/a.py", "from . import hashes"),
        ("crypto/a.py", "import kernels"),
        ("tiers/a.py", "import cupy"),
        ("engine/a.py", "async def f():\n    import typer"),
        ("benchmarks/a.py", "from rich.table import Table"),
        ("crypto/a.py", "import pyarrow"),
        ("crypto/a.py", "def f():\n    import msgspec"),
        ("kernels/a.py", "import cupy"),
        ("crypto/oracle/a.py", "import numpy"),
        (
            "kernels/cuda/runtime/devices.py",
            "from supervm.kernels.cuda.runtime.cupy_device import CupyDevice",
        ),
        ("engine/a.py", "from supervm.kernels.cuda.runtime import cupy_device"),
    ],
)
def test_a_planted_breach_is_seen(path, text):
    assert violations(path.split("/")[0], path, text)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("tiers/cli.py", "def run():\n    from supervm.benchmarks import runner"),
        ("crypto/a.py", "def f():\n    import pyarrow"),
        ("crypto/a.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pyarrow"),
        ("kernels/a.py", "def f():\n    import cupy"),
        ("engine/a.py", "from supervm.kernels.errors import SupervmError\nimport rocksdict"),
    ],
)
def test_what_is_allowed_passes(path, text):
    assert not violations(path.split("/")[0], path, text)


WITHOUT_THE_REST = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ABSENT:
            raise ModuleNotFoundError(name)
ABSENT = {"msgspec", "psutil", "pyarrow", "rich", "typer", "cupy", "wasmtime", "rocksdict", "grpc"}
sys.meta_path.insert(0, Absent())
import numpy as np
from supervm.crypto import ed25519, hashes, secp256k1, selftest
from supervm.crypto.oracle import adversarial_ecdsa, adversarial_ed25519, adversarial_schnorr, der
print(hashes.keccak256_batch([b""])[0].tobytes().hex())
print(sorted(ABSENT & {name.split(".")[0] for name in sys.modules}))
"""


def test_crypto_works_with_numpy_and_numba_alone():
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_THE_REST], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split("\n")[:2] == [
        "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470",
        "[]",
    ]
