# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm run`: what it answers, that both modes are compared, and what it refuses."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ringct_keys
from command_line import without_progress
from typer.testing import Result

from supervm.engine.config import EngineConfig, Mode
from supervm.engine.workloads import NAMES, Parameters, Workload, generate, read_workload, write_workload
from supervm.engine.workloads.run import WorkloadRun, run_workload
from supervm.tiers.workload_choice import WORKLOADS, bundled_blocks

ANSWERS = {
    "workload",
    "transactions",
    "committed",
    "rejected",
    "failed",
    "threads",
    "tps",
    "sequential_tps",
    "equal",
    "conserved",
    "state_root",
    "announced_root",
    "gas_total",
    "conflict_rate",
    "stages",
    "environment",
}
STAGES = {"verify", "decode", "route", "execute", "receipts", "commit"}
SMALL = ("--transactions", 300, "--accounts", 60, "--block-size", 120, "--threads", 2)
FIRST_BLOCK = next(path for path in bundled_blocks() if path.name == "46147")

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def warmed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[EngineConfig, bool]]:
    """What `run` would have warmed; the tests need no rates, and leave it out."""
    asked: list[tuple[EngineConfig, bool]] = []
    importlib.import_module("supervm.tiers.commands.run")
    monkeypatch.setattr(
        "supervm.tiers.commands.run.warm", lambda config, signed: asked.append((config, signed))
    )
    return asked


def _failure(result: Result) -> str:
    """The error of a usage error."""
    assert result.exit_code == 2, result.output
    return str(_answer(result)["error"]["type"])


def _answer(result: Result) -> dict[str, Any]:
    answer = json.loads(result.stdout)
    assert isinstance(answer, dict)
    return answer


@pytest.mark.parametrize("name", NAMES)
def test_both_modes_of_every_workload(run: Run, name: str) -> None:
    result = run("run", "--workload", name, *SMALL, "--hot-keys", 2, "--json")
    assert result.exit_code == 0, result.output
    assert without_progress(result.stderr) == ""
    answer = _answer(result)
    assert set(answer) == ANSWERS
    assert (answer["workload"], answer["transactions"], answer["threads"]) == (name, 300, 2)
    assert (answer["committed"], answer["rejected"], answer["failed"]) == (300, 0, 0)
    assert (answer["equal"], answer["conserved"]) == (True, True)
    assert set(answer["stages"]) - {"detect"} == STAGES
    workload = generate(name, _parameters())
    for mode in Mode:
        alone = run_workload(workload, EngineConfig(mode=mode))
        assert alone.state_root.hex() == answer["state_root"]
        assert alone.gas == answer["gas_total"] > 0


def _parameters(**changed: Any) -> Parameters:
    """Those of `SMALL` with two hot keys."""
    given = Parameters(
        transactions=300, accounts=60, block_size=120, hot_keys=2, hot_share=0.5, declared=True
    )
    return replace(given, **changed)


def test_the_words_of_the_help_are_the_workloads() -> None:
    assert (*NAMES, "private", "mainnet") == WORKLOADS


def test_options_reach_the_workload_and_the_engine(
    run: Run, tmp_path: Path, warmed: list[tuple[EngineConfig, bool]]
) -> None:
    path = tmp_path / "workload"
    options = ("--seed", 7, "--hot-keys", 2, "--hot-share", 0.25, "--undeclared", "--gas-price", 3)
    saving = ("--save", path, "--schedule", "waves", "--signatures")
    result = run("run", "--workload", "transfers", *SMALL, *options, *saving, "--json")
    assert result.exit_code == 0, result.output
    made = _parameters(seed=7, hot_share=0.25, declared=False, gas_price=3, signed=True)
    assert read_workload(path).equals(generate("transfers", made))
    [(config, signed)] = warmed
    assert signed
    assert (config.threads, config.schedule.value, config.signatures) == (2, "waves", True)
    again = run("run", "--load", path, "--signatures", "--json")
    assert again.exit_code == 0, again.output
    assert {key: value for key, value in _answer(again).items() if key in ("state_root", "committed")} == {
        "state_root": _answer(result)["state_root"],
        "committed": 300,
    }


def test_a_saved_workload_announces_what_it_came_to(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "workload"
    first = _answer(run("run", *SMALL, "--save", path, "--json"))
    assert first["announced_root"] is None
    told = read_workload(path).announced
    assert told is not None
    assert (told.blocks, told.state_root.hex()) == (3, first["state_root"])
    again = run("run", "--load", path, "--threads", 2)
    assert again.exit_code == 0, again.output
    assert "the announced root" in again.stdout
    other = replace(told, state_root=bytes(32))
    write_workload(path, replace(read_workload(path), announced=other))
    for mode in ("both", "parallel", "sequential"):
        result = run("run", "--load", path, "--mode", mode, "--threads", 2, "--json")
        assert result.exit_code == 1
        answer = _answer(result)
        assert (answer["state_root"], answer["announced_root"]) == (first["state_root"], "00" * 32)
        assert f"found {first['state_root']}, expected {'00' * 32} after 3 blocks" in result.stderr


def test_a_run_that_went_wrong_announces_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "workload"
    real = run_workload

    def losing(*given: Any, **named: Any) -> WorkloadRun:
        return replace(real(*given, **named), conserved=False)

    monkeypatch.setattr("supervm.tiers.commands.run.run_workload", losing)
    assert run("run", *SMALL, "--save", path).exit_code == 1
    assert read_workload(path).announced is None


def test_a_forged_block_is_exit_code_1(run: Run, tmp_path: Path) -> None:
    block = json.loads((FIRST_BLOCK / "block.json").read_text())
    block["stateRoot"] = "0x" + "11" * 32
    (tmp_path / "block.json").write_text(json.dumps(block))
    (tmp_path / "pre_state.json").write_bytes((FIRST_BLOCK / "pre_state.json").read_bytes())
    result = run("run", "--workload", "mainnet", "--blocks", tmp_path, "--json")
    assert result.exit_code == 1
    assert _answer(result)["error"]["type"] == "ForgedBlock"
    assert "block 46147: hash: found 0x" in result.stderr
    assert f"expected {block['hash']}" in result.stderr


def test_what_is_not_said(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "workload"
    few = ("--transactions", 4, "--hot-keys", 1, "--save", path, "--mode", "sequential", "--json")
    assert run("run", *few).exit_code == 0
    expected = Parameters(transactions=4, hot_keys=1, hot_share=0.5, declared=True)
    assert read_workload(path).parameters == expected
    assert (expected.accounts, expected.block_size, expected.gas_price) == (10_000, 10_000, 1)


def test_bundled_blocks_come_by_number() -> None:
    numbers = [int(path.name) for path in bundled_blocks()]
    assert numbers == sorted(numbers)
    assert len(numbers) == 11


@pytest.mark.parametrize("mode", list(Mode))
def test_one_mode_alone_compares_nothing(run: Run, mode: Mode) -> None:
    answer = _answer(run("run", *SMALL, "--mode", mode.value, "--json"))
    assert set(answer) == ANSWERS
    assert answer["workload"] == "mixed"
    assert answer["equal"] is None
    assert answer["sequential_tps"] == (answer["tps"] if mode is Mode.SEQUENTIAL else None)
    assert answer["threads"] == (1 if mode is Mode.SEQUENTIAL else 2)


def test_mainnet_counts_what_is_not_executed(run: Run) -> None:
    result = run("run", "--workload", "mainnet", "--json")
    assert result.exit_code == 0, result.output
    answer = _answer(result)
    assert set(answer) == ANSWERS | {"not_executed"}
    total = sum(
        len(json.loads((path / "block.json").read_text())["transactions"]) for path in bundled_blocks()
    )
    assert answer["transactions"] + answer["not_executed"] == total
    assert answer["not_executed"] > 0
    assert (answer["equal"], answer["conserved"]) == (True, True)
    answer = _answer(run("run", "--workload", "mainnet", "--blocks", FIRST_BLOCK, "--json"))
    assert (answer["transactions"], answer["not_executed"]) == (1, 0)
    result = run("run", "--workload", "mainnet", "--blocks", FIRST_BLOCK, "--mode", "parallel")
    assert "mainnet: 1 transactions in 1 blocks; 0 others not executed" in result.stdout


def test_a_table_for_people(run: Run) -> None:
    result = run("run", *SMALL, COLUMNS="80")
    assert result.exit_code == 0, result.output
    assert re.search(r"parallel.*sequential", result.stdout)
    assert re.search(r"committed\D+ 300 \D+ 300 ", result.stdout)
    assert "mixed: 300 transactions in 3 blocks" in result.stdout
    assert re.search(r"stages +verify .*\(milliseconds,\s+parallel\)", result.stdout, re.DOTALL)
    assert "ok: both modes give the same receipts and roots; no money made or lost" in result.stdout
    assert without_progress(result.stderr) == ""


def test_no_colour_and_no_bar_in_a_pipe(tmp_path: Path) -> None:
    program = "from supervm.tiers.cli import main; main()"
    arguments = ["run", "--transactions", "10", "--accounts", "4", "--threads", "1"]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "ok: both modes" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    assert without_progress(done.stderr) == ""


Spoil = Callable[[WorkloadRun], WorkloadRun]


@pytest.fixture
def spoil(monkeypatch: pytest.MonkeyPatch) -> Callable[[Spoil], None]:
    """Lets the sequential run come out differently."""

    def with_fault(fault: Spoil) -> None:
        def spoilt(workload: Workload, config: EngineConfig, **options: Any) -> WorkloadRun:
            outcome = run_workload(workload, config, **options)
            return fault(outcome) if config.mode is Mode.SEQUENTIAL else outcome

        monkeypatch.setattr("supervm.tiers.commands.run.run_workload", spoilt)

    return with_fault


def _more_gas(run: WorkloadRun) -> WorkloadRun:
    """One unit more for transaction 3 of block 1."""
    blocks = list(run.results)
    gas = blocks[1].receipts.gas.copy()
    gas[3] += np.uint64(1)
    blocks[1] = replace(blocks[1], receipts=replace(blocks[1].receipts, gas=gas))
    return replace(run, results=tuple(blocks))


def _another_root(run: WorkloadRun) -> WorkloadRun:
    blocks = list(run.results)
    blocks[2] = replace(blocks[2], state_root=bytes(32))
    return replace(run, results=tuple(blocks))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (_more_gas, "block 1, transaction 3: receipts: parallel Receipt("),
        (_another_root, "block 2: state roots: parallel "),
    ],
)
def test_modes_that_differ_are_exit_code_1(
    run: Run, spoil: Callable[[Spoil], None], fault: Spoil, words: str
) -> None:
    spoil(fault)
    result = run("run", *SMALL, "--json")
    assert result.exit_code == 1
    answer = _answer(result)
    assert set(answer) == ANSWERS
    assert (answer["equal"], answer["conserved"]) == (False, True)
    assert f"the modes differ: {words}" in result.stderr
    result = run("run", *SMALL)
    assert result.exit_code == 1
    assert "ok:" not in result.stdout


def test_lost_money_is_exit_code_1(run: Run, spoil: Callable[[Spoil], None]) -> None:
    spoil(lambda run: replace(run, conserved=False))
    result = run("run", *SMALL, "--json")
    assert result.exit_code == 1
    assert (_answer(result)["equal"], _answer(result)["conserved"]) == (True, False)
    assert "money or tokens appeared or vanished (sequential)" in result.stderr


def test_threads_come_from_flag_environment_file_and_profile(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervm.tiers.limits.usable_cores", lambda: 4)
    config = tmp_path / "settings.toml"
    config.write_text("workers = 3\n")
    tiny = ("run", "--transactions", 4, "--accounts", 4, "--mode", "parallel", "--json")
    variables = {"SUPERVM_WORKERS": "2", "SUPERVM_CONFIG": str(config)}
    assert _answer(run(*tiny, "--threads", 1, **variables))["threads"] == 1
    assert _answer(run(*tiny, **variables))["threads"] == 2
    assert _answer(run(*tiny, SUPERVM_CONFIG=str(config)))["threads"] == 3
    assert _answer(run(*tiny))["threads"] == 4
    more = run(*tiny, "--threads", 5)
    assert json.loads(more.stdout)["threads"] == 4
    assert "flag --threads: 5 threads; this process may use 4 cores" in more.stderr


@pytest.mark.parametrize("mode", ["both", "sequential"])
def test_a_state_is_kept_in_a_new_directory(run: Run, tmp_path: Path, mode: str) -> None:
    state = tmp_path / "state"
    result = run("run", *SMALL, "--state", state, "--mode", mode, "--json")
    assert result.exit_code == 0, result.output
    answer = _answer(result)
    assert set(answer["stages"]) - {"detect"} == STAGES | {"flush"}
    kept = _answer(run("contract", "credit", "aa" * 20, 1, "--state", state, "--json"))
    assert kept["height"] == 3 + 2 + 3 + 1  # deployments; balances, entries; blocks; this credit
    again = run("run", *SMALL, "--state", state, "--json")
    assert again.exit_code == 2
    assert "argument 'state'" in _answer(again)["error"]["message"]
    assert "which is not empty" in again.stderr


def test_a_state_that_is_a_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    result = run("run", *SMALL, "--state", tmp_path / "file")
    assert result.exit_code == 2
    assert "a file, expected a directory that is new or empty" in result.stderr


def test_files_that_cannot_be_used(run: Run, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"SVMWORK\x01 and nothing more")
    result = run("run", "--load", broken, "--json")
    assert result.exit_code == 2
    assert _answer(result)["error"]["type"] == "InputFileError"
    assert "broken" in result.stderr
    result = run("run", *SMALL, "--save", tmp_path / "absent" / "file")
    assert result.exit_code == 3
    plain = tmp_path / "plain"
    assert run("run", *SMALL, "--mode", "parallel", "--save", plain).exit_code == 0
    result = run("run", "--load", plain, "--signatures")
    assert result.exit_code == 2
    assert "a workload without any" in result.stderr


def test_private_transfers_are_really_checked(run: Run, warmed: list[tuple[EngineConfig, bool]]) -> None:
    result = run("run", "--workload", "mixed", *SMALL, "--private-share", 0.1, "--json")
    assert result.exit_code == 0, result.output
    answer = _answer(result)
    assert set(answer) == ANSWERS | {"private", "refused_proofs", "proofs"}
    assert answer["proofs"] == "simulated"
    assert (answer["private"], answer["refused_proofs"], answer["rejected"]) == (27, 3, 3)
    assert answer["committed"] == 297
    assert warmed[0][0].verifier is not None
    shown = run("run", "--workload", "mixed", *SMALL, "--private-share", 0.1)
    assert shown.exit_code == 0
    assert re.search(r"refused proofs\W+3\W+3\W", shown.stdout)
    assert "exactly the wrong proofs refused" in shown.stdout


def test_a_pools_calls_are_proven_with_a_key(run: Run, tmp_path: Path) -> None:
    key, saved = tmp_path / "ringct.zkey", tmp_path / "workload"
    key.write_bytes(ringct_keys.zkey())
    small = ("--transactions", 4, "--block-size", 2, "--accounts", 4, "--threads", 2)
    proven = ("run", "--workload", "private", *small, "--key", key)
    assert _failure(run(*proven, "--json")) == "TestOnlyKey"
    assert _failure(run("run", "--workload", "token", *small, "--key", key, "--json")) == "ArgumentError"
    result = run(*proven, "--allow-test-key", "--save", saved, "--json")
    assert result.exit_code == 0, result.output
    answer = _answer(result)
    assert (answer["proofs"], answer["private"], answer["failed"], answer["equal"]) == ("proven", 4, 0, True)
    loaded = ("run", "--load", saved, "--mode", "parallel")
    again = _answer(run(*loaded, "--key", key, "--allow-test-key", "--json"))
    assert again["state_root"] == again["announced_root"] == answer["state_root"]
    assert run(*loaded).exit_code == 1, "under the key of simulated proofs they are wrong"


@pytest.mark.parametrize("verdict", [True, False])
def test_a_verifier_that_lets_a_wrong_proof_pass_is_noticed(
    run: Run, monkeypatch: pytest.MonkeyPatch, verdict: bool
) -> None:
    monkeypatch.setattr(
        "supervm.tiers.commands.run.benchmark_verifier",
        lambda backend: lambda batch: np.full(len(batch), verdict),
    )
    result = run("run", "--workload", "transfers", *SMALL, "--private-share", 0.1)
    assert result.exit_code == 1
    assert "a wrong proof passed, or a right one was refused" in result.stderr
