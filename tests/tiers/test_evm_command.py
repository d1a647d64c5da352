# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm evm`: one list of results, one call, exit codes; `replay` of a block that is executed whole, and its trace."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from evm_data import sampled, unpacked
from typer.testing import Result

Run = Callable[..., Result]

ADD = "600560070160005260206000f3"
"""PUSH1 5, PUSH1 7, ADD, PUSH1 0, MSTORE, PUSH1 32, PUSH1 0, RETURN."""


def call(run: Run, *arguments: object, code: int = 0) -> dict[str, Any]:
    result = run("evm", "run", *arguments, "--json")
    assert result.exit_code == code, result.output
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def test_one_call(run: Run, tmp_path: Path) -> None:
    answer = call(run, "0x" + ADD, "--gas", 1000)
    assert answer["success"] is True
    assert answer["error"] is None
    assert int(answer["output"], 16) == 12
    assert (answer["gas_used"], answer["refund"], answer["logs"]) == (24, 0, [])
    for name, content in (
        ("text", ADD.encode()),
        ("prefixed", b"0x" + ADD.encode() + b"\n"),
        ("raw", bytes.fromhex(ADD)),
    ):
        file = tmp_path / name
        file.write_bytes(content)
        assert call(run, file)["output"] == answer["output"]


def test_input_value_and_logs(run: Run) -> None:
    # CALLDATALOAD(0) + CALLVALUE into memory, then LOG1 of these 32 bytes with topic 7
    code = "600035340160005260076020" + "6000a1"
    answer = call(run, code, "--input", f"{40:064x}", "--value", 2)
    (log,) = answer["logs"]
    assert int(log["data"], 16) == 42
    assert [int(topic, 16) for topic in log["topics"]] == [7]
    assert log["address"] == "0x" + "00" * 18 + "c0de"


@pytest.mark.parametrize(
    ("code", "error", "gas_used"),
    [("fe", "invalid opcode", 1000), ("60016000fd", "revert", 9), ("5b600056", "out of gas", 1000)],
)
def test_failures_are_told(run: Run, code: str, error: str, gas_used: int) -> None:
    answer = call(run, code, "--gas", 1000, code=1)
    assert (answer["success"], answer["error"]) == (False, error)
    assert answer["gas_used"] == gas_used


def test_the_fork_decides(run: Run) -> None:
    push0 = "5f5ff3"
    assert call(run, push0, "--fork", "shanghai")["success"] is True
    assert call(run, push0, "--fork", "Paris", code=1)["error"] == "invalid opcode"
    result = run("evm", "run", push0, "--fork", "nowhere")
    assert result.exit_code == 2
    assert "Cancun" in result.stderr


@pytest.mark.parametrize("code", ["0x0", "zz", "no such file"])
def test_what_is_no_code(run: Run, code: str) -> None:
    assert run("evm", "run", code).exit_code == 2


def test_state_tests_as_one_list(run: Run) -> None:
    files = unpacked("general_state_tests", sampled(256))[:4]
    result = run("evm", "statetest", *files, "--fork", "Berlin", "--json")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert answer
    for row in answer:
        assert list(row) == ["name", "fork", "index", "pass", "error"]
        assert (row["fork"], row["pass"], row["error"]) == ("Berlin", True, "")


def test_a_state_test_that_fails(run: Run, tmp_path: Path) -> None:
    (source, *_) = unpacked("general_state_tests", sampled(256))
    tests = json.loads(source.read_text())
    for test in tests.values():
        for results in test["post"].values():
            results[0]["hash"] = "0x" + "11" * 32
    file = tmp_path / "wrong.json"
    file.write_text(json.dumps(tests))
    result = run("evm", "statetest", file)
    assert result.exit_code == 1
    assert "state root 0x" in result.stdout
    assert run("evm", "statetest", tmp_path / "nothing.json").exit_code == 2


def test_a_block_and_the_trace_of_one_of_its_transactions(run: Run) -> None:
    (file,) = unpacked("witness_give", lambda name: Path(name).name == "2675000.json")
    answer = json.loads(run("replay", file, "--json").stdout)
    (block,) = answer["blocks"]
    assert block["gas_ok"] is block["receipts_ok"] is block["bloom_ok"] is block["state_ok"] is True
    assert block["parallel_equal"] is True
    assert block["transactions_executed"] == block["transactions"]
    witness = json.loads(file.read_text())
    called = next(one for one in witness["block"]["transactions"] if one["input"] != "0x")
    traced = run("replay", file, "--trace", called["hash"], "--trace-memory")
    assert traced.exit_code == 0, traced.output
    *steps, end = map(json.loads, traced.stdout.splitlines())
    assert (end["fork"], len(end["stateRoot"])) == ("EIP158", 66)
    assert all(32 * len(step["memory"]) == step["memSize"] for step in steps)
    assert {"pc", "op", "gas", "gasCost", "memSize", "stack", "depth", "refund", "opName"} <= set(steps[0])
    assert (steps[0]["pc"], steps[0]["depth"], steps[0]["stack"]) == (0, 1, [])
    # Within a frame each opcode leaves what the next one has.
    for one, after in pairwise(steps):
        if one["depth"] == after["depth"]:
            assert int(one["gas"], 16) - int(one["gasCost"], 16) == int(after["gas"], 16)
