# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands where the extras are not installed: what needs none works, what needs one says the line that brings it."""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import PATIENCE, command

from supervm.tiers.extras import EXTRAS, PROJECT, missing

ROOT = Path(__file__).resolve().parents[2]

ABSENT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {absent!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
"""
OF_MODULES = {
    "grpcio": "grpc",
    "grpcio-health-checking": "grpc_health",
    "grpcio-reflection": "grpc_reflection",
}
OF_MODULES |= {"protobuf": "google.protobuf", "prometheus-client": "prometheus_client"}
COME_ALONG = {"h11", "starlette"}
"""With FastAPI and uvicorn."""


@pytest.fixture
def bare(tmp_path: Path) -> Callable[..., Any]:
    """Run the command in a process that finds none of the packages of extras."""
    absent = sorted({name.split(".")[0] for names in EXTRAS.values() for name in names})
    (tmp_path / "sitecustomize.py").write_text(ABSENT.format(absent=set(absent)))

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        variables = os.environ | {"PYTHONPATH": str(tmp_path)}
        return subprocess.run(
            command(*arguments), env=variables, capture_output=True, text=True, timeout=PATIENCE, check=False
        )

    return run


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("run", "--transactions", 10), "engine"),
        (("contract", "list"), "engine"),
        (("serve",), "service"),
        (("node", "--tier", "L4"), "node"),
    ],
)
def test_a_command_says_the_line_to_type(
    bare: Callable[..., Any], arguments: tuple[object, ...], extra: str
) -> None:
    done = bare(*arguments, "--json")
    assert done.returncode == 3, done.stderr
    line = f"type: pip install '{PROJECT}[{extra}]'"
    assert line in done.stderr
    assert line in json.loads(done.stdout)["error"]["message"]
    assert "Traceback" not in done.stderr


def test_what_needs_no_extra_works(
    bare: Callable[..., Any], json_lines_file: Callable[..., Path], mixed_items: list[Any]
) -> None:
    verified = bare("verify", json_lines_file(mixed_items), "--json")
    assert verified.returncode == 1, verified.stderr  # some are invalid
    assert json.loads(verified.stdout)["rows"] == len(mixed_items)
    replayed = bare("replay", ROOT / "benchmarks" / "data" / "ethereum" / "46147", "--json")
    assert replayed.returncode == 0, replayed.stderr
    for arguments in (("status", "--json"), ("bench", "--help"), ("warmup", "--help")):
        done = bare(*arguments)
        assert done.returncode == 0, done.stderr
    checked = bare("doctor", "--json")
    assert checked.returncode == 3, checked.stderr  # blocks cannot be executed here, and it says why
    assert f"pip install '{PROJECT}[engine]'" in checked.stdout


def test_the_table_is_that_of_the_package() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    for extra in ("engine", "service", "wallet"):
        names = {line.split(">")[0].split("[")[0] for line in listed[extra]}
        modules = {OF_MODULES.get(name, name) for name in names}
        assert modules == set(EXTRAS[extra]) - COME_ALONG
    assert listed["node"] == [f"{PROJECT}[engine,service]"]


def test_other_modules_are_of_no_extra() -> None:
    assert missing(ModuleNotFoundError("x", name="supervm.nowhere")) is None
    assert missing(ModuleNotFoundError("x")) is None
    assert missing(ModuleNotFoundError("x", name="grpc.aio"), "serve").extra == "service"  # type: ignore[union-attr]
