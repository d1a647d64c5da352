# SPDX-License-Identifier: GPL-3.0-or-later
"""`secp256k1.schnorr_verify_batch`: every backend as the oracle, BIP-340's vectors, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from lanes_here import on_kinds_and_twin

from supervm.crypto import secp256k1
from supervm.kernels.errors import ArgumentError


def _arrays(items):
    keys = np.array([np.frombuffer(item.public_key, np.uint8) for item in items])
    signatures = np.array([np.frombuffer(item.signature, np.uint8) for item in items])
    return keys, [item.message for item in items], signatures


@on_kinds_and_twin
def test_adversarial_inputs(backend, schnorr_cases, oracles):
    verdicts = secp256k1.schnorr_verify_batch(*_arrays(schnorr_cases), backend=backend)
    assert (verdicts.dtype, verdicts.shape) == (np.int8, (len(schnorr_cases),))
    expected = [oracles.schnorr(*case[:3]) for case in schnorr_cases]
    assert set(expected) == {-1, 0, 1}
    wrong = [
        (case.description, got, want)
        for case, got, want in zip(schnorr_cases, verdicts.tolist(), expected, strict=True)
        if got != want
    ]
    assert not wrong


@on_kinds_and_twin
def test_published_vectors(backend, schnorr_vectors):
    verdicts = secp256k1.schnorr_verify_batch(*_arrays(schnorr_vectors), backend=backend)
    assert [verdict == 1 for verdict in verdicts] == [vector.valid for vector in schnorr_vectors]


def test_order_is_kept(backend, schnorr_cases):
    keys, messages, signatures = _arrays(schnorr_cases)
    in_order = secp256k1.schnorr_verify_batch(keys, messages, signatures, backend=backend)
    shuffled = np.random.default_rng(4).permutation(len(keys))
    mixed = secp256k1.schnorr_verify_batch(
        keys[shuffled], [messages[i] for i in shuffled], signatures[shuffled], backend=backend
    )
    assert mixed.tolist() == in_order[shuffled].tolist()


@on_kinds_and_twin
def test_every_small_size(backend, schnorr_cases, oracles):
    cases = schnorr_cases[5:24]
    expected = [oracles.schnorr(*case[:3]) for case in cases]
    for size in range(1, len(cases) + 1):
        verdicts = secp256k1.schnorr_verify_batch(*_arrays(cases[:size]), backend=backend)
        assert verdicts.tolist() == expected[:size]


def test_empty_batch(backend):
    keys, signatures = np.empty((0, 32), np.uint8), np.empty((0, 64), np.uint8)
    verdicts = secp256k1.schnorr_verify_batch(keys, [], signatures, backend=backend)
    assert (verdicts.dtype, verdicts.shape) == (np.int8, (0,))


KEYS, SIGNATURES = np.zeros((2, 32), np.uint8), np.zeros((2, 64), np.uint8)


@pytest.mark.parametrize(
    ("keys", "messages", "signatures", "named"),
    [
        (np.zeros((2, 33), np.uint8), [b"", b""], SIGNATURES, "public_keys"),
        (KEYS.astype(np.int32), [b"", b""], SIGNATURES, "public_keys"),
        (KEYS, [b"", b"", b""], SIGNATURES, "messages"),
        (KEYS, "ab", SIGNATURES, "messages"),
        (KEYS, [b"", b""], SIGNATURES[:, :63], "signatures"),
        (KEYS, [b"", b""], SIGNATURES[:1], "signatures"),
    ],
)
def test_bad_arguments_are_named(keys, messages, signatures, named):
    with pytest.raises(ValueError, match=r"found .*, expected ") as raised:
        secp256k1.schnorr_verify_batch(keys, messages, signatures)
    assert isinstance(raised.value, ArgumentError)
    assert raised.value.argument == named
