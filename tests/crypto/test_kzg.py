# SPDX-License-Identifier: GPL-3.0-or-later
"""KZG against all cases of c-kzg and its library; verdicts of batches with bad items; setups that are refused.

Left out are seven cases of the challenge for a batch of cells: weights here are random, and nobody can ask for them.
"""

from __future__ import annotations

import functools
import random
import tarfile
from pathlib import Path
from typing import Any

import ckzg
import numpy as np
import pytest
import yaml
from lanes_here import FULL

from supervm.crypto import curves, kzg, kzg_blobs, kzg_bytes, kzg_openings, kzg_setup
from supervm.crypto.oracle.ntt import bit_reversed
from supervm.crypto.oracle.pairing_groups import GROUPS
from supervm.crypto.params.kzg import MAINNET_TAU_G2, PUBLIC_SECRET
from supervm.kernels.errors import ArgumentError
from supervm.kernels.transform import words_of

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "kzg"
SETUP = SHARED / "trusted_setup.txt"
CASES = SHARED / "ckzg_tests_give.tar.xz"
ORDER = curves.get("bls12_381").order


@pytest.fixture(params=FULL)
def backend(request: pytest.FixtureRequest) -> str:
    """A processor's backends: pairings have no other."""
    found: str = request.param
    return found


@functools.cache
def loaded() -> kzg.TrustedSetup:
    if not SETUP.exists():
        pytest.skip(f"not here: {SETUP.name}")
    return kzg.load_trusted_setup(SETUP)


@pytest.fixture
def setup() -> kzg.TrustedSetup:
    return loaded()


@functools.cache
def theirs() -> Any:
    if not SETUP.exists():
        pytest.skip(f"not here: {SETUP.name}")
    return ckzg.load_trusted_setup(str(SETUP), 0)


@functools.cache
def cases() -> dict[str, list[tuple[str, dict[str, Any], Any]]]:
    """(name, input, output) of every case, by function."""
    if not CASES.exists():
        pytest.skip(f"not here: {CASES.name}")
    found: dict[str, list[tuple[str, dict[str, Any], Any]]] = {}
    with tarfile.open(CASES) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.endswith("data.yaml") else None
            if file is not None:
                case = yaml.load(file, Loader=yaml.CSafeLoader)
                function, _, name, _ = member.name.split("/")[1:]
                found.setdefault(function, []).append((name, read(case["input"]), read(case["output"])))
    return found


def read(value: Any) -> Any:
    """Hexadecimal strings as bytes, at any depth."""
    if isinstance(value, dict):
        return {key: read(each) for key, each in value.items()}
    if isinstance(value, list):
        return [read(each) for each in value]
    return bytes.fromhex(value[2:]) if isinstance(value, str) else value


def lists(found: Any) -> Any:
    """Arrays of rows of bytes as lists of bytes, at any depth."""
    if isinstance(found, tuple):
        return [lists(each) for each in found]
    return [row.tobytes() for row in found] if isinstance(found, np.ndarray) else found


FUNCTIONS = {
    "blob_to_kzg_commitment": (kzg.blob_to_commitment, "blob"),
    "compute_kzg_proof": (kzg.compute_proof, "blob z"),
    "compute_blob_kzg_proof": (kzg.compute_blob_proof, "blob commitment"),
    "verify_kzg_proof": (kzg.verify_proof, "commitment z y proof"),
    "verify_blob_kzg_proof": (kzg.verify_blob, "blob commitment proof"),
    "compute_cells": (lambda blob, _, **options: kzg.compute_cells(blob, **options), "blob"),
    "compute_cells_and_kzg_proofs": (kzg.compute_cells_and_proofs, "blob"),
    "recover_cells_and_kzg_proofs": (kzg.recover_cells_and_proofs, "cell_indices cells"),
}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_cases_of_ckzg(backend: str, setup: kzg.TrustedSetup, function: str) -> None:
    ours, names = FUNCTIONS[function]
    assert len(cases()[function]) >= 7
    for name, given, output in cases()[function]:
        arguments = [given[key] for key in names.split()]
        if output is None:
            with pytest.raises(ArgumentError):
                ours(*arguments, setup, backend=backend)
        else:
            assert lists(ours(*arguments, setup, backend=backend)) == output, name


@pytest.mark.parametrize(
    ("function", "ours", "names"),
    [
        ("verify_blob_kzg_proof_batch", kzg.verify_blob_batch, "blobs commitments proofs"),
        ("verify_cell_kzg_proof_batch", kzg.verify_cell_batch, "commitments cell_indices cells proofs"),
    ],
)
def test_batches_of_ckzg(backend: str, setup: kzg.TrustedSetup, function: str, ours: Any, names: str) -> None:
    """Where c-kzg refuses a batch, an item is malformed, or the numbers of items differ."""
    seen = set()
    for name, given, output in cases()[function]:
        arguments = [given[key] for key in names.split()]
        if output is None and len({len(each) for each in arguments}) > 1:
            with pytest.raises(ArgumentError, match="items"):
                ours(*arguments, setup, backend=backend)
            seen.add("lengths")
            continue
        verdicts = ours(*arguments, setup, backend=backend)
        assert verdicts.shape == (len(arguments[0]),)
        assert (verdicts == -1).any() == (output is None), name
        assert (verdicts == 1).all() == (output is True), name
        seen.add(output)
    assert seen == {"lengths", None, True, False}


def test_challenges_of_ckzg(backend: str) -> None:
    for name, given, output in cases()["compute_challenge"]:
        blob, commitment = (
            np.frombuffer(given[key], np.uint8).reshape(1, -1) for key in ("blob", "commitment")
        )
        assert kzg_blobs.challenges(blob, commitment, backend) == [int.from_bytes(output, "big")], name


# Blobs -----------------------------------------------------------------------------------------------------


def blob_of(seed: int) -> bytes:
    drawn = random.Random(seed)
    return b"".join(drawn.randrange(ORDER).to_bytes(32, "big") for _ in range(4096))


@functools.cache
def batch() -> tuple[list[bytes], list[bytes], list[bytes]]:
    """Blobs, commitments and proofs by c-kzg, more than are checked as one part, the later ones repeated."""
    blobs = [blob_of(seed) for seed in range(3)]
    commitments = [ckzg.blob_to_kzg_commitment(blob, theirs()) for blob in blobs]
    proofs = [ckzg.compute_blob_kzg_proof(*pair, theirs()) for pair in zip(blobs, commitments, strict=True)]
    count = kzg_bytes.AT_ONCE + 6
    blobs, commitments, proofs = (
        [each[i % 3] for i in range(count)] for each in (blobs, commitments, proofs)
    )
    return blobs, commitments, proofs


def test_random_blobs_as_ckzg(backend: str, setup: kzg.TrustedSetup) -> None:
    blobs, commitments, proofs = (each[:3] for each in batch())
    array = np.frombuffer(b"".join(blobs), np.uint8).reshape(3, -1)
    assert lists(kzg.blob_to_commitment(array, setup, backend=backend)) == commitments
    assert lists(kzg.compute_blob_proof(array, commitments, setup, backend=backend)) == proofs
    points = [blob[:32] for blob in blobs]
    found = kzg.compute_proof(array, points, setup, backend=backend)
    expected = [ckzg.compute_kzg_proof(*each, theirs()) for each in zip(blobs, points, strict=True)]
    assert lists(found) == [[proof for proof, _ in expected], [value for _, value in expected]]


@pytest.mark.parametrize("bad", [0, 1, "half", "all"])
def test_each_blob_has_its_verdict(backend: str, setup: kzg.TrustedSetup, bad: int | str) -> None:
    """Wrong proofs and malformed items at random places of a batch."""
    blobs, commitments, proofs = map(list, batch())
    count, drawn = len(blobs), random.Random(str(bad))
    amount = {"half": count // 2, "all": count}.get(str(bad), bad)
    expected = np.ones(count, np.int8)
    for place in drawn.sample(range(count), int(amount)):
        kind = drawn.randrange(6)
        expected[place] = 0 if kind < 3 else -1
        if kind == 0:
            proofs[place] = batch()[2][(place + 1) % 3]
        elif kind == 1:
            commitments[place] = batch()[1][(place + 1) % 3]
        elif kind == 2:
            blobs[place] = bytes(32) + blobs[place][32:]
        elif kind == 3:
            blobs[place] = blobs[place][:-32] + ORDER.to_bytes(32, "big")
        elif kind == 4:
            commitments[place] = b"\x00" * 48
        else:
            proofs[place] = proofs[place][:-1]
    found = kzg.verify_blob_batch(blobs, commitments, proofs, setup, backend=backend)
    assert found.tolist() == expected.tolist()


def test_no_blobs(backend: str, setup: kzg.TrustedSetup) -> None:
    assert kzg.verify_blob_batch([], [], [], setup, backend=backend).shape == (0,)
    assert kzg.blob_to_commitment([], setup, backend=backend).shape == (0, 48)
    assert kzg.verify_cell_batch([], [], [], [], setup, backend=backend).shape == (0,)


@pytest.mark.parametrize("count", [1, 3, 4, 8, 9, 73])
def test_sums_of_equations_are_divided(backend: str, count: int) -> None:
    """e(aᵢ·G₁, G₂) = e(bᵢ·G₁, Q) with Q = 5·G₂: where aᵢ = 5·bᵢ. Two errors that cancel in a plain sum are found."""
    g1, g2 = curves.get("bls12_381").g1, curves.get("bls12_381").g2
    drawn = random.Random(count)
    second = [drawn.randrange(ORDER) for _ in range(count)]
    first = [5 * b % ORDER for b in second]
    expected = [1] * count
    for place in drawn.sample(range(count), min(count, 2)):
        first[place] += 1 if 0 not in expected else -1
        expected[place] = 0
    base = np.repeat(g1.generator[None], count, axis=0)
    sides = [
        g1.multiply(base, words_of([each % ORDER for each in side]).reshape(-1, 4), backend=backend)
        for side in (first, second)
    ]
    minus = g2.multiply(g2.generator[None], words_of([ORDER - 5]).reshape(1, 4), backend=backend)[0]
    assert kzg_openings.verify_each(*sides, minus, backend).tolist() == expected
    assert kzg_openings.pairings_agree(*sides, minus, backend).tolist() == expected


# Cells -----------------------------------------------------------------------------------------------------


@functools.cache
def cells_of(seed: int) -> tuple[bytes, list[bytes], list[bytes]]:
    """Commitment, cells and proofs by c-kzg."""
    blob = blob_of(seed)
    cells, proofs = ckzg.compute_cells_and_kzg_proofs(blob, theirs())
    return ckzg.blob_to_kzg_commitment(blob, theirs()), cells, proofs


def test_cells_of_two_blobs_as_ckzg(backend: str, setup: kzg.TrustedSetup) -> None:
    array = np.frombuffer(blob_of(0) + blob_of(1), np.uint8).reshape(2, -1)
    cells, proofs = kzg.compute_cells_and_proofs(array, setup, backend=backend)
    for seed in range(2):
        assert (lists(cells[seed]), lists(proofs[seed])) == cells_of(seed)[1:]


@pytest.mark.parametrize("bad", [0, 1, "half", "all"])
def test_each_cell_has_its_verdict(backend: str, setup: kzg.TrustedSetup, bad: int | str) -> None:
    drawn = random.Random(str(bad))
    rows: list[list[Any]] = []
    for index in [*range(128), 5, 5]:
        commitment, cells, proofs = cells_of(index % 2)
        rows.append([commitment, index, cells[index], proofs[index]])
    drawn.shuffle(rows)
    count = len(rows)
    amount = {"half": count // 2, "all": count}.get(str(bad), bad)
    expected = np.ones(count, np.int8)
    for place in drawn.sample(range(count), int(amount)):
        kind, row = drawn.randrange(7), rows[place]
        expected[place] = 0 if kind < 4 else -1
        if kind == 0:
            row[0] = cells_of((row[1] + 1) % 2)[0]
        elif kind == 1:
            row[1] = (row[1] + 1) % 128
        elif kind == 2:
            row[2] = row[2][:-32] + bytes(32)
        elif kind == 3:
            row[3] = cells_of(0)[2][(row[1] + 1) % 128]
        elif kind == 4:
            row[1] = drawn.choice([128, -1, 2**64])
        elif kind == 5:
            row[2] = ORDER.to_bytes(32, "big") + row[2][32:]
        else:
            row[3] = bytes([row[3][0] ^ 0x80]) + row[3][1:]
    found = kzg.verify_cell_batch(*map(list, zip(*rows, strict=True)), setup, backend=backend)
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize("kept", [64, 65, 100, 127])
def test_recovery(backend: str, setup: kzg.TrustedSetup, kept: int) -> None:
    _, cells, proofs = cells_of(0)
    where = sorted(random.Random(kept).sample(range(128), kept))
    found = kzg.recover_cells_and_proofs(
        np.array(where), [cells[index] for index in where], setup, backend=backend
    )
    assert lists(found) == [cells, proofs]


def test_cells_that_do_not_fit_together(backend: str, setup: kzg.TrustedSetup) -> None:
    """Half of the cells fit always; one more must agree with them."""
    cells = cells_of(0)[1]
    given = [*cells[:64], cells[64][:-32] + bytes(32)]
    with pytest.raises(ArgumentError, match="do not fit together"):
        kzg.recover_cells_and_proofs(list(range(65)), given, setup, backend=backend)


@pytest.mark.parametrize("given", [["1"], [True], [0.5], "a", 0, None, np.zeros((1, 1), int), np.zeros(1)])
def test_indices_that_are_none(given: Any) -> None:
    commitment, cells, proofs = cells_of(0)
    with pytest.raises(ArgumentError, match="argument 'cell_indices'"):
        kzg.verify_cell_batch([commitment], given, cells[:1], proofs[:1], loaded())


# Setups ----------------------------------------------------------------------------------------------------


def test_the_ceremonys_setup() -> None:
    setup = loaded()
    assert setup.digest == "d39b9f2d047cc9dca2de58f264b6a09448ccd34db967881a6713eacacf0f26b7"
    assert setup.is_mainnet
    written = curves.get("bls12_381").g2.to_bytes(setup.minus_tau, "zcash_compressed").tobytes()
    assert bytes([written[0] ^ 0x20]) + written[1:] == MAINNET_TAU_G2
    assert MAINNET_TAU_G2.hex() == SETUP.read_text().split()[2 + 4096 + 1]


def lines() -> list[str]:
    if not SETUP.exists():
        pytest.skip(f"not here: {SETUP.name}")
    return SETUP.read_text().split()


def edited(place: int, text: str) -> list[str]:
    found = lines()
    found[place] = text
    return found


def swapped(place: int) -> list[str]:
    found = lines()
    found[place], found[place + 1] = found[place + 1], found[place]
    return found


def outside() -> str:
    """A point of the curve that is not in G1."""
    x, _ = GROUPS["bls12_381.g1"].curve_point(5)
    data = bytearray(x.to_bytes(48, "big"))
    data[0] |= 0x80
    return data.hex()


WRONG = {
    "nothing": (list, "begins with"),
    "a header": (lambda: edited(0, "4097"), "begins with"),
    "a point too few": (lambda: lines()[:-1], "points"),
    "no number": (lambda: edited(2, "zz" * 48), "hexadecimal"),
    "a short point": (lambda: edited(9, "a0" * 47), "47 bytes"),
    "no point": (lambda: edited(5, "9" + "f" * 95), "Lagrange point 3"),
    "outside": (lambda: edited(4166 + 2, outside()), "monomial point"),
    "monomial": (lambda: swapped(-3), "powers of one secret"),
    "G2": (lambda: swapped(4098 + 20), "G2 points"),
    "Lagrange": (lambda: swapped(100), "Lagrange points"),
}


@pytest.mark.parametrize("what", WRONG)
def test_files_that_are_wrong(tmp_path: Path, what: str) -> None:
    make, message = WRONG[what]
    path = tmp_path / "setup.txt"
    path.write_text("\n".join(make()))
    with pytest.raises(ArgumentError, match=message) as raised:
        kzg.load_trusted_setup(path)
    assert raised.value.argument == "path"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(ArgumentError, match="a ceremony's setup"):
            kzg.load_trusted_setup(path)
    with pytest.raises(ArgumentError, match="argument 'path'"):
        kzg.load_trusted_setup(None)


def test_the_setup_for_tests(tmp_path: Path) -> None:
    """It is a setup in every way, but as a file it is refused."""
    setup = kzg.insecure_setup()
    assert not setup.is_mainnet
    curve = curves.get("bls12_381")
    expected = GROUPS["bls12_381.g1"].multiply(PUBLIC_SECRET**2 % ORDER, GROUPS["bls12_381.g1"].generator)
    assert curve.g1.to_snarkjs(setup.monomial[2:3])[0][:2] == [str(part) for part in expected]
    blob = blob_of(7)
    commitment = kzg.blob_to_commitment(blob, setup)
    proof = kzg.compute_blob_proof(blob, commitment, setup)
    assert kzg.verify_blob(blob, commitment, proof, setup)
    assert not kzg.verify_blob(blob_of(8), commitment, proof, setup)
    cells, proofs = kzg.compute_cells_and_proofs(blob, setup)
    assert (kzg.verify_cell_batch([commitment] * 128, np.arange(128), cells, proofs, setup) == 1).all()

    powers = [pow(PUBLIC_SECRET, exponent, ORDER) for exponent in range(65)]
    second = curve.g2.multiply(
        np.repeat(curve.g2.generator[None], 65, axis=0), words_of(powers).reshape(-1, 4)
    )
    natural = bit_reversed(list(setup.lagrange))
    kzg_setup._require_one_secret(np.array(natural), setup.monomial, second, "auto")
    rows = [
        *curve.g1.to_bytes(np.array(natural), "zcash_compressed"),
        *curve.g2.to_bytes(second, "zcash_compressed"),
        *curve.g1.to_bytes(setup.monomial, "zcash_compressed"),
    ]
    path = tmp_path / "setup.txt"
    path.write_text("\n".join(["4096", "65", *(row.tobytes().hex() for row in rows)]))
    with pytest.raises(ArgumentError, match="published"):
        kzg.load_trusted_setup(path)


def test_no_setup() -> None:
    with pytest.raises(ArgumentError, match="load_trusted_setup"):
        kzg.blob_to_commitment(bytes(131072), None)
    with pytest.raises(ArgumentError, match="argument 'setup'"):
        kzg.verify_blob_batch([], [], [], "mainnet")
