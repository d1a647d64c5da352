# SPDX-License-Identifier: GPL-3.0-or-later
"""Groth16 proofs: published circuits, the formulas in Python integers, other provers' keys and verifiers."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import numpy as np
import pytest
from circom_circuits import Formulas, drawn, group, multiple, ptau
from simulated_groth16 import oracle_key, plain

from supervm.crypto import curves, groth16, groth16_prove, groth16_setup, memory
from supervm.crypto.circom_ptau import Ptau
from supervm.crypto.circom_r1cs import load_r1cs
from supervm.crypto.circom_witness import load_witness
from supervm.crypto.circom_zkey import B1, B2, IC, A, C, H, Zkey
from supervm.crypto.errors import MemoryNeeded, TestOnlyKey, UnsatisfiedWitness
from supervm.crypto.groth16_arkworks_key import load_arkworks_proving_key
from supervm.crypto.groth16_columns import secrets_known
from supervm.crypto.groth16_prove import check_witness, load_zkey, prove, prove_batch
from supervm.crypto.groth16_quotient import domain_log, require_reduction
from supervm.crypto.groth16_written import key_to_snarkjs
from supervm.crypto.oracle import groth16 as oracle
from supervm.crypto.sparse_matrices import SparseMatrix
from supervm.kernels.arrays import integers
from supervm.kernels.errors import ArgumentError
from supervm.kernels.transform import words_of

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "groth16"
CURVES = ("bn254", "bls12_381")
SECRETS = (1234567, 7654321, 13579, 24680)
BLINDING = (987654321, 123456789)

PUBLISHED = [
    ("taceo_bn254_multiplier2", "circuit.zkey", "witness.wtns", "circuit.r1cs"),
    ("taceo_bn254_poseidon", "circuit.zkey", "witness.wtns", "circuit.r1cs"),
    ("taceo_bls12_381_multiplier2", "circuit.zkey", "witness.wtns", "circuit.r1cs"),
    ("made", "merkle8.zkey", "merkle8.wtns", "merkle8.r1cs"),
    ("made", "quad_bls12_381.zkey", "quad_bls12_381.wtns", "quad_bls12_381.r1cs"),
]


def there(*names):
    paths = [DATA / name for name in names]
    for path in paths:
        if not path.exists():
            pytest.skip(f"not here: {path.name}")
    return paths


@functools.cache
def made(curve):
    """A circuit, its key with known secrets, and what it is by the formulas."""
    circuit = drawn(curve, 9)
    with pytest.MonkeyPatch.context() as patch:
        tau, _, beta, delta = SECRETS
        patch.setattr(groth16_setup, "_drawn", lambda count, order: [tau, beta, delta])
        key = groth16_setup.make_test_key(load_r1cs(circuit.r1cs()))
    return circuit, key, Formulas(circuit, tau, 1, beta, delta)


@pytest.fixture
def fixed_blinding(monkeypatch):
    """r and s of every proof of a batch."""
    numbers = iter(BLINDING)
    monkeypatch.setattr(groth16_prove, "_random_scalars", lambda count, order: [next(numbers)] * count)


def points(proof):
    g1, g2 = f"{proof.curve}.g1", f"{proof.curve}.g2"
    return plain(g1, proof.a), plain(g2, proof.b), plain(g1, proof.c)


# Proofs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("folder", "key", "witness", "circuit"), PUBLISHED)
def test_published_keys_and_witnesses(folder, key, witness, circuit):
    key_path, witness_path, circuit_path = there(*(f"{folder}/{name}" for name in (key, witness, circuit)))
    alone = folder == "taceo_bn254_poseidon"  # nobody contributed to its second phase
    found = load_zkey(key_path, check="subgroup", allow_test_only=alone)
    assert found.test_only == alone
    proof = prove(found, witness_path, r1cs=load_r1cs(circuit_path))
    text = DATA / folder / "verification_key.json"
    verification = found.verification
    if text.exists():
        verification = groth16.load_snarkjs_key(text.read_bytes(), allow_test_only=alone)
    assert groth16.verify_batch(verification, proof.proofs(), [list(proof.public)]).tolist() == [1]
    again = groth16.load_snarkjs_proof(proof.to_snarkjs())
    assert np.array_equal(again.a[0], proof.a)
    public = DATA / folder / "public.json"
    if public.exists():
        assert json.loads(proof.public_to_snarkjs()) == json.loads(public.read_text("utf-8"))
    other = prove(found, load_witness(witness_path))
    assert not np.array_equal(other.a, proof.a), "blinding is fresh"


@pytest.mark.parametrize("curve", CURVES)
def test_the_key_is_that_of_the_formulas(curve):
    circuit, key, formulas = made(curve)
    with Zkey(key) as found:
        for number, of, scalars in (
            (IC, 1, formulas.ic),
            (A, 1, formulas.a),
            (B1, 1, formulas.b),
            (B2, 2, formulas.b),
            (C, 1, formulas.l),
            (H, 1, formulas.h),
        ):
            name = f"{curve}.g{of}"
            assert [plain(name, point) for point in found.points(number)] == [
                multiple(curve, of, scalar) for scalar in scalars
            ], number
        assert found.header.test_only
        assert (found.header.wires, found.header.public) == (len(circuit.witness), circuit.public)


@pytest.mark.parametrize("curve", CURVES)
def test_a_proof_is_that_of_the_formulas(curve, fixed_blinding):
    circuit, key, formulas = made(curve)
    proof = prove(load_zkey(key, allow_test_only=True), circuit.wtns(), r1cs=load_r1cs(circuit.r1cs()))
    a, b, c = formulas.proof(*BLINDING)
    assert points(proof) == (multiple(curve, 1, a), multiple(curve, 2, b), multiple(curve, 1, c))
    assert list(proof.public) == circuit.witness[1 : 1 + circuit.public]


def test_the_oracle_accepts_it():
    circuit, key, _ = made("bls12_381")
    found = load_zkey(key, allow_test_only=True)
    proof = prove(found, circuit.wtns())
    of = oracle_key(found.verification)
    assert oracle.verify(of, oracle.Proof(*points(proof)), list(proof.public)) == 1


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("multiples", [1, 3])
def test_a_batch_is_the_single_proofs(curve, multiples, monkeypatch):
    circuit, key, formulas = made(curve)
    found = load_zkey(key, allow_test_only=True, multiples=multiples)
    other = drawn(curve, 9)
    witnesses = [circuit.wtns(), load_witness(other.wtns()), circuit.wtns()]
    monkeypatch.setattr(groth16_prove, "_random_scalars", lambda count, order: list(range(5, 5 + count)))
    monkeypatch.setattr(groth16_prove, "_AT_ONCE", 2 << found.log)
    proofs = prove_batch(found, witnesses)
    assert [int(proof.public[0]) for proof in proofs] == [circuit.witness[1]] * 3
    for index, proof in enumerate(proofs):
        blinding = 5 + index % 2
        a, b, c = formulas.proof(blinding, blinding)
        assert points(proof) == (multiple(curve, 1, a), multiple(curve, 2, b), multiple(curve, 1, c)), index
    assert prove_batch(found, []) == []


@pytest.mark.parametrize("backend", ["scalar"])
def test_another_backend_gives_the_same(backend, fixed_blinding):
    circuit, key, formulas = made("bn254")
    proof = prove(load_zkey(key, allow_test_only=True, backend=backend), circuit.wtns(), backend=backend)
    a, b, c = formulas.proof(*BLINDING)
    assert points(proof) == (multiple("bn254", 1, a), multiple("bn254", 2, b), multiple("bn254", 1, c))


# Witnesses that are none -------------------------------------------------------------------------------------


def test_the_first_constraint_that_fails_is_named():
    circuit, key, _ = made("bn254")
    r1cs = load_r1cs(circuit.r1cs())
    check_witness(r1cs, circuit.wtns())
    for wire in range(1, len(circuit.witness)):
        wrong = list(circuit.witness)
        wrong[wire] = (wrong[wire] + 1) % circuit.order
        fails = [
            index
            for index, row in enumerate(circuit.constraints)
            if (lambda a, b, c: (a * b - c) % circuit.order)(
                *(sum(value * wrong[w] for w, value in each.items()) for each in row)
            )
        ]
        if not fails:
            continue
        with pytest.raises(UnsatisfiedWitness) as caught:
            check_witness(r1cs, circuit.wtns(wrong))
        assert caught.value.constraint == fails[0]
        with pytest.raises(UnsatisfiedWitness, match=f"witness 1 .*constraint {fails[0]} is the first"):
            prove_batch(
                load_zkey(key, allow_test_only=True), [circuit.wtns(), circuit.wtns(wrong)], r1cs=r1cs
            )


def test_without_the_circuit_nothing_false_leaves():
    circuit, key, _ = made("bn254")
    wrong = list(circuit.witness)
    wrong[1] = (wrong[1] + 1) % circuit.order
    with pytest.raises(
        UnsatisfiedWitness, match=r"witness 1 does not satisfy the circuit; .*would tell"
    ) as caught:
        prove_batch(load_zkey(key, allow_test_only=True), [circuit.wtns(), circuit.wtns(wrong)])
    assert (caught.value.item, caught.value.constraint) == (1, None)


def test_another_circuit_of_the_same_size():
    """The witness satisfies the circuit that is given, and the key is of another one."""
    _, key, _ = made("bn254")
    other = drawn("bn254", 9, seed=2)
    with pytest.raises(ArgumentError, match=r"'r1cs'.*witness 0 satisfies, and no proof under the key"):
        prove(load_zkey(key, allow_test_only=True), other.wtns(), r1cs=load_r1cs(other.r1cs()))


def test_a_witness_of_another_circuit():
    circuit, key, _ = made("bn254")
    found = load_zkey(key, allow_test_only=True)
    with pytest.raises(ArgumentError, match=r"witnesses\[0\].*found 3 values on bn254"):
        prove(found, circuit.wtns([1, 2, 3]))
    with pytest.raises(ArgumentError, match=r"values on bls12_381"):
        prove(found, drawn("bls12_381", 9).wtns())
    with pytest.raises(ArgumentError, match=r"'r1cs'.*wires = "):
        prove(found, circuit.wtns(), r1cs=load_r1cs(drawn("bn254", 8).r1cs()))
    with pytest.raises(ArgumentError, match="'r1cs'"):
        prove(found, circuit.wtns(), r1cs=circuit.r1cs())
    with pytest.raises(ArgumentError, match="'key'"):
        prove(key, circuit.wtns())
    with pytest.raises(ArgumentError, match="'witnesses'"):
        prove_batch(found, circuit.wtns())
    with pytest.raises(ArgumentError, match="'r1cs'"):
        check_witness(found, circuit.wtns())


def test_memory_is_asked_before_the_work(monkeypatch):
    circuit, key, _ = made("bn254")
    found = load_zkey(key, allow_test_only=True)
    monkeypatch.setattr(memory, "available", lambda: 1000)
    with pytest.raises(MemoryNeeded, match=r"1 proofs at a time needs [\d,]+ bytes of memory, and 1,000"):
        prove(found, circuit.wtns())


# Keys --------------------------------------------------------------------------------------------------------


def test_a_key_for_tests_is_refused_unless_allowed():
    _, key, _ = made("bn254")
    with pytest.raises(TestOnlyKey):
        load_zkey(key)
    verification = load_zkey(key, allow_test_only=True).verification
    text = key_to_snarkjs(verification)
    for _ in range(2):
        with pytest.raises(TestOnlyKey):
            groth16.load_snarkjs_key(text)
        again = groth16.load_snarkjs_key(text, allow_test_only=True)
        assert again.digest == verification.digest
        assert key_to_snarkjs(again) == text, "no way through our own files takes the mark off"


@pytest.mark.parametrize("sign", [1, -1])
def test_a_key_that_nobody_contributed_to_is_for_tests_alone(sign):
    """Where δ is γ or −γ, A = α, B = β and C = ∓ the statement's point prove any statement."""
    verification = load_zkey(made("bn254")[1], allow_test_only=True).verification
    g1, g2 = curves.get("bn254").g1, curves.get("bn254").g2
    gamma, ic = verification.gamma[None], verification.ic
    delta = gamma if sign > 0 else g2.negate(gamma)
    key = groth16.Key("bn254", verification.alpha, verification.beta, gamma[0], delta[0], ic)
    assert key.test_only
    assert secrets_known("bn254", g1.double(verification.alpha[None])[0], key.gamma, key.delta), "by δ alone"
    inputs = list(range(7, 7 + key.inputs))
    stated = g1.sum(g1.multiply(ic, words_of([1, *inputs]).reshape(-1, 4)))[None]
    forged = groth16.Proofs(
        "bn254", key.alpha[None], key.beta[None], g1.negate(stated) if sign > 0 else stated
    )
    assert groth16.verify_batch(key, forged, [inputs]).tolist() == [1]
    text = key_to_snarkjs(key)
    for each in (text, text.replace("supervm_test_only", "no_mark")):
        with pytest.raises(TestOnlyKey):
            groth16.load_snarkjs_key(each)
        assert groth16.load_snarkjs_key(each, allow_test_only=True).digest == key.digest


@pytest.mark.parametrize("curve", CURVES)
def test_a_key_from_powers_of_tau(curve, fixed_blinding, monkeypatch):
    tau, alpha, beta, delta = SECRETS
    circuit = drawn(curve, 9)
    formulas = Formulas(circuit, tau, alpha, beta, delta)
    monkeypatch.setattr(groth16_setup, "_drawn", lambda count, order: [delta])
    r1cs = load_r1cs(circuit.r1cs())
    with Ptau(ptau(curve, formulas.log, tau, alpha, beta)) as powers:
        key = groth16_setup.make_key(r1cs, powers)
    found = load_zkey(key)
    assert not found.test_only
    assert groth16.load_snarkjs_key(key_to_snarkjs(found.verification)).digest == found.verification.digest
    proof = prove(found, circuit.wtns())
    a, b, c = formulas.proof(*BLINDING)
    assert points(proof) == (multiple(curve, 1, a), multiple(curve, 2, b), multiple(curve, 1, c))


def test_powers_of_tau_that_do_not_fit():
    circuit = drawn("bn254", 9)
    r1cs = load_r1cs(circuit.r1cs())
    with Ptau(ptau("bn254", 1, 3, 5, 7)) as powers, pytest.raises(ArgumentError, match=r"2\^1 rows, .*2\^4"):
        groth16_setup.make_key(r1cs, powers)
    with Ptau(ptau("bls12_381", 1, 3, 5, 7)) as powers, pytest.raises(ArgumentError, match="on bls12_381"):
        groth16_setup.make_key(r1cs, powers)


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("curve", CURVES)
def test_an_arkworks_key(curve, compressed, fixed_blinding):
    """The H points of arkworks are τ^i·Z(τ)/δ."""
    circuit = drawn(curve, 5)
    formulas = Formulas(circuit, *SECRETS)
    data, r1cs = arkworks_key(formulas, compressed), load_r1cs(circuit.r1cs())
    found = load_arkworks_proving_key(data, r1cs)
    assert found.reduction == "arkworks"
    proof = prove(found, circuit.wtns())
    a, b, c = formulas.proof(*BLINDING)
    assert points(proof) == (multiple(curve, 1, a), multiple(curve, 2, b), multiple(curve, 1, c))
    if compressed:
        with pytest.raises(ArgumentError, match="a key of this circuit"):
            load_arkworks_proving_key(data[:-1], r1cs)
        with pytest.raises(ArgumentError, match="'r1cs'"):
            load_arkworks_proving_key(data, circuit.r1cs())
        with pytest.raises(ArgumentError, match="'check'"):
            load_arkworks_proving_key(data, r1cs, check="none")
        at = data.index((3).to_bytes(8, "little"))
        with pytest.raises(ArgumentError, match="4 points of ic"):
            load_arkworks_proving_key(data[:at] + b"\4" + data[at + 1 :], r1cs)


def arkworks_key(formulas, compressed):
    """`ProvingKey` as arkworks writes it. Its roots of unity are those of 5 and 7; snarkjs' on BLS12-381 are others, so the
    domain is arkworks' own here."""
    from supervm.crypto.oracle.point_encodings import encode
    from supervm.crypto.params import bls12_381

    circuit, order = formulas.circuit, formulas.circuit.order
    of = formulas
    if circuit.curve == "bls12_381":
        with pytest.MonkeyPatch.context() as patch:
            import circom_circuits

            patch.setattr(circom_circuits, "root", lambda curve, log: bls12_381.FR.root_of_unity(1 << log))
            of = Formulas(circuit, *SECRETS)
            formulas.__dict__.update(of.__dict__)
    vanishing = (pow(of.tau, 1 << of.log, order) - 1) * pow(of.delta, -1, order)
    h = [pow(of.tau, i, order) * vanishing % order for i in range((1 << of.log) - 1)]
    form = {
        "bn254": ("arkworks", "arkworks_compressed"),
        "bls12_381": ("zcash_uncompressed", "zcash_compressed"),
    }

    def written(number, *scalars):
        name = f"{circuit.curve}.g{number}"
        encoding = form[circuit.curve][compressed]
        return b"".join(encode(name, multiple(circuit.curve, number, each), encoding) for each in scalars)

    def listed(number, scalars):
        return len(scalars).to_bytes(8, "little") + written(number, *scalars)

    head = (
        written(1, of.alpha)
        + written(2, of.beta, 1, of.delta)
        + listed(1, of.ic)
        + written(1, of.beta, of.delta)
    )
    lists = listed(1, of.a) + listed(1, of.b) + listed(2, of.b) + listed(1, h) + listed(1, of.l)
    return head + lists


def test_an_unknown_reduction():
    with pytest.raises(ArgumentError, match=r"'reduction'.*'circom' or 'arkworks'"):
        require_reduction("libsnark")


# Other tools -------------------------------------------------------------------------------------------------


def test_arkworks_verifies_ours_and_we_prove_with_its_keys(tmp_path):
    groth16py = pytest.importorskip("groth16py")
    circuit = drawn("bn254", 9)
    path = tmp_path / "c.r1cs"
    path.write_bytes(circuit.r1cs())
    theirs, verification = groth16py.setup(str(path))
    theirs.save(str(tmp_path / "c.pk"))
    r1cs = load_r1cs(path)
    rows, wires, public = 1 << domain_log(r1cs), r1cs.wires, r1cs.public
    size = (
        3 * 64 + 3 * 128 + 6 * 8 + 64 * (public + 1 + 2 * wires + rows - 1 + wires - public - 1) + 128 * wires
    )
    data = (tmp_path / "c.pk").read_bytes()[len(b"g16pk1") :][:size]
    proof = prove(load_arkworks_proving_key(data, r1cs), circuit.wtns())
    assert groth16py.Verifier(verification).verify(proof.to_precompile(), list(proof.public))

    _, key, _ = made("bn254")
    found = load_zkey(key, allow_test_only=True)
    proof = prove(found, circuit.wtns())
    ours = groth16py.VerifyingKey.from_snarkjs(key_to_snarkjs(found.verification))
    verifier = groth16py.Verifier(ours)
    assert verifier.verify(proof.to_precompile(), list(proof.public))
    assert not verifier.verify(proof.to_precompile(), [proof.public[0] + 1, *proof.public[1:]])

    (tmp_path / "c.zkey").write_bytes(key)
    (tmp_path / "c.wtns").write_bytes(circuit.wtns())
    imported = groth16py.import_zkey(str(tmp_path / "c.zkey"))
    imported = imported[0] if isinstance(imported, tuple) else imported
    made_there = groth16.load_ethereum_proof(groth16py.prove_wtns(imported, str(tmp_path / "c.wtns")))
    assert groth16.verify_batch(found.verification, made_there, [list(proof.public)]).tolist() == [1]


@pytest.mark.parametrize("curve", CURVES)
def test_bytes_of_other_tools(curve):
    circuit, key, _ = made(curve)
    found = load_zkey(key, allow_test_only=True)
    proof = prove(found, circuit.wtns())
    whole = proof.proofs()
    for data in (proof.to_arkworks(), proof.to_arkworks(compressed=False)):
        read = groth16.load_arkworks_proof(data, curve)
        assert all(np.array_equal(getattr(read, name), getattr(whole, name)) for name in "abc")
    assert len(proof.to_precompile()) == (256 if curve == "bn254" else 512)
    if curve == "bn254":
        assert np.array_equal(groth16.load_ethereum_proof(proof.to_precompile()).b, whole.b)
    assert proof.public_to_precompile() == b"".join(each.to_bytes(32, "big") for each in proof.public)
    assert groth16.load_snarkjs_public(proof.public_to_snarkjs()) == list(proof.public)
    assert group(curve, 1).on_curve(points(proof)[0])


# Matrices ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("rows", [1, 7, 300])
def test_sparse_products(curve, rows):
    from circom_circuits import ORDERS

    order, random = ORDERS[curve], np.random.default_rng(rows)
    count = 3 * rows
    of = np.sort(random.integers(0, rows, count))
    columns = random.integers(0, 50, count)
    draw = lambda number: [int.from_bytes(random.bytes(40), "little") % order for _ in range(number)]  # noqa: E731
    values, vector = draw(count), [0, order - 1, *draw(48)]
    matrix = SparseMatrix.of_entries(of, columns, words_of(values).reshape(-1, 4), rows)
    expected = [0] * rows
    for row, column, value in zip(of, columns, values, strict=True):
        expected[row] = (expected[row] + value * vector[column]) % order
    assert integers(matrix.multiply(curve, words_of(vector).reshape(-1, 4))) == expected
    transposed = matrix.transposed(50)
    across = [0] * 50
    other = draw(rows)
    for row, column, value in zip(of, columns, values, strict=True):
        across[column] = (across[column] + value * other[row]) % order
    assert integers(transposed.multiply(curve, words_of(other).reshape(-1, 4))) == across
