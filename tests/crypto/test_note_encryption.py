# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys and addresses, and notes that are found by those they are for and by nobody else."""

from __future__ import annotations

import hashlib
import random

import numpy as np
import pytest
from lanes_here import FULL

from supervm.crypto import note_encryption
from supervm.crypto.note_encryption import MEMO_BYTES, NOTE_BYTES, candidates, encrypt, scan
from supervm.crypto.oracle import notes as oracle
from supervm.crypto.oracle import x25519 as ladder
from supervm.crypto.params.notes import FIELD
from supervm.crypto.shielded_keys import Address, Seed, ViewKey
from supervm.kernels.arrays import integers
from supervm.kernels.errors import ArgumentError

pytest.importorskip("cryptography")

R = FIELD.modulus
POOL = oracle.pool_id(7, 0xABCDEF)
ALICE, BOB = Seed(b"a" * 32), Seed(b"b" * 32)


class Notes:
    """Notes for some keys, among random bytes."""

    def __init__(self, owners: list[Seed | None], seed: int = 1) -> None:
        rng = random.Random(seed)
        self.leaves, self.data, self.amounts, self.blindings = [], [], [], []
        for place, owner in enumerate(owners):
            if owner is None:
                self.leaves.append(rng.randbytes(32))
                self.data.append(rng.randbytes(NOTE_BYTES))
                continue
            address, amount, blinding = owner.view_key.address, rng.getrandbits(64), rng.randrange(R)
            leaf = oracle.commitment(amount, address.owner, blinding)
            memo = b"note %d" % place
            self.leaves.append(leaf.to_bytes(32))
            self.data.append(encrypt(address, POOL, leaf, amount=amount, blinding=blinding, memo=memo))
            self.amounts.append(amount)
            self.blindings.append(blinding)

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        return as_rows(self.leaves, 32), as_rows(self.data, NOTE_BYTES)


def as_rows(values: list[bytes], width: int) -> np.ndarray:
    return np.frombuffer(b"".join(values), np.uint8).reshape(-1, width).copy()


# Keys ------------------------------------------------------------------------------------------------------


def test_keys_are_as_the_page_defines_them():
    secret = int.from_bytes(hashlib.blake2b(b"supervm/seed/spend/1" + b"a" * 32).digest()) % R
    keys = oracle.keys(secret)
    found = ALICE.view_key
    assert ALICE.secret == secret
    assert (found.authority, found.nullifier_key, found.address.owner) == (
        keys.authority,
        keys.nullifier,
        keys.owner,
    )
    viewing = hashlib.blake2b(b"supervm/seed/view/1" + b"a" * 32, digest_size=32).digest()
    assert found.viewing_secret == viewing
    assert found.address.viewing_key == ladder.multiply(viewing, (9).to_bytes(32, "little"))


def test_texts():
    address, key = ALICE.view_key.address, ALICE.view_key
    assert Address.from_text(address.to_text()) == address
    assert ViewKey.from_text(key.to_text()) == key
    assert address.to_text().startswith("svpay1")
    assert key.to_text().startswith("svview1")
    seed = ALICE.to_text()
    assert seed.startswith("svseed1")
    digits = ["qpzry9x8gf2tvdw0s3jn54khce6mua7l".index(letter) for letter in seed[7:-6]]
    assert sum(digit << 5 * place for place, digit in enumerate(reversed(digits))) >> 4 == int.from_bytes(
        ALICE.data
    )
    assert Seed.from_text(seed) == ALICE
    others = ((seed, ViewKey), (key.to_text(), Seed), (seed[:-1] + ("q" if seed[-1] != "q" else "p"), Seed))
    for text, kind in (
        (key.to_text(), Address),
        (address.to_text(), ViewKey),
        ("svpay1lqfn3a", Address),
        *others,
    ):
        with pytest.raises(ArgumentError):
            kind.from_text(text)


def test_no_text_of_an_object_shows_a_secret():
    shown = repr(ALICE) + repr(ALICE.view_key)
    for secret in (ALICE.data, ALICE.view_key.viewing_secret):
        assert repr(secret) not in shown
    assert str(ALICE.view_key.authority) not in shown


@pytest.mark.parametrize(
    ("owner", "key"),
    [
        (R, ALICE.view_key.address.viewing_key),
        (-1, ALICE.view_key.address.viewing_key),
        (1, bytes(32)),
        (1, (1).to_bytes(32, "little")),
        (1, (ladder.P - 1).to_bytes(32, "little")),
        (1, (ladder.P + 9).to_bytes(32, "little")),
        (1, (9 + (1 << 255)).to_bytes(32, "little")),
        (1, bytes(31)),
    ],
)
def test_addresses_that_are_none(owner, key):
    with pytest.raises(ArgumentError):
        Address(owner, key)


@pytest.mark.parametrize("data", [bytes(95), b"\xff" * 96])
def test_view_keys_that_are_none(data):
    with pytest.raises(ArgumentError):
        ViewKey.from_bytes(data)


# Notes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", FULL)
def test_everybody_finds_their_own(backend):
    owners = [None, ALICE, BOB, None, ALICE, *[None] * 40, BOB, ALICE]
    notes = Notes(owners)
    for who in (ALICE, BOB):
        found = scan(who.view_key, POOL, *notes.arrays(), backend=backend)
        own = [place for place, owner in enumerate(owners) if owner is who]
        ranks = [rank for rank, owner in enumerate(filter(None, owners)) if owner is who]
        assert found.rows.tolist() == own
        assert found.amounts.tolist() == [notes.amounts[rank] for rank in ranks]
        assert integers(found.blindings) == [notes.blindings[rank] for rank in ranks]
        assert found.memos == [b"note %d" % place for place in own]
    assert not len(scan(Seed(b"c" * 32).view_key, POOL, *notes.arrays(), backend=backend))


def test_chunks_and_threads_change_nothing(monkeypatch):
    notes = Notes([ALICE if place % 7 == 3 else None for place in range(50)])
    whole = scan(ALICE.view_key, POOL, *notes.arrays())
    monkeypatch.setattr(note_encryption, "_AT_ONCE", 8)
    parts = scan(ALICE.view_key, POOL, *notes.arrays())
    assert whole.rows.tolist() == parts.rows.tolist() == list(range(3, 50, 7))


def test_no_notes():
    found = scan(ALICE.view_key, POOL, np.empty((0, 32), np.uint8), np.empty((0, NOTE_BYTES), np.uint8))
    assert (len(found), found.memos, found.blindings.shape) == (0, [], (0, 4))


def test_every_flipped_bit_loses_the_note():
    """In the key, the tag, the box and the commitment; one bit of each byte, and the key's unused bit."""
    notes = Notes([ALICE])
    leaves, data = notes.arrays()
    flips = [(place, place % 8) for place in range(NOTE_BYTES)] + [(31, 7)]
    spoiled = np.repeat(data, len(flips) + 1, axis=0)
    for row, (place, bit) in enumerate(flips):
        spoiled[row, place] ^= 1 << bit
    found = scan(ALICE.view_key, POOL, np.repeat(leaves, len(spoiled), axis=0), spoiled)
    assert found.rows.tolist() == [len(flips)]
    others = np.repeat(leaves, 33, axis=0)
    others[np.arange(32), np.arange(32)] ^= 1
    found = scan(ALICE.view_key, POOL, others, np.repeat(data, 33, axis=0))
    assert found.rows.tolist() == [32]
    assert not len(scan(ALICE.view_key, POOL + 1, leaves, data))


@pytest.mark.parametrize("what", ["amount", "blinding", "owner", "blinding above r"])
def test_a_note_that_does_not_open_its_commitment_is_none(what, monkeypatch):
    address, amount, blinding = ALICE.view_key.address, 1000, 77
    leaf = oracle.commitment(
        amount + (what == "amount"), address.owner + (what == "owner"), blinding + (what == "blinding")
    )
    told = blinding
    if what == "blinding above r":  # the same element, and yet not what the rules call one
        monkeypatch.setattr(note_encryption, "_require_below", lambda *_: None)
        told += R
    data = encrypt(address, POOL, leaf, amount=amount, blinding=told)
    arrays = as_rows([leaf.to_bytes(32)], 32), as_rows([data], NOTE_BYTES)
    assert len(candidates(ALICE.view_key, arrays[1][:, :32], arrays[1][:, 32])[0]) == 1
    assert not len(scan(ALICE.view_key, POOL, *arrays))


def test_ephemeral_keys_of_small_order_are_for_nobody():
    """Their shared secret is zero for everybody, so anybody can make the tag and the box that belong to it."""
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    address = ALICE.view_key.address
    leaf = oracle.commitment(5, address.owner, 6)
    data = []
    for number in (0, 1, ladder.P - 1, ladder.P, ladder.P + 1):
        own = number.to_bytes(32, "little")
        digest = hashlib.blake2b(b"supervm/note-key/1" + bytes(32) + own + address.viewing_key).digest()
        text = (5).to_bytes(8) + (6).to_bytes(32) + bytes(MEMO_BYTES)
        box = ChaCha20Poly1305(digest[:32]).encrypt(bytes(12), text, POOL.to_bytes(32) + leaf.to_bytes(32))
        data.append(own + digest[32:33] + box)
    leaves = as_rows([leaf.to_bytes(32)] * len(data), 32)
    assert not len(scan(ALICE.view_key, POOL, leaves, as_rows(data, NOTE_BYTES)))


def test_the_tag_alone_leaves_one_in_256():
    rng = np.random.default_rng(5)
    keys, tags = rng.integers(0, 256, (4096, 32), np.uint8), rng.integers(0, 256, 4096, np.uint8)
    places, ciphers = candidates(ALICE.view_key, keys, tags)
    assert 3 <= len(places) == len(ciphers) <= 40


def test_no_two_encryptions_are_alike():
    address = ALICE.view_key.address
    leaf = oracle.commitment(5, address.owner, 6)
    made = {encrypt(address, POOL, leaf, amount=5, blinding=6) for _ in range(8)}
    assert len(made) == len({each[:32] for each in made}) == 8
    assert {len(each) for each in made} == {NOTE_BYTES}


@pytest.mark.parametrize(
    "wrong",
    [{"amount": 1 << 64}, {"amount": -1}, {"blinding": R}, {"memo": bytes(MEMO_BYTES + 1)}, {"memo": "text"}],
)
def test_what_no_note_can_hold(wrong):
    given = {"amount": 1, "blinding": 2, "memo": b"", **wrong}
    with pytest.raises(ArgumentError, match=next(iter(wrong))):
        encrypt(ALICE.view_key.address, POOL, 3, **given)


@pytest.mark.parametrize(
    ("leaves", "data"),
    [((2, 32), (1, NOTE_BYTES)), ((1, 31), (1, NOTE_BYTES)), ((1, 32), (1, NOTE_BYTES - 1))],
)
def test_arrays_of_other_shapes(leaves, data):
    with pytest.raises(ArgumentError):
        scan(ALICE.view_key, POOL, np.zeros(leaves, np.uint8), np.zeros(data, np.uint8))
