# SPDX-License-Identifier: GPL-3.0-or-later
"""`x25519.multiply_batch`: RFC 7748's vectors, the oracle, and another library, on every kind of multiplier."""

from __future__ import annotations

import random

import numpy as np
import pytest
from lanes_here import KINDS

from supervm.crypto import x25519
from supervm.crypto.oracle import x25519 as oracle
from supervm.kernels import get_threads, set_threads
from supervm.kernels.errors import ArgumentError

RFC = [
    (
        "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
        "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
        "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
    ),
    (
        "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
        "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
        "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
    ),
    (
        "0900000000000000000000000000000000000000000000000000000000000000",
        "0900000000000000000000000000000000000000000000000000000000000000",
        "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079",
    ),
]
"""Secret, abscissa, result: section 5.2; the third is the first step of its iteration."""


def rows(*keys: bytes) -> np.ndarray:
    return np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 32)


@pytest.mark.parametrize(("secret", "abscissa", "result"), RFC)
def test_the_standards_vectors(secret, abscissa, result):
    assert oracle.multiply(bytes.fromhex(secret), bytes.fromhex(abscissa)).hex() == result
    for backend in KINDS:
        found, verdicts = x25519.multiply_batch(
            bytes.fromhex(secret), rows(bytes.fromhex(abscissa)), backend=backend
        )
        assert (found.tobytes().hex(), verdicts.tolist()) == (result, [1])


@pytest.mark.parametrize("backend", KINDS)
def test_another_library(backend):
    agreement = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.x25519")
    rng = random.Random(7748)
    for size in (*range(1, 10), 300):
        secret = rng.randbytes(32)
        keys = [rng.randbytes(32) for _ in range(size)]
        found, verdicts = x25519.multiply_batch(secret, rows(*keys), backend=backend)
        own = agreement.X25519PrivateKey.from_private_bytes(secret)
        for key, row in zip(keys, found, strict=True):
            assert row.tobytes() == own.exchange(agreement.X25519PublicKey.from_public_bytes(key))
        assert verdicts.tolist() == [1] * size


@pytest.mark.parametrize("backend", KINDS)
def test_points_of_small_order_leave_their_lane_alone(backend):
    """Zero is the result of theirs, and shares an inversion with the others."""
    rng = random.Random(8)
    small = [0, 1, oracle.P - 1, oracle.P, oracle.P + 1, (1 << 255) | 1]
    keys = [rng.randbytes(32) for _ in range(70)]
    for place, number in enumerate(small):
        keys[11 * place] = number.to_bytes(32, "little")
    secret = rng.randbytes(32)
    found, verdicts = x25519.multiply_batch(secret, rows(*keys), backend=backend)
    assert [row.tobytes() for row in found] == [oracle.multiply(secret, key) for key in keys]
    assert np.flatnonzero(verdicts != 1).tolist() == [11 * place for place in range(len(small))]
    assert set(verdicts.tolist()) == {0, 1}


@pytest.mark.parametrize("backend", KINDS)
def test_threads_change_nothing(backend):
    keys = np.random.default_rng(3).integers(0, 256, (1500, 32), np.uint8)
    before = keys.copy()
    alone = x25519.multiply_batch(bytes(range(32)), keys, backend=backend)
    threads = get_threads()
    set_threads(3)
    try:
        together = x25519.multiply_batch(bytes(range(32)), keys, backend=backend)
    finally:
        set_threads(threads)
    assert np.array_equal(alone[0], together[0])
    assert np.array_equal(alone[1], together[1])
    assert np.array_equal(keys, before)


def test_forms_of_input():
    keys = np.random.default_rng(4).integers(0, 256, (40, 33), np.uint8)
    whole = np.ascontiguousarray(keys[:, 1:])
    expected = x25519.multiply_batch(b"x" * 32, whole)[0]
    assert np.array_equal(x25519.multiply_batch(bytearray(b"x" * 32), keys[:, 1:])[0], expected)
    whole.setflags(write=False)
    assert np.array_equal(x25519.multiply_batch(b"x" * 32, whole)[0], expected)
    found, verdicts = x25519.multiply_batch(b"x" * 32, whole[:0])
    assert (found.shape, verdicts.shape) == ((0, 32), (0,))


@pytest.mark.parametrize(
    ("secret", "keys", "argument"),
    [
        (b"x" * 31, np.zeros((1, 32), np.uint8), "secret"),
        (1, np.zeros((1, 32), np.uint8), "secret"),
        (b"x" * 32, np.zeros((1, 31), np.uint8), "public_keys"),
        (b"x" * 32, np.zeros((1, 32), np.int8), "public_keys"),
        (b"x" * 32, [b"x" * 32], "public_keys"),
    ],
)
def test_what_is_refused(secret, keys, argument):
    with pytest.raises(ArgumentError, match=argument):
        x25519.multiply_batch(secret, keys)
