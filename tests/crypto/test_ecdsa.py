# SPDX-License-Identifier: GPL-3.0-or-later
"""ECDSA over secp256k1 in batches, verify and recover: every backend as the oracle, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from lanes_here import on_kinds_and_twin

from supervm.crypto import hashes, secp256k1
from supervm.kernels.errors import ArgumentError


def _rows(values):
    return np.array([np.frombuffer(value, np.uint8) for value in values])


def _arrays(cases):
    return tuple(_rows([getattr(c, name) for c in cases]) for name in ("public_key", "digest", "signature"))


@on_kinds_and_twin
@pytest.mark.parametrize("low_s", [True, False])
@pytest.mark.parametrize("key_length", [33, 64, 65])
def test_adversarial_verify(backend, key_length, low_s, ecdsa_cases, oracles):
    cases = [case for case in ecdsa_cases if len(case.public_key) == key_length]
    assert len(cases) > 25
    verdicts = secp256k1.ecdsa_verify_batch(*_arrays(cases), low_s=low_s, backend=backend)
    assert verdicts.dtype == np.int8
    assert verdicts.shape == (len(cases),)
    expected = [oracles.ecdsa(*case[:3], low_s) for case in cases]
    assert {-1, 1} <= set(expected)
    wrong = [
        (case.description, got, want)
        for case, got, want in zip(cases, verdicts.tolist(), expected, strict=True)
        if got != want
    ]
    assert not wrong


@on_kinds_and_twin
def test_adversarial_recover(backend, recovery_cases, oracles):
    digests, signatures = (
        _rows([getattr(c, name) for c in recovery_cases]) for name in ("digest", "signature")
    )
    keys, verdicts = secp256k1.ecdsa_recover_batch(digests, signatures, backend=backend)
    assert (keys.dtype, keys.shape) == (np.uint8, (len(recovery_cases), 64))
    assert (verdicts.dtype, verdicts.shape) == (np.int8, (len(recovery_cases),))
    wrong = []
    for case, key, verdict in zip(recovery_cases, keys, verdicts.tolist(), strict=True):
        expected_key, expected_verdict = oracles.recover(*case[:2])
        if (key.tobytes(), verdict) != (expected_key or bytes(64), expected_verdict):
            wrong.append((case.description, verdict, expected_verdict))
    assert not wrong


@on_kinds_and_twin
def test_published_vectors(backend, ecdsa_vectors):
    for low_s in (True, False):
        vectors = [vector for vector in ecdsa_vectors if vector.low_s == low_s]
        signatures, parsed = secp256k1.signatures_from_der([vector.der for vector in vectors])
        keys, digests = _rows([v.public_key for v in vectors]), _rows([v.digest for v in vectors])
        verdicts = secp256k1.ecdsa_verify_batch(keys, digests, signatures, low_s=low_s, backend=backend)
        wrong = [
            vector.name
            for vector, verdict, readable in zip(vectors, verdicts, parsed, strict=True)
            if (verdict == 1 and readable == 1) != vector.valid
        ]
        assert not wrong


@on_kinds_and_twin
def test_published_recover_vectors(backend, recover_vectors):
    vectors = [vector for vector in recover_vectors if vector.v in (27, 28)]
    signatures = _rows([vector.rs + bytes([vector.v - 27]) for vector in vectors])
    keys, verdicts = secp256k1.ecdsa_recover_batch(
        _rows([vector.digest for vector in vectors]), signatures, backend=backend
    )
    addresses = hashes.eth_address_batch(keys)
    for vector, address, verdict in zip(vectors, addresses, verdicts, strict=True):
        assert verdict == (1 if vector.address else -1), vector.name
        assert not vector.address or address.tobytes() == vector.address, vector.name


def test_low_s_is_the_default(ecdsa_cases, oracles):
    cases = [case for case in ecdsa_cases if len(case.public_key) == 64][:60]
    expected = [oracles.ecdsa(*case[:3], True) for case in cases]
    assert expected != [oracles.ecdsa(*case[:3], False) for case in cases]
    assert secp256k1.ecdsa_verify_batch(*_arrays(cases)).tolist() == expected


def test_order_is_kept(backend, ecdsa_cases, recovery_cases):
    arrays = _arrays([case for case in ecdsa_cases if len(case.public_key) == 64][::2])
    shuffled = np.random.default_rng(2).permutation(len(arrays[0]))
    in_order = secp256k1.ecdsa_verify_batch(*arrays, backend=backend)
    mixed = secp256k1.ecdsa_verify_batch(*(array[shuffled] for array in arrays), backend=backend)
    assert mixed.tolist() == in_order[shuffled].tolist()
    digests, signatures = (
        _rows([getattr(c, n) for c in recovery_cases[::5]]) for n in ("digest", "signature")
    )
    shuffled = np.random.default_rng(3).permutation(len(digests))
    keys, verdicts = secp256k1.ecdsa_recover_batch(digests, signatures, backend=backend)
    mixed_keys, mixed_verdicts = secp256k1.ecdsa_recover_batch(
        digests[shuffled], signatures[shuffled], backend=backend
    )
    assert np.array_equal(mixed_keys, keys[shuffled])
    assert np.array_equal(mixed_verdicts, verdicts[shuffled])


@on_kinds_and_twin
def test_every_small_size(backend, ecdsa_cases, recovery_cases, oracles):
    cases = [case for case in ecdsa_cases if len(case.public_key) == 64][10:29]
    arrays, expected = _arrays(cases), [oracles.ecdsa(*case[:3], True) for case in cases]
    to_recover = recovery_cases[40:59]
    digests, signatures = (_rows([getattr(c, n) for c in to_recover]) for n in ("digest", "signature"))
    recovered = [oracles.recover(*case[:2]) for case in to_recover]
    for size in range(1, len(cases) + 1):
        verdicts = secp256k1.ecdsa_verify_batch(*(array[:size] for array in arrays), backend=backend)
        assert verdicts.tolist() == expected[:size]
        keys, verdicts = secp256k1.ecdsa_recover_batch(digests[:size], signatures[:size], backend=backend)
        found = [
            (key.tobytes() if v == 1 else None, v) for key, v in zip(keys, verdicts.tolist(), strict=True)
        ]
        assert found == recovered[:size]


@pytest.mark.parametrize("key_length", [33, 64, 65])
def test_empty_batch(backend, key_length):
    keys, digests = np.empty((0, key_length), np.uint8), np.empty((0, 32), np.uint8)
    verdicts = secp256k1.ecdsa_verify_batch(keys, digests, np.empty((0, 64), np.uint8), backend=backend)
    assert (verdicts.dtype, verdicts.shape) == (np.int8, (0,))
    recovered, verdicts = secp256k1.ecdsa_recover_batch(digests, np.empty((0, 65), np.uint8), backend=backend)
    assert (recovered.dtype, recovered.shape) == (np.uint8, (0, 64))
    assert (verdicts.dtype, verdicts.shape) == (np.int8, (0,))


def test_strided_and_read_only_input(backend, ecdsa_cases):
    arrays = _arrays([case for case in ecdsa_cases if len(case.public_key) == 64][:50])
    expected = secp256k1.ecdsa_verify_batch(*arrays, backend=backend)
    wide = np.zeros((50, 200), np.uint8)
    wide[:, 1:65], wide[:, 66:98], wide[:, 99:163] = arrays
    wide.setflags(write=False)
    strided = (wide[:, 1:65], wide[:, 66:98], wide[:, 99:163])
    assert np.array_equal(secp256k1.ecdsa_verify_batch(*strided, backend=backend), expected)


KEYS, DIGESTS, SIGNATURES = (
    np.zeros((2, 33), np.uint8),
    np.zeros((2, 32), np.uint8),
    np.zeros((2, 64), np.uint8),
)


@pytest.mark.parametrize(
    ("keys", "digests", "signatures", "options", "named"),
    [
        (np.zeros((2, 32), np.uint8), DIGESTS, SIGNATURES, {}, "public_keys"),
        (np.zeros((2, 66), np.uint8), DIGESTS, SIGNATURES, {}, "public_keys"),
        (np.zeros((2, 33), np.int8), DIGESTS, SIGNATURES, {}, "public_keys"),
        ([bytes(33)] * 2, DIGESTS, SIGNATURES, {}, "public_keys"),
        (KEYS, np.zeros((2, 31), np.uint8), SIGNATURES, {}, "digests"),
        (KEYS, np.zeros((3, 32), np.uint8), SIGNATURES, {}, "digests"),
        (KEYS, [bytes(32)] * 2, SIGNATURES, {}, "digests"),
        (KEYS, DIGESTS, np.zeros((2, 65), np.uint8), {}, "signatures"),
        (KEYS, DIGESTS, np.zeros((1, 64), np.uint8), {}, "signatures"),
        (KEYS, DIGESTS, np.zeros((2, 64), np.uint16), {}, "signatures"),
        (KEYS, DIGESTS, SIGNATURES, {"backend": ""}, "backend"),
    ],
)
def test_bad_arguments_of_verify_are_named(keys, digests, signatures, options, named):
    with pytest.raises(ValueError, match=r"found .*, expected ") as raised:
        secp256k1.ecdsa_verify_batch(keys, digests, signatures, **options)
    assert isinstance(raised.value, ArgumentError)
    assert raised.value.argument == named


@pytest.mark.parametrize(
    ("digests", "signatures", "named"),
    [
        (np.zeros((2, 33), np.uint8), np.zeros((2, 65), np.uint8), "digests"),
        (np.zeros((2, 32), np.int64), np.zeros((2, 65), np.uint8), "digests"),
        (DIGESTS, np.zeros((2, 64), np.uint8), "signatures"),
        (DIGESTS, np.zeros((3, 65), np.uint8), "signatures"),
        (DIGESTS, None, "signatures"),
    ],
)
def test_bad_arguments_of_recover_are_named(digests, signatures, named):
    with pytest.raises(ValueError, match=r"found .*, expected ") as raised:
        secp256k1.ecdsa_recover_batch(digests, signatures)
    assert isinstance(raised.value, ArgumentError)
    assert raised.value.argument == named
