# SPDX-License-Identifier: GPL-3.0-or-later
"""The ECDSA, BIP-340 and DER oracles against published vectors, libsecp256k1, OpenSSL and py_ecc."""

from __future__ import annotations

import hashlib

import coincurve
import py_ecc.secp256k1 as py_ecc_secp256k1
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import example, given, settings
from hypothesis import strategies as st

from supervm.crypto.oracle import der, ecdsa, hashes, schnorr, weierstrass
from supervm.crypto.oracle.weierstrass import BASE, N, P


def _coincurve_verify(public_key: bytes, digest: bytes, signature: bytes) -> bool:
    """libsecp256k1: low s is its rule. It lets hybrid keys pass, which callers must keep away."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    key = b"\x04" + public_key if len(public_key) == 64 else public_key
    try:
        parsed = coincurve.PublicKey(key)
    except ValueError:
        return False
    return bool(parsed.verify(der.encode(r, s), digest, hasher=None))


def _openssl_verify(public_key: bytes, digest: bytes, signature: bytes) -> bool:
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    key = b"\x04" + public_key if len(public_key) == 64 else public_key
    try:
        parsed = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), key)
        parsed.verify(der.encode(r, s), digest, ec.ECDSA(utils.Prehashed(SHA256())))
    except (ValueError, InvalidSignature):
        return False
    return True


def test_published_ecdsa_vectors(ecdsa_vectors):
    assert len(ecdsa_vectors) == 939
    wrong = []
    for vector in ecdsa_vectors:
        signature, verdict = der.parse(vector.der)
        if signature is not None:
            verdict = ecdsa.verify(vector.public_key, vector.digest, signature, vector.low_s)
        if (verdict == 1) != vector.valid:
            wrong.append(vector.name)
    assert not wrong


def test_published_schnorr_vectors(schnorr_vectors):
    assert len(schnorr_vectors) == 19
    wrong = [v.name for v in schnorr_vectors if (schnorr.verify(*v[1:4]) == 1) != v.valid]
    assert not wrong


def test_published_recover_vectors(recover_vectors):
    for vector in recover_vectors:
        if vector.v not in (27, 28):
            assert vector.address == b"", vector.name
            continue
        key, verdict = ecdsa.recover(vector.digest, vector.rs + bytes([vector.v - 27]))
        assert (hashes.eth_address(key) if key else b"") == vector.address, vector.name
        assert verdict == (1 if vector.address else -1)


@pytest.mark.parametrize(
    ("library", "low_s"),
    [(_coincurve_verify, True), (_openssl_verify, False)],
    ids=["libsecp256k1", "openssl"],
)
def test_libraries_agree_on_adversarial_ecdsa(ecdsa_cases, oracles, library, low_s):
    wrong = []
    for case in ecdsa_cases:
        if len(case.public_key) == 65 and case.public_key[0] in (6, 7):
            assert oracles.ecdsa(*case[:3], low_s) == -1
            continue
        verdict = oracles.ecdsa(*case[:3], low_s)
        if library(case.public_key, case.digest, case.signature) != (verdict == 1):
            wrong.append((case.description, verdict))
    assert not wrong


def test_libsecp256k1_agrees_on_adversarial_recovery(recovery_cases, oracles):
    wrong = []
    for case in recovery_cases:
        try:
            key = coincurve.PublicKey.from_signature_and_message(case.signature, case.digest, hasher=None)
            expected = key.format(compressed=False)[1:], 1
        except ValueError:
            expected = None, -1
        if oracles.recover(*case[:2]) != expected:
            wrong.append(case.description)
    assert not wrong


def test_libsecp256k1_agrees_on_adversarial_schnorr(schnorr_cases, oracles):
    wrong = []
    for case in schnorr_cases:
        try:
            valid = coincurve.PublicKeyXOnly(case.public_key).verify(case.signature, case.message)
        except ValueError:
            valid = False
        if valid != (oracles.schnorr(*case[:3]) == 1):
            wrong.append(case.description)
    assert not wrong


def test_what_is_recovered_verifies(recovery_cases, oracles):
    for case in recovery_cases[::7]:
        key, verdict = oracles.recover(*case[:2])
        if key is not None:
            assert verdict == 1
            assert ecdsa.verify(key, case.digest, case.signature[:64], low_s=False) == 1


def test_malformed_exactly_for_key_and_range(ecdsa_cases, oracles):
    for case in ecdsa_cases:
        r, s = int.from_bytes(case.signature[:32], "big"), int.from_bytes(case.signature[32:], "big")
        malformed = weierstrass.decode(case.public_key) is None or not 0 < r < N or not 0 < s < N
        for low_s in (True, False):
            verdict = oracles.ecdsa(*case[:3], low_s)
            assert (verdict == -1) == malformed, case.description


def test_schnorr_r_that_is_no_abscissa_is_invalid_not_malformed(schnorr_cases, oracles):
    verdicts = {case.description: oracles.schnorr(*case[:3]) for case in schnorr_cases}
    assert verdicts["r = no abscissa"] == 0
    assert verdicts["r = n"] == 0
    assert verdicts["r = p"] == -1
    assert verdicts["s = n"] == -1
    assert verdicts["s = 0"] == 0
    assert verdicts["key x + p"] == -1
    assert verdicts["s·G − e·P = infinity"] == 0
    assert verdicts["R with odd y"] == 0


def test_abscissas_above_the_order_are_reached(ecdsa_cases, oracles):
    above = [case for case in ecdsa_cases if case.description.startswith("R.x = n +")]
    assert len(above) >= 6
    assert all(oracles.ecdsa(*case[:3], True) == 1 for case in above)
    wrapped = [case for case in ecdsa_cases if "r + n ≡ R.x mod p" in case.description]
    assert len(wrapped) == 3
    assert all(oracles.ecdsa(*case[:3], False) == 0 for case in wrapped)


@settings(max_examples=10)
@given(st.integers(0, 2**256 - 1), st.integers(0, 2**256 - 1))
@example(0, 0)
@example(1, N - 1)
@example(N, N + 1)
def test_double_product_against_py_ecc(first, second):
    point = (P - 1, BASE)[first % 2]
    other = weierstrass.multiply(7, BASE) if isinstance(point, int) else point
    expected = py_ecc_secp256k1.secp256k1.add(
        py_ecc_secp256k1.secp256k1.multiply(BASE, first), py_ecc_secp256k1.secp256k1.multiply(other, second)
    )
    found = weierstrass.multiply_sum(first, BASE, second, other)
    assert (found or (0, 0)) == tuple(expected)


@given(st.binary(max_size=80))
@example(bytes.fromhex("3006020101020101"))
@example(bytes.fromhex("300602010102018000"))
def test_der_never_raises_and_only_accepts_its_own_encoding(data):
    signature, verdict = der.parse(data)
    assert verdict == (1 if signature is not None else -1)
    if signature is not None:
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        assert der.encode(r, s) == data


@given(st.integers(0, 2**256 - 1), st.integers(0, 2**256 - 1))
@example(0, 0)
@example(127, 128)
@example(2**255, 2**256 - 1)
def test_der_round_trip_and_openssl(r, s):
    data = der.encode(r, s)
    assert der.parse(data) == (r.to_bytes(32, "big") + s.to_bytes(32, "big"), 1)
    assert utils.encode_dss_signature(r, s) == data
    for index in (0, 1, 2):
        assert der.parse(data[:index] + bytes([data[index] ^ 1]) + data[index + 1 :])[1] == -1
    assert der.parse(data + b"\0")[1] == -1
    assert der.parse(data[:-1])[1] == -1


def test_der_rules_one_by_one():
    good = bytes.fromhex("3006020101020101")
    assert der.parse(good)[1] == 1
    for broken in (
        "",
        "30",
        "3006020101",
        "3106020101020101",
        "3007020101020101",
        "308106020101020101",
        "3006030101020101",
        "3006020101030101",
        "3005020002020101",
        "3006020181020101",
        "3006020101020181",
        "300702020001020101",
        "300702010102020001",
        "3006020201020101",
        "30060201010201",
        "300602010102010100",
        "3026022201" + "00" * 33 + "020101",
    ):
        assert der.parse(bytes.fromhex(broken)) == (None, -1), broken


def test_wycheproof_schnorr_challenge_is_tagged():
    tag = hashlib.sha256(b"BIP0340/challenge").digest()
    expected = int.from_bytes(hashlib.sha256(tag + tag + bytes(32) + bytes(32) + b"m").digest(), "big") % N
    assert schnorr.challenge(bytes(32), bytes(32), b"m") == expected


@pytest.mark.parametrize(
    ("function", "arguments", "named"),
    [
        (ecdsa.verify, (bytes(32), bytes(32), bytes(64)), "key"),
        (ecdsa.verify, (bytes(33), bytes(31), bytes(64)), "digest"),
        (ecdsa.verify, (bytes(33), bytes(32), bytes(65)), "signature"),
        (ecdsa.recover, (bytes(32), bytes(64)), "signature"),
        (schnorr.verify, (bytes(33), b"", bytes(64)), "public_key"),
        (schnorr.verify, (bytes(32), b"", bytes(65)), "signature"),
    ],
)
def test_bad_arguments_are_named(function, arguments, named):
    with pytest.raises(ValueError, match=named):
        function(*arguments)
