# SPDX-License-Identifier: GPL-3.0-or-later
"""The oracle's Groth16 against proofs of snarkjs and arkworks, and py_ecc's pairing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from py_ecc import optimized_bn128

from supervm.crypto.oracle.groth16 import Key, Proof, verify
from supervm.crypto.oracle.pairing_groups import GROUPS
from supervm.crypto.oracle.pairings import PAIRINGS
from supervm.crypto.oracle.point_encodings import decode

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "groth16"


def _read(name: str) -> Any:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"not here: {path.name}")
    return json.loads(path.read_text("utf-8"))


def _first(point: list[str]) -> Any:
    return None if point[2] == "0" else (int(point[0]), int(point[1]))


def _second(point: list[list[str]]) -> Any:
    x, y, z = ((int(c0), int(c1)) for c0, c1 in point)
    return None if z == (0, 0) else (x, y)


def _case(folder: str, curve: str) -> tuple[Key, Proof, list[int]]:
    key, proof = _read(f"{folder}/verification_key.json"), _read(f"{folder}/circom.proof")
    sides = (_second(key[f"vk_{name}_2"]) for name in ("beta", "gamma", "delta"))
    ours = Key(curve, _first(key["vk_alpha_1"]), *sides, tuple(_first(point) for point in key["IC"]))
    made = Proof(_first(proof["pi_a"]), _second(proof["pi_b"]), _first(proof["pi_c"]))
    return ours, made, [int(text) for text in _read(f"{folder}/public.json")]


@pytest.mark.parametrize("curve", ["bn254", "bls12_381"])
def test_verdicts_of_snarkjs(curve: str) -> None:
    key, proof, inputs = _case(f"taceo_{curve}_multiplier2", curve)
    g1, g2 = PAIRINGS[curve].first, PAIRINGS[curve].second
    assert verify(key, proof, inputs) == 1
    assert verify(key, proof, [inputs[0] + 1]) == 0
    assert verify(key, Proof(g1.negate(proof.a), g2.negate(proof.b), proof.c), inputs) == 1
    assert verify(key, Proof(proof.a, proof.b, None), inputs) == 0


def test_malformed() -> None:
    key, proof, inputs = _case("taceo_bls12_381_multiplier2", "bls12_381")
    g1, g2 = PAIRINGS["bls12_381"].first, PAIRINGS["bls12_381"].second
    assert proof.a is not None
    x, y = proof.a
    for wrong in (
        Proof((x, y + 1), proof.b, proof.c),
        Proof((x + g1.p, y), proof.b, proof.c),
        Proof(g1.curve_point(1), proof.b, proof.c),
        Proof(proof.a, g2.curve_point(1), proof.c),
        Proof(proof.a, proof.b, (0, 1)),
    ):
        assert verify(key, wrong, inputs) == -1
    for numbers in ([], [*inputs, 0], [g1.order], [-1], [inputs[0] + g1.order]):
        assert verify(key, proof, numbers) == -1


def test_py_ecc_agrees() -> None:
    key, proof, inputs = _case("taceo_bn254_multiplier2", "bn254")
    bn = optimized_bn128
    first = lambda point: (bn.FQ(point[0]), bn.FQ(point[1]), bn.FQ.one())  # noqa: E731
    second = lambda point: (*(bn.FQ2(part) for part in point), bn.FQ2.one())  # noqa: E731
    stated = bn.add(first(key.ic[0]), bn.multiply(first(key.ic[1]), inputs[0]))
    right = (
        bn.pairing(second(key.beta), first(key.alpha))
        * bn.pairing(second(key.gamma), stated)
        * bn.pairing(second(key.delta), first(proof.c))
    )
    assert bn.pairing(second(proof.b), first(proof.a)) == right


def _points(group: str, data: str, encoding: str) -> list[Any]:
    raw = bytes.fromhex(data)
    size = GROUPS[group].degree * 48 * (1 if encoding == "zcash_compressed" else 2)
    found = [decode(group, raw[at : at + size], encoding) for at in range(0, len(raw), size)]
    assert all(said == 1 for said, _ in found)
    return [point for _, point in found]


def test_a_proof_of_arkworks() -> None:
    """BLS12-381, uncompressed, as zkVerify stores it."""
    case = next(each for each in _read("other_encodings_give.json") if each["name"] == "zkVerify bls12_381")
    key, proof, form = case["vk"], case["proof"], "zcash_uncompressed"
    (alpha,) = _points("bls12_381.g1", key["alpha_g1"], form)
    sides = (_points("bls12_381.g2", key[f"{name}_g2"], form)[0] for name in ("beta", "gamma", "delta"))
    ic = [_points("bls12_381.g1", text, form)[0] for text in key["gamma_abc_g1"]]
    made = Proof(
        _points("bls12_381.g1", proof["a"], form)[0],
        _points("bls12_381.g2", proof["b"], form)[0],
        _points("bls12_381.g1", proof["c"], form)[0],
    )
    inputs = [int.from_bytes(bytes.fromhex(text), "little") for text in case["inputs_le"]]
    assert verify(Key("bls12_381", alpha, *sides, tuple(ic)), made, inputs) == int(case["valid"])
