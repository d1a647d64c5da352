# SPDX-License-Identifier: GPL-3.0-or-later
"""The canonical encoding against a plain encoder made from the rules, and every way in which bytes are none."""

from __future__ import annotations

from dataclasses import replace

import host_twin
import numpy as np
import pytest
from Crypto.Hash import keccak
from host_device import HostDevice, ResidentArray
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_transactions import Plain, batch_of, transactions

from supervm.crypto.messages import Messages
from supervm.engine.errors import MalformedBatch
from supervm.engine.transactions.encoding import (
    EncodingFault,
    decode,
    encode,
    encoded_bytes,
    signing_digests,
    signing_payloads,
    transaction_hashes,
)
from supervm.kernels import get_threads, set_threads
from supervm.kernels.cuda.runtime import devices

FULL = Plain(
    chain_id=7,
    sender=b"s" * 20,
    nonce=258,
    to=b"t" * 20,
    value=3 << 248,
    gas_limit=4,
    gas_price=5,
    entry=b"entry",
    input=b"input bytes",
    private=True,
    proof=b"proof",
    objects=[b"1" * 32, b"2" * 32],
    reads=[b"r", b"", b"rrr"],
    writes=[b"ww", b"w"],
    scheme=1,
    signature=b"g" * 96,
)


def digest(data: bytes) -> bytes:
    return keccak.new(digest_bits=256, data=data).digest()


def listed(messages: Messages) -> list[bytes]:
    return [messages[i] for i in range(len(messages))]


@settings(max_examples=150)
@given(st.lists(transactions(), max_size=6))
def test_round_trip_and_the_plain_encoder(made: list[Plain]) -> None:
    batch = batch_of(made)
    encoded = encode(batch)
    assert listed(encoded) == [each.encoded() for each in made]
    assert listed(signing_payloads(batch)) == [each.payload() for each in made]
    assert encoded_bytes(batch).tolist() == [len(each.encoded()) for each in made]
    decoded, faults = decode(encoded)
    assert not faults
    assert decoded.equals(batch)
    assert listed(encode(decoded)) == listed(encoded)


@settings(max_examples=25)
@given(st.lists(transactions(), min_size=1, max_size=4))
def test_digests_and_hashes(made: list[Plain]) -> None:
    batch = batch_of(made)
    assert [row.tobytes() for row in signing_digests(batch)] == [digest(each.payload()) for each in made]
    assert [row.tobytes() for row in transaction_hashes(batch)] == [digest(each.encoded()) for each in made]


def test_a_known_encoding() -> None:
    """Written out by hand, so that the plain encoder itself is held to the table."""
    transaction = Plain(
        chain_id=1,
        sender=bytes(range(20)),
        nonce=2,
        to=bytes(range(20, 40)),
        value=3,
        gas_limit=4,
        gas_price=5,
        entry=b"ab",
        input=b"c",
        objects=[b"d" * 32],
        reads=[b"e"],
        writes=[],
        proof=b"f",
        scheme=2,
        signature=b"gh",
    )
    by_hand = bytes.fromhex(
        "01 02 02 0000000000000001 000102030405060708090a0b0c0d0e0f10111213 0000000000000002"
        "1415161718191a1b1c1d1e1f2021222324252627" + "00" * 31 + "03 0000000000000004 0000000000000005"
        "0002 6162 00000001 63 0001" + "64" * 32 + "0001 0001 65 0000 00000001 66 0002 6768"
    )
    assert encode(batch_of([transaction]))[0] == transaction.encoded() == by_hand


def test_parts_of_a_batch_and_arrays_that_are_not_contiguous() -> None:
    made = [FULL, Plain(), FULL, Plain(entry=b"x")]
    batch = batch_of(made)
    assert listed(encode(batch.slice(1, 3))) == [each.encoded() for each in made[1:3]]
    wide = np.zeros((4, 32), np.uint8)
    wide[:, -20:] = batch.sender
    batch.__dict__["sender"] = wide[:, -20:]
    batch.__dict__["nonce"] = np.repeat(batch.nonce, 2)[::2]
    assert listed(encode(batch)) == [each.encoded() for each in made]


def test_read_only_memory() -> None:
    encoded = FULL.encoded()
    data = np.frombuffer(encoded, np.uint8)
    batch, faults = decode((data, np.array([0, len(encoded)])))
    assert not faults
    assert encode(batch)[0] == encoded


@pytest.mark.twin
def test_messages_that_lie_on_a_gpu_are_fetched_and_columns_there_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if host_twin.missing():
        pytest.skip(host_twin.missing())
    monkeypatch.setattr(devices, "_search", lambda: ((HostDevice(),), ""))
    encoded = Messages.of([FULL.encoded(), Plain().encoded()])
    there = Messages(ResidentArray(encoded.data), encoded.offsets)
    batch, faults = decode(there)
    assert not faults
    assert batch.equals(batch_of([FULL, Plain()]))
    with pytest.raises(MalformedBatch, match=r"input.*on a GPU"):
        replace(batch, input=there)


def test_every_truncation_and_what_it_names() -> None:
    whole = FULL.encoded()
    starts = [0, 1, 2, 3, 11, 31, 39, 59, 91, 99, 107]
    starts.append(starts[-1] + 2 + 5)  # input
    starts.append(starts[-1] + 4 + 11)  # objects
    starts.append(starts[-1] + 2 + 64)  # number of reads
    for size in (2, 3, 2, 5, 2, 4):  # each read, the number of writes, each write
        starts.append(starts[-1] + size)
    starts.append(starts[-1] + 3)  # proof
    starts.append(starts[-1] + 4 + 5)  # signature
    assert starts[-1] == len(whole) - 98
    batch, faults = decode([whole[:cut] for cut in range(len(whole))])
    assert len(batch) == 0
    assert set(faults.codes.tolist()) == {EncodingFault.TRUNCATED}
    expected = [max(start for start in starts if start <= cut) for cut in range(len(whole))]
    assert faults.places.tolist() == expected


@pytest.mark.parametrize(
    ("bytes_of", "fault", "place"),
    [
        (b"\x00" + FULL.encoded()[1:], EncodingFault.VERSION, 0),
        (b"\x02" + FULL.encoded()[1:], EncodingFault.VERSION, 0),
        (b"\xff", EncodingFault.VERSION, 0),
        (b"\x01\x04" + FULL.encoded()[2:], EncodingFault.FLAGS, 1),
        (b"\x01\x83" + FULL.encoded()[2:], EncodingFault.FLAGS, 1),
        (b"\x01\x80", EncodingFault.FLAGS, 1),
        (FULL.encoded() + b"\0", EncodingFault.TRAILING, len(FULL.encoded())),
        (FULL.encoded() * 2, EncodingFault.TRAILING, len(FULL.encoded())),
        (b"", EncodingFault.TRUNCATED, 0),
        # Longest lengths that the fields can state, with nothing behind them.
        (Plain().encoded()[:107] + b"\xff\xff", EncodingFault.TRUNCATED, 107),
        (Plain().encoded()[:109] + b"\xff\xff\xff\xff" + bytes(9), EncodingFault.TRUNCATED, 109),
        (Plain().encoded()[:113] + b"\xff\xff" + bytes(99), EncodingFault.TRUNCATED, 113),
        # Access lists that are not flagged are read as the fields that follow, and do not fit.
        (
            b"\x01\x00" + Plain(reads=[b"key"], writes=[]).encoded()[2:],
            EncodingFault.TRUNCATED,
            115,
        ),
        # Flagged, but not there.
        (b"\x01\x02" + Plain().encoded()[2:], EncodingFault.TRUNCATED, 119),
    ],
)
def test_a_malformed_message_is_named_and_hurts_no_other(
    bytes_of: bytes, fault: EncodingFault, place: int
) -> None:
    batch, faults = decode([FULL.encoded(), bytes_of, Plain(nonce=3).encoded()])
    assert faults
    assert faults.codes.tolist() == [0, fault, 0]
    assert faults.places.tolist() == [0, place, 0]
    assert faults.rows.tolist() == [1]
    assert faults.kept.tolist() == [0, 2]
    assert f"message 1, byte {place}" in faults.words(1)
    assert faults.words(0) == ""
    assert batch.equals(batch_of([FULL, Plain(nonce=3)]))


@settings(max_examples=200)
@given(transactions(), st.data())
def test_bytes_are_refused_or_are_the_encoding_of_what_was_read(made: Plain, data: st.DataObject) -> None:
    """One byte changed: whatever is still accepted encodes to exactly these bytes."""
    changed = bytearray(made.encoded())
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    batch, faults = decode([bytes(changed)])
    if not faults:
        assert encode(batch)[0] == bytes(changed)


@settings(max_examples=100)
@given(st.lists(st.binary(max_size=300), max_size=4))
def test_noise(messages: list[bytes]) -> None:
    batch, faults = decode(messages)
    assert listed(encode(batch)) == [messages[row] for row in faults.kept]


def test_several_threads_write_and_read_the_same() -> None:
    made = [Plain(nonce=i, entry=b"e" * (i % 5), input=bytes(i % 7)) for i in range(10_000)]
    batch = batch_of(made)
    before, encoded = get_threads(), encode(batch)
    set_threads(3)
    try:
        again = encode(batch)
        decoded, _ = decode(again)
    finally:
        set_threads(before)
    assert np.array_equal(encoded.data, again.data)
    assert listed(encoded) == [each.encoded() for each in made]
    assert decoded.equals(batch)


def test_offsets_that_would_lead_outside_are_refused_before_writing() -> None:
    batch = batch_of([FULL, Plain()]).take(np.arange(2))
    batch.read_offsets[1] = 1 << 50
    with pytest.raises(MalformedBatch, match="read_offsets"):
        encode(batch)


def test_no_transactions() -> None:
    batch, faults = decode([])
    assert len(batch) == len(faults) == 0
    assert not faults
    assert signing_digests(batch).shape == transaction_hashes(batch).shape == (0, 32)
