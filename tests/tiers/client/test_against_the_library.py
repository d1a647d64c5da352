# SPDX-License-Identifier: GPL-3.0-or-later
"""Every method through a real service, against what the library itself returns for the same arguments."""

from __future__ import annotations

import asyncio
import functools

import numpy as np
import pytest

from supervm.benchmarks.service.process import server
from supervm.crypto import curves, ed25519, hashes, merkle, msm, poseidon, secp256k1
from supervm.engine import conflicts
from supervm.tiers.client import AsyncClient, Client, ServiceRefused


@pytest.fixture(scope="module")
def service():
    """The address of a service."""
    with server("--grpc", "127.0.0.1:0", "--http", "off") as running:
        yield running.grpc


@pytest.fixture
def ask(call, service):
    """`call` of the service, with time for kernels that have to be compiled first."""
    return functools.partial(call, service, timeout=600.0)


@pytest.fixture(scope="module")
def columns(mixed_items):
    """columns(scheme, key bytes): keys, what is signed, signatures and verdicts of well-formed rows."""

    def take(scheme, width):
        items = [
            item
            for item in mixed_items
            if item.scheme == scheme and len(item.public_key) == width and len(item.signature) == 64
        ]
        items = [item for item in items if item.digest is None or len(item.digest) == 32]
        assert len(items) > 2
        keys = np.frombuffer(b"".join(item.public_key for item in items), np.uint8).reshape(-1, width)
        signed = [item.message if item.digest is None else item.digest for item in items]
        rows = np.frombuffer(b"".join(item.signature for item in items), np.uint8).reshape(-1, 64)
        return keys, signed, rows, [item.verdict for item in items]

    return take


def same(found, expected):
    assert type(found) is type(expected)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("rule", ["dalek", "strict", "zip215"])
def test_ed25519(ask, columns, rule):
    keys, messages, rows, verdicts = columns("ed25519", 32)
    found = ask("verify_ed25519", keys, messages, rows, call={"rule": rule})
    same(found, ed25519.verify_batch(keys, messages, rows, rule=rule))
    assert found.tolist() == verdicts


def test_ed25519_rules_differ(ask, ed25519_vectors):
    cases = [case for case in ed25519_vectors if case.name.startswith("speccheck")]
    given = ([case.public_key for case in cases], [case.message for case in cases])
    rows = [case.signature for case in cases]
    for rule in ("dalek", "strict", "zip215"):
        found = ask("verify_ed25519", *given, rows, call={"rule": rule})
        assert (found == 1).tolist() == [case.valid[rule] for case in cases]


@pytest.mark.parametrize("width", [33, 64, 65])
def test_ecdsa(ask, columns, width):
    keys, signed, rows, verdicts = columns("ecdsa", width) if width != 65 else _uncompressed(columns)
    digests = np.frombuffer(b"".join(signed), np.uint8).reshape(-1, 32)
    found = ask("verify_ecdsa", keys, signed, rows)
    same(found, secp256k1.ecdsa_verify_batch(keys, digests, rows))
    assert found.tolist() == verdicts
    high = rows.copy()
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    s = order - int.from_bytes(rows[0, 32:].tobytes(), "big")
    high[0, 32:] = np.frombuffer(s.to_bytes(32, "big"), np.uint8)
    for low_s, verdict in ((True, 0), (False, 1)):
        assert ask("verify_ecdsa", keys, signed, high, call={"low_s": low_s})[0] == verdict


def _uncompressed(columns):
    keys, signed, rows, verdicts = columns("ecdsa", 64)
    return np.insert(keys, 0, 4, axis=1), signed, rows, verdicts


def test_schnorr(ask, columns):
    keys, messages, rows, verdicts = columns("schnorr", 32)
    found = ask("verify_schnorr", keys, messages, rows)
    same(found, secp256k1.schnorr_verify_batch(keys, messages, rows))
    assert found.tolist() == verdicts


def test_recover(ask, recover_vectors):
    cases = [case for case in recover_vectors if case.v in (27, 28)][:20]
    digests = np.frombuffer(b"".join(case.digest for case in cases), np.uint8).reshape(-1, 32)
    rows = np.frombuffer(b"".join(case.rs + bytes([case.v - 27]) for case in cases), np.uint8).reshape(-1, 65)
    keys, verdicts = ask("recover", digests, rows)
    expected, expected_verdicts = secp256k1.ecdsa_recover_batch(digests, rows)
    same(keys, expected)
    same(verdicts, expected_verdicts)
    addresses = hashes.eth_address_batch(keys[verdicts == 1])
    assert [row.tobytes() for row in addresses] == [case.address for case in cases if case.address]


@pytest.mark.parametrize("function", ["sha256", "sha512", "keccak256", "blake2b"])
def test_hash(ask, function):
    messages = [bytes([index]) * (37 * index) for index in range(40)]
    found = ask("hash", function, messages, message_bytes=8_000)
    same(found, getattr(hashes, f"{function}_batch")(messages))


@pytest.mark.parametrize(("hash", "arity"), [("sha256", 2), ("keccak256", 5), ("poseidon_bn254", 3)])
def test_merkle_root(ask, hash, arity):
    leaves = np.arange(77 * 32, dtype=np.uint32).astype(np.uint8).reshape(77, 32)
    leaves[:, 31] &= 0x1F
    given = leaves.view(np.uint64) if hash.startswith("poseidon") else leaves
    same(ask("merkle_root", given, hash, arity), merkle.root(given, hash, arity).value)


@pytest.mark.parametrize(("curve", "group"), [("bn254", "g1"), ("bls12_381", "g2")])
def test_msm(ask, curve, group):
    there = getattr(curves.get(curve), group)
    factors = np.arange(1, 41, dtype=np.uint64).reshape(10, 4) & np.uint64(0xFFFF)
    points = there.multiply(np.repeat(there.generator[None], 10, axis=0), factors[::-1].copy())
    expected = msm.msm(curve, points, factors, group=group, subgroup=True)
    same(ask("msm", curve, points, factors, call={"group": group, "subgroup": True}), expected)
    packed = there.to_bytes(points, "big")
    found = ask("msm", curve, packed, factors, call={"group": group, "encoding": "big"})
    same(found, there.to_bytes(expected, "big"))


def test_msm_over_edwards25519(ask):
    neutral = np.zeros((3, 2, 4), np.uint64)
    neutral[:, 1, 0] = 1
    factors = np.ones((3, 4), np.uint64)
    same(ask("msm", "ed25519", neutral, factors), msm.msm("ed25519", neutral, factors))


@pytest.mark.parametrize("inputs", [1, 2, 5])
def test_poseidon(ask, inputs):
    given = np.arange(30 * inputs * 4, dtype=np.uint64).reshape(30, inputs, 4)
    for curve in ("bn254", "bls12_381"):
        same(ask("poseidon", curve, given, message_bytes=2_000), poseidon.hash_batch(curve, given))


@pytest.mark.parametrize("rule", ["versioned", "locking"])
def test_detect_conflicts(ask, rule):
    choose = np.random.default_rng(7)
    offsets = np.arange(0, 401, 2, dtype=np.int64)
    reads, writes = choose.integers(0, 60, (2, 400)).astype(np.uint64)
    given = (offsets, reads, offsets, writes)
    expected = conflicts.detect(*given, rule=rule, edges=True)
    found = ask("detect_conflicts", *given, call={"rule": rule, "edges": True, "hot_keys": True})
    assert found.wave_count == expected.wave_count > 1
    for name in ("wave", "edge_offsets", "edges", "hot_keys", "hot_counts"):
        same(getattr(found, name), getattr(expected, name))
    waves = ask("detect_conflicts", *given, call={"rule": rule})
    same(waves.wave, expected.wave)
    same(waves.edge_offsets, conflicts.detect(*given, rule=rule).edge_offsets)
    assert not waves.hot_keys.size


def test_the_field_of_a_refusal(ask):
    leaves = np.full((2, 4), 2**64 - 1, np.uint64)
    with pytest.raises(ServiceRefused) as error:
        ask("merkle_root", leaves, "poseidon_bn254")
    assert (error.value.code, error.value.field) == ("INVALID_ARGUMENT", "leaves")


KEY_BYTES = {"ed25519": (32,), "schnorr": (32,), "ecdsa": (33, 64, 65)}


@pytest.fixture(scope="module")
def singles(mixed_items):
    """(method, arguments, verdict) of signatures of every scheme in turns."""
    return [
        (
            f"submit_{item.scheme}",
            (item.public_key, item.message or item.digest or b"", item.signature),
            item.verdict,
        )
        for item in mixed_items
        if len(item.signature) == 64 and len(item.public_key) in KEY_BYTES[item.scheme]
        if item.digest is None or len(item.digest) == 32
    ] * 5


def test_a_stream(service, singles):
    with Client(service) as client, client.stream(in_flight=16, timeout=600.0) as stream:
        futures = [getattr(stream, method)(*arguments) for method, arguments, _ in singles]
    assert [future.result() for future in futures] == [verdict for *_, verdict in singles]


def test_a_stream_of_asyncio(service, singles):
    async def main():
        async with AsyncClient(service) as client, client.stream(in_flight=16, timeout=600.0) as stream:
            futures = [await getattr(stream, method)(*arguments) for method, arguments, _ in singles]
            return [await future for future in futures]

    assert asyncio.run(main()) == [verdict for *_, verdict in singles]
