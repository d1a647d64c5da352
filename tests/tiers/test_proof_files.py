# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm verify` of Groth16 proofs, one and files of them, of BLS signatures and of blobs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ckzg
import pytest
from pairing_requests import bls_signed, proved
from py_ecc.bls import G2Basic

Run = Callable[..., Any]

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "verification_key.json"
    path.write_text(proved(7).key)
    return path


def _lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _proof_lines(path: Path) -> Path:
    """Seven proofs, two of them wrong, and four that are malformed."""
    lines = proved(7).lines
    (proof, stated), (other, _) = lines[0], proved(2, "arkworks_compressed").lines[0]
    broken = [
        (proof | {"pi_a": ["1", "1", "1"]}, stated),
        (proof, [*stated, "1"]),
        (proof, [int(stated[0]), *stated[1:]]),
        (other, stated),
    ]
    return _lines(path, [{"proof": one, "public": of, "more": 1} for one, of in (*lines, *broken)])


# One proof ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "folder", ["taceo_bn254_multiplier2", "taceo_bn254_poseidon", "taceo_bls12_381_multiplier2"]
)
def test_a_published_proof(run: Run, tmp_path: Path, folder: str) -> None:
    files = SHARED / "groth16" / folder
    if not files.exists():
        pytest.skip(f"not here: {folder}")
    key, proof, public = (files / name for name in ("verification_key.json", "circom.proof", "public.json"))
    verify = "verify", "--key", key, "--proof", proof
    if folder == "taceo_bn254_poseidon":  # nobody contributed to its second phase
        result = run(*verify, "--public", public, "--json")
        assert (result.exit_code, json.loads(result.stdout)["error"]["type"]) == (2, "TestOnlyKey")
        verify += ("--allow-test-key",)
    result = run(*verify, "--public", public)
    assert (result.stdout, result.exit_code) == ("valid\n", 0)
    first, *rest = json.loads(public.read_text())
    wrong = tmp_path / "public.json"
    wrong.write_text(json.dumps([str(int(first) + 1), *rest]))
    result = run(*verify, "--public", wrong)
    assert (result.stdout, result.exit_code) == ("invalid\n", 1)
    answer = json.loads(run(*verify, "--public", wrong, "--json").stdout)
    assert (answer["verdict"], answer["name"], answer["scheme"]) == (0, "invalid", "groth16")


def test_a_malformed_proof_is_said_to_be_one(run: Run, tmp_path: Path, key: Path) -> None:
    (sound, stated), order = proved(7).lines[0], 1 << 254
    proof, public = tmp_path / "proof.json", tmp_path / "public.json"
    for one, of, said in (
        (sound | {"pi_c": ["1", "1", "1"]}, stated, "malformed: the proof: argument 'pi_c'"),
        (sound | {"curve": "bls12381"}, stated, "malformed: the proof: "),
        (sound, stated[:1], "malformed: the public inputs: 1 found, expected 2"),
        (sound, [str(order), stated[1]], "malformed: the public inputs: 2 found, expected 2"),
        (sound, {"a": 1}, "malformed: the public inputs: "),
    ):
        proof.write_text(json.dumps(one))
        public.write_text(json.dumps(of))
        result = run("verify", "--key", key, "--proof", proof, "--public", public)
        assert result.stdout.startswith(said), result.output
        assert result.exit_code == 1


def test_files_that_cannot_be_read(run: Run, tmp_path: Path, key: Path) -> None:
    proof, public = tmp_path / "proof.json", tmp_path / "public.json"
    options = ("--proof", proof, "--public", public)
    result = run("verify", "--key", key, *options)
    assert (result.exit_code, "proof.json" in result.stderr) == (2, True)
    proof.write_text("{")
    public.write_text("[]")
    assert "no JSON" in run("verify", "--key", key, *options).stderr
    key.write_text('{"protocol": "plonk", "curve": "bn128"}')
    result = run("verify", "--key", key, *options, "--json")
    assert (result.exit_code, json.loads(result.stdout)["error"]["type"]) == (2, "BrokenFile")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--key", "key.json"),
        ("--key", "key.json", "--proof", "proof.json"),
        ("--proof", "proof.json", "--public", "public.json"),
        ("rows.jsonl", "--proof", "proof.json", "--public", "public.json"),
        ("rows.jsonl", "--key", "key.json", "--kzg-setup", "setup.txt"),
    ],
    ids=str,
)
def test_options_that_do_not_go_together(run: Run, arguments: tuple[str, ...]) -> None:
    result = run("verify", *arguments, "--json")
    assert (result.exit_code, json.loads(result.stdout)["error"]["type"]) == (2, "UsageError")


# Files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [3, 100])
def test_a_file_of_proofs(run: Run, tmp_path: Path, key: Path, batch: int) -> None:
    verdicts, path = tmp_path / "verdicts.txt", _proof_lines(tmp_path / "proofs.jsonl")
    result = run("verify", path, "--key", key, "--batch", batch, "--json", "--output", verdicts)
    expected = [*proved(7).verdicts, -1, -1, -1, -1]
    assert list(map(int, verdicts.read_text().split())) == expected
    answer = json.loads(result.stdout)
    assert result.exit_code == 1
    assert answer["schemes"] == {"groth16": {"valid": 5, "invalid": 2, "malformed": 4}}
    assert answer["failures"][0] == {"line": 3, "scheme": "groth16", "verdict": 0}


def test_a_broken_line_of_a_file_of_proofs_is_named(run: Run, tmp_path: Path, key: Path) -> None:
    proof, stated = proved(7).lines[0]
    good = json.dumps({"proof": proof, "public": stated})
    for line, said in (
        ("{", "line 2"),
        (json.dumps({"proof": proof}), "public"),
        (good[:-1] + ', "public": []}', "'public' is there more than once"),
        ("[1]", "line 2"),
    ):
        path = tmp_path / "proofs.jsonl"
        path.write_text(f"{good}\n{line}\n")
        result = run("verify", path, "--key", key)
        assert result.exit_code == 2
        assert said in result.stderr
        assert "groth16" in result.stdout  # the row before it


def test_a_file_of_bls_signatures(run: Run, tmp_path: Path) -> None:
    signed = bls_signed(4)
    rows = [
        {
            "scheme": "bls",
            "public_key": one.key.hex(),
            "message": one.message.hex(),
            "signature": one.signature.hex(),
        }
        for one in signed
    ]
    rows.append(rows[0] | {"scheme": "bls-min-pk"})
    rows.append(rows[0] | {"scheme": "bls-min-sig"})  # keys and signatures of other widths
    rows.append(rows[0] | {"signature": rows[0]["signature"][:-2]})
    rows.append(rows[0] | {"public_key": "c0" + "00" * 47})
    path, verdicts = _lines(tmp_path / "signatures.jsonl", rows), tmp_path / "verdicts.txt"
    result = run("verify", path, "--json", "--output", verdicts)
    assert list(map(int, verdicts.read_text().split())) == [*(one.verdict for one in signed), 1, -1, -1, -1]
    assert json.loads(result.stdout)["schemes"]["bls"] == {"valid": 4, "invalid": 1, "malformed": 2}
    message = b"of another suite"
    row = rows[0] | {"message": message.hex(), "signature": bytes(G2Basic.Sign(1000, message)).hex()}
    path = _lines(tmp_path / "basic.jsonl", [row])
    assert run("verify", path).exit_code == 1
    assert run("verify", path, "--bls-suite", "basic").exit_code == 0
    tag = "BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_NUL_"
    assert run("verify", path, "--bls-tag", tag).exit_code == 0


def test_a_beacon_of_short_signatures(run: Run, tmp_path: Path) -> None:
    drand = SHARED / "bls" / "drand_give.json"
    if not drand.exists():
        pytest.skip(f"not here: {drand.name}")
    rows = []
    for one in json.loads(drand.read_text()):
        if len(one["public_key"]) == 192:
            message = hashlib.sha256(one["round"].to_bytes(8, "big")).hexdigest()
            row = {"scheme": "bls-min-sig", "public_key": one["public_key"], "message": message}
            rows.append(row | {"signature": one["signature"]})
    found = []
    for group in (1, 2):
        tag = f"BLS_SIG_BLS12381G{group}_XMD:SHA-256_SSWU_RO_NUL_"
        result = run("verify", _lines(tmp_path / "beacons.jsonl", rows), "--bls-tag", tag, "--json")
        found.append(json.loads(result.stdout)["valid"])
    assert sum(found) == len(rows) > 0


def test_a_file_of_blobs(run: Run, tmp_path: Path) -> None:
    setup = SHARED / "kzg" / "trusted_setup.txt"
    if not setup.exists():
        pytest.skip(f"not here: {setup.name}")
    theirs = ckzg.load_trusted_setup(str(setup), 0)
    blob = b"".join(index.to_bytes(32, "big") for index in range(4096))
    commitment = ckzg.blob_to_kzg_commitment(blob, theirs)
    row = {
        "commitment": commitment.hex(),
        "proof": "0x" + ckzg.compute_blob_kzg_proof(blob, commitment, theirs).hex(),
    }
    blobs = [blob, blob[:-1] + b"\0", b"\xff" * 32 + blob[32:], blob[:-1]]
    path = _lines(tmp_path / "blobs.jsonl", [row | {"blob": one.hex()} for one in blobs])
    verdicts = tmp_path / "verdicts.txt"
    result = run("verify", path, "--kzg-setup", setup, "--output", verdicts)
    assert (verdicts.read_text(), result.exit_code) == ("1\n0\n-1\n-1\n", 1)
    with path.open("a") as file:
        file.write(json.dumps(row | {"blob": "0x0 0"}) + "\n")
    result = run("verify", path, "--kzg-setup", setup)
    assert (result.exit_code, "line 5: 'blob' is not hex" in result.stderr) == (2, True)
    result = run("verify", path, "--kzg-setup", path)
    assert (result.exit_code, "no trusted setup" in result.stderr) == (2, True)
