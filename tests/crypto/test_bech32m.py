# SPDX-License-Identifier: GPL-3.0-or-later
"""`bech32m`: BIP-350's vectors, round trips, and every wrong character."""

from __future__ import annotations

import random

import pytest

from supervm.crypto import bech32m
from supervm.kernels.errors import ArgumentError

VALID = [
    ("A1LQFN3A", "a"),
    ("a1lqfn3a", "a"),
    (
        "an83characterlonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11sg7hg6",
        "an83characterlonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber1",
    ),
    ("abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx", "abcdef"),
    ("split1checkupstagehandshakeupstreamerranterredcaperredlc445v", "split"),
    ("?1v759aa", "?"),
]
"""Of BIP-350, those that hold whole bytes."""

NOT_BYTES = [(f"11{'l' * 82}ludsr8", "1")]
"""Of BIP-350 too: the checksum is right, and the numbers of five bits are no bytes."""

INVALID = ["y1b0jsk6g", "lt1igcx5c0", "in1muywd", "mm1crxm3i", "au1s5cgom", "M1VUXWEZ", "16plkw9", "1p2gdwpf"]
INVALID += ["qyrz8wqd2c9m", "1qyrz8wqd2c9m", "a12uel5l"]
"""Of BIP-350, and a Bech32 text."""


def test_published_texts():
    for text, prefix in VALID:
        data = bech32m.decode(text, prefix)
        assert bech32m.encode(prefix, data) == text.lower()
    for text, prefix in NOT_BYTES:
        with pytest.raises(ArgumentError, match="bits behind the last byte"):
            bech32m.decode(text, prefix)


@pytest.mark.parametrize("text", INVALID)
def test_published_wrong_texts(text):
    prefix = text.lower().rpartition("1")[0] or "a"
    with pytest.raises(ArgumentError):
        bech32m.decode(text, prefix)


def test_round_trips():
    rng = random.Random(350)
    for length in (*range(40), 64, 96, 600):
        data = rng.randbytes(length)
        text = bech32m.encode("svpay", data)
        assert bech32m.decode(text, "svpay") == bech32m.decode(text.upper(), "svpay") == data


def test_up_to_three_wrong_characters_are_found():
    rng = random.Random(351)
    text = bech32m.encode("svpay", rng.randbytes(64))
    places = range(6, len(text))
    for place in places:
        for letter in set("qpzry9x8gf2tvdw0s3jn54khce6mua7l") - {text[place]}:
            with pytest.raises(ArgumentError, match="checksum"):
                bech32m.decode(text[:place] + letter + text[place + 1 :], "svpay")
    for _ in range(2000):
        letters = list(text)
        for place in rng.sample(places, rng.choice((2, 3))):
            letters[place] = rng.choice([each for each in "qpzry9x8gf2tv" if each != letters[place]])
        with pytest.raises(ArgumentError, match="checksum"):
            bech32m.decode("".join(letters), "svpay")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "no text"),
        (None, "no text"),
        ("svpay1" + "q" * 1020, "too much"),
        ("SVPAY1lqfn3a", "capital and small"),
        ("other1lqfn3a", "another prefix"),
        ("lqfn3a", "another prefix"),
        ("svpay1qqq", "too few"),
        ("svpay1qqqqqqé", "does not have"),
    ],
)
def test_other_texts(text, found):
    with pytest.raises(ArgumentError, match=found):
        bech32m.decode(text, "svpay")


@pytest.mark.parametrize(
    ("prefix", "data"), [("", b""), ("A", b""), ("a b", b""), ("x" * 84, b""), ("a", bytes(700))]
)
def test_what_is_not_encoded(prefix, data):
    with pytest.raises(ArgumentError):
        bech32m.encode(prefix, data)
