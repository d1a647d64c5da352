# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys and proofs of other tools: published ones, and every way in which one can be wrong."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_groth16 import Setup, oracle_key, plain

from supervm.crypto import groth16, groth16_columns, groth16_json
from supervm.crypto.groth16 import Key, Proofs
from supervm.crypto.oracle.pairing_groups import GROUPS
from supervm.crypto.oracle.pairings import ONE, PAIRINGS
from supervm.crypto.oracle.point_encodings import encode
from supervm.kernels.errors import ArgumentError

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "groth16"
CURVES = ("bn254", "bls12_381")
SIDES = ("beta", "gamma", "delta")

BINARY = [
    ("bn254", "arkworks_compressed", "arkworks_compressed"),
    ("bn254", "arkworks_uncompressed", "arkworks"),
    ("bn254", "gnark_compressed", "gnark"),
    ("bn254", "gnark_uncompressed", "eip197"),
    ("bn254", "ethereum", "eip197"),
    ("bls12_381", "arkworks_compressed", "zcash_compressed"),
    ("bls12_381", "arkworks_uncompressed", "zcash_uncompressed"),
    ("bls12_381", "gnark_compressed", "zcash_compressed"),
    ("bls12_381", "gnark_uncompressed", "zcash_uncompressed"),
]
LOADERS = {"arkworks": groth16.load_arkworks_proof, "gnark": groth16.load_gnark_proof}


def read(name):
    path = DATA / name
    if not path.exists():
        pytest.skip(f"not here: {path.name}")
    return path.read_text("utf-8")


def published(name):
    return next(each for each in json.loads(read("other_encodings_give.json")) if each["name"] == name)


@functools.cache
def made(curve):
    """A key and two of its proofs."""
    setup = Setup(curve, 2)
    rows = [setup.scalars(setup.statement()) for _ in range(2)]
    return Key(*setup.key_points()), Proofs(curve, *setup.points(rows))


def written(group, point, encoding):
    """A point's bytes. gnark's compressed ones on BN254: x, big-endian, c₁ first; the top bits 10 for the smaller y, 11 for
    the larger, 01 for infinity (gnark-crypto, ecc/bn254/marshal.go)."""
    if encoding != "gnark":
        return encode(group, point, encoding)
    oracle = GROUPS[group]
    if point is None:
        return b"\x40" + bytes(32 * oracle.degree - 1)
    data = bytearray(b"".join(part.to_bytes(32, "big") for part in reversed(oracle.field.parts(point[0]))))
    data[0] |= 0xC0 if oracle.field.larger(point[1]) else 0x80
    return bytes(data)


def proof_bytes(proofs, row, form, encoding):
    curve = proofs.curve
    sides = (("g1", proofs.a), ("g2", proofs.b), ("g1", proofs.c))
    data = b"".join(written(f"{curve}.{g}", plain(f"{curve}.{g}", each[row]), encoding) for g, each in sides)
    return data + (bytes(4) + written(f"{curve}.g1", None, encoding) if form.startswith("gnark") else b"")


def key_bytes(key, form, encoding):
    ours, g1, g2 = oracle_key(key), f"{key.curve}.g1", f"{key.curve}.g2"
    one, two = (functools.partial(written, g, encoding=encoding) for g in (g1, g2))
    ic = b"".join(map(one, ours.ic))
    if form.startswith("arkworks"):
        head = one(ours.alpha) + b"".join(two(getattr(ours, side)) for side in SIDES)
        return head + len(ours.ic).to_bytes(8, "little") + ic
    other = GROUPS[g1].generator
    head = one(ours.alpha) + one(other) + two(ours.beta) + two(ours.gamma) + one(other) + two(ours.delta)
    return head + len(ours.ic).to_bytes(4, "big") + ic + bytes(8)


def same_key(one, other):
    return one.digest == other.digest


def same_proofs(one, other):
    return one.well_formed.all() and all(
        np.array_equal(getattr(one, side), getattr(other, side)) for side in "abc"
    )


def array(*items):
    return np.array([list(item) for item in items], np.uint8)


# Published encodings --------------------------------------------------------------------------------------------


def test_a_key_and_a_proof_of_arkworks():
    """As zkVerify stores them: uncompressed points, here as arkworks writes the whole."""
    case = published("zkVerify bls12_381")
    head = "".join(case["vk"][name] for name in ("alpha_g1", "beta_g2", "gamma_g2", "delta_g2"))
    ic = case["vk"]["gamma_abc_g1"]
    data = bytes.fromhex(head) + len(ic).to_bytes(8, "little") + bytes.fromhex("".join(ic))
    key = groth16.load_arkworks_key(data, "bls12_381")
    proof = groth16.load_arkworks_proof(
        bytes.fromhex("".join(case["proof"][side] for side in "abc")), "bls12_381"
    )
    inputs = [[int.from_bytes(bytes.fromhex(text), "little") for text in case["inputs_le"]]]
    assert groth16.verify_batch(key, proof, inputs).tolist() == [int(case["valid"])]
    inputs[0][0] += 1
    assert groth16.verify_batch(key, proof, inputs).tolist() == [0]


def test_a_compressed_key_of_arkworks():
    """Its parts are those that fastcrypto prepared from it, e(α, β) among them."""
    case = published("fastcrypto bls12-381 vk preparation")
    key = groth16.load_arkworks_key(bytes.fromhex(case["vk"]), "bls12_381")
    groups = key.curve, groth16_columns.curve_of(key.curve)
    g1, g2 = groups[1].g1, groups[1].g2
    expected = case["expected"]
    assert g1.to_bytes(key.ic, "zcash_compressed").tobytes().hex() == expected["gamma_abc"]
    for side, name in ((1, "gamma_neg"), (2, "delta_neg")):
        assert g2.to_bytes(key.negated[side], "zcash_compressed").tobytes().hex() == expected[name]
    pairing, ours = PAIRINGS["bls12_381"], oracle_key(key)
    # Libraries raise to three times the last exponent; arkworks' tower is w⁰ w² w⁴ w w³ w⁵.
    value = pairing.power(pairing.pair(ours.alpha, ours.beta), 3)
    parts = (part for place in (0, 2, 4, 1, 3, 5) for part in value[place])
    assert b"".join(part.to_bytes(48, "little") for part in parts).hex() == expected["alpha_beta_gt"]


def test_a_compressed_proof_of_arkworks():
    """Under a prepared key, of which α and β are not known: by the oracle."""
    case = published("fastcrypto bls12-381 prepared vk, valid")
    proof = groth16.load_arkworks_proof(bytes.fromhex(case["proof"]), "bls12_381")
    groups, prepared = groth16_columns.curve_of("bls12_381"), case["prepared"]
    points = lambda group, name: [  # noqa: E731
        plain(group.name, point)
        for point in group.from_bytes(
            np.frombuffer(bytes.fromhex(prepared[name]), np.uint8).reshape(
                -1, 48 * (1 if group is groups.g1 else 2)
            ),
            "zcash_compressed",
        )[0]
    ]
    ic = points(groups.g1, "gamma_abc")
    (gamma,), (delta,) = points(groups.g2, "gamma_neg"), points(groups.g2, "delta_neg")
    inputs = [int.from_bytes(bytes.fromhex(case["inputs_le"]), "little")]
    pairing = PAIRINGS["bls12_381"]
    a, b, c = (
        plain(f"bls12_381.{g}", side[0]) for g, side in (("g1", proof.a), ("g2", proof.b), ("g1", proof.c))
    )
    stated = pairing.first.msm(ic, [1, *inputs])
    found = pairing.power(pairing.product([(a, b), (stated, gamma), (c, delta)]), 3)
    parts = [
        int.from_bytes(bytes.fromhex(prepared["alpha_beta_gt"])[at : at + 48], "little")
        for at in range(0, 576, 48)
    ]
    expected = [found[place] for place in (0, 2, 4, 1, 3, 5)]
    assert found != ONE
    assert [part for pair in expected for part in pair] == parts


# Binary formats ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("curve", "form", "encoding"), BINARY)
def test_proofs_as_bytes(curve, form, encoding):
    _, proofs = made(curve)
    rows = [proof_bytes(proofs, row, form, encoding) for row in range(2)]
    assert same_proofs(groth16.load_proofs(array(*rows), curve, form), proofs)
    load = LOADERS.get(form.partition("_")[0])
    one = load(rows[0], curve) if load else groth16.load_ethereum_proof(rows[0])
    assert same_proofs(one, Proofs(curve, proofs.a[:1], proofs.b[:1], proofs.c[:1]))
    infinite = Proofs(curve, *(each[:1] ^ each[:1] for each in (proofs.a, proofs.b, proofs.c)))
    data = proof_bytes(infinite, 0, form, encoding)
    assert same_proofs(groth16.load_proofs(array(data), curve, form), infinite)


@pytest.mark.parametrize(("curve", "form", "encoding"), BINARY)
def test_proofs_as_wrong_bytes(curve, form, encoding):
    """What the batch calls malformed, the loader of one refuses, and names the point."""
    _, proofs = made(curve)
    good = proof_bytes(proofs, 0, form, encoding)
    size = {
        "g1": len(written(f"{curve}.g1", None, encoding)),
        "g2": len(written(f"{curve}.g2", None, encoding)),
    }
    load = LOADERS.get(form.partition("_")[0])
    read_one = functools.partial(load, curve=curve) if load else groth16.load_ethereum_proof
    wrong = []
    at = 0
    for side, group in (("A", "g1"), ("B", "g2"), ("C", "g1")):
        name = f"{curve}.{group}"
        oracle = GROUPS[name]
        bad = [
            b"\xff" * size[group],
            bytes(size[group]) if encoding not in ("eip197",) else b"\1" * size[group],
        ]
        if oracle.cofactor > 1:
            bad.append(written(name, oracle.curve_point(11), encoding))
        if encoding == "arkworks":
            flipped = bytearray(good[at : at + size[group]])
            flipped[-1] ^= 0x80  # the sign that y does not have, which arkworks does not compare
            bad.append(bytes(flipped))
        wrong += [(side, good[:at] + each + good[at + size[group] :]) for each in bad]
        at += size[group]
    for side, data in wrong:
        assert not groth16.load_proofs(array(data), curve, form).well_formed[0]
        with pytest.raises(ArgumentError, match=f"'{side}'"):
            read_one(data)
    if form.startswith("gnark"):
        for place in (at + 3, len(good) - 1):
            data = bytearray(good)
            data[place] ^= 1
            assert not groth16.load_proofs(array(data), curve, form).well_formed[0]
            with pytest.raises(ArgumentError, match=r"'data': found commitments"):
                read_one(bytes(data))
    mixed = groth16.load_proofs(array(good, *(data for _, data in wrong), good), curve, form)
    assert mixed.well_formed.tolist() == [True, *[False] * len(wrong), True]
    for data in (b"", good[:-1], good + b"\0", 3 * good):
        with pytest.raises(ArgumentError, match=r"'data': found \d+ bytes"):
            read_one(data)
    with pytest.raises(ArgumentError, match="'data'"):
        read_one("00")
    with pytest.raises(ArgumentError, match="'data'"):
        groth16.load_proofs(array(good)[:, 1:], curve, form)


@pytest.mark.parametrize(("curve", "form", "encoding"), [case for case in BINARY if case[1] != "ethereum"])
def test_keys_as_bytes(curve, form, encoding):
    key, _ = made(curve)
    load = {"arkworks": groth16.load_arkworks_key, "gnark": groth16.load_gnark_key}[form.partition("_")[0]]
    good = key_bytes(key, form, encoding)
    assert same_key(load(good, curve), key)
    assert load(bytearray(good), curve) is load(good, curve)
    for data in (b"", good[:7], good[:-1], good + b"\0"):
        with pytest.raises(ArgumentError, match=r"'data': found \d+ bytes"):
            load(data, curve)
    with pytest.raises(ArgumentError, match="'curve'"):
        load(good, "bn128")
    size = len(written(f"{curve}.g1", None, encoding))
    counter = good.rindex(b"".join(written(f"{curve}.g1", point, encoding) for point in oracle_key(key).ic))
    names = (
        ["alpha", *SIDES]
        if form.startswith("arkworks")
        else ["alpha", "beta of G1", *SIDES[:2], "delta of G1", "delta"]
    )
    at = 0
    for name in names:
        width = size if name == "alpha" or name.endswith("G1") else 2 * size
        with pytest.raises(ArgumentError, match=f"'{name}'"):
            load(good[:at] + b"\xff" * width + good[at + width :], curve)
        if not name.endswith("G1"):
            infinity = written(f"{curve}.{'g1' if name == 'alpha' else 'g2'}", None, encoding)
            with pytest.raises(ArgumentError, match=f"'{name}': found infinity"):
                load(good[:at] + infinity + good[at + width :], curve)
        at += width
    with pytest.raises(ArgumentError, match=r"'ic\[1\]'"):
        load(good[: counter + size] + b"\xff" * size + good[counter + 2 * size :], curve)
    if form.startswith("gnark"):
        with pytest.raises(ArgumentError, match="found commitment keys"):
            load(good[:-1] + b"\1", curve)


def test_formats_by_name():
    _, proofs = made("bls12_381")
    data = array(proof_bytes(proofs, 0, "arkworks_compressed", "zcash_compressed"))
    for curve, form, argument in (
        ("bls12_381", "ethereum", "format"),
        ("bls12_381", "arkworks", "format"),
        ("bls12_381", None, "format"),
        ("bls12381", "arkworks_compressed", "curve"),
        ("bn254", "arkworks_compressed", "data"),
    ):
        with pytest.raises(ArgumentError, match=f"'{argument}'"):
            groth16.load_proofs(data, curve, form)


def test_keys_are_kept_in_bounds(monkeypatch):
    key, _ = made("bn254")
    data = key_bytes(key, "arkworks_compressed", "arkworks_compressed")
    first = groth16.load_arkworks_key(data, "bn254")
    calls = []
    read_again = lambda source: calls.append(source) or key  # noqa: E731
    assert groth16_columns.kept_key("arkworks bn254", data, read_again) is first
    assert not calls
    for number in range(200):
        groth16_columns.kept_key("other", bytes([number]), read_again)
    assert len(groth16_columns._kept_keys) <= groth16_columns._KEPT_KEYS
    groth16_columns.kept_key("other", bytes([199]), read_again)
    groth16_columns.kept_key("third", bytes([199]), read_again)
    assert len(calls) == 201
    monkeypatch.setattr(groth16_columns, "_KEPT_BYTES", 1000)
    groth16_columns.kept_key("other", bytes(999), read_again)
    groth16_columns.kept_key("other", bytes(500), read_again)
    assert sum(size for _, size in groth16_columns._kept_keys.values()) <= 1000
    groth16_columns.kept_key("other", bytes(5000), read_again)
    assert not groth16_columns._kept_keys


# snarkjs ------------------------------------------------------------------------------------------------------------


def documents(curve):
    folder = f"taceo_{curve}_multiplier2"
    return json.loads(read(f"{folder}/verification_key.json")), json.loads(read(f"{folder}/circom.proof"))


def changes(document, points):
    """Name of the wrong field, and the document with it."""
    yield "protocol", {**document, "protocol": "plonk"}
    yield "curve", {**document, "curve": "bn254"}
    yield "curve", {**document, "curve": None}
    for name in document:
        if name != "vk_alphabeta_12":
            yield name, {key: value for key, value in document.items() if key != name}
    for name in points:
        for wrong in (None, [], document[name][:2], [*document[name][:2], document[name][0]], "1"):
            yield name, {**document, name: wrong}
        first = document[name][0]
        other = [first[1], first[0]] if isinstance(first, list) else str(int(first) + 1)
        yield name, {**document, name: [other, *document[name][1:]]}


def test_deep_json(monkeypatch):
    """Refused before it is parsed, whatever Python's recursion limit: a process without stack would end."""
    monkeypatch.setattr(groth16_json.json, "loads", None)
    deep = 100_000
    for text in (
        "[" * deep,
        '{"a":' * deep,
        '["]",' * deep,
        '["\\"]",' * deep,
        '["\\\\",' * deep,
        "[[]," * deep,
        '""' * 49 + "[" * deep,
    ):
        for load in (groth16.load_snarkjs_key, groth16.load_snarkjs_proof, groth16.load_snarkjs_public):
            with pytest.raises(ArgumentError, match=r"'text'.*more than 64 levels"):
                load(text + '"')
    monkeypatch.undo()
    wide = json.dumps([str(number) for number in range(1000)])
    assert groth16.load_snarkjs_public(wide) == list(range(1000))
    with pytest.raises(ArgumentError, match="'text'"):
        groth16.load_snarkjs_public("[" + "[]," * deep + "[]]")
    with pytest.raises(ArgumentError, match="'text'"):
        groth16.load_snarkjs_public("[" * 65 + '"\\"' * deep)


@pytest.mark.parametrize("curve", CURVES)
def test_wrong_json(curve):
    key, proof = documents(curve)
    for field, document in changes(
        key, [f"vk_{name}" for name in ("alpha_1", "beta_2", "gamma_2", "delta_2")]
    ):
        with pytest.raises(ArgumentError, match=f"'{field}'"):
            groth16.load_snarkjs_key(json.dumps(document))
    for field, value in (
        ("nPublic", 2),
        ("nPublic", True),
        ("nPublic", "1"),
        ("IC", []),
        ("IC", "x"),
        ("IC", {}),
    ):
        with pytest.raises(ArgumentError, match=f"'{field}'"):
            groth16.load_snarkjs_key(json.dumps({**key, field: value}))
    with pytest.raises(ArgumentError, match=r"'IC\[1\]'"):
        groth16.load_snarkjs_key(json.dumps({**key, "IC": [key["IC"][0], key["IC"][0][::-1]]}))
    wrong = list(changes(proof, ("pi_a", "pi_b", "pi_c")))
    for field, document in wrong:
        with pytest.raises(ArgumentError, match=f"'{field}'"):
            groth16.load_snarkjs_proof(json.dumps(document))
    texts = [json.dumps(document) for _, document in wrong]
    for text in ("", "{", "[]", "1", "\ud800", "[" * 100_000, '{"pi_a": 1, "pi_a": 1}'):
        for load in (groth16.load_snarkjs_key, groth16.load_snarkjs_proof):
            with pytest.raises(ArgumentError, match="'text'"):
                load(text)
        texts.append(text)
    found = groth16.load_snarkjs_proofs([json.dumps(proof), *texts, json.dumps(proof).encode()], curve)
    assert found.well_formed.tolist() == [True, *[False] * len(texts), True]
    other = CURVES[curve == "bn254"]
    assert groth16.load_snarkjs_proofs([json.dumps(proof)], other).well_formed.tolist() == [False]
    for texts, name in (("{}", "texts"), ([None], "texts")):
        with pytest.raises(ArgumentError, match=f"'{name}'"):
            groth16.load_snarkjs_proofs(texts, curve)
    with pytest.raises(ArgumentError, match="'curve'"):
        groth16.load_snarkjs_proofs([], "bn128")


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["1", "0", "bn128"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(st.sampled_from(["protocol", "curve", "pi_a", "pi_b", "pi_c"]), JUNK)
@settings(max_examples=80)
def test_any_json_in_a_field(field, junk):
    """Nothing but an error that names a field, and −1 in a batch."""
    _, proofs = made("bn254")
    document = {"protocol": "groth16", "curve": "bn128"}
    document |= {f"pi_{side}": points for side, (points,) in zip("abc", proof_points(proofs), strict=True)}
    text = json.dumps({**document, field: junk})
    try:
        groth16.load_snarkjs_proof(text)
    except ArgumentError:
        assert groth16.load_snarkjs_proofs([text], "bn254").well_formed.tolist() == [False]
    else:
        assert json.loads(text) == document


def proof_points(proofs):
    groups = groth16_columns.curve_of(proofs.curve)
    return (
        groups.g1.to_snarkjs(proofs.a[:1]),
        groups.g2.to_snarkjs(proofs.b[:1]),
        groups.g1.to_snarkjs(proofs.c[:1]),
    )


@given(st.binary(max_size=3), st.integers(0, 255), st.sampled_from([case[:2] for case in BINARY]))
@settings(max_examples=60)
def test_any_bytes_in_a_proof(junk, place, case):
    """What is read is what the tool would have written."""
    curve, form = case
    _, proofs = made(curve)
    encoding = next(each for each in BINARY if each[:2] == case)[2]
    data = bytearray(proof_bytes(proofs, 0, form, encoding))
    for at, byte in enumerate(junk, place):
        data[at % len(data)] = byte
    found = groth16.load_proofs(array(data), curve, form)
    if found.well_formed[0]:
        assert proof_bytes(found, 0, form, encoding) == data


def test_a_key_is_read_once():
    text = json.dumps(documents("bn254")[0])
    assert groth16.load_snarkjs_key(text) is groth16.load_snarkjs_key(text.encode())


def test_public_inputs():
    assert groth16.load_snarkjs_public('["33", "0"]') == [33, 0]
    assert groth16.load_snarkjs_public(b"[]") == []
    for text in ("33", "[33]", '["-1"]', '["0x1"]', '[" 1"]', f'["{"9" * 79}"]', "{}", "", '["٣"]'):
        with pytest.raises(ArgumentError, match="'text'"):
            groth16.load_snarkjs_public(text)
    with pytest.raises(ArgumentError, match="'text'"):
        groth16.load_snarkjs_public(None)
