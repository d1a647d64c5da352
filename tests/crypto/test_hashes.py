# SPDX-License-Identifier: GPL-3.0-or-later
"""Hashes of every length, in every form of batch, against the standard library and PyCryptodome."""

from __future__ import annotations

import doctest
import hashlib

import numpy as np
import pytest
from Crypto.Hash import keccak
from lanes_here import on_kinds_and_twin

from supervm.crypto import hashes
from supervm.crypto.messages import Messages
from supervm.crypto.params.secp256k1 import SECP256K1
from supervm.kernels import registry
from supervm.kernels.cpu.backends import CPU_BACKENDS
from supervm.kernels.errors import ArgumentError, BackendUnavailable

REFERENCES = {
    "sha256": lambda message: hashlib.sha256(message).digest(),
    "sha512": lambda message: hashlib.sha512(message).digest(),
    "keccak256": lambda message: keccak.new(digest_bits=256, data=message).digest(),
    "blake2b": lambda message: hashlib.blake2b(message).digest(),
}

PUBLISHED = [
    # FIPS 180-4's examples (NIST, "Examples with Intermediate Values").
    ("sha256", b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (
        "sha256",
        b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
    ),
    (
        "sha512",
        b"abc",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
        "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    ),
    # Yellow Paper: the hash of nothing (the code hash of an account without code).
    ("keccak256", b"", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
    # RFC 7693, appendix A.
    (
        "blake2b",
        b"abc",
        "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
        "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923",
    ),
]

LENGTHS_AT_EDGES = [
    0,
    1,
    16,
    31,
    32,
    55,
    56,
    63,
    64,
    65,
    96,
    111,
    112,
    127,
    128,
    129,
    135,
    136,
    137,
    271,
    272,
    273,
]


@pytest.fixture(params=list(REFERENCES))
def name(request):
    return request.param


def batch_of(name):
    return getattr(hashes, f"{name}_batch")


def expected(name, messages):
    return b"".join(map(REFERENCES[name], messages))


@on_kinds_and_twin
@pytest.mark.parametrize(("name", "message", "digest"), PUBLISHED)
def test_published(backend, name, message, digest):
    assert batch_of(name)([message], backend=backend).tobytes().hex() == digest


@on_kinds_and_twin
def test_every_length(backend, name):
    rng = np.random.default_rng(1)
    messages = [rng.bytes(length) for length in range(301)]
    digests = batch_of(name)(messages, backend=backend)
    assert digests.dtype == np.uint8
    assert digests.shape == (301, hashes.SPECS[name].digest_bytes)
    assert digests.tobytes() == expected(name, messages)


@on_kinds_and_twin
def test_every_count(backend, name):
    """Groups that are full, and groups of which any number of lanes is left over."""
    rng = np.random.default_rng(2)
    messages = [rng.bytes(int(length)) for length in rng.integers(0, 200, 35)]
    for count in range(36):
        assert batch_of(name)(messages[:count], backend=backend).tobytes() == expected(name, messages[:count])


def test_random_lengths(backend, name):
    rng = np.random.default_rng(3)
    messages = [rng.bytes(int(length)) for length in rng.geometric(1 / 300, 2000) - 1]
    assert batch_of(name)(messages, backend=backend).tobytes() == expected(name, messages)


@pytest.mark.parametrize("length", LENGTHS_AT_EDGES)
def test_equal_lengths(backend, name, length):
    rows = np.random.default_rng(length).integers(0, 256, (37, length), dtype=np.uint8)
    digests = batch_of(name)(rows, backend=backend)
    assert digests.tobytes() == expected(name, [row.tobytes() for row in rows])


def test_equal_lengths_after_others(backend, name):
    """Padding is kept from message to message only where it still fits."""
    rng = np.random.default_rng(4)
    edges = rng.permutation(np.repeat(LENGTHS_AT_EDGES, 40))
    messages = [rng.bytes(int(length)) for length in edges]
    assert batch_of(name)(messages, backend=backend).tobytes() == expected(name, messages)


@on_kinds_and_twin
def test_long_beside_short(backend, name):
    """Megabytes in one lane; the others have long ended and must keep their state."""
    rng = np.random.default_rng(5)
    messages = [rng.bytes(int(length)) for length in rng.integers(0, 400, 50)]
    messages[7] = rng.bytes(3_000_001)
    messages[31] = rng.bytes(100_000)
    assert batch_of(name)(messages, backend=backend).tobytes() == expected(name, messages)


def test_forms_agree(backend, name):
    rows = np.random.default_rng(6).integers(0, 256, (20, 70), dtype=np.uint8)
    batch = batch_of(name)
    reference = batch([row.tobytes() for row in rows], backend=backend)
    assert (batch(rows, backend=backend) == reference).all()
    assert (batch(np.asfortranarray(rows), backend=backend) == reference).all()
    assert (batch((rows.reshape(-1), np.arange(21) * 70), backend=backend) == reference).all()
    assert (batch(Messages.of(rows), backend=backend) == reference).all()


def test_empty_batch(backend, name):
    empty = batch_of(name)([], backend=backend)
    assert empty.shape == (0, hashes.SPECS[name].digest_bytes)
    assert empty.dtype == np.uint8


def test_auto_is_a_listed_backend(name):
    assert batch_of(name)([b"x"]).tobytes() == REFERENCES[name](b"x")
    assert {row.name for row in registry.backends(name)} >= {each.name for each in CPU_BACKENDS}


@on_kinds_and_twin
def test_addresses(backend):
    """The address of private key 1, and any others against the reference."""
    rng = np.random.default_rng(7)
    keys = rng.integers(0, 256, (41, 64), dtype=np.uint8)
    x, y = SECP256K1.base
    keys[0] = np.frombuffer(x.to_bytes(32, "big") + y.to_bytes(32, "big"), np.uint8)
    addresses = hashes.eth_address_batch(keys, backend=backend)
    assert addresses.shape == (41, 20)
    assert addresses[0].tobytes().hex() == "7e5f4552091a69125d5dfcb7b8c2659029395bdf"
    assert addresses.tobytes() == b"".join(REFERENCES["keccak256"](key.tobytes())[12:] for key in keys)
    assert hashes.eth_address_batch(keys[:0], backend=backend).shape == (0, 20)
    assert (hashes.eth_address_batch(np.asfortranarray(keys), backend=backend) == addresses).all()


@pytest.mark.parametrize(
    "keys",
    [
        np.zeros((2, 65), np.uint8),
        np.zeros(64, np.uint8),
        np.zeros((2, 64), np.int8),
        [bytes(64)],
        b"",
    ],
)
def test_wrong_keys(keys):
    with pytest.raises(ArgumentError, match=r"'public_keys'.*\(n, 64\)"):
        hashes.eth_address_batch(keys)


def test_wrong_messages_and_backends(name):
    with pytest.raises(ArgumentError, match="'messages'"):
        batch_of(name)(b"one message alone")
    with pytest.raises(ArgumentError, match="'backend'"):
        batch_of(name)([b"x"], backend="simd")
    with pytest.raises(BackendUnavailable):
        batch_of(name)([b"x"], backend="cuda")


def test_examples_in_the_docstrings():
    assert doctest.testmod(hashes).failed == 0
