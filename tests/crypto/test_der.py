# SPDX-License-Identifier: GPL-3.0-or-later
"""`secp256k1.signatures_from_der` as the oracle parses: Wycheproof's encodings, mutations and any bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from supervm.crypto import secp256k1
from supervm.crypto.oracle import der


def _assert_as_oracle(encodings):
    signatures, verdicts = secp256k1.signatures_from_der(encodings)
    assert (signatures.dtype, signatures.shape) == (np.uint8, (len(encodings), 64))
    assert (verdicts.dtype, verdicts.shape) == (np.int8, (len(encodings),))
    for data, signature, verdict in zip(encodings, signatures, verdicts.tolist(), strict=True):
        expected, expected_verdict = der.parse(data)
        assert verdict == expected_verdict, data.hex()
        assert signature.tobytes() == (expected or bytes(64)), data.hex()


def test_wycheproof_encodings(ecdsa_vectors):
    encodings = [vector.der for vector in ecdsa_vectors]
    verdicts = {der.parse(data)[1] for data in encodings}
    assert verdicts == {-1, 1}
    _assert_as_oracle(encodings)


def test_every_byte_of_a_signature_changed():
    good = der.encode(2**255 + 12345, 2**247 + 1)
    changed = [
        good[:i] + bytes([good[i] ^ 1 << bit]) + good[i + 1 :] for i in range(len(good)) for bit in range(8)
    ]
    cut = [good[:length] for length in range(len(good))]
    longer = [good + bytes(count) for count in range(1, 4)]
    _assert_as_oracle([good, *changed, *cut, *longer])


def test_boundary_values():
    n = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    edges = [0, 1, 127, 128, 255, 256, 2**247, 2**248 - 1, 2**255 - 1, 2**255, n - 1, n, n + 1, 2**256 - 1]
    encodings = [der.encode(r, s) for r in edges for s in edges]
    _assert_as_oracle(encodings)
    too_wide = "3026022101" + "00" * 32 + "020101"
    _assert_as_oracle([bytes.fromhex(too_wide), bytes.fromhex("3028022301" + "00" * 34 + "020101")])


structured = st.builds(
    lambda tag, length, r_tag, r_length, r, s_tag, s_length, s, tail: (
        bytes([tag, length, r_tag, r_length]) + r + bytes([s_tag, s_length]) + s + tail
    ),
    st.sampled_from([0x30, 0x31]),
    st.integers(0, 80),
    st.sampled_from([2, 3]),
    st.integers(0, 40),
    st.binary(max_size=36),
    st.sampled_from([2, 2, 4]),
    st.integers(0, 40),
    st.binary(max_size=36),
    st.binary(max_size=2),
)


@settings(max_examples=60)
@given(st.lists(st.one_of(st.binary(max_size=90), structured), max_size=12))
@example([])
@example([b""])
@example([b"\x30", b"\x30\x06", bytes(8), bytes(72), bytes(73), b"\xff" * 300])
def test_any_bytes(encodings):
    _assert_as_oracle(encodings)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 2**256 - 1), st.integers(0, 2**256 - 1)), min_size=1, max_size=12))
def test_round_trip(pairs):
    signatures, verdicts = secp256k1.signatures_from_der([der.encode(r, s) for r, s in pairs])
    assert verdicts.tolist() == [1] * len(pairs)
    values = [
        (int.from_bytes(row[:32].tobytes(), "big"), int.from_bytes(row[32:].tobytes(), "big"))
        for row in signatures
    ]
    assert values == pairs


@pytest.mark.parametrize("wrong", [["text"], [b"ok", None], "3006020101020101", 5])
def test_bad_arguments_are_refused(wrong):
    with pytest.raises(ValueError, match=r"found .*, expected "):
        secp256k1.signatures_from_der(wrong)
