# SPDX-License-Identifier: GPL-3.0-or-later
"""Signed messages: every message is another one, the keys come from a pool of 256.

Signing goes through `cryptography` (Ed25519) and `coincurve` (secp256k1) and is kept for the process.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervm.benchmarks.workloads import DISTINCT, SEED
from supervm.crypto import ed25519, secp256k1
from supervm.crypto.messages import Messages

Bytes = NDArray[np.uint8]

KEYS = 256
MESSAGE_BYTES = 64
DISTINCT_SCHNORR = 16_384
"""Fewer than of the others: coincurve checks each Schnorr signature that it makes."""
DAMAGED_SHARE = 4
"""One item in so many is damaged where answers are checked."""


@dataclass(frozen=True)
class SignedItems:
    """Keys, messages or digests, and signatures, one row an item.

    Args:
        scheme: `ed25519`, `ecdsa`, `recover` or `schnorr`.
        keys: (n, 32) Ed25519 or x-only, (n, 33) or (n, 65) SEC1; for `recover` they are what must come out.
        messages: (n, 64) for Ed25519, (n, 32) digests else.
        signatures: (n, 64), or (n, 65) for `recover`.
        rule: Ed25519's.
    """

    scheme: str
    keys: Bytes
    messages: Bytes
    signatures: Bytes
    rule: str = "dalek"

    @property
    def items(self) -> int:
        return len(self.signatures)

    @functools.cached_property
    def _ragged(self) -> Messages:
        return Messages.of(self.messages)

    def run(self, backend: str) -> object:
        """The public function on all items."""
        if self.scheme == "ed25519":
            return ed25519.verify_batch(
                self.keys, self._ragged, self.signatures, rule=self.rule, backend=backend
            )
        if self.scheme == "ecdsa":
            return secp256k1.ecdsa_verify_batch(self.keys, self.messages, self.signatures, backend=backend)
        if self.scheme == "recover":
            return secp256k1.ecdsa_recover_batch(self.messages, self.signatures, backend=backend)
        return secp256k1.schnorr_verify_batch(self.keys, self._ragged, self.signatures, backend=backend)

    def answers(self, result: Any) -> list[Any]:
        """True or False for each item; for `recover` the 64-byte key, or None."""
        if self.scheme == "recover":
            keys, verdicts = result
            return [
                key.tobytes() if verdict == 1 else None for key, verdict in zip(keys, verdicts, strict=True)
            ]
        return [verdict == 1 for verdict in result.tolist()]

    def part(self, start: int, stop: int) -> SignedItems:
        return replace(
            self,
            keys=np.ascontiguousarray(self.keys[start:stop]),
            messages=np.ascontiguousarray(self.messages[start:stop]),
            signatures=np.ascontiguousarray(self.signatures[start:stop]),
        )

    def rows(self) -> list[tuple[bytes, bytes, bytes]]:
        """(key, message, signature) of each item as bytes."""
        return [
            (key.tobytes(), message.tobytes(), signature.tobytes())
            for key, message, signature in zip(self.keys, self.messages, self.signatures, strict=True)
        ]

    def repeated(self, count: int) -> SignedItems:
        """The first `count` items, from the beginning again where there are fewer."""
        order = np.arange(count) % self.items
        return replace(
            self, keys=self.keys[order], messages=self.messages[order], signatures=self.signatures[order]
        )

    def damaged(self) -> SignedItems:
        """One random bit flipped in the key, the message or the signature of one item in four.

        Left alone: the prefix of a SEC1 key (libsecp256k1 takes the hybrid form, ours does not) and the
        recovery id; what `recover` must return is no input.
        """
        random = np.random.default_rng(SEED + self.items)
        arrays: dict[str, Any] = {
            "keys": self.keys.copy(),
            "messages": self.messages.copy(),
            "signatures": self.signatures.copy(),
        }
        spans = {"keys": (1 if self.scheme == "ecdsa" else 0, self.keys.shape[1])}
        spans["messages"] = (0, self.messages.shape[1])
        spans["signatures"] = (0, 64)
        if self.scheme == "recover":
            del spans["keys"]
        names = list(spans)
        for turn, item in enumerate(range(0, self.items, DAMAGED_SHARE)):
            name = names[turn % len(names)]
            arrays[name][item, random.integers(*spans[name])] ^= np.uint8(1 << random.integers(8))
        return replace(self, **arrays)


def ed25519_items(count: int, rule: str = "dalek") -> SignedItems:
    """Valid Ed25519 items with 64-byte messages."""
    return replace(_ed25519(min(count, DISTINCT)).repeated(count), rule=rule)


def ecdsa_items(count: int, key_bytes: int = 65) -> SignedItems:
    """Valid low-s ECDSA items under SEC1 keys of 33 or 65 bytes."""
    signed = _ecdsa(min(count, DISTINCT)).repeated(count)
    keys = signed.keys
    if key_bytes == 33:
        keys = np.concatenate([(2 + (keys[:, 64:] & 1)).astype(np.uint8), keys[:, 1:33]], axis=1)
    return replace(
        signed, scheme="ecdsa", keys=keys, signatures=np.ascontiguousarray(signed.signatures[:, :64])
    )


def recover_items(count: int) -> SignedItems:
    """The items of `ecdsa_items` with their recovery ids."""
    return _ecdsa(min(count, DISTINCT)).repeated(count)


def schnorr_items(count: int) -> SignedItems:
    """Valid BIP-340 items with 32-byte messages."""
    return _schnorr(min(count, DISTINCT_SCHNORR)).repeated(count)


def _random(name: str, shape: tuple[int, int]) -> Bytes:
    return np.random.default_rng([SEED, *name.encode()]).integers(0, 256, shape, dtype=np.uint8)


@functools.cache
def _ed25519(count: int) -> SignedItems:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    pool = [Ed25519PrivateKey.from_private_bytes(seed.tobytes()) for seed in _random("ed25519", (KEYS, 32))]
    public = np.array([list(key.public_key().public_bytes_raw()) for key in pool], dtype=np.uint8)
    messages = _random("ed25519 messages", (count, MESSAGE_BYTES))
    signed = b"".join(pool[i % KEYS].sign(message.tobytes()) for i, message in enumerate(messages))
    signatures = np.frombuffer(signed, np.uint8).reshape(count, 64).copy()
    return SignedItems("ed25519", public[np.arange(count) % KEYS], messages, signatures)


def _secret_keys() -> list[Any]:
    from coincurve import PrivateKey

    return [PrivateKey(secret.tobytes()) for secret in _random("secp256k1", (KEYS, 32))]


@functools.cache
def _ecdsa(count: int) -> SignedItems:
    pool = _secret_keys()
    public = np.array([list(key.public_key.format(compressed=False)) for key in pool], dtype=np.uint8)
    digests = _random("ecdsa digests", (count, 32))
    signed = b"".join(
        pool[i % KEYS].sign_recoverable(digest.tobytes(), hasher=None) for i, digest in enumerate(digests)
    )
    signatures = np.frombuffer(signed, np.uint8).reshape(count, 65).copy()
    return SignedItems("recover", public[np.arange(count) % KEYS], digests, signatures)


@functools.cache
def _schnorr(count: int) -> SignedItems:
    pool = _secret_keys()
    public = np.array([list(key.public_key_xonly.format()) for key in pool], dtype=np.uint8)
    messages = _random("schnorr messages", (count, 32))
    signed = b"".join(
        pool[i % KEYS].sign_schnorr(message.tobytes(), bytes(32)) for i, message in enumerate(messages)
    )
    signatures = np.frombuffer(signed, np.uint8).reshape(count, 64).copy()
    return SignedItems("schnorr", public[np.arange(count) % KEYS], messages, signatures)
