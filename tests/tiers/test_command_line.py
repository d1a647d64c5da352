# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands: exit codes, one JSON object and nothing else, messages that name what is wrong."""

from __future__ import annotations

import importlib
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import without_progress
from lanes_here import FULL
from typer.testing import Result

from supervm.engine.errors import InputFileError
from supervm.engine.ethereum.replay.report import BlockReport, Finding, ReplayReport
from supervm.kernels.errors import BackendUnavailable
from supervm.tiers.cli import COMMANDS, HOMES
from supervm.tiers.signature_files.verification import SignatureChecks


@pytest.fixture(autouse=True)
def _no_kernels(monkeypatch: pytest.MonkeyPatch, oracle_checks: SignatureChecks) -> None:
    """`verify` asks the oracle; what the kernels say is tested in test_end_to_end.py."""
    monkeypatch.setattr("supervm.tiers.compose.signature_checks", lambda *choice, **rules: oracle_checks)


def _answer(result: Result) -> dict[str, Any]:
    """The one object on standard output."""
    answer = json.loads(result.stdout)
    assert isinstance(answer, dict)
    return answer


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_of_commands_says_what_the_functions_say(name: str) -> None:
    module = importlib.import_module(HOMES.get(name, f"supervm.tiers.commands.{name}"))
    assert (inspect.getdoc(getattr(module, name)) or "").splitlines()[0] == COMMANDS[name]


def test_help_and_version_load_no_compiler() -> None:
    program = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from supervm.tiers.cli import app\n"
        "for arguments in (['--help'], ['--version']):\n"
        "    result = CliRunner().invoke(app, arguments)\n"
        "    assert result.exit_code == 0, result.output\n"
        "    print(result.output)\n"
        "loaded = {'numba', 'llvmlite', 'numpy', 'pyarrow'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in COMMANDS:
        assert f" {name} " in done.stdout
    assert "supervm 0." in done.stdout


def test_the_installed_program_ends_with_the_exit_code(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("supervm")
    done = subprocess.run(
        [program, "verify", tmp_path / "absent.jsonl", "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    answer = json.loads(done.stdout)
    assert answer["exit_code"] == 2
    assert answer["error"]["type"] == "BrokenFile"
    assert "absent.jsonl: No such file or directory" in done.stderr
    assert "\x1b" not in done.stderr


def test_a_defect_is_not_a_failed_verification() -> None:
    program = (
        "import sys\nfrom supervm.tiers import cli\n"
        "def broken(*arguments): raise RuntimeError('defect')\n"
        "cli.load_command = broken\nsys.argv = ['supervm', 'status']\ncli.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "RuntimeError: defect" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["veryfy"],
        ["verify"],
        ["verify", "file", "--rule", "loose"],
        ["verify", "file", "--threads", "two"],
        ["verify", "file", "--failures", "-1"],
        ["verify", "file", "--backend", "gpu"],
        ["verify", "file", "--tier", "L5"],
        ["verify", "file", "--batch", "0"],
        ["verify", "file", "--config", "absent.toml"],
        ["replay"],
        ["bench"],
        ["bench", "nothing"],
        ["bench", "hashes", "--threads", "0"],
        ["bench", "hashes", "--quick"],
        ["bench", "hashes", "--out", "folder"],
        ["bench", "all"],
        ["bench", "all", "--out", "folder", "--batch", "8"],
        ["bench", "all", "--out", "folder", "--sweep"],
        ["bench", "all", "--out", "folder", "--backend", "scalar"],
        ["bench", "all", "--out", "folder", "--quick", "--record"],
        ["run", "--mode", "fast"],
        ["run", "--schedule", "none"],
        ["run", "--workload", "nothing"],
        ["run", "--threads", "256"],
        ["run", "--transactions", "-1"],
        ["run", "--accounts", "1"],
        ["run", "--hot-share", "0.5"],
        ["run", "--hot-keys", "1", "--hot-share", "1.5"],
        ["run", "--block-size", "0"],
        ["run", "--blocks", "folder"],
        ["run", "--workload", "mainnet", "--seed", "1"],
        ["run", "--workload", "mainnet", "--signatures"],
        ["run", "--workload", "mainnet", "--blocks", "absent"],
        ["run", "--load", "absent"],
        ["run", "--load", "absent", "--accounts", "3"],
        ["run", "--load", "absent", "--workload", "token"],
        ["contract"],
        ["contract", "burn"],
        ["contract", "check"],
        ["contract", "check", "absent.wasm"],
        ["contract", "deploy", "token"],
        ["contract", "deploy", "token", "--state", "s", "--salt", "00"],
        ["contract", "call", "00", "get", "--state", "s"],
        ["contract", "call", "00" * 20, "get", "--state", "absent"],
        ["contract", "credit", "00" * 20, "0", "--state", "s"],
        ["contract", "credit", "00" * 20, "much", "--state", "s"],
        ["contract", "list", "--show", "nothing"],
    ],
    ids=" ".join,
)
def test_wrong_use_is_exit_code_2(
    run: Callable[..., Result], arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*arguments).exit_code == 2
    assert not list(tmp_path.iterdir())  # nothing was begun


def test_verify_good_signatures(
    run: Callable[..., Result], mixed_items: list[Any], json_lines_file: Callable[..., Path]
) -> None:
    path = json_lines_file([item for item in mixed_items if item.verdict == 1])
    result = run("verify", path)
    assert result.exit_code == 0, result.output
    assert "first failures" not in result.stdout
    assert without_progress(result.stderr) == ""


def test_verify_reports_counts_failures_and_verdicts(
    run: Callable[..., Result], tmp_path: Path, mixed_items: list[Any], json_lines_file: Callable[..., Path]
) -> None:
    path, output = json_lines_file(mixed_items), tmp_path / "verdicts.txt"
    result = run("verify", path, "--output", output, "--failures", 2, "--batch", 9, "--threads", 2)
    assert result.exit_code == 1
    verdicts = [item.verdict for item in mixed_items]
    assert [int(line) for line in output.read_text().splitlines()] == verdicts
    failures = [place for place, verdict in enumerate(verdicts, 1) if verdict != 1]
    assert f"first failures (2 of {len(failures)})" in result.stdout
    assert f"line {failures[0]}: {mixed_items[failures[0] - 1].scheme}, invalid (0)" in result.stdout
    assert f"line {failures[2]}:" not in result.stdout


def test_verify_as_json(
    run: Callable[..., Result], mixed_items: list[Any], json_lines_file: Callable[..., Path]
) -> None:
    path = json_lines_file(mixed_items)
    result = run("verify", path, "--json", "--rule", "strict", "--no-low-s", "--failures", 1)
    assert result.exit_code == 1
    assert without_progress(result.stderr) == ""
    answer = _answer(result)
    verdicts = [item.verdict for item in mixed_items]
    assert answer["rows"] == len(verdicts)
    assert [answer[name] for name in ("valid", "invalid", "malformed")] == [
        verdicts.count(v) for v in (1, 0, -1)
    ]
    assert sum(row["valid"] for row in answer["schemes"].values()) == answer["valid"]
    assert len(answer["failures"]) == 1
    assert set(answer["failures"][0]) == {"line", "scheme", "verdict"}
    assert (answer["rule"], answer["low_s"], answer["error"]) == ("strict", False, None)
    assert answer["environment"]["versions"]["supervm-engine"]


@pytest.mark.parametrize("as_json", [False, True])
def test_verify_a_broken_file(
    run: Callable[..., Result],
    tmp_path: Path,
    mixed_items: list[Any],
    json_line: Callable[..., str],
    as_json: bool,
) -> None:
    path, output = tmp_path / "broken.jsonl", tmp_path / "verdicts"
    path.write_text("\n".join([*(json_line(item) for item in mixed_items[:3]), "{"]))
    result = run("verify", path, "--output", output, *(["--json"] if as_json else []))
    assert result.exit_code == 2
    assert "broken.jsonl: line 4: " in result.stderr
    assert not output.exists()  # which would pass for all verdicts
    partial = tmp_path / "verdicts.partial"
    assert partial.read_text() == "".join(f"{item.verdict}\n" for item in mixed_items[:3])
    assert str(partial) in result.stderr
    if as_json:
        answer = _answer(result)
        assert answer["rows"] == 3
        assert answer["error"]["type"] == "BrokenFile"
        assert (answer["output"], answer["partial_output"]) == (None, str(partial))


def test_verify_does_not_write_over_its_input(
    run: Callable[..., Result], mixed_items: list[Any], json_lines_file: Callable[..., Path]
) -> None:
    path = json_lines_file(mixed_items)
    before = path.read_bytes()
    result = run("verify", path, "--output", path.parent / "." / path.name)
    assert result.exit_code == 2
    assert "argument 'output'" in result.stderr
    assert path.read_bytes() == before


def test_a_bad_variable_and_an_unknown_one(
    run: Callable[..., Result], json_lines_file: Callable[..., Path]
) -> None:
    path = json_lines_file([])
    result = run("verify", path, SUPERVM_WORKERS="many")
    assert result.exit_code == 2
    assert "SUPERVM_WORKERS: setting 'workers': found 'many', expected a whole number" in result.stderr
    result = run("verify", path, "--json", "--allow-empty", SUPERVM_WORKER="2")
    assert result.exit_code == 0
    assert "SUPERVM_WORKER names no setting" in result.stderr
    assert _answer(result)["rows"] == 0


def test_an_absent_backend_is_an_environment_problem(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, json_lines_file: Callable[..., Path]
) -> None:
    def unavailable(*choice: object, **rules: object) -> None:
        raise BackendUnavailable("cuda", "no driver")

    monkeypatch.setattr("supervm.tiers.compose.signature_checks", unavailable)
    result = run("verify", json_lines_file([]), "--json")
    assert result.exit_code == 3
    assert _answer(result)["error"] == {
        "type": "BackendUnavailable",
        "message": "backend 'cuda' is not available: no driver",
    }


HEADER = (True, True, None, None)
"""Of a block report: hash, uncles, withdrawals root, parent."""
NOT_WHOLE = (None, None, None, None, None, 0, None)
"""Of a block report: what only the execution of the whole block says."""
BLOCK = BlockReport(
    20046147, 1400, 1, 0, 0, True, *HEADER, 1400, 1408, 1408, 1407, 1000, 1400, True, True, *NOT_WHOLE
)


@pytest.fixture
def replayed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Lets `replay` come to a given report, or raise a given error."""

    def replay(outcome: Any) -> None:
        def pipeline(*settings: object) -> Callable[..., Any]:
            def run(paths: list[Path], progress: Callable[..., None], **whole: object) -> Any:
                progress("replaying blocks", 0, len(paths))
                if isinstance(outcome, Exception):
                    raise outcome
                return outcome

            return run

        monkeypatch.setattr("supervm.tiers.commands.replay.replay_pipeline", pipeline)

    importlib.import_module("supervm.tiers.commands.replay")
    return replay


def test_replay_of_a_right_block(run: Callable[..., Result], replayed: Callable[[Any], None]) -> None:
    replayed(ReplayReport([BLOCK], 1, 0.5, 1.0))
    result = run("replay", "46147", COLUMNS="80")
    assert result.exit_code == 0, result.output
    assert re.search(r"20046147 +1,400 +ok +1,400 +1,408 +1,408 +1,407 +1,000 +1,400", result.stdout)
    assert "1,400 transactions in 1 blocks, 1.00 s; 1 signatures recovered, 2 a second" in result.stdout
    answer = _answer(run("replay", "46147", "--json"))
    assert set(answer) == {"blocks", "totals", "checked", "not_checked", "environment"}
    for place, words in (
        ("checked", "hashes and transactions roots of 1 blocks"),
        ("not_checked", "state roots"),
    ):
        assert any(words in each for each in answer[place])
        assert words in " ".join(result.stdout.split())
    assert answer["totals"] == {"transactions": 1400, "signatures_per_second": 2.0, "seconds": 1.0}
    assert answer["blocks"][0]["number"] == 20046147


def test_replay_of_a_wrong_block_lists_both_values(
    run: Callable[..., Result], replayed: Callable[[Any], None]
) -> None:
    wrong = BlockReport(46147, 1, 1, 1, 0, False, *HEADER, 1, 1, 0, 1, 0, 0, True, True, *NOT_WHOLE)
    finding = Finding(46147, 0, "sender", "0xaa", "0xbb")
    notes = [Finding(46147, index, "nonce", "[1]", "[2]") for index in range(12)]
    replayed(ReplayReport([wrong], 1, 0.5, 1.0, [finding], notes))
    result = run("replay", "46147", COLUMNS="80")
    assert result.exit_code == 1
    assert re.search(r"46147 +1 +wrong", result.stdout)
    assert "…" not in result.stdout
    assert "wrong: block 46147, transaction 0: sender: found 0xaa, expected 0xbb" in result.stdout
    assert "note: block 46147, transaction 9: nonce: found [1], expected [2]" in result.stdout
    assert "and 2 more notes" in result.stdout
    result = run("replay", "46147", "--json")
    assert result.exit_code == 1
    assert _answer(result)["problems"][0]["found"] == "0xaa"
    assert "0xaa" in result.stderr


def test_replay_of_a_broken_file(run: Callable[..., Result], replayed: Callable[[Any], None]) -> None:
    replayed(InputFileError("46147/block.json", "nothing", "an object", transaction=3, field="to"))
    result = run("replay", "46147", "--json")
    assert result.exit_code == 2
    assert "46147/block.json, transaction 3, field 'to'" in _answer(result)["error"]["message"]


@pytest.mark.usefixtures("_only_sha256")
def test_status(run: Callable[..., Result]) -> None:
    result = run("status", "--tier", "L3")
    assert result.exit_code == 0, result.output
    assert "L3 edge" in result.stdout
    answer = _answer(run("status", "--json", "--tier", "L3"))
    assert answer["tier"] == "L3"
    assert answer["backends"]["sha256"] in FULL
    assert set(answer["kernel_cache"]) == {"folder", "functions", "specialisations", "size"}
