# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm contract`: check, deploy, call, credit, list."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from judge.model import contract_address
from typer.testing import Result

from supervm.engine.engine import Engine
from supervm.engine.workloads.parts import TOKENS_EACH, deployment
from supervm.kernels.errors import ArgumentError
from supervm.tiers.commands.options import from_hex
from supervm.tiers.errors import WRONG_USE
from supervm.vm import contracts
from supervm.vm.errors import RuntimeProblem
from supervm.vm.modules import ModuleCache

Run = Callable[..., Result]

OWNER, OTHER = "00" * 19 + "01", "bb" * 20
TEXT = (
    '(module (memory (export "memory") 1 2) (func (export "grow") (result i32) (memory.grow (i32.const 1))))'
)


def _answer(result: Result, code: int = 0) -> dict[str, Any]:
    assert result.exit_code == code, result.output
    answer = json.loads(result.stdout)
    assert isinstance(answer, dict)
    assert "environment" in answer
    return answer


def _amount(number: int) -> str:
    return number.to_bytes(32).hex()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def token(run: Run, state: Path) -> str:
    """The address of a token in the state."""
    return str(_answer(run("contract", "deploy", "token", "--state", state, "--json"))["address"])


def test_check_a_sample_a_binary_and_a_text(run: Run, tmp_path: Path) -> None:
    binary, text = tmp_path / "copy.wasm", tmp_path / "own.wat"
    binary.write_bytes(contracts.load("counter"))
    text.write_text(TEXT)
    by_name = _answer(run("contract", "check", "counter", "--json"))
    by_file = _answer(run("contract", "check", binary, "--json"))
    apart = {"file": "", "environment": {}}
    assert by_name | apart == by_file | apart
    assert by_name["code_hash"] == hashlib.sha256(contracts.load("counter")).hexdigest()
    assert by_name["entry_points"] == ["increment", "get"]
    assert "storage_api.storage_set" in by_name["imports"]
    assert (by_name["memory"]["initial"], by_name["memory"]["grows"], by_name["restorable"]) == (
        64,
        False,
        True,
    )
    own = _answer(run("contract", "check", text, "--json"))
    assert set(own) == {
        "file",
        "accepted",
        "code_hash",
        "code_bytes",
        "entry_points",
        "imports",
        "memory",
        "restorable",
        "uses_balance",
        "compile_units",
        "instance_gas",
        "environment",
    }
    assert own["memory"] == {"initial": 65536, "maximum": 131072, "page_size": 65536, "grows": True}
    shown = run("contract", "check", text).stdout
    assert "used again, unless memory has grown" in shown
    assert "accepted" in shown
    assert "\x1b" not in shown


def test_what_is_written_before_a_sample(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("token").write_bytes(contracts.load("counter"))
    assert _answer(run("contract", "check", "token", "--json"))["entry_points"] == ["increment", "get"]


@pytest.mark.parametrize(
    ("name", "content", "rule"),
    [
        ("a.wat", b"(module)", "memory"),
        ("a.wat", b"(module (", "text"),
        ("a.wasm", b"(module)", "binary"),
        ("a.wasm", contracts.load("token")[:-1], "binary"),
    ],
)
def test_a_contract_that_breaks_a_rule(
    run: Run, tmp_path: Path, name: str, content: bytes, rule: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    result = run("contract", "check", path, "--json")
    answer = _answer(result, 1)
    assert (answer["accepted"], answer["rule"]) == (False, rule)
    assert f"contract rejected, {rule}" in result.stderr
    result = run("contract", "deploy", path, "--state", tmp_path / "state")
    assert result.exit_code == 1
    assert f"contract rejected, {rule}" in result.stderr
    assert not (tmp_path / "state").exists()


def test_files_that_cannot_be_read(run: Run, tmp_path: Path) -> None:
    text = tmp_path / "text.wat"
    text.write_bytes(b"(module \xff)")
    for path, words in (
        (tmp_path, "a directory, expected a file"),
        (tmp_path / "x", "no sample contract"),
        (text, "not UTF-8"),
    ):
        result = run("contract", "check", path, "--json")
        assert result.exit_code == WRONG_USE
        assert json.loads(result.stdout)["error"]["type"] == "BrokenFile"
        assert words in result.stderr


def test_deploy_gives_the_address_of_the_rules(run: Run, state: Path) -> None:
    code = contracts.load("counter")
    first = _answer(run("contract", "deploy", "counter", "--state", state, "--json"))
    assert set(first) == {"address", "height", "state_root", "environment"}
    assert (first["address"], first["height"]) == (contract_address(code, bytes(32)).hex(), 1)
    salt = "0x" + "07" * 32
    second = _answer(run("contract", "deploy", "counter", "--state", state, "--salt", salt, "--json"))
    assert (second["address"], second["height"]) == (contract_address(code, b"\x07" * 32).hex(), 2)
    with Engine.open(state) as engine:
        assert engine.height == 2
        assert engine.state_root.hex() == second["state_root"]


def test_calls_follow_each_other(run: Run, state: Path, token: str) -> None:
    call = ("contract", "call", token)
    minted = _answer(run(*call, "mint", "--state", state, "--input", OWNER + _amount(1000), "--json"))
    assert set(minted) == {
        "accepted",
        "success",
        "reason",
        "words",
        "nonce",
        "gas",
        "gas_intrinsic",
        "gas_execution",
        "fees",
        "fee_split",
        "return_value",
        "output",
        "events",
        "dry_run",
        "height",
        "state_root",
        "environment",
    }
    assert (minted["reason"], minted["nonce"], minted["output"]) == ("NONE", 0, "01")
    assert minted["gas_intrinsic"] == 1_000 + 4 * (len("mint") + 52)
    assert minted["gas"] == minted["gas_intrinsic"] + minted["gas_execution"]
    assert minted["events"] == ["01" + "00" * 32 + "00" * 12 + OWNER + _amount(1000)]
    sent = _answer(run(*call, "transfer", "--state", state, "--input", "0x" + OTHER + _amount(400), "--json"))
    assert (sent["nonce"], sent["height"]) == (1, 3)
    result = run(*call, "balance_of", "--state", state, "--input", OTHER, "--sender", OTHER)
    assert result.exit_code == 0, result.output
    assert f"output    {_amount(400)}\n" in result.stdout
    assert "success: The transaction succeeded." in result.stdout


def test_a_call_that_fails_or_is_rejected_is_exit_code_1(run: Run, state: Path, token: str) -> None:
    call = ("contract", "call", token)
    failed = _answer(run(*call, "transfer", "--state", state, "--input", OTHER + _amount(1), "--json"), 1)
    assert (failed["accepted"], failed["success"], failed["reason"]) == (True, False, "CONTRACT_ERROR")
    assert failed["words"] == "The contract returned a negative number."
    assert failed["return_value"] == -2
    shown = run(*call, "transfer", "--state", state, "--input", OTHER + _amount(1), "--dry-run")
    assert "returned  -2\n" in shown.stdout
    result = run(*call, "burn", "--state", state)
    assert result.exit_code == 1
    assert "UNKNOWN_ENTRY: The contract has no entry point of this name." in result.stdout
    assert "returned  nothing\n" in result.stdout
    poor = _answer(run(*call, "total_supply", "--state", state, "--gas-price", 1, "--json"), 1)
    assert (poor["reason"], poor["nonce"], poor["gas"]) == ("INSUFFICIENT_BALANCE", 1, 0)
    short = _answer(run(*call, "total_supply", "--state", state, "--gas-limit", 1_100, "--json"), 1)
    assert (short["reason"], short["gas"]) == ("OUT_OF_GAS", 1_100)
    assert run(*call, "get", "--state", state, "--value", -1).exit_code == WRONG_USE
    assert run(*call, "get", "--state", state, "--input", "0").exit_code == WRONG_USE


def test_what_cannot_be_compiled_is_refused_and_leaves_nothing(run: Run, state: Path, tmp_path: Path) -> None:
    text = tmp_path / "switch.wat"
    text.write_text(
        '(module (memory (export "memory") 1 1) (func (export "run") (result i32)'
        f" (block (br_table {'0 ' * 200_001} (i32.const 0))) (i32.const 0)))"
    )
    checked = _answer(run("contract", "check", text, "--json"), 1)
    assert (checked["accepted"], checked["rule"]) == (False, "branch targets")
    result = run("contract", "deploy", text, "--state", state, "--json")
    assert result.exit_code == 1
    assert list(json.loads(result.stdout)) == ["error", "exit_code"]
    assert json.loads(result.stdout)["error"]["type"] == "ContractRejected"
    assert result.stderr.count("error:") == 1
    assert "branch targets" in result.stderr
    assert not state.exists()


def test_a_compiler_that_refuses_leaves_nothing_either(
    run: Run, state: Path, token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(cache: ModuleCache, code: bytes) -> None:
        raise RuntimeProblem("wasmtime", "does not compile it")

    before = _answer(run("contract", "call", token, "total_supply", "--state", state, "--dry-run", "--json"))
    monkeypatch.setattr(ModuleCache, "_compile", refuses)
    text = tmp_path / "own.wat"
    text.write_text(TEXT)
    for where in (tmp_path / "new", state):
        result = run("contract", "deploy", text, "--state", where, "--json")
        assert result.exit_code == 3
        assert json.loads(result.stdout)["error"]["type"] == "RuntimeProblem"
    assert not (tmp_path / "new").exists()
    monkeypatch.undo()
    after = _answer(run("contract", "call", token, "total_supply", "--state", state, "--dry-run", "--json"))
    assert (after["height"], after["state_root"]) == (before["height"], before["state_root"])


def test_check_says_what_a_call_pays_for_its_instance(run: Run, tmp_path: Path) -> None:
    text = tmp_path / "own.wat"
    for pages, words, gas in (
        (1, "used again, unless memory has grown\n", 0),
        (3, "made anew", 3_100 + 49_152),
    ):
        text.write_text(TEXT.replace('"memory") 1 2', f'"memory") {pages} 4'))
        assert words in run("contract", "check", text).stdout
        assert _answer(run("contract", "check", text, "--json"))["instance_gas"] == gas


def test_credit_pays_for_calls(run: Run, state: Path, token: str) -> None:
    amount = 1 << 70
    credited = _answer(run("contract", "credit", OWNER, amount, "--state", state, "--json"))
    assert set(credited) == {"address", "balance", "supply", "height", "state_root", "environment"}
    assert (credited["balance"], credited["supply"]) == (amount, amount)
    paying = ("--gas-price", 3, "--state", state)
    paid = _answer(run("contract", "call", token, "total_supply", *paying, "--json"))
    assert paid["fees"] == 3 * paid["gas"] == sum(paid["fee_split"])
    with Engine.open(state) as engine:
        assert engine.account(bytes.fromhex(OWNER)) == (1, amount - paid["fees"])
        assert engine.supply == amount
    result = run("contract", "credit", OWNER, (1 << 256) - 1, "--state", state)
    assert result.exit_code == WRONG_USE
    assert "at most 2^256 − 1" in result.stderr


def test_a_dry_run_leaves_the_state_as_it_is(run: Run, state: Path, token: str) -> None:
    with Engine.open(state) as engine:
        before = (engine.height, engine.state_root)
    mint = ("contract", "call", token, "mint", "--state", state, "--input", OWNER + _amount(5))
    dry = _answer(run(*mint, "--dry-run", "--json"))
    assert (dry["dry_run"], dry["success"], dry["height"]) == (True, True, before[0] + 1)
    assert "not kept" in run(*mint, "--dry-run").stdout
    with Engine.open(state) as engine:
        assert (engine.height, engine.state_root) == before
        assert engine.snapshots == {}
    real = _answer(run(*mint, "--json"))
    same = ("gas", "output", "events", "nonce", "height", "state_root")
    assert [real[name] for name in same] == [dry[name] for name in same]


def test_the_state_of_a_run_is_called_afterwards(run: Run, state: Path) -> None:
    small = ("--transactions", 60, "--accounts", 9, "--block-size", 20)
    done = run("run", "--workload", "token", *small, "--threads", 2, "--state", state, "--json")
    root = _answer(done)["state_root"]
    with Engine.open(state) as engine:
        assert engine.state_root.hex() == root
    address = deployment("token").address.hex()
    supply = _answer(run("contract", "call", address, "total_supply", "--state", state, "--json"))
    assert int(supply["output"], 16) == 9 * TOKENS_EACH
    assert supply["nonce"] == 0


def test_a_directory_that_is_no_state(run: Run, tmp_path: Path) -> None:
    (tmp_path / "something").write_text("x")
    result = run("contract", "call", OTHER, "get", "--state", tmp_path)
    assert result.exit_code == WRONG_USE
    assert "the directory of a state" in result.stderr
    result = run("contract", "deploy", "counter", "--state", tmp_path, "--json")
    assert result.exit_code == 3
    assert json.loads(result.stdout)["error"]["type"] == "StorageUnavailable"


def test_list_and_show(run: Run) -> None:
    answer = _answer(run("contract", "list", "--json"))
    assert [row["name"] for row in answer["contracts"]] == list(contracts.names())
    row = next(row for row in answer["contracts"] if row["name"] == "counter")
    assert row["summary"] == "A counter that anyone may increment."
    assert "A counter that anyone may increment." in run("contract", "list").stdout
    assert run("contract", "list", "--show", "amm").stdout == contracts.source("amm")
    shown = _answer(run("contract", "list", "--show", "amm", "--json"))
    assert shown["source"] == contracts.source("amm")


@pytest.mark.parametrize("text", ["0", "0x0", "gg", "00 00", "0x", "00" * 19, "00" * 21])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ArgumentError, match="argument 'address'"):
        from_hex("address", text, 20)


@pytest.mark.parametrize("text", ["00 00", " 00", "0x 00", "0x0x00", "é0"])
def test_what_is_no_input(text: str) -> None:
    with pytest.raises(ArgumentError, match="hexadecimal digits"):
        from_hex("input", text)


def test_hexadecimal_in_both_cases() -> None:
    assert from_hex("input", "0xAbcD") == from_hex("input", "aBCd") == b"\xab\xcd"
    assert from_hex("input", "") == b""
