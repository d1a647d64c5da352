# SPDX-License-Identifier: GPL-3.0-or-later
"""Notes on their way to their owners: encrypted for one address, found among many by trial decryption (docs/wallet.md).

A note's 160 bytes are an ephemeral X25519 key (32), a view tag (1), and what ChaCha20-Poly1305 makes (127) of amount (8),
blinding (32) and memo (71, zeros behind it). With S = X25519(ephemeral secret, viewing key),

    BLAKE2b-512(`supervm/note-key/1` ‖ S ‖ ephemeral key ‖ viewing key)

has the cipher's key in its first 32 bytes and the view tag behind them; the nonce is zero, since a key is used once, and the
authenticated data are pool (32) ‖ commitment (32). Numbers are big-endian. Whoever is not meant learns nothing from the tag.

Scanning computes S, the hash and the tag of all notes in lanes; one in 256 of others' notes has the right tag by chance and
is decrypted in vain. What decrypts counts only if it opens the note's commitment. Nothing here is claimed to be
constant-time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from supervm.crypto import notes, x25519
from supervm.crypto.arguments import rows, same_count
from supervm.crypto.hashes import blake2b, blake2b_batch
from supervm.crypto.one import bytes_of
from supervm.crypto.params.notes import AMOUNT_BITS, FIELD, NOTE_BYTES
from supervm.crypto.shielded_keys import Address, ViewKey
from supervm.kernels.array_types import Bytes, Flags, Indices, Words
from supervm.kernels.arrays import number_words
from supervm.kernels.errors import ArgumentError

__all__ = ["MEMO_BYTES", "NOTE_BYTES", "Found", "candidates", "encrypt", "scan"]

MEMO_BYTES = 71
_KEY, _TAG = 32, 33
"""Where an ephemeral key ends, and a view tag."""

_CONTEXT = b"supervm/note-key/1"
_NONCE = bytes(12)
_AT_ONCE = 1 << 15
"""Notes that are worked on together: arrays of a few megabytes."""


@dataclass(frozen=True, eq=False)
class Found:
    """Own notes of a scan.

    Args:
        rows: int64 (m,), ascending: where among those that were scanned.
        amounts: uint64 (m,).
        blindings: uint64 (m, 4), little-endian words.
        memos: m byte strings, without the zeros at their end.
    """

    rows: Indices
    amounts: Words
    blindings: Words
    memos: list[bytes]

    def __len__(self) -> int:
        return len(self.rows)


def encrypt(
    address: Address, pool: int, commitment: int, *, amount: int, blinding: int, memo: bytes = b""
) -> bytes:
    """The 160 bytes of a note, with a fresh ephemeral key.

    Args:
        address: whose it is.
        pool: as `notes.pool_id` gives it.
        commitment: of the note, an element.
        amount: below 2^64.
        blinding: an element.
        memo: at most 71 bytes; zeros at its end are lost.

    Raises:
        ArgumentError: what no note can hold.
    """
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    memo = bytes_of(memo, "memo")
    if len(memo) > MEMO_BYTES:
        raise ArgumentError("memo", f"{len(memo)} bytes", f"at most {MEMO_BYTES}")
    _require_below(amount, 1 << AMOUNT_BITS, "amount")
    _require_below(blinding, FIELD.modulus, "blinding")
    _require_below(commitment, FIELD.modulus, "commitment")
    _require_below(pool, 1 << 256, "pool")
    ephemeral = X25519PrivateKey.generate()
    own = ephemeral.public_key().public_bytes_raw()
    shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(address.viewing_key))
    digest = blake2b(_CONTEXT + shared + own + address.viewing_key)
    text = amount.to_bytes(8) + blinding.to_bytes(32) + memo.ljust(MEMO_BYTES, b"\0")
    box = ChaCha20Poly1305(digest[:_KEY]).encrypt(_NONCE, text, pool.to_bytes(32) + commitment.to_bytes(32))
    return own + digest[_KEY:_TAG] + box


def candidates(
    view_key: ViewKey, ephemeral_keys: Bytes, tags: Bytes, *, backend: str = "auto"
) -> tuple[Indices, Bytes]:
    """Notes whose view tag is right, which ephemeral keys and tags alone tell, and the keys of their cipher.

    Args:
        view_key: of whoever scans.
        ephemeral_keys: uint8 (n, 32), any bytes.
        tags: uint8 (n,).
        backend: as for `x25519.multiply_batch` and `hashes.blake2b_batch`.

    Returns:
        int64 (m,), ascending, and uint8 (m, 32).

    Raises:
        ArgumentError: arrays of another shape or dtype.
        BackendUnavailable: the named backend cannot run here.
    """
    keys = rows(ephemeral_keys, "ephemeral_keys", 32)
    if not isinstance(tags, np.ndarray) or tags.dtype != np.uint8 or tags.shape != (len(keys),):
        came = f"{tags.dtype} {tags.shape}" if isinstance(tags, np.ndarray) else type(tags).__name__
        raise ArgumentError("tags", came, f"a uint8 array of shape ({len(keys)},)")
    viewing_key = np.frombuffer(view_key.address.viewing_key, np.uint8)
    places, ciphers = [], []
    for start in range(0, len(keys), _AT_ONCE):
        part = keys[start : start + _AT_ONCE]
        shared, verdicts = x25519.multiply_batch(view_key.viewing_secret, part, backend=backend)
        hashed = np.empty((len(part), len(_CONTEXT) + 96), np.uint8)
        hashed[:, :-96] = np.frombuffer(_CONTEXT, np.uint8)
        hashed[:, -96:-64], hashed[:, -64:-32], hashed[:, -32:] = shared, part, viewing_key
        digests = blake2b_batch(hashed, backend=backend)
        right = (digests[:, _KEY] == tags[start : start + _AT_ONCE]) & (verdicts == 1)
        own = np.flatnonzero(right)
        places.append(own + start)
        ciphers.append(digests[own, :_KEY])
    if not places:
        return np.empty(0, np.int64), np.empty((0, 32), np.uint8)
    return np.concatenate(places), np.concatenate(ciphers)


def scan(
    view_key: ViewKey, pool: int, commitments: Bytes, encrypted: Bytes, *, backend: str = "auto"
) -> Found:
    """The notes that are for a view key. Whatever else the bytes are, they are nobody's here, and never an error.

    Args:
        view_key: of whoever scans.
        pool: as `notes.pool_id` gives it.
        commitments: uint8 (n, 32), big-endian.
        encrypted: uint8 (n, 160).
        backend: as for `candidates` and `notes.commitments`.

    Raises:
        ArgumentError: arrays of another shape or dtype.
        BackendUnavailable: the named backend cannot run here.
    """
    leaves, data = rows(commitments, "commitments", 32), rows(encrypted, "encrypted", NOTE_BYTES)
    same_count(len(leaves), "commitments", {"encrypted": len(data)})
    _require_below(pool, 1 << 256, "pool")
    places, keys = candidates(
        view_key, np.ascontiguousarray(data[:, :_KEY]), data[:, _KEY].copy(), backend=backend
    )
    opened, texts = _opened(places, keys, pool.to_bytes(32), leaves, data)
    texts_array = np.frombuffer(b"".join(texts), np.uint8).reshape(-1, 40 + MEMO_BYTES)
    blindings = texts_array[:, 8:40]
    below = _below_modulus(blindings)
    opened, texts_array, blindings = opened[below], texts_array[below], blindings[below]
    amounts = np.ascontiguousarray(texts_array[:, :8]).view(">u8").reshape(-1).astype(np.uint64)
    words = _words(blindings)
    owners = np.broadcast_to(number_words(view_key.address.owner, 4), words.shape)
    made = notes.commitments(amounts, np.ascontiguousarray(owners), words, backend=backend)
    same = (made == _words(leaves[opened])).all(axis=1)
    memos = [row.tobytes().rstrip(b"\0") for row in texts_array[same, 40:]]
    return Found(opened[same], amounts[same], words[same], memos)


def _opened(
    places: Indices, keys: Bytes, pool: bytes, leaves: Bytes, data: Bytes
) -> tuple[Indices, list[bytes]]:
    """Which of the candidates decrypt, and what to."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    opened, texts = [], []
    for place, key in zip(places.tolist(), keys, strict=True):
        try:
            text = ChaCha20Poly1305(key.tobytes()).decrypt(
                _NONCE, data[place, _TAG:].tobytes(), pool + leaves[place].tobytes()
            )
        except InvalidTag:
            continue
        opened.append(place)
        texts.append(text)
    return np.array(opened, np.int64), texts


def _words(numbers: Bytes) -> Words:
    """Big-endian rows as little-endian words."""
    return np.ascontiguousarray(numbers[:, ::-1]).view("<u8").astype(np.uint64)


def _below_modulus(numbers: Bytes) -> Flags:
    """Which big-endian rows are elements."""
    return np.array([int.from_bytes(row.tobytes()) < FIELD.modulus for row in numbers], np.bool_)


def _require_below(value: int, bound: int, argument: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < bound:
        raise ArgumentError(argument, "another value", f"a whole number below {bound}")
