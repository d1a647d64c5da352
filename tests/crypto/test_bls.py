# SPDX-License-Identifier: GPL-3.0-or-later
"""BLS signatures against the Ethereum suite, real aggregates and beacons, py_ecc, and single checks."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from lanes_here import on_kinds_and_twin
from py_ecc.bls import G2Basic, G2MessageAugmentation, G2ProofOfPossession

from supervm.crypto import bls, curves
from supervm.kernels.errors import ArgumentError

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "bls"
R = curves.get("bls12_381").g1.order
THEIRS = {"basic": G2Basic, "augmented": G2MessageAugmentation, "pop": G2ProofOfPossession}

Bytes = npt.NDArray[np.uint8]


def vectors(name: str) -> Any:
    path = DATA / f"{name}_give.json"
    if not path.exists():
        pytest.skip(f"not here: {path.name}")
    return json.loads(path.read_text("utf-8"))


def cases(handler: str) -> list[dict[str, Any]]:
    return [case for case in vectors("eth_bls12_381_tests") if case["handler"] == handler]


def data(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def table(rows: list[bytes], width: int) -> Bytes:
    return np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), width)


# Published vectors -----------------------------------------------------------------------------------------------


def test_ethereum_signs_and_aggregates() -> None:
    for case in cases("sign"):
        secret, message = int(case["input"]["privkey"], 16), data(case["input"]["message"])
        if case["output"] is None:
            with pytest.raises(ArgumentError, match="secret_key"):
                bls.sign(secret, message)
        else:
            assert bls.sign(secret, message) == data(case["output"]), case["name"]
    for case in cases("aggregate"):
        given = table([data(text) for text in case["input"]], 96)
        if case["output"] is None:
            with pytest.raises(ValueError, match="signatures"):
                bls.aggregate(given)
        else:
            assert bls.aggregate(given) == data(case["output"]), case["name"]


def test_ethereum_verifies() -> None:
    """Every case at once, and each by itself: the verdicts are the same."""
    known = cases("verify")
    keys = table([data(case["input"]["pubkey"]) for case in known], 48)
    messages = [data(case["input"]["message"]) for case in known]
    signatures = table([data(case["input"]["signature"]) for case in known], 96)
    expected = [bool(case["output"]) for case in known]
    found = bls.verify_batch(keys, messages, signatures)
    assert [verdict == 1 for verdict in found] == expected
    for index in range(len(known)):
        alone = bls.verify_batch(
            keys[index : index + 1], messages[index : index + 1], signatures[index : index + 1]
        )
        assert alone[0] == found[index], known[index]["name"]
    for case in cases("batch_verify"):
        given = case["input"]
        verdicts = bls.verify_batch(
            table([data(text) for text in given["pubkeys"]], 48),
            [data(text) for text in given["messages"]],
            table([data(text) for text in given["signatures"]], 96),
        )
        assert bool((verdicts == 1).all()) == case["output"], case["name"]


def test_ethereum_aggregates_are_verified() -> None:
    for case in cases("fast_aggregate_verify"):
        given = case["input"]
        keys = table([data(text) for text in given["pubkeys"]], 48)
        found = bls.fast_aggregate_verify(keys, data(given["message"]), data(given["signature"]))
        assert (found == 1) == case["output"], case["name"]
    for case in cases("aggregate_verify"):
        given = case["input"]
        keys = table([data(text) for text in given["pubkeys"]], 48)
        messages = [data(text) for text in given["messages"]]
        found = bls.aggregate_verify(keys, messages, data(given["signature"]))
        assert (found == 1) == case["output"], case["name"]


def test_ethereum_deserialises() -> None:
    for handler, group, field, width in (
        ("deserialization_G1", curves.get("bls12_381").g1, "pubkey", 48),
        ("deserialization_G2", curves.get("bls12_381").g2, "signature", 96),
    ):
        for case in cases(handler):
            encoded = data(case["input"][field])
            if len(encoded) != width:
                assert not case["output"]
                continue
            _, verdicts = group.from_bytes(table([encoded], width), "zcash_compressed")
            assert (verdicts[0] == 1) == case["output"], case["name"]


def test_sync_committees() -> None:
    """Real aggregates of 510 to 512 keys: all of them in one call, and one key too few."""
    known = vectors("sync_committee")
    committees = [[data(text) for text in case["pubkeys"]] for case in known]
    keys = bls.decode_keys(table([key for committee in committees for key in committee], 48))
    offsets = np.cumsum([0, *map(len, committees)])
    messages = [data(case["message"]) for case in known]
    signatures = table([data(case["signature"]) for case in known], 96)
    assert bls.fast_aggregate_verify_batch(keys, offsets, messages, signatures).tolist() == [1] * len(known)
    fewer = offsets.copy()
    fewer[1] -= 1
    found = bls.fast_aggregate_verify_batch(keys, fewer, messages, signatures)
    assert found.tolist() == [0, 0] + [1] * (len(known) - 2)
    assert (
        bls.fast_aggregate_verify(keys.take(np.arange(offsets[1])), messages[0], signatures[0].tobytes()) == 1
    )


def test_beacons() -> None:
    """drand: both variants, and a network that signs in G1 under the name of G2."""
    for case in vectors("drand"):
        variant = "min-pk" if case["signature_group"] == "G2" else "min-sig"
        key, signature = data(case["public_key"]), data(case["signature"])
        message = hashlib.sha256(data(case["previous_signature"]) + case["round"].to_bytes(8, "big")).digest()
        assert message == data(case["message"])
        found = bls.verify_batch(
            table([key], len(key)),
            [message],
            table([signature], len(signature)),
            variant=variant,
            dst=case["dst"].encode(),
        )
        assert (found[0] == 1) == case["output"], case["name"]


@pytest.mark.parametrize(("name", "variant"), [("min_pk_g2", "min-pk"), ("min_sig_g1", "min-sig")])
def test_signatures_of_another_library(name: str, variant: str) -> None:
    """Both variants in the suite `basic`: one of ten is signed again, all are verified."""
    known = vectors(name)
    chosen = [case for case in known["vectors"] if 0 < int(case["private_key"], 16) < R]
    for case in chosen[::40]:
        signature = bls.sign(
            int(case["private_key"], 16), data(case["message"]), variant=variant, suite="basic"
        )
        assert signature == data(case["signature"])
    some = chosen[::8]
    keys = [bls.public_key(int(case["private_key"], 16), variant=variant) for case in some]
    signatures = [data(case["signature"]) for case in some]
    verdicts = bls.verify_batch(
        table(keys, len(keys[0])),
        [data(case["message"]) for case in some],
        table(signatures, len(signatures[0])),
        variant=variant,
        dst=known["dst"].encode(),
    )
    assert verdicts.tolist() == [1] * len(some)


@pytest.mark.parametrize("suite", bls.SUITES)
def test_py_ecc_agrees(suite: str) -> None:
    secret, message = 0x1234567 << 200, b"beside py_ecc"
    theirs = THEIRS[suite]
    signature = theirs.Sign(secret, message)
    assert bls.sign(secret, message, suite=suite) == signature
    key = theirs.SkToPk(secret)
    assert bls.public_key(secret) == key
    found = bls.verify_batch(
        table([key] * 2, 48), [message, b"another"], table([signature] * 2, 96), suite=suite
    )
    assert found.tolist() == [1, 0]
    if suite == "pop":
        proof = bls.prove_possession(secret)
        assert proof == G2ProofOfPossession.PopProve(secret)
        assert bls.verify_possession_batch(table([key] * 2, 48), table([proof, signature], 96)).tolist() == [
            1,
            0,
        ]


# Batches ---------------------------------------------------------------------------------------------------------


def _batch(variant: str, count: int, source: random.Random) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """Keys, messages and signatures of a few signers, by multiples of one hashed message each."""
    secrets = [source.randrange(1, R) for _ in range(4)]
    known = [bls.public_key(secret, variant=variant) for secret in secrets]
    texts = [source.randbytes(source.choice((0, 1, 32, 200))) for _ in range(5)]
    signed = {
        (signer, text): bls.sign(secret, texts[text], variant=variant)
        for signer, secret in enumerate(secrets)
        for text in range(len(texts))
    }
    chosen = [(source.randrange(4), source.randrange(5)) for _ in range(count)]
    return (
        [known[signer] for signer, _ in chosen],
        [texts[text] for _, text in chosen],
        [signed[each] for each in chosen],
    )


def _outside(group: str) -> bytes:
    """A point of the curve that is not in the subgroup."""
    from supervm.crypto.oracle.pairing_groups import GROUPS
    from supervm.crypto.oracle.point_encodings import encode

    name = f"bls12_381.{group}"
    return encode(name, GROUPS[name].curve_point(5), "zcash_compressed")


@pytest.mark.parametrize("variant", bls.VARIANTS)
@pytest.mark.parametrize(("count", "bad"), [(1, 1), (2, 1), (21, 0), (40, 1), (40, 20), (24, 24)])
def test_every_verdict_is_that_of_a_single_check(variant: str, count: int, bad: int) -> None:
    """Items damaged in every way, at random places, among signers and messages that come again."""
    source = random.Random(f"{variant} {count} {bad}")
    keys, messages, signatures = _batch(variant, count, source)
    key_group, signature_group = bls.VARIANTS[variant]
    infinity = {width: bytes([0xC0]) + bytes(width - 1) for width in (48, 96)}
    expected = [1] * count
    for at in source.sample(range(count), bad):
        kind = source.randrange(7)
        if kind == 0:
            messages[at] += b"?"
        elif kind == 1:
            signatures[at] = bls.sign(source.randrange(1, R), messages[at], variant=variant)
        elif kind == 2:
            signatures[at] = infinity[len(signatures[at])]
        elif kind == 3:
            signatures[at] = _outside(signature_group)
        elif kind == 4:
            keys[at] = infinity[len(keys[at])]
        elif kind == 5:
            keys[at] = _outside(key_group)
        else:
            signatures[at] = bytes([signatures[at][0] & 0x7F]) + signatures[at][1:]
        expected[at] = 0 if kind < 4 else -1
    found = bls.verify_batch(
        table(keys, len(keys[0])),
        messages,
        table(signatures, len(signatures[0])),
        variant=variant,
    )
    assert found.tolist() == expected


@on_kinds_and_twin
def test_backends_agree(backend: str) -> None:
    """A batch of which one is wrong, on every kind of lanes and on the CUDA sources."""
    keys, messages, signatures = _batch("min-pk", 3, random.Random(5))
    messages[1] += b"?"
    found = bls.verify_batch(table(keys, 48), messages, table(signatures, 96), backend=backend)
    assert found.tolist() == [1, 0, 1]


def test_signatures_that_cancel_each_other() -> None:
    """Two signatures whose errors add up to nothing: without weights they would pass together."""
    group = curves.get("bls12_381").g2
    source = random.Random(3)
    keys, messages, signatures = _batch("min-pk", 6, source)
    points, _ = group.from_bytes(table(signatures, 96), "zcash_compressed")
    error = group.generator[None]
    points[1] = group.add(points[1:2], error)[0]
    points[4] = group.add(points[4:5], group.negate(error))[0]
    spoiled = group.to_bytes(points, "zcash_compressed")
    assert bls.verify_batch(table(keys, 48), messages, spoiled).tolist() == [1, 0, 1, 1, 0, 1]


def test_committees_in_one_call() -> None:
    """Sums of keys: none, one, equal ones, opposite ones, one that is refused."""
    secrets = [5, 7, 9, R - 9]
    known = [bls.public_key(secret) for secret in secrets]
    sets = [[0, 1], [], [2], [2, 2], [2, 3], [0, 1, 2], [0, 4]]
    infinity = bytes([0xC0]) + bytes(47)
    rows = [[*known, infinity][index] for chosen in sets for index in chosen]
    offsets = np.cumsum([0, *map(len, sets)])
    totals = [12, 1, 9, 18, 1, 22, 5]
    message = b"together"
    signatures = table([bls.sign(total, message) for total in totals], 96)
    found = bls.fast_aggregate_verify_batch(table(rows, 48), offsets, [message] * len(sets), signatures)
    assert found.tolist() == [1, 0, 1, 1, 0, 0, -1]


def test_aggregates_of_several_messages() -> None:
    secrets = [5, 7, 9]
    keys = table([bls.public_key(secret) for secret in secrets], 48)
    messages = [b"a", b"b", b"b"]
    for suite, expected in (("pop", 1), ("augmented", 1), ("basic", 0)):
        parts = [
            bls.sign(secret, message, suite=suite) for secret, message in zip(secrets, messages, strict=True)
        ]
        total = bls.aggregate(table(parts, 96))
        assert bls.aggregate_verify(keys, messages, total, suite=suite) == expected
        assert bls.aggregate_verify(keys, [b"a", b"b", b"c"], total, suite=suite) == 0
    assert bls.aggregate_verify(keys[:0], [], total) == 0
    assert bls.aggregate_verify(keys, messages, total[:95]) == -1


# Arguments -------------------------------------------------------------------------------------------------------


def test_nothing() -> None:
    none = np.zeros((0, 48), np.uint8), np.zeros((0, 96), np.uint8)
    assert bls.verify_batch(none[0], [], none[1]).tolist() == []
    assert bls.fast_aggregate_verify_batch(none[0], [0], [], none[1]).tolist() == []
    assert bls.fast_aggregate_verify(none[0], b"", bytes([0xC0]) + bytes(95)) == 0
    with pytest.raises(ValueError, match="one or more"):
        bls.aggregate(none[1])


def test_keys_are_decoded_once() -> None:
    key = bls.public_key(77)
    keys = bls.decode_keys(table([key, bytes(48)], 48))
    assert keys.verdicts.tolist() == [1, -1]
    assert bls.decode_keys(keys) is keys
    signature = table([bls.sign(77, b"m")] * 2, 96)
    assert bls.verify_batch(keys, [b"m"] * 2, signature).tolist() == [1, -1]
    assert bls.verify_batch(keys.take([0, 0]), [b"m"] * 2, signature).tolist() == [1, 1]
    with pytest.raises(ArgumentError, match="keys of min-pk"):
        bls.verify_batch(keys, [b"m"] * 2, signature, variant="min-sig")


@pytest.mark.parametrize(
    ("change", "argument"),
    [
        ({"public_keys": np.zeros((1, 96), np.uint8)}, "public_keys"),
        ({"public_keys": np.zeros((2, 48), np.uint8)}, "messages"),
        ({"signatures": np.zeros((1, 48), np.uint8)}, "signatures"),
        ({"signatures": b""}, "signatures"),
        ({"messages": [1]}, "messages"),
        ({"variant": "min"}, "variant"),
        ({"suite": "eth"}, "suite"),
        ({"dst": b""}, "dst"),
        ({"dst": "text"}, "dst"),
    ],
)
def test_what_is_no_argument(change: dict[str, Any], argument: str) -> None:
    given: dict[str, Any] = {
        "public_keys": np.zeros((1, 48), np.uint8),
        "messages": [b""],
        "signatures": np.zeros((1, 96), np.uint8),
        **change,
    }
    columns = [given.pop(name) for name in ("public_keys", "messages", "signatures")]
    with pytest.raises(ArgumentError, match=argument):
        bls.verify_batch(*columns, **given)


def test_other_arguments() -> None:
    key, signature = table([bls.public_key(3)], 48), table([bls.sign(3, b"")], 96)
    with pytest.raises(ArgumentError, match="offsets"):
        bls.fast_aggregate_verify_batch(key, [0, 2], [b""], signature)
    with pytest.raises(ArgumentError, match="augmented"):
        bls.fast_aggregate_verify_batch(key, [0, 1], [b""], signature, suite="augmented")
    with pytest.raises(ArgumentError, match="secret_key"):
        bls.sign(0, b"")
    with pytest.raises(ArgumentError, match="secret_key"):
        bls.public_key(R)
    with pytest.raises(ArgumentError, match="signature"):
        bls.aggregate_verify(key, [b""], 5)  # type: ignore[arg-type]
