# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm run` with workloads in the EVM: what it answers, and which options are not theirs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from typer.testing import Result

from supervm.engine.workloads import evm_run

Run = Callable[..., Result]
SMALL = ("--transactions", 120, "--accounts", 30, "--block-size", 50, "--threads", 2)


def test_what_it_answers(run: Run) -> None:
    result = run("run", "--workload", "mixed-evm", *SMALL, "--json")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert (answer["workload"], answer["transactions"], answer["threads"]) == ("mixed-evm", 120, 2)
    assert (answer["failed"], answer["equal"], answer["conserved"]) == (0, True, True)
    assert answer["gas_total"] > 120 * 21_000
    assert answer["gas_per_second"] > 0 < answer["sequential_gas_per_second"]
    alone = run("run", "--workload", "mixed-evm", *SMALL, "--mode", "sequential")
    assert alone.exit_code == 0, alone.output
    assert answer["state_root"] in alone.stdout
    assert "threads  " not in alone.stdout
    assert "no money made or lost" in alone.stdout


@pytest.mark.parametrize("wrong", [{"equal": False}, {"conserved": False}])
def test_what_is_wrong_is_told(run: Run, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any]) -> None:
    from supervm.tiers.commands import run_evm as command

    def changed(*arguments: Any, **how: Any) -> evm_run.EvmRun:
        return replace(evm_run.run_evm(*arguments, **how), **wrong)

    monkeypatch.setattr(command, "run_evm", changed)
    result = run("run", "--workload", "erc20", *SMALL, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)[next(iter(wrong))] is False
    assert "differ" in result.stderr


@pytest.mark.parametrize(
    "options",
    [
        ("--signatures",),
        ("--save", "x"),
        ("--load", "x"),
        ("--state", "x"),
        ("--blocks", "x"),
        ("--mode", "parallel"),
    ],
)
def test_options_of_other_workloads(run: Run, options: tuple[str, ...]) -> None:
    result = run("run", "--workload", "erc20", *options, "--json")
    assert result.exit_code == 2
    assert options[0].removeprefix("--") in json.loads(result.stdout)["error"]["message"]
