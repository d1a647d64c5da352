# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm setup` and `prove`: from a circuit to a verified proof, and everything that is refused on the way."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from circom_circuits import drawn, ptau

from supervm.crypto import circuits, groth16
from supervm.tiers.errors import BrokenFile
from supervm.tiers.service.setups import circuits as circuits_of

Run = Callable[..., Any]
CIRCUIT = drawn("bn254", 6)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A circuit and its witness."""
    (tmp_path / "c.r1cs").write_bytes(CIRCUIT.r1cs())
    (tmp_path / "c.wtns").write_bytes(CIRCUIT.wtns())
    return tmp_path


@pytest.fixture
def keyed(run: Run, files: Path) -> Path:
    """The same with a key for tests."""
    result = run(
        "setup",
        "--r1cs",
        files / "c.r1cs",
        "--test-only",
        "--key",
        files / "c.zkey",
        "--verification-key",
        files / "vk.json",
    )
    assert (result.exit_code, result.stdout[:9]) == (0, "a key of ")
    assert "THIS KEY IS FOR TESTS ALONE" in result.stderr
    return files


def proving(folder: Path, **more: Path | bool) -> list[object]:
    """Arguments of `prove`; a name that is True is a flag."""
    options = {"key": folder / "c.zkey", "proof": folder / "p.json", "public": folder / "s.json", **more}
    if "circuit" not in options:
        options.setdefault("witness", folder / "c.wtns")
    found: list[object] = ["prove"]
    for name, value in options.items():
        found += [f"--{name.replace('_', '-')}", *([] if value is True else [value])]
    return found


def test_from_a_circuit_to_a_verified_proof(run: Run, keyed: Path) -> None:
    extra = {"arkworks": keyed / "a.bin", "precompile": keyed / "e.bin"}
    result = run(*proving(keyed, r1cs=keyed / "c.r1cs", allow_test_key=True, **extra))
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("proved and verified on bn254: ")
    assert "made for tests alone" in result.stderr
    check = ("verify", "--key", keyed / "vk.json", "--proof", keyed / "p.json", "--public", keyed / "s.json")
    assert (run(*check).exit_code, run(*check).stdout) == (2, "")
    assert run(*check, "--allow-test-key").stdout == "valid\n"
    stated = json.loads((keyed / "s.json").read_text())
    assert stated == [str(value) for value in CIRCUIT.witness[1:3]]
    proof = groth16.load_snarkjs_proof((keyed / "p.json").read_text())
    for read in (
        groth16.load_arkworks_proof((keyed / "a.bin").read_bytes(), "bn254"),
        groth16.load_ethereum_proof((keyed / "e.bin").read_bytes()),
    ):
        assert (read.a == proof.a).all()
        assert (read.b == proof.b).all()
    (keyed / "s.json").write_text(json.dumps([str(int(stated[0]) + 1), stated[1]]))
    assert run(*check, "--allow-test-key").stdout == "invalid\n"


def test_a_ceremonys_key_is_not_marked(run: Run, files: Path) -> None:
    (files / "p.ptau").write_bytes(ptau("bn254", 4, 1234, 56, 78))
    arguments = ["setup", "--r1cs", files / "c.r1cs", "--ptau", files / "p.ptau", "--key", files / "c.zkey"]
    result = run(*arguments, "--verification-key", files / "vk.json", "--check-subgroup", "--json")
    answer = json.loads(result.stdout)
    assert (answer["test_only"], answer["constraints"], answer["rows"]) == (False, 6, 16)
    assert "one contribution" in result.stderr
    assert run(*proving(files, check_subgroup=True)).exit_code == 0
    check = ("verify", "--key", files / "vk.json", "--proof", files / "p.json", "--public", files / "s.json")
    assert run(*check).stdout == "valid\n"


def test_powers_that_nobody_contributed_to_have_to_be_allowed(run: Run, files: Path) -> None:
    (files / "p.ptau").write_bytes(ptau("bn254", 4, 1, 1, 1, 0))
    arguments = ["setup", "--r1cs", files / "c.r1cs", "--ptau", files / "p.ptau", "--key", files / "c.zkey"]
    result = run(*arguments, "--json")
    assert (result.exit_code, json.loads(result.stdout)["error"]["type"]) == (2, "TestOnlyKey")
    assert not (files / "c.zkey").exists()
    result = run(*arguments, "--allow-test-key", "--json")
    assert json.loads(result.stdout)["test_only"] is True
    assert "the secrets of its powers of tau are known" in result.stderr
    assert run(*proving(files)).exit_code == 2


def test_a_proof_that_cannot_be_written(run: Run, keyed: Path) -> None:
    """Then its public numbers are not written either, and what was there before stays."""
    (keyed / "p.json").mkdir()
    (keyed / "s.json").write_text("before")
    result = run(*proving(keyed, allow_test_key=True))
    assert (result.exit_code, "cannot be written" in result.stderr) == (2, True)
    assert (keyed / "s.json").read_text() == "before"


def test_a_circuits_inputs(run: Run, tmp_path: Path) -> None:
    circuit = circuits.get("multiply_v1")
    (tmp_path / "c.r1cs").write_bytes(circuit.r1cs())
    (tmp_path / "c.wasm").write_bytes(circuit.calculator())
    assert (
        run("setup", "--r1cs", tmp_path / "c.r1cs", "--test-only", "--key", tmp_path / "c.zkey").exit_code
        == 0
    )
    calculated = {"circuit": tmp_path / "c.wasm", "input": tmp_path / "i.json", "allow_test_key": True}
    for inputs, code, said in (
        ({"binding": 5, "product": 33, "left": 3, "right": "11"}, 0, "proved and verified"),
        ({"binding": 5, "product": 34, "left": 3, "right": 11}, 1, "error: "),
        ({"binding": 5, "product": 33, "left": 3}, 2, "error: "),
        ([], 2, "an object of inputs"),
    ):
        (tmp_path / "i.json").write_text(json.dumps(inputs))
        result = run(*proving(tmp_path, **calculated))
        assert (result.exit_code, said in result.output) == (code, True), result.output
        assert (tmp_path / "p.json").exists()
    (tmp_path / "i.json").write_text('{"left": 3, "left": 4}')
    assert "a field stands twice" in run(*proving(tmp_path, **calculated)).stderr
    (tmp_path / "i.json").write_text("{")
    assert "no JSON" in run(*proving(tmp_path, **calculated)).stderr
    assert json.loads((tmp_path / "s.json").read_text()) == ["5", "33"]


def test_a_witness_that_is_none(run: Run, keyed: Path) -> None:
    wrong = list(CIRCUIT.witness)
    wrong[1] = (wrong[1] + 1) % CIRCUIT.order
    (keyed / "c.wtns").write_bytes(CIRCUIT.wtns(wrong))
    result = run(*proving(keyed, r1cs=keyed / "c.r1cs", allow_test_key=True))
    assert (result.exit_code, "constraint 0 is the first that fails" in result.stderr) == (1, True)
    result = run(*proving(keyed, allow_test_key=True), "--json")
    assert (result.exit_code, json.loads(result.stdout)["error"]["type"]) == (1, "UnsatisfiedWitness")
    assert not (keyed / "p.json").exists()
    assert not (keyed / "s.json").exists()


def test_a_key_for_tests_has_to_be_allowed(run: Run, keyed: Path) -> None:
    result = run(*proving(keyed), "--json")
    assert (result.exit_code, json.loads(result.stdout)["error"]["type"]) == (2, "TestOnlyKey")
    folder = keyed / "keys"
    folder.mkdir()
    (folder / "c_v1.json").write_text((keyed / "vk.json").read_text())
    with pytest.raises(BrokenFile, match=r"service\.groth16\.test_keys"):
        circuits_of(str(folder))
    assert circuits_of(str(folder), allow_test_only=True).key("c_v1").inputs == 2


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (("setup", "--r1cs", "c.r1cs", "--key", "k"), "UsageError"),
        (("setup", "--r1cs", "c.r1cs", "--key", "k", "--test-only", "--ptau", "p"), "UsageError"),
        (("setup", "--r1cs", "c.r1cs", "--key", "c.r1cs", "--test-only"), "ArgumentError"),
        (("setup", "--r1cs", "none", "--key", "k", "--test-only"), "BrokenFile"),
        (("setup", "--r1cs", "c.wtns", "--key", "k", "--test-only"), "CircomFileError"),
        (("setup", "--r1cs", ".", "--key", "k", "--test-only"), "CircomFileError"),
        (("setup", "--r1cs", "c.r1cs", "--key", "none/k", "--test-only"), "BrokenFile"),
        (("prove", "--key", "k", "--proof", "p", "--public", "s"), "UsageError"),
        (("prove", "--key", "k", "--proof", "p", "--public", "s", "--circuit", "c"), "UsageError"),
        (("prove", "--key", "k", "--proof", "p", "--public", "p", "--witness", "c.wtns"), "ArgumentError"),
        (
            ("prove", "--key", "k", "--proof", "c.wtns", "--public", "s", "--witness", "c.wtns"),
            "ArgumentError",
        ),
        (
            ("prove", "--key", "c.r1cs", "--proof", "p", "--public", "s", "--witness", "c.wtns"),
            "CircomFileError",
        ),
    ],
    ids=str,
)
def test_what_is_refused(
    run: Run, files: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], error: str
) -> None:
    monkeypatch.chdir(files)
    before = sorted(path.name for path in files.iterdir())
    result = run(*command, "--json")
    assert (result.exit_code, json.loads(result.stdout)["error"]["type"]) == (2, error), result.output
    assert sorted(path.name for path in files.iterdir()) == before
