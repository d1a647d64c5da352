# SPDX-License-Identifier: GPL-3.0-or-later
"""Groth16 in batches: proofs of snarkjs, of arkworks and of a simulator, bad ones among them at random places."""

from __future__ import annotations

import functools
import json
import random
from pathlib import Path

import numpy as np
import pytest
from lanes_here import FULL, TWIN
from simulated_groth16 import Setup, oracle_key, oracle_proof

from supervm.crypto import groth16, pairings, weighted
from supervm.crypto.groth16 import Key, Proofs, verify_batch
from supervm.crypto.oracle import groth16 as oracle
from supervm.crypto.oracle.pairing_groups import GROUPS
from supervm.kernels.errors import ArgumentError

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "groth16"
CURVES = ("bn254", "bls12_381")

on_full = pytest.mark.parametrize("backend", FULL, indirect=True)


def text(name):
    path = DATA / name
    if not path.exists():
        pytest.skip(f"not here: {path.name}")
    return path.read_text("utf-8")


@functools.cache
def setup(curve, inputs=2, seed=1):
    """A setup and its key."""
    made = Setup(curve, inputs, seed)
    return made, Key(*made.key_points())


def simulated(curve, count, inputs=2, seed=1):
    """A key, the multiples of `count` valid proofs, and their public inputs."""
    made, key = setup(curve, inputs, seed)
    stated = [made.statement() for _ in range(count)]
    return made, key, [made.scalars(row) for row in stated], stated


def proofs_of(made, rows):
    return Proofs(made.curve, *made.points(rows))


# Published proofs ------------------------------------------------------------------------------------------------


@on_full
@pytest.mark.parametrize(
    "folder", ["taceo_bn254_multiplier2", "taceo_bn254_poseidon", "taceo_bls12_381_multiplier2"]
)
def test_proofs_of_snarkjs(backend, folder):
    # Nobody contributed to the second phase of that of Poseidon.
    allowed = folder == "taceo_bn254_poseidon"
    key = groth16.load_snarkjs_key(text(f"{folder}/verification_key.json"), allow_test_only=allowed)
    proof = groth16.load_snarkjs_proof(text(f"{folder}/circom.proof"))
    inputs = groth16.load_snarkjs_public(text(f"{folder}/public.json"))
    wrong = [inputs[0] ^ 1, *inputs[1:]]
    found = verify_batch(key, [proof, proof], [inputs, wrong], backend=backend)
    assert found.dtype == np.int8
    assert found.tolist() == [1, 0]
    assert verify_batch(key, proof, [inputs], backend=backend).tolist() == [1]
    assert verify_batch(key, proof, [wrong], backend=backend).tolist() == [0]


@on_full
@pytest.mark.parametrize("curve", CURVES)
def test_a_batch_of_snarkjs(backend, curve):
    """All valid; with two statements exchanged, exactly those two are not."""
    batch = json.loads(text(f"batch_{curve}_give.json"))
    key = groth16.load_snarkjs_key(json.dumps(batch["vk"]))
    proofs = groth16.load_snarkjs_proofs([json.dumps(each["proof"]) for each in batch["proofs"]], curve)
    inputs = [[int(number) for number in each["publicSignals"]] for each in batch["proofs"]]
    assert verify_batch(key, proofs, inputs, backend=backend).tolist() == [1] * len(inputs)
    inputs[2], inputs[11] = inputs[11], inputs[2]
    found = verify_batch(key, proofs, inputs, backend=backend)
    assert np.flatnonzero(found != 1).tolist() == [2, 11]
    assert found[[2, 11]].tolist() == [0, 0]


# Verdicts of batches ----------------------------------------------------------------------------------------------


def damaged(made, rows, inputs, kind):
    """A well-formed proof and statement of which one part is another."""
    a, b, c = rows
    changed = {
        "a": ((a + 1, b, c), inputs),
        "b": ((a, b + 1, c), inputs),
        "c": ((a, b, (c + 1) % made.order), inputs),
        "negated": (((-a) % made.order, b, c), inputs),
        "first": (rows, [(inputs[0] + 1) % made.order, *inputs[1:]]),
        "last": (rows, [*inputs[:-1], (inputs[-1] - 1) % made.order]),
        "exchanged": (rows, inputs[::-1]),
    }
    return changed[kind]


KINDS = ("a", "b", "c", "negated", "first", "last", "exchanged")


@pytest.mark.parametrize("bad", ["none", "one", "half", "all"])
@pytest.mark.parametrize(("curve", "count"), [("bn254", 2), ("bn254", 75), ("bls12_381", 40)])
def test_bad_proofs_at_random_places(curve, count, bad, monkeypatch):
    monkeypatch.setattr(weighted, "WIDEST", 30)
    made, key, rows, inputs = simulated(curve, count)
    drawn = random.Random(f"{curve} {count} {bad}")
    wrong = drawn.sample(range(count), {"none": 0, "one": 1, "half": count // 2, "all": count}[bad])
    for row in wrong:
        rows[row], inputs[row] = damaged(made, rows[row], inputs[row], drawn.choice(KINDS))
    proofs = proofs_of(made, rows)
    found = verify_batch(key, proofs, inputs)
    assert found.tolist() == [int(row not in wrong) for row in range(count)]
    plain_key = oracle_key(key)
    for row in drawn.sample(range(count), 1 + (curve == "bn254")):
        assert oracle.verify(plain_key, oracle_proof(proofs, row), inputs[row]) == found[row]


@pytest.mark.parametrize("backend", [*FULL, TWIN], indirect=True)
@pytest.mark.parametrize("curve", CURVES)
def test_every_kind_of_damage(backend, curve):
    made, key, rows, inputs = simulated(curve, len(KINDS) + 1)
    for row, kind in enumerate(KINDS):
        rows[row], inputs[row] = damaged(made, rows[row], inputs[row], kind)
    assert verify_batch(key, proofs_of(made, rows), inputs, backend=backend).tolist() == [0] * len(KINDS) + [
        1
    ]


@pytest.mark.parametrize("curve", CURVES)
def test_faults_that_cancel(curve):
    """Without weights, C + D in one proof and C − D in another would pass together."""
    made, key, rows, inputs = simulated(curve, 12)
    for row, shift in ((3, 5), (8, -5)):
        a, b, c = rows[row]
        rows[row] = a, b, (c + shift) % made.order
    assert np.flatnonzero(verify_batch(key, proofs_of(made, rows), inputs) == 0).tolist() == [3, 8]


@pytest.fixture
def checks(monkeypatch):
    """Pairs and products of every call of the pairing; pairs with prepared points count like others."""
    seen, product = [], pairings.Pairing.product

    def counted(self, first, second, offsets, *, prepared=None, against=None, backend):
        pairs = len(first) + (0 if against is None else against.shape[0] * against.shape[1])
        seen.append((pairs, len(offsets) - 1))
        return product(self, first, second, offsets, prepared=prepared, against=against, backend=backend)

    monkeypatch.setattr(pairings.Pairing, "product", counted)
    return seen


@pytest.mark.parametrize("curve", CURVES)
def test_valid_batches_take_one_equation(curve, checks, monkeypatch):
    """A pair for each proof and three for each key, whatever the order of the proofs; no proof is checked alone."""
    setups = [setup(curve, inputs, seed) for inputs, seed in ((2, 1), (0, 2), (3, 3))]
    index = np.arange(30) % 3
    stated = [setups[i][0].statement() for i in index]
    proofs = proofs_of(
        setups[0][0], [setups[i][0].scalars(row) for i, row in zip(index, stated, strict=True)]
    )
    for widest, products in ((1024, 1), (15, 2)):
        monkeypatch.setattr(weighted, "WIDEST", widest)
        assert (verify_batch(([key for _, key in setups], index), proofs, stated) == 1).all()
        # Cut in two, the keys in order, the second key's ten proofs lie on both sides.
        assert checks.pop() == (30 + 3 * (3 + products - 1), products)
        assert not checks


def test_one_proof_takes_no_weights(checks):
    """And three pairs: what a key makes of α and β is computed at its first proof, and kept."""
    made, key, rows, inputs = simulated("bn254", 1)
    for _ in range(2):
        assert verify_batch(key, proofs_of(made, rows), inputs).tolist() == [1]
    assert [each for each in checks if each != (1, 1)] == [(3, 1)] * 2
    assert checks.count((1, 1)) <= 1


def test_weights_are_drawn_for_each_call(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "supervm.crypto.groth16_batch.random_weights", lambda n: drawn.append(n) or weighted.random_weights(n)
    )
    made, key, rows, inputs = simulated("bn254", 3)
    for _ in range(2):
        assert verify_batch(key, proofs_of(made, rows), inputs).tolist() == [1, 1, 1]
    assert drawn == [3, 3]


@pytest.mark.parametrize("curve", CURVES)
def test_infinity_is_a_point(curve):
    """In A, in B, in C, in all: the equation decides, as the oracle says."""
    made, key, _, _ = simulated(curve, 0)
    inputs = [made.statement() for _ in range(5)]
    zero_a, zero_b, usual = (
        made.scalars(inputs[0], a=0),
        made.scalars(inputs[1], b=0),
        made.scalars(inputs[3]),
    )
    # C is infinity where a·b is what the rest of the statement is.
    rest = -made.scalars(inputs[2], a=0)[2] * made.delta
    zero_c = (3, rest * pow(3, -1, made.order) % made.order, 0)
    rows = [zero_a, zero_b, zero_c, (usual[0], usual[1], 0), (0, 0, 0)]
    proofs = proofs_of(made, rows)
    assert not proofs.a[0].any()
    assert not proofs.b[1].any()
    assert not proofs.c[2].any()
    found = verify_batch(key, proofs, inputs).tolist()
    assert found == [1, 1, 1, 0, 0]
    plain_key = oracle_key(key)
    assert [oracle.verify(plain_key, oracle_proof(proofs, row), inputs[row]) for row in range(5)] == found


@on_full
def test_no_public_inputs_and_many(backend):
    for inputs in (0, 70):
        made, key, rows, stated = simulated("bn254", 3, inputs)
        a, b, c = rows[1]
        rows[1] = a, b, c + 1
        assert verify_batch(key, proofs_of(made, rows), stated, backend=backend).tolist() == [1, 0, 1]


def test_none():
    _, key, _, _ = simulated("bn254", 0)
    none = Proofs("bn254", *(np.zeros((0, *shape), np.uint64) for shape in ((2, 4), (2, 2, 4), (2, 4))))
    for proofs in ([], none):
        for keys in (key, [], ([key], np.zeros(0, np.int64))):
            for inputs in ([], np.zeros((0, 2, 32), np.uint8)):
                found = verify_batch(keys, proofs, inputs)
                assert found.shape == (0,)
                assert found.dtype == np.int8


# Malformed items ----------------------------------------------------------------------------------------------------


@on_full
@pytest.mark.parametrize("curve", CURVES)
def test_malformed_inputs(backend, curve):
    """Never reduced: x + r is not x. The others keep their verdicts."""
    made, key, rows, inputs = simulated(curve, 10)
    order = made.order
    inputs[1] = [inputs[1][0] + order, inputs[1][1]]
    inputs[2] = [inputs[2][0], order]
    inputs[3] = [-1, inputs[3][1]]
    inputs[4] = inputs[4][:1]
    inputs[5] = [*inputs[5], 0]
    inputs[6] = []
    inputs[7] = [inputs[7][0], 1 << 300]
    inputs[8] = [inputs[8][0] ^ 1, inputs[8][1]]
    expected = [1, -1, -1, -1, -1, -1, -1, -1, 0, 1]
    assert verify_batch(key, proofs_of(made, rows), inputs, backend=backend).tolist() == expected


@pytest.mark.parametrize("curve", CURVES)
def test_inputs_as_bytes(curve):
    """Big-endian, 32 bytes each; another number of them than the key has makes all items malformed."""
    made, key, rows, inputs = simulated(curve, 6)
    as_bytes = lambda numbers: np.frombuffer(b"".join(x.to_bytes(32, "big") for x in numbers), np.uint8)  # noqa: E731
    inputs[2] = [inputs[2][0], made.order]
    inputs[3] = [made.order + 1, inputs[3][1]]
    inputs[4] = [(1 << 256) - 1, inputs[4][1]]
    inputs[5] = [inputs[5][0] ^ 1, inputs[5][1]]
    data = np.stack([as_bytes(row) for row in inputs]).reshape(6, 2, 32)
    proofs = proofs_of(made, rows)
    assert verify_batch(key, proofs, data).tolist() == [1, 1, -1, -1, -1, 0]
    assert verify_batch(key, proofs, data[::-1][::-1]).tolist() == [1, 1, -1, -1, -1, 0]
    assert verify_batch(key, proofs, data[:, :1]).tolist() == [-1] * 6
    zero = made.scalars([0, made.order - 1])
    edge = np.stack([as_bytes([0, made.order - 1])]).reshape(1, 2, 32)
    assert verify_batch(key, proofs_of(made, [zero]), edge).tolist() == [1]


@on_full
@pytest.mark.parametrize("curve", CURVES)
def test_malformed_points(backend, curve):
    """Off the curve, not canonical, outside the subgroup: −1 there, and nowhere else."""
    made, key, rows, inputs = simulated(curve, 8)
    a, b, c = made.points(rows)
    g1, g2 = GROUPS[f"{curve}.g1"], GROUPS[f"{curve}.g2"]
    size = 8 * g1.base.words
    words = lambda parts: np.frombuffer(b"".join(x.to_bytes(size, "little") for x in parts), np.uint64)  # noqa: E731
    a[0, 1, 0] ^= 1
    b[1, 1, 1, 0] ^= 1
    c[2] = words([1, g1.p]).reshape(c[2].shape)
    (x0, x1), (y0, y1) = g2.curve_point(7)
    b[3] = words([x0, x1, y0, y1]).reshape(b[3].shape)
    expected = [-1, -1, -1, -1, 1, 1, 1, 1]
    if g1.cofactor > 1:
        for column, row in ((a, 4), (c, 5)):
            column[row] = words(g1.curve_point(7)).reshape(a[0].shape)
            expected[row] = -1
    proofs = Proofs(curve, a, b, c, backend=backend)
    assert proofs.well_formed.tolist() == [verdict == 1 for verdict in expected]
    assert verify_batch(key, proofs, inputs, backend=backend).tolist() == expected
    assert verify_batch(key, proofs, [[0, 0]] * 8, backend=backend).tolist() == [min(v, 0) for v in expected]
    with pytest.raises(ValueError, match="read-only"):
        proofs.a[0] = 0


# Several keys ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("curve", CURVES)
def test_several_keys_in_one_call(curve, monkeypatch):
    """Keys with different numbers of inputs, their proofs mixed, one statement under the wrong key."""
    monkeypatch.setattr(weighted, "WIDEST", 20)
    setups = [setup(curve, inputs, seed) for inputs, seed in ((2, 1), (0, 2), (3, 3))]
    drawn = random.Random(9)
    index = np.array([drawn.randrange(3) for _ in range(45)])
    stated = [setups[i][0].statement() for i in index]
    rows = [setups[i][0].scalars(row) for i, row in zip(index, stated, strict=True)]
    proofs = proofs_of(setups[0][0], rows)
    keys = [key for _, key in setups]
    assert verify_batch((keys, index), proofs, stated).tolist() == [1] * 45
    assert verify_batch([keys[i] for i in index], proofs, stated).tolist() == [1] * 45
    assert verify_batch((keys, index.astype(np.uint8)), proofs, stated).tolist() == [1] * 45
    again = [Key(*setups[i][0].key_points()) for i in range(3)]
    assert (
        verify_batch(([*keys, *again], index + 3 * (np.arange(45) % 2)), proofs, stated).tolist() == [1] * 45
    )
    other = setup(curve, 2, 8)[1]
    expected = np.ones(45, int)
    expected[np.flatnonzero(index == 0)[[0, -1]]] = 0
    listed = [other if verdict == 0 else keys[i] for i, verdict in zip(index, expected, strict=True)]
    assert verify_batch(listed, proofs, stated).tolist() == expected.tolist()
    moved = (index + 1) % 3
    assert verify_batch((keys, moved), proofs, stated).tolist() == [-1] * 45


def test_a_key_for_each_proof(checks):
    """Nothing is shared: after the one equation every proof is checked alone."""
    pairs = [setup("bn254", 1, seed) for seed in range(20, 30)]
    stated = [made.statement() for made, _ in pairs]
    rows = [made.scalars(row) for (made, _), row in zip(pairs, stated, strict=True)]
    rows[6] = (rows[6][0], rows[6][1], 1)
    found = verify_batch([key for _, key in pairs], proofs_of(pairs[0][0], rows), stated)
    assert np.flatnonzero(found != 1).tolist() == [6]
    assert checks == [(40, 1), (40, 10)]


# An independent prover ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("curve", "theirs"), [("bn254", "BN254"), ("bls12_381", "BLS12_381")])
def test_proofs_of_another_prover(curve, theirs):
    """zksnake proves, arkworks writes: x·y = z and z·x = w with z and w public."""
    pytest.importorskip("zksnake", reason="the prover is not installed")
    from zksnake.arithmetization import R1CS, ConstraintSystem, Var
    from zksnake.ecc import EllipticCurve
    from zksnake.groth16 import Groth16

    x, y, z, w = (Var(name) for name in "xyzw")
    system = ConstraintSystem(["x", "y"], ["z", "w"], EllipticCurve(theirs).order)
    system.add_constraint(z == x * y)
    system.add_constraint(w == z * x)
    system.set_public([z, w])
    circuit = R1CS(system, theirs)
    circuit.compile()
    prover = Groth16(circuit, theirs)
    prover.setup()
    witnesses = [circuit.generate_witness(circuit.solve({"x": 3 + i, "y": 11})) for i in range(4)]
    made = [prover.prove(public, private).to_bytes() for public, private in witnesses]
    key = groth16.load_arkworks_key(prover.verifying_key.to_bytes(), curve)
    proofs = groth16.load_proofs(
        np.array([list(data) for data in made], np.uint8), curve, "arkworks_compressed"
    )
    inputs = [public[1:] for public, _ in witnesses]
    assert verify_batch(key, proofs, inputs).tolist() == [1] * 4
    assert (
        verify_batch(key, [groth16.load_arkworks_proof(data, curve) for data in made], inputs).tolist()
        == [1] * 4
    )
    inputs[2] = inputs[1]
    assert verify_batch(key, proofs, inputs).tolist() == [1, 1, 0, 1]


# Wrong arguments --------------------------------------------------------------------------------------------------------


def test_wrong_arguments():
    made, key, rows, inputs = simulated("bn254", 2)
    other_made, other = setup("bls12_381")
    proofs = proofs_of(made, rows)
    cases = [
        ("key", (None, proofs, inputs)),
        ("key", ([key], proofs, inputs)),
        ("key", ([key, None], proofs, inputs)),
        ("key", ([key, other], proofs, inputs)),
        ("key", (([key], np.array([0, 1])), proofs, inputs)),
        ("key", (([key], np.array([0, -1])), proofs, inputs)),
        ("key", (([key], np.array([0])), proofs, inputs)),
        ("key", (([key], np.array([0.0, 0.0])), proofs, inputs)),
        ("key", ([], proofs, inputs)),
        ("proofs", (key, None, inputs)),
        ("proofs", (key, [proofs, None], inputs)),
        ("proofs", (other, proofs, inputs)),
        ("proofs", (key, [proofs, proofs_of(other_made, rows)], inputs)),
        ("public_inputs", (key, proofs, inputs[:1])),
        ("public_inputs", (key, proofs, None)),
        ("public_inputs", (key, proofs, [1, 2])),
        ("public_inputs", (key, proofs, [[1, "2"], [1, 2]])),
        ("public_inputs", (key, proofs, [[1, True], [1, 2]])),
        ("public_inputs", (key, proofs, [[1, 2.0], [1, 2]])),
        ("public_inputs", (key, proofs, np.zeros((2, 2, 31), np.uint8))),
        ("public_inputs", (key, proofs, np.zeros((1, 2, 32), np.uint8))),
        ("public_inputs", (key, proofs, np.zeros((2, 2), np.uint64))),
    ]
    for argument, given in cases:
        with pytest.raises(ArgumentError, match=f"'{argument}'"):
            verify_batch(*given)
    assert verify_batch(key, proofs, [[np.uint64(1), np.int8(2)], [1, 2]]).tolist() == [0, 0]


def test_wrong_points():
    made, _ = setup("bn254")
    points = made.key_points()
    names = ("curve", "alpha", "beta", "gamma", "delta", "ic")
    for place, name in enumerate(names[1:], 1):
        for wrong in (
            None,
            points[place].astype(np.int64),
            points[place][..., :3],
            np.ones_like(points[place]),
        ):
            given = [*points]
            given[place] = wrong
            with pytest.raises(ArgumentError, match=f"'{name}"):
                Key(*given)
    for place in range(1, 5):
        given = [*points]
        given[place] = np.zeros_like(points[place])
        with pytest.raises(ArgumentError, match=f"'{names[place]}': found infinity"):
            Key(*given)
    with pytest.raises(ArgumentError, match="'ic'"):
        Key(*points[:5], points[5][:0])
    with pytest.raises(ArgumentError, match="'curve'"):
        Key("secp256k1", *points[1:])
    allowed = points[5].copy()
    allowed[1] = 0
    assert Key(*points[:5], allowed).inputs == 2
    outside = GROUPS["bn254.g2"].curve_point(3)
    words = b"".join(part.to_bytes(32, "little") for pair in outside for part in pair)
    with pytest.raises(ArgumentError, match=r"'gamma'.*outside the subgroup"):
        Key(*points[:3], np.frombuffer(words, np.uint64).reshape(2, 2, 4), *points[4:])
    a, b, c = made.points([(1, 2, 3)])
    for given, name in (
        ((a[0], b, c), "a"),
        ((a, b[:, :1], c), "b"),
        ((a, b, c.tolist()), "c"),
        ((a, b, c[:0]), "c"),
    ):
        with pytest.raises(ArgumentError, match=f"'{name}'"):
            Proofs("bn254", *given)
    with pytest.raises(ArgumentError, match="'curve'"):
        Proofs("bn128", a, b, c)
