# SPDX-License-Identifier: GPL-3.0-or-later
"""Every route, against what the library itself returns for the same arguments."""

from __future__ import annotations

import random
from itertools import chain

import numpy as np
import pytest
from pairing_requests import bls_signed, proved

from supervm.crypto import curves, hashes, merkle, msm, poseidon, secp256k1
from supervm.crypto.point_encodings import ENCODINGS
from supervm.engine import conflicts
from supervm.tiers.service.http import models


def hexes(rows, prefix="0x"):
    return [prefix + bytes(row).hex() for row in rows]


def words(values):
    """Numbers as uint64 (n, 4)."""
    return np.frombuffer(b"".join(value.to_bytes(32, "little") for value in values), np.uint64).reshape(-1, 4)


def values(array):
    return [int.from_bytes(row.tobytes(), "little") for row in array]


@pytest.mark.parametrize(
    ("scheme", "width"), [("ed25519", 32), ("schnorr", 32), ("ecdsa", 33), ("ecdsa", 64)]
)
def test_verify(http, mixed_items, scheme, width):
    items = [
        item
        for item in mixed_items
        if (item.scheme, len(item.public_key), len(item.signature)) == (scheme, width, 64)
        if item.digest is None or len(item.digest) == 32
    ]
    signed = "digests" if scheme == "ecdsa" else "messages"
    body = {
        "scheme": scheme,
        "public_keys": hexes((item.public_key for item in items), prefix=""),
        signed: hexes((item.message if item.digest is None else item.digest for item in items), "0X"),
        "signatures": hexes(item.signature for item in items),
    }
    assert http.ask("/v1/verify", body) == {"verdicts": [item.verdict for item in items]}
    assert len({item.verdict for item in items}) > 1


def test_rules(http, ed25519_vectors):
    cases = [case for case in ed25519_vectors if case.name.startswith("speccheck")]
    body = {
        "scheme": "ed25519",
        "public_keys": hexes(case.public_key for case in cases),
        "messages": hexes(case.message for case in cases),
        "signatures": hexes(case.signature for case in cases),
    }
    for rule in ("dalek", "strict", "zip215"):
        found = http.ask("/v1/verify", body | {"rule": rule})["verdicts"]
        assert [verdict == 1 for verdict in found] == [case.valid[rule] for case in cases]


def test_high_s(http, ecdsa_cases):
    cases = [case for case in ecdsa_cases if len(case.public_key) == 33 and len(case.signature) == 64]
    keys, digests, signatures = (
        np.frombuffer(b"".join(getattr(case, name) for case in cases), np.uint8).reshape(len(cases), -1)
        for name in ("public_key", "digest", "signature")
    )
    found = []
    for high in (False, True):
        body = {
            "scheme": "ecdsa",
            "public_keys": hexes(keys),
            "digests": hexes(digests),
            "signatures": hexes(signatures),
            "allow_high_s": high,
        }
        found.append(http.ask("/v1/verify", body)["verdicts"])
        expected = secp256k1.ecdsa_verify_batch(keys, digests, signatures, low_s=not high)
        assert found[-1] == expected.tolist()
    assert found[0] != found[1]


def test_recover(http, recover_vectors):
    cases = [case for case in recover_vectors if case.v in (27, 28)][:20]
    body = {
        "digests": hexes(case.digest for case in cases),
        "signatures": hexes(case.rs + bytes([case.v - 27]) for case in cases),
    }
    answer = http.ask("/v1/recover", body)
    keys = [bytes.fromhex(text.removeprefix("0x")) for text in answer["public_keys"]]
    assert [verdict == 1 for verdict in answer["verdicts"]] == [bool(case.address) for case in cases]
    rows = np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 64)
    addresses = hashes.eth_address_batch(rows)
    for key, address, case in zip(keys, addresses, cases, strict=True):
        assert address.tobytes() == case.address if case.address else key == bytes(64)


@pytest.mark.parametrize("function", ["sha256", "sha512", "keccak256", "blake2b"])
def test_hash(http, function):
    messages = [bytes([index]) * (37 * index) for index in range(10)]
    found = http.ask("/v1/hash", {"function": function, "messages": hexes(messages)})
    assert found == {"digests": hexes(getattr(hashes, f"{function}_batch")(messages))}
    assert http.ask("/v1/hash", {"function": function, "messages": []}) == {"digests": []}


@pytest.mark.parametrize(("hash", "arity"), [("sha256", 2), ("keccak256", 5)])
def test_merkle_root(http, hash, arity):
    leaves = np.arange(77 * 32, dtype=np.uint32).astype(np.uint8).reshape(77, 32)
    found = http.ask("/v1/merkle-root", {"hash": hash, "arity": arity, "leaves": hexes(leaves)})
    assert found["root"] == "0x" + merkle.root(leaves, hash, arity).value.tobytes().hex()


def test_merkle_root_of_numbers(http):
    leaves = [random.Random(index).randrange(1 << 250) for index in range(9)]
    texts = [str(leaf) if index % 2 else hex(leaf) for index, leaf in enumerate(leaves)]
    found = http.ask("/v1/merkle-root", {"hash": "poseidon_bn254", "leaves": texts})
    expected = merkle.root(words(leaves), "poseidon_bn254").value
    assert int(found["root"], 16) == values([expected])[0]


@pytest.mark.parametrize(("encoding", "group"), [("big", "g1"), ("eip196", "g1"), ("limbs", "g2")])
def test_msm(http, encoding, group):
    there = getattr(curves.get("bn254"), group)
    factors = [random.Random(index).randrange(there.order) for index in range(10)]
    points = there.multiply(np.repeat(there.generator[None], 10, axis=0), words(factors[::-1]))
    body = {
        "curve": "bn254",
        "group": group,
        "encoding": encoding,
        "points": hexes(row.tobytes() for row in there.to_bytes(points, encoding)),
        "scalars": list(map(str, factors)),
    }
    expected = there.to_bytes(msm.msm("bn254", points, words(factors), group=group), encoding)
    assert http.ask("/v1/msm", body) == {"point": "0x" + expected.tobytes().hex()}


def test_encodings_are_those_of_the_library():
    listed = models.MsmBody.model_json_schema()["properties"]["encoding"]["enum"]
    assert sorted(listed) == sorted(["limbs", *ENCODINGS])


def test_poseidon(http):
    inputs = [[random.Random(row * 3 + at).randrange(1 << 250) for at in range(3)] for row in range(20)]
    expected = poseidon.hash_batch("bls12_381", words(list(chain(*inputs))).reshape(20, 3, 4))
    body = {"field": "bls12_381", "inputs": [[str(first), *map(hex, rest)] for first, *rest in inputs]}
    found = http.ask("/v1/poseidon", body)["digests"]
    assert [int(text, 16) for text in found] == values(expected)
    assert {len(text) for text in found} == {66}


@pytest.mark.parametrize("rule", ["versioned", "locking"])
def test_conflicts(http, rule):
    choose = random.Random(7)
    reads, writes = (
        [[choose.randrange(40) << 58 for _ in range(choose.randrange(4))] for _ in range(100)] for _ in "rw"
    )
    columns = []
    for lists in (reads, writes):
        columns.append(np.concatenate(([0], np.cumsum([len(one) for one in lists]))))
        columns.append(np.array(list(chain(*lists)), np.uint64))
    expected = conflicts.detect(*columns, rule=rule, edges=True)
    body = {"rule": rule, "reads": reads, "writes": writes}
    assert http.ask("/v1/conflicts", body) == {"waves": expected.wave.tolist()}
    found = http.ask("/v1/conflicts", body | {"want_edges": True, "want_hot_keys": True})
    assert found == {
        "waves": expected.wave.tolist(),
        "edge_offsets": expected.edge_offsets.tolist(),
        "edges": expected.edges.tolist(),
        "hot_keys": expected.hot_keys.tolist(),
        "hot_counts": expected.hot_counts.tolist(),
    }


def test_examples_of_the_document_are_answered(http):
    """Each body's example, and the verdicts it is made for."""
    found = {
        "/v1/verify": models.VerifyBody,
        "/v1/recover": models.RecoverBody,
        "/v1/hash": models.HashBody,
        "/v1/merkle-root": models.MerkleRootBody,
        "/v1/msm": models.MsmBody,
        "/v1/poseidon": models.PoseidonBody,
        "/v1/conflicts": models.ConflictsBody,
    }
    answers = {
        path: http.ask(path, model.model_json_schema()["examples"][0]) for path, model in found.items()
    }
    assert answers["/v1/verify"] == {"verdicts": [1]}
    assert answers["/v1/recover"]["verdicts"] == [1]
    assert answers["/v1/conflicts"]["waves"] == [0, 1, 0]


def test_the_operations_are_mounted(http):
    assert http.client.get("/readyz").text == "ready\n"
    assert "text/html" in http.client.get("/").headers["content-type"]
    http.ask("/v1/hash", {"function": "sha256", "messages": []})
    http.post("/v1/hash", {"function": "md5", "messages": []})
    text = http.client.get("/metrics").text
    assert 'supervm_requests_total{call="/v1/hash",code="OK"}' in text
    assert 'supervm_requests_total{call="/v1/hash",code="INVALID_ARGUMENT"} 1.0' in text


def test_groth16(http):
    for format, curve in (("ethereum", "bn254"), ("arkworks_compressed", "bls12_381")):
        some = proved(7, format)
        body = {
            "curve": curve,
            "verifying_key": some.key.encode().hex(),
            "proofs": hexes(some.proofs),
            "public_inputs": [[str(row[0]), hex(row[1])] for row in some.inputs],
        }
        assert http.ask("/v1/verify-groth16", body) == {"verdicts": some.verdicts}
        assert http.ask("/v1/verify-groth16", {**body, "format": format}) == {"verdicts": some.verdicts}
        body["public_inputs"][0] = ["1", str(2**256 - 1)]
        assert http.ask("/v1/verify-groth16", body) == {"verdicts": [-1, *some.verdicts[1:]]}
    nothing = {"curve": "bn254", "verifying_key": "7b7d", "proofs": [], "public_inputs": []}
    assert http.ask("/v1/verify-groth16", nothing) == {"verdicts": []}


def test_bls(http):
    signed = bls_signed(4)
    body = {
        "public_keys": hexes(each.key for each in signed),
        "messages": hexes(each.message for each in signed),
        "signatures": hexes(each.signature for each in signed),
    }
    assert http.ask("/v1/verify-bls", body) == {"verdicts": [each.verdict for each in signed]}
    assert http.ask("/v1/verify-bls", {**body, "suite": "basic"}) == {"verdicts": [0] * 4}
    body |= {"suite": "basic", "dst": b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_".hex()}
    assert http.ask("/v1/verify-bls", body) == {"verdicts": [each.verdict for each in signed]}
    keys = [[key] for key in body.pop("public_keys")]
    assert http.ask("/v1/verify-bls", {**body, "committees": keys}) == {
        "verdicts": [each.verdict for each in signed]
    }
    both = [keys[0] + keys[1], *keys[1:]]
    assert http.ask("/v1/verify-bls", {**body, "committees": both})["verdicts"][0] == 0


@pytest.mark.parametrize(
    ("path", "changed", "field"),
    [
        ("/v1/verify-groth16", {"verifying_key": "7"}, "verifying_key"),
        ("/v1/verify-groth16", {"verifying_key": "0xzz"}, "verifying_key"),
        ("/v1/verify-groth16", {"verifying_key": "7b7d"}, "verifying_key"),
        ("/v1/verify-groth16", {"proofs": ["00", "00"]}, "proofs"),
        ("/v1/verify-groth16", {"public_inputs": []}, "public_inputs"),
        ("/v1/verify-groth16", {"public_inputs": [["1", "2"], ["1"]]}, "public_inputs[1]"),
        ("/v1/verify-groth16", {"public_inputs": [["1", "2"], ["1", "-2"]]}, "public_inputs[1][1]"),
        ("/v1/verify-groth16", {"curve": "bn128"}, "curve"),
        ("/v1/verify-groth16", {"format": "snarkjs"}, "format"),
        ("/v1/verify-groth16", {"circuit": "cube", "verifying_key": ""}, "circuit"),
        ("/v1/verify-bls", {"variant": "min-sig"}, "public_keys[0]"),
        ("/v1/verify-bls", {"dst": "00" * 256}, "dst"),
        ("/v1/verify-bls", {"committees": [[], []]}, "committees"),
        ("/v1/verify-bls", {"public_keys": None}, "public_keys"),
        ("/v1/verify-bls", {"public_keys": ["00" * 48]}, "public_keys"),
        ("/v1/verify-bls", {"messages": ["00"]}, "messages"),
    ],
)
def test_a_wrong_member_is_named(http, path, changed, field):
    some, signed = proved(2), bls_signed(2)
    body = {
        "/v1/verify-groth16": {
            "curve": "bn254",
            "verifying_key": some.key.encode().hex(),
            "proofs": hexes(some.proofs),
            "public_inputs": [["1", "2"], ["3", "4"]],
        },
        "/v1/verify-bls": {
            "public_keys": hexes(each.key for each in signed),
            "messages": ["00", "01"],
            "signatures": hexes(each.signature for each in signed),
        },
    }[path]
    response = http.post(path, {**body, **changed})
    assert (response.status_code, response.json()["field"]) == (400, field), response.text
