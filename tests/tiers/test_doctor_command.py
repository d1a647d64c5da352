# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm doctor`: what is tested and measured, what the exit codes say, and what is left alone."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import Result

from supervm.crypto.selftest import SelfTest
from supervm.engine.config import Mode
from supervm.kernels import registry
from supervm.vm.errors import RuntimeProblem


def _answer(result: Result) -> dict[str, Any]:
    """The one object on standard output."""
    answer = json.loads(result.stdout)
    assert isinstance(answer, dict)
    return answer


Executions = list[tuple[str, str | Exception]]


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> Executions:
    """Gives every mode the outcomes of a list that tests fill, and '' (right) where it has none."""
    outcomes: Executions = []

    def wrong(mode: Mode, threads: int) -> str:
        for name, outcome in outcomes:
            if name == mode.value:
                if isinstance(outcome, Exception):
                    raise outcome
                return outcome
        return ""

    monkeypatch.setattr("supervm.engine.workloads.known_answer.wrong", wrong)
    return outcomes


@pytest.mark.usefixtures("_only_sha256", "executed")
def test_doctor(run: Callable[..., Result]) -> None:
    result = run("doctor", "--backend", "scalar", SUPERVM_BATCH_ITEMS="77")
    assert result.exit_code == 0, result.output
    assert "variable SUPERVM_BATCH_ITEMS" in result.stdout
    assert "every backend in use gives the right answers" in result.stdout
    assert "wasmtime 50." in result.stdout
    assert "rocksdict 0." in result.stdout
    assert re.search(r"parallel +right", result.stdout)
    answer = _answer(run("doctor", "--backend", "scalar", "--json"))
    assert [(one["mode"], one["known_answer"]) for one in answer["execution"]] == [
        ("parallel", True),
        ("sequential", True),
    ]
    assert answer["environment"]["versions"]["wasmtime"].startswith("50.")
    assert answer["ok"] is True
    assert answer["settings"]["backend"] == {"value": "scalar", "origin": "flag --backend"}
    operation = answer["operations"][0]
    assert (operation["name"], operation["chosen"]) == ("sha256", "scalar")
    scalar = next(backend for backend in operation["backends"] if backend["name"] == "scalar")
    assert scalar["known_answers"] is True
    assert scalar["reason"] == "asked for by flag --backend"
    assert answer["kernel_cache"]["specialisations"] >= 0


@pytest.mark.usefixtures("_only_sha256", "executed")
def test_doctor_with_a_wrong_backend(run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "supervm.tiers.inventory.known_answers",
        lambda operation, backend: SelfTest(operation, backend, backend != "scalar", "[1] is [2]"),
    )
    result = run("doctor", "--all")
    assert result.exit_code == 1
    assert "[1] is [2]" in result.stdout
    assert "wrong answers: sha256" in result.stdout
    assert _answer(run("doctor", "--all", "--json"))["ok"] is False
    assert _answer(run("doctor", "--backend", "scalar", "--json"))["ok"] is False


@pytest.mark.usefixtures("_only_sha256", "executed")
def test_doctor_leaves_alone_what_is_not_in_use(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`ifma`, `scalar` and a GPU, whatever this machine has: who is tested and measured under which settings."""
    tested: list[str] = []
    measured: list[str] = []

    def known_answers(operation: str, backend: str) -> SelfTest:
        tested.append(backend)
        return SelfTest(operation, backend, True, "agrees")

    def function(messages: Any, out: Any) -> None:
        measured.append("second")

    row = {name: (function, lambda: "") for name in ("ifma", "scalar")}
    row["cuda"] = (function, lambda: "no GPU")
    monkeypatch.setitem(registry._table, "sha256", row)
    monkeypatch.setattr("supervm.engine.scheduler.store.cache_root", lambda: tmp_path)
    monkeypatch.setattr("supervm.tiers.inventory.known_answers", known_answers)

    def tests_of(*arguments: str) -> list[str]:
        tested.clear()
        measured.clear()
        result = run("doctor", *arguments)
        assert result.exit_code == 0, result.output
        assert result.stdout.count("not tested") == 2 - len(tested)
        assert ("Measured cost" in result.stdout) == bool(measured)
        return tested

    assert tests_of() == ["ifma"]
    assert not measured
    assert tests_of("--backend", "scalar") == ["scalar"]
    assert tests_of("--all") == ["ifma", "scalar"]
    assert measured
    routes = [SimpleNamespace(backend=name, measured=(1,)) for name in ("ifma", "scalar")]
    known = SimpleNamespace(operations=[SimpleNamespace(operation="sha256", routes=routes)])
    doctor = importlib.import_module("supervm.tiers.commands.doctor")
    settings = SimpleNamespace(backend="auto", origins={"backend": "default"})
    tested.clear()
    doctor._test(settings, known, every=False)
    assert tested == ["ifma", "scalar"], "the scheduler may take it, since it has been measured"


@pytest.mark.usefixtures("_only_sha256")
def test_doctor_with_a_wrong_execution(run: Callable[..., Result], executed: Executions) -> None:
    executed.append(("parallel", "the state root is 01, expected 02"))
    result = run("doctor")
    assert result.exit_code == 1
    assert re.search(r"parallel +WRONG: the state root is 01, expected 02", result.stdout)
    assert "wrong answers: parallel execution" in result.stdout
    assert "every backend" not in result.stdout
    executed[0] = ("sequential", ZeroDivisionError("defect"))
    answer = _answer(run("doctor", "--json"))
    assert answer["ok"] is False
    assert answer["execution"][1]["detail"] == "ZeroDivisionError: defect"


@pytest.mark.usefixtures("_only_sha256")
def test_doctor_where_no_contract_can_run(run: Callable[..., Result], executed: Executions) -> None:
    executed += [(mode, RuntimeProblem("wasmtime", "version 49")) for mode in ("parallel", "sequential")]
    result = run("doctor")
    assert result.exit_code == 3
    assert re.search(r"parallel +cannot run: wasmtime: version 49", result.stdout)
    assert "every backend" not in result.stdout


@pytest.mark.usefixtures("_only_sha256", "executed")
def test_doctor_where_the_named_backend_is_absent(run: Callable[..., Result]) -> None:
    result = run("doctor", "--backend", "cuda", "--json")
    assert result.exit_code == 3
    assert "cuda" in _answer(result)["operations"][0]["problem"]
