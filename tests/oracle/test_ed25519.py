# SPDX-License-Identifier: GPL-3.0-or-later
"""The Ed25519 oracle against published vectors and against dalek, libsodium and OpenSSL."""

from __future__ import annotations

import nacl.exceptions
import nacl.signing
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.pubkey import Pubkey
from solders.signature import Signature

from supervm.crypto.oracle import adversarial_ed25519, edwards
from supervm.crypto.oracle.ed25519 import RULES, verify


def _solders(public_key: bytes, message: bytes, signature: bytes) -> bool:
    return bool(Signature(signature).verify(Pubkey(public_key), message))


def _sodium(public_key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        nacl.signing.VerifyKey(public_key).verify(message, signature)
    except nacl.exceptions.BadSignatureError:
        return False
    return True


def _openssl(public_key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


@pytest.mark.parametrize("rule", RULES)
def test_published_vectors(ed25519_vectors, oracles, rule):
    assert len(ed25519_vectors) > 1150
    wrong = [
        vector.name
        for vector in ed25519_vectors
        if (oracles.ed25519(*vector[1:4], rule) == 1) != vector.valid[rule]
    ]
    assert not wrong


@pytest.mark.parametrize(
    ("library", "rule"),
    [(_solders, "strict"), (_sodium, "strict"), (_openssl, "dalek")],
    ids=["dalek-strict", "libsodium-strict", "openssl-dalek"],
)
def test_libraries_agree_on_adversarial_inputs(ed25519_cases, oracles, library, rule):
    wrong = [
        case.description
        for case in ed25519_cases
        if library(*case[:3]) != (oracles.ed25519(*case[:3], rule) == 1)
    ]
    assert not wrong


def test_small_order_table_under_every_rule(oracles):
    """All 196 pass under zip215 and none under strict; dalek wants a canonical R with R + h·A = 0."""
    verdicts = {
        rule: [oracles.ed25519(*case[:3], rule) for case in adversarial_ed25519.small_order_table()]
        for rule in RULES
    }
    assert verdicts["zip215"] == [1] * 196
    assert verdicts["strict"] == [0] * 196
    assert 5 < sum(verdicts["dalek"]) < 30
    assert not any(verdict for i, verdict in enumerate(verdicts["dalek"]) if i % 14 >= 8)


def test_verdict_minus_one_exactly_for_key_and_scalar(ed25519_cases, oracles):
    for case in ed25519_cases:
        malformed = (
            edwards.decode(case.public_key) is None
            or int.from_bytes(case.signature[32:], "little") >= edwards.L
        )
        for rule in RULES:
            assert (oracles.ed25519(*case[:3], rule) == -1) == malformed


def test_encodings():
    canonical = [edwards.encode(point) for point in adversarial_ed25519.torsion()]
    assert len(set(adversarial_ed25519.small_order_encodings())) == 14
    assert set(canonical) < set(adversarial_ed25519.small_order_encodings())
    others = adversarial_ed25519.non_canonical_encodings()
    assert len(set(others)) == 26
    for index, data in enumerate(others):
        point = edwards.decode(data)
        assert point is not None
        assert edwards.encode(point) != data
        assert edwards.is_small_order(point) == (index < 6)


def test_sign_bit_of_x_zero_is_ignored():
    for y in (1, edwards.P - 1):
        with_sign = edwards.decode((y | 1 << 255).to_bytes(32, "little"))
        assert with_sign is not None
        assert edwards.equal(with_sign, edwards.from_affine(0, y))


@settings(max_examples=40)
@given(st.binary(min_size=32, max_size=32))
def test_decoded_points_lie_on_the_curve_and_encode_back(data):
    point = edwards.decode(data)
    if point is None:
        return
    x, y, z, t = point
    p = edwards.P
    assert z == 1
    assert t == x * y % p
    assert (y * y - x * x - 1 - edwards.D * x * x * y * y) % p == 0
    if int.from_bytes(data, "little") % 2**255 < p and x:
        assert edwards.encode(point) == data


@settings(max_examples=15)
@given(st.integers(0, 2**256), st.integers(0, 2**256))
def test_double_product_is_the_sum_of_products(first, second):
    point = adversarial_ed25519.torsion()[3]
    together = edwards.multiply_sum(first, edwards.BASE, second, point)
    apart = edwards.add(edwards.multiply(first, edwards.BASE), edwards.multiply(second, point))
    assert edwards.equal(together, apart)
    assert edwards.equal(
        edwards.multiply(first % edwards.L, edwards.BASE), edwards.multiply(first, edwards.BASE)
    )


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((bytes(31), b"", bytes(64)), "public_key"),
        ((bytes(32), b"", bytes(63)), "signature"),
        ((bytes(32), b"", bytes(64), "lenient"), "rule"),
    ],
)
def test_bad_arguments_are_named(arguments, named):
    with pytest.raises(ValueError, match=named):
        verify(*arguments)
