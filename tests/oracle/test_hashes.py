# SPDX-License-Identifier: GPL-3.0-or-later
"""The hash oracle against pycryptodome and eth-keys."""

from __future__ import annotations

import pytest
from Crypto.Hash import SHA256, SHA512, BLAKE2b, keccak
from eth_keys import keys
from hypothesis import given, settings
from hypothesis import strategies as st

from supervm.crypto.oracle import hashes


def _references(message: bytes) -> dict[str, bytes]:
    return {
        "sha256": SHA256.new(message).digest(),
        "sha512": SHA512.new(message).digest(),
        "blake2b": BLAKE2b.new(digest_bits=512, data=message).digest(),
        "keccak256": keccak.new(digest_bits=256, data=message).digest(),
    }


@pytest.mark.parametrize("length", [*range(4), 55, 56, 64, *range(134, 139), *range(270, 274), 1000])
def test_around_padding_edges(length):
    message = bytes(i * 31 & 255 for i in range(length))
    for name, expected in _references(message).items():
        assert getattr(hashes, name)(message) == expected, name


@settings(max_examples=50)
@given(st.binary(max_size=600))
def test_any_message(message):
    for name, expected in _references(message).items():
        assert getattr(hashes, name)(message) == expected, name


def test_keccak_is_not_sha3():
    assert hashes.keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


@settings(max_examples=20)
@given(st.integers(1, 2**256 - 2**129))
def test_eth_address(secret):
    public_key = keys.PrivateKey(secret.to_bytes(32, "big")).public_key
    assert hashes.eth_address(public_key.to_bytes()) == public_key.to_canonical_address()


def test_bad_argument_is_named():
    with pytest.raises(ValueError, match="public_key"):
        hashes.eth_address(bytes(65))
