# SPDX-License-Identifier: GPL-3.0-or-later
"""Every backend against every other on 40,000 items, one in 40 of them corrupted in each field, and the oracle.

A pool of signatures by other libraries is tiled to the full size; corruption makes an affected item its own, and so as many
are different as are corrupted. Fewer items, each with a key of its own and drawn anew for every seed, are compared between
backends only.
"""

from __future__ import annotations

import coincurve
import nacl.signing
import numpy as np
import pytest
from lanes_here import FULL, HERE, KINDS

from supervm.crypto import ed25519, hashes, secp256k1
from supervm.crypto.messages import Messages
from supervm.crypto.oracle import hashes as oracle_hashes

ITEMS = 40_000
FEWER = 20_000
"""For variants of an operation that already ran at full size."""
HASHED = 100_000
ONE_IN = 40
"""One item in so many is corrupted."""
POOL = 400
SAMPLES = 150
FRESH = 4096
SEEDS = (31, 32, 33)


def _rows(values):
    return np.array([np.frombuffer(value, np.uint8) for value in values])


def _tile(pool):
    return np.tile(pool, (ITEMS // POOL, 1))


def _corrupt(rng, rows):
    """Flip one bit in one row of `ONE_IN`, in place; which rows."""
    chosen = rng.choice(len(rows), len(rows) // ONE_IN, replace=False)
    columns = rng.integers(0, rows.shape[1], len(chosen))
    rows[chosen, columns] ^= (1 << rng.integers(0, 8, len(chosen))).astype(np.uint8)
    return chosen


def _messages(rng, pool):
    """The pool's messages tiled, one bit flipped in one of `ONE_IN` (never in an empty one), and which."""
    lengths = np.tile([len(message) for message in pool], ITEMS // POOL)
    data = np.tile(np.frombuffer(b"".join(pool), np.uint8), ITEMS // POOL)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    chosen = rng.choice(np.flatnonzero(lengths), ITEMS // ONE_IN, replace=False)
    data[offsets[chosen] + rng.integers(0, lengths[chosen])] ^= np.uint8(16)
    return Messages.of((data, offsets)), chosen


def _message(messages, index):
    return messages.data[messages.offsets[index] : messages.offsets[index + 1]].tobytes()


def _check(verdicts, corrupted, oracle):
    """All backends agree; what was left alone is valid; samples of both kinds are as the oracle says."""
    (first, reference), *others = verdicts.items()
    for name, found in others:
        assert np.array_equal(found, reference), (
            f"{name} and {first} differ at {np.flatnonzero(found != reference)}"
        )
    touched = np.unique(np.concatenate(corrupted))
    untouched = np.setdiff1d(np.arange(len(reference)), touched)
    assert (reference[untouched] == 1).all()
    invalid = int((reference != 1).sum())
    assert 0.9 * len(touched) < invalid <= len(touched)
    rng = np.random.default_rng(99)
    for index in [*rng.choice(touched, SAMPLES, replace=False), *rng.choice(untouched, SAMPLES // 10)]:
        assert oracle(index) == reference[index], f"item {index}"


@pytest.fixture(scope="module")
def ed25519_items():
    rng = np.random.default_rng(11)
    messages = [rng.bytes(int(length)) for length in rng.integers(0, 200, POOL)]
    keys = [nacl.signing.SigningKey(rng.bytes(32)) for _ in messages]
    public_keys = _tile(_rows([bytes(key.verify_key) for key in keys]))
    signed = [key.sign(message).signature for key, message in zip(keys, messages, strict=True)]
    signatures = _tile(_rows(signed))
    packed, changed = _messages(rng, messages)
    corrupted = [
        changed,
        _corrupt(rng, public_keys),
        _corrupt(rng, signatures[:, :32]),
        _corrupt(rng, signatures[:, 32:]),
    ]
    return public_keys, packed, signatures, corrupted


@pytest.mark.parametrize(("rule", "items"), [("dalek", ITEMS), ("strict", FEWER), ("zip215", FEWER)])
def test_ed25519(ed25519_items, oracles, rule, items):
    public_keys, messages, signatures, corrupted = ed25519_items
    public_keys, signatures = public_keys[:items], signatures[:items]
    messages = Messages.of((messages.data, messages.offsets[: items + 1]))
    corrupted = [rows[rows < items] for rows in corrupted]
    verdicts = {
        name: ed25519.verify_batch(public_keys, messages, signatures, rule=rule, backend=name)
        for name in FULL
    }

    def oracle(index):
        return oracles.ed25519(
            public_keys[index].tobytes(), _message(messages, index), signatures[index].tobytes(), rule
        )

    _check(verdicts, corrupted, oracle)


@pytest.fixture(scope="module")
def ecdsa_items():
    rng = np.random.default_rng(12)
    keys = [coincurve.PrivateKey(rng.bytes(32)) for _ in range(POOL)]
    digests = [rng.bytes(32) for _ in keys]
    signed = [key.sign_recoverable(digest, hasher=None) for key, digest in zip(keys, digests, strict=True)]
    public_keys = [key.public_key.format(compressed=True) for key in keys]
    return _rows(public_keys), _rows(digests), _rows(signed)


@pytest.mark.parametrize(("key_length", "items"), [(33, ITEMS), (64, FEWER)])
def test_ecdsa_verify(ecdsa_items, oracles, key_length, items):
    rng = np.random.default_rng(13)
    public_keys, digests, signatures = (_tile(pool) for pool in ecdsa_items)
    signatures = signatures[:, :64].copy()
    if key_length == 64:
        full = [coincurve.PublicKey(key.tobytes()).format(compressed=False)[1:] for key in ecdsa_items[0]]
        public_keys = _tile(_rows(full))
    public_keys, digests, signatures = public_keys[:items], digests[:items], signatures[:items]
    corrupted = [
        _corrupt(rng, field) for field in (public_keys, digests, signatures[:, :32], signatures[:, 32:])
    ]
    verdicts = {
        name: secp256k1.ecdsa_verify_batch(public_keys, digests, signatures, backend=name) for name in FULL
    }

    def oracle(index):
        return oracles.ecdsa(
            public_keys[index].tobytes(), digests[index].tobytes(), signatures[index].tobytes(), True
        )

    _check(verdicts, corrupted, oracle)


def test_ecdsa_recover(ecdsa_items, oracles):
    rng = np.random.default_rng(14)
    public_keys, digests, signatures = (_tile(pool) for pool in ecdsa_items)
    fields = (digests, signatures[:, :32], signatures[:, 32:64], signatures[:, 64:])
    touched = np.unique(np.concatenate([_corrupt(rng, field) for field in fields]))
    recovered = {name: secp256k1.ecdsa_recover_batch(digests, signatures, backend=name) for name in FULL}
    (_, (keys, verdicts)), *others = recovered.items()
    for name, (other_keys, other_verdicts) in others:
        assert np.array_equal(other_verdicts, verdicts), name
        assert np.array_equal(other_keys, keys), name
    untouched = np.setdiff1d(np.arange(ITEMS), touched)
    assert (verdicts[untouched] == 1).all()
    compressed = np.concatenate([2 + (keys[:, 63:] & 1), keys[:, :32]], axis=1)
    assert np.array_equal(compressed[untouched], public_keys[untouched])
    assert not (compressed[touched] == public_keys[touched]).all(axis=1).any()
    assert not keys[verdicts != 1].any()
    assert 500 < int((verdicts == -1).sum()) < len(touched)
    for index in rng.choice(touched, SAMPLES, replace=False):
        key, verdict = oracles.recover(digests[index].tobytes(), signatures[index].tobytes())
        assert (keys[index].tobytes(), verdicts[index]) == (key or bytes(64), verdict)


def test_schnorr(oracles):
    rng = np.random.default_rng(15)
    keys = [coincurve.PrivateKey(rng.bytes(32)) for _ in range(POOL)]
    messages = [rng.bytes(32) for _ in keys]
    public_keys = _tile(_rows([key.public_key_xonly.format() for key in keys]))
    signatures = _tile(_rows([key.sign_schnorr(m) for key, m in zip(keys, messages, strict=True)]))
    packed, changed = _messages(rng, messages)
    corrupted = [
        changed,
        _corrupt(rng, public_keys),
        _corrupt(rng, signatures[:, :32]),
        _corrupt(rng, signatures[:, 32:]),
    ]
    verdicts = {
        name: secp256k1.schnorr_verify_batch(public_keys, packed, signatures, backend=name) for name in FULL
    }

    def oracle(index):
        return oracles.schnorr(
            public_keys[index].tobytes(), _message(packed, index), signatures[index].tobytes()
        )

    _check(verdicts, corrupted, oracle)


def _spoil(rng, *fields):
    """Flip a bit in one of `ONE_IN` of each field's rows, and make a few rows all zeros and all ones."""
    for field in fields:
        _corrupt(rng, field)
        for value in (0, 255):
            field[rng.choice(len(field), 4, replace=False)] = value


def _alike(verify, backends=tuple(KINDS)):
    """`verify(backend)` gives arrays, verdicts first, on all of them the bytes of `scalar`. Which verdicts there are."""
    reference = verify("scalar")
    for name in backends:
        for found, expected in zip(verify(name), reference, strict=True):
            assert found.tobytes() == expected.tobytes(), name
    return set(reference[0].tolist())


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("rule", ["dalek", "strict", "zip215"])
def test_fresh_ed25519(rule, seed):
    rng = np.random.default_rng(seed)
    messages = [rng.bytes(int(length)) for length in rng.integers(0, 100, FRESH)]
    keys = [nacl.signing.SigningKey(rng.bytes(32)) for _ in messages]
    public_keys = _rows([bytes(key.verify_key) for key in keys])
    signatures = _rows([key.sign(message).signature for key, message in zip(keys, messages, strict=True)])
    _spoil(rng, public_keys, signatures[:, :32], signatures[:, 32:])
    for index in rng.choice(FRESH, FRESH // ONE_IN, replace=False):
        messages[index] += b"x"
    verdicts = _alike(
        lambda name: [ed25519.verify_batch(public_keys, messages, signatures, rule=rule, backend=name)],
        tuple(HERE),
    )
    assert verdicts == {-1, 0, 1}


@pytest.mark.parametrize("seed", SEEDS)
def test_fresh_ecdsa(seed):
    rng = np.random.default_rng(seed)
    keys = [coincurve.PrivateKey(rng.bytes(32)) for _ in range(FRESH)]
    digests = _rows([rng.bytes(32) for _ in keys])
    signatures = _rows(
        [
            key.sign_recoverable(digest.tobytes(), hasher=None)
            for key, digest in zip(keys, digests, strict=True)
        ]
    )
    public_keys = _rows([key.public_key.format(compressed=False)[1:] for key in keys])
    parities = (2 + (public_keys[:, 63:] & 1)).astype(np.uint8)
    compressed = np.concatenate([parities, public_keys[:, :32]], axis=1)
    _spoil(
        rng, public_keys, compressed, digests, signatures[:, :32], signatures[:, 32:64], signatures[:, 64:]
    )
    short = signatures[:, :64]
    for rows in (public_keys, compressed):
        for low_s in (True, False):
            verdicts = _alike(
                lambda name, rows=rows, low_s=low_s: [
                    secp256k1.ecdsa_verify_batch(rows, digests, short, low_s=low_s, backend=name)
                ]
            )
            assert verdicts == {-1, 0, 1}
    recovered = _alike(lambda name: secp256k1.ecdsa_recover_batch(digests, signatures, backend=name)[::-1])
    assert recovered == {-1, 1}


@pytest.mark.parametrize("seed", SEEDS)
def test_fresh_schnorr(seed):
    rng = np.random.default_rng(seed)
    keys = [coincurve.PrivateKey(rng.bytes(32)) for _ in range(FRESH)]
    messages = [rng.bytes(32) for _ in keys]
    public_keys = _rows([key.public_key_xonly.format() for key in keys])
    signatures = _rows([key.sign_schnorr(m) for key, m in zip(keys, messages, strict=True)])
    _spoil(rng, public_keys, signatures[:, :32], signatures[:, 32:])
    for index in rng.choice(FRESH, FRESH // ONE_IN, replace=False):
        messages[index] = rng.bytes(32)
    verdicts = _alike(
        lambda name: [secp256k1.schnorr_verify_batch(public_keys, messages, signatures, backend=name)]
    )
    assert verdicts == {-1, 0, 1}


@pytest.mark.parametrize("name", ["sha256", "sha512", "keccak256", "blake2b"])
def test_hashes(name):
    rng = np.random.default_rng(16)
    lengths = rng.integers(0, 300, HASHED)
    data = rng.integers(0, 256, int(lengths.sum()), np.uint8)
    messages = Messages.of((data, np.concatenate([[0], np.cumsum(lengths)])))
    batch = getattr(hashes, f"{name}_batch")
    (_, reference), *others = {backend: batch(messages, backend=backend) for backend in HERE}.items()
    for backend, digests in others:
        assert np.array_equal(digests, reference), backend
    for index in rng.choice(HASHED, SAMPLES, replace=False):
        assert reference[index].tobytes() == getattr(oracle_hashes, name)(_message(messages, index))
