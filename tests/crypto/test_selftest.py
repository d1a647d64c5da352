# SPDX-License-Identifier: GPL-3.0-or-later
"""The self-test: its answers are the oracle's, every backend passes, and a wrong backend does not."""

from __future__ import annotations

import hashlib
import importlib.resources
import json
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from lanes_here import FULL, KINDS, ON_PROCESSORS_ONLY

from supervm.crypto import ed25519, hashes, secp256k1, selftest
from supervm.crypto.oracle import hash_to_curve, pairing_groups, point_encodings
from supervm.crypto.oracle import hashes as oracle_hashes
from supervm.crypto.oracle import merkle as oracle_merkle
from supervm.crypto.oracle import ntt as oracle_ntt
from supervm.crypto.oracle import poseidon as oracle_poseidon
from supervm.crypto.params import bls12_381, bn254
from supervm.crypto.params.poseidon import OPERATIONS, SPONGES, named
from supervm.kernels.errors import BackendUnavailable, UnknownOperation

ROWS = json.loads(
    importlib.resources.files("supervm.crypto").joinpath("known_answers.json").read_text("utf-8")
)


def _bytes(row, *names):
    return (bytes.fromhex(row[name]) for name in names)


def test_known_answers_are_the_oracles(oracles):
    for row in ROWS["ed25519.verify"]:
        for rule in ("dalek", "strict", "zip215"):
            assert oracles.ed25519(*_bytes(row, "public_key", "message", "signature"), rule) == row[rule]
    for row in ROWS["secp256k1.ecdsa_verify"]:
        for name, low_s in (("low_s", True), ("any_s", False)):
            assert oracles.ecdsa(*_bytes(row, "public_key", "digest", "signature"), low_s) == row[name]
    for row in ROWS["secp256k1.ecdsa_recover"]:
        key, verdict = oracles.recover(*_bytes(row, "digest", "signature"))
        assert ((key or bytes(64)).hex(), verdict) == (row["public_key"], row["verdict"])
    for row in ROWS["secp256k1.schnorr_verify"]:
        assert oracles.schnorr(*_bytes(row, "public_key", "message", "signature")) == row["verdict"]
    for name in ("sha256", "sha512", "keccak256", "blake2b", "eth_address"):
        for row in ROWS[name]:
            assert getattr(oracle_hashes, name)(bytes.fromhex(row["message"])).hex() == row["digest"]
    for name in oracle_merkle.HASHES:
        for row in ROWS[f"merkle.{name}"]:
            leaves = [bytes.fromhex(leaf) for leaf in row["leaves"]]
            if name in ("sha256", "keccak256"):
                assert oracle_merkle.root(leaves, name, row["arity"]).hex() == row["root"]
            else:
                elements = [int.from_bytes(leaf, "little") for leaf in leaves]
                root = oracle_merkle.root(elements, name, row["arity"])
                assert root.to_bytes(32, "little").hex() == row["root"]
    for name, field in (("bn254.ntt", bn254.FR), ("bls12_381.ntt", bls12_381.FR)):
        for row in ROWS[name]:
            start, step, size = int(row["start"], 16), int(row["step"], 16), row["size"]
            numbers = [start * pow(step, index, field.modulus) % field.modulus for index in range(size)]
            values = oracle_ntt.definition(field, numbers, row["coset"] or 1)
            if row["order"] == "bit_reversed":
                values = oracle_ntt.bit_reversed(values)
            data = b"".join(value.to_bytes(32, "little") for value in values)
            assert hashlib.sha256(data).hexdigest() == row["digest"]


def test_known_answers_of_poseidon_are_the_oracles():
    for operation in OPERATIONS:
        spec = named(operation)
        for row in ROWS[operation]:
            inputs = [int(value, 16) for value in row["inputs"]]
            assert row["digest"] == hex(oracle_poseidon.compress(spec, inputs))
            permuted = oracle_poseidon.permute(spec, [*inputs, inputs[0]])
            assert row["permuted"] == [hex(value) for value in permuted]
    for operation in SPONGES:
        spec = named(operation.replace("sponge", "t3"))
        for row in ROWS[operation]:
            message = [int(value, 16) for value in row["inputs"]]
            for name, fixed in (("digest", False), ("fixed", True)):
                assert row[name] == hex(oracle_poseidon.sponge(spec, message, fixed=fixed))


def _point(group, row, name):
    size = 8 * group.base.words
    data = bytes.fromhex(row[name])
    parts = [int.from_bytes(data[at : at + size], "little") for at in range(0, len(data), size)]
    x, y = (group.field.element(parts[at : at + group.degree]) for at in (0, group.degree))
    return (x, y) if any(parts) else None


@pytest.mark.parametrize("name", pairing_groups.GROUPS)
def test_known_answers_on_points_are_the_oracles(name):
    """Every third row: the oracle takes its time."""
    group = pairing_groups.GROUPS[name]
    for row in ROWS[f"{name}.decode"][::3]:
        found = point_encodings.decode(name, bytes.fromhex(row["data"]), row["encoding"])
        assert found == (row["verdict"], _point(group, row, "point"))
    for row in ROWS[f"{name}.subgroup"]:
        point = _point(group, row, "point")
        assert row["verdict"] == (int(group.in_subgroup(point)) if group.on_curve(point) else -1)
    for row in ROWS[f"{name}.add"]:
        first, second = _point(group, row, "first"), _point(group, row, "second")
        good = group.on_curve(first) and group.on_curve(second)
        assert row["verdict"] == (1 if good else -1)
        assert _point(group, row, "result") == (group.add(first, second) if good else None)
    for row in ROWS[f"{name}.multiply"][::3]:
        point, scalar = _point(group, row, "point"), int.from_bytes(bytes.fromhex(row["scalar"]), "little")
        good = group.on_curve(point)
        assert row["verdict"] == (1 if good else -1)
        assert _point(group, row, "result") == (group.multiply(scalar, point) if good else None)


@pytest.mark.parametrize("name", hash_to_curve.COFACTORS)
def test_known_answers_of_maps_are_the_oracles(name):
    group = pairing_groups.GROUPS[name]
    size, half = 8 * group.base.words, 1 << 256
    for row in ROWS[f"{name}.map"]:
        data = bytes.fromhex(row["elements"])
        parts = [int.from_bytes(data[at : at + size], "little") for at in range(0, len(data), size)]
        good = max(parts) < group.p
        assert row["verdict"] == (1 if good else -1)
        if row["wide"]:
            parts = [
                (low + half * high) % group.p
                for low, high in zip(parts[: group.degree], parts[group.degree :], strict=True)
            ]
        values = [
            group.field.element(parts[at : at + group.degree]) for at in range(0, len(parts), group.degree)
        ]
        assert len(values) == row["each"]
        total = group.sum(hash_to_curve.map_to_curve(group, u) for u in values) if good else None
        assert _point(group, row, "result") == hash_to_curve.clear_cofactor(group, total)


def test_known_answers_hold_every_verdict():
    for rule in ("dalek", "strict", "zip215"):
        assert set(Counter(row[rule] for row in ROWS["ed25519.verify"])) == {-1, 0, 1}
    assert {len(row["public_key"]) for row in ROWS["secp256k1.ecdsa_verify"]} == {66, 128, 130}
    assert {row["low_s"] for row in ROWS["secp256k1.ecdsa_verify"]} == {-1, 0, 1}
    assert {row["verdict"] for row in ROWS["secp256k1.ecdsa_recover"]} == {-1, 1}
    assert {row["verdict"] for row in ROWS["secp256k1.schnorr_verify"]} == {-1, 0, 1}
    for name, group in pairing_groups.GROUPS.items():
        verdicts = {-1, 0, 1} if group.cofactor > 1 else {-1, 1}
        assert {row["verdict"] for row in ROWS[f"{name}.decode"]} == verdicts
        assert {row["verdict"] for row in ROWS[f"{name}.subgroup"]} == verdicts


def test_every_operation_of_the_room_has_known_answers():
    script = (
        "import pkgutil, importlib, supervm.crypto as room\n"
        "from supervm.kernels import registry\n"
        "for module in pkgutil.walk_packages(room.__path__, 'supervm.crypto.'):\n"
        "    importlib.import_module(module.name)\n"
        "print(*registry.operations())"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert set(ran.stdout.split()) == set(selftest.operations())


ALIKE = ("bls12_381.g2.", "bn254.g1.", "bls12_381.groth16.", "bn254.groth16.")
"""Points whose kernels are those of bn254.g2 and bls12_381.g1 with other constants, and proofs, which need both. They take
minutes to compile: here only
on the backends of the whole suite. `supervm doctor --all` runs them on all."""


def _operations_and_backends():
    for operation in selftest.operations():
        for backend in KINDS:
            if backend in FULL or not operation.startswith(ALIKE):
                yield operation, backend
        if operation not in ON_PROCESSORS_ONLY:
            yield pytest.param(operation, "cuda", marks=pytest.mark.twin)


@pytest.mark.parametrize(("operation", "backend"), list(_operations_and_backends()), indirect=["backend"])
def test_every_backend_passes(operation, backend):
    outcome = selftest.known_answers(operation, backend)
    assert (outcome.operation, outcome.backend) == (operation, backend)
    assert outcome.ok, outcome.detail
    assert "agree" in outcome.detail
    selftest.warm(operation, backend)


@pytest.mark.parametrize(
    ("module", "function", "operation", "spoil"),
    [
        (ed25519, "verify_batch", "ed25519.verify", lambda verdicts: np.abs(verdicts)),
        (secp256k1, "ecdsa_verify_batch", "secp256k1.ecdsa_verify", lambda verdicts: verdicts * 0 + 1),
        (secp256k1, "schnorr_verify_batch", "secp256k1.schnorr_verify", lambda verdicts: verdicts[::-1]),
        (secp256k1, "ecdsa_recover_batch", "secp256k1.ecdsa_recover", lambda pair: (pair[0] ^ 1, pair[1])),
        (hashes, "eth_address_batch", "eth_address", lambda rows: rows[:, ::-1]),
    ],
)
def test_a_wrong_backend_fails(monkeypatch, module, function, operation, spoil):
    right = getattr(module, function)
    monkeypatch.setattr(module, function, lambda *args, **options: spoil(right(*args, **options)))
    outcome = selftest.known_answers(operation)
    assert not outcome.ok
    assert "answers differ; the first: " in outcome.detail
    assert "expected" in outcome.detail


def test_a_backend_that_breaks_fails_with_its_reason(monkeypatch):
    def broken(*args, **options):
        raise MemoryError("no room")

    monkeypatch.setattr(ed25519, "verify_batch", broken)
    outcome = selftest.known_answers("ed25519.verify")
    assert not outcome.ok
    assert outcome.detail == "MemoryError: no room"


def test_a_backend_that_is_missing():
    outcome = selftest.known_answers("ed25519.verify", "cuda")
    assert not outcome.ok
    assert "cuda" in outcome.detail
    with pytest.raises(BackendUnavailable, match="cuda"):
        selftest.warm("ed25519.verify", "cuda")


def test_unknown_operation():
    with pytest.raises(UnknownOperation, match=r"rsa\.verify"):
        selftest.known_answers("rsa.verify")
    with pytest.raises(UnknownOperation, match=r"rsa\.verify"):
        selftest.warm("rsa.verify")
