# SPDX-License-Identifier: GPL-3.0-or-later
"""Signed messages: every message is another one, the keys come from a pool of 256.

`signing` makes them, the same on every machine and without any other library, and they are kept for the process.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervm.benchmarks.workloads import DISTINCT, SEED, signing
from supervm.crypto import ed25519, secp256k1
from supervm.crypto.messages import Messages
from supervm.kernels.array_types import Bytes

MESSAGE_BYTES = 64
FEW = 1_024
"""Signatures that are made where no more are asked for: checks and tests need few."""
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
        """How many signatures."""
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
        """Items start … stop − 1, in contiguous rows."""
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

        def again(rows: Bytes) -> Bytes:
            return np.resize(rows, (count, rows.shape[1]))

        return replace(
            self, keys=again(self.keys), messages=again(self.messages), signatures=again(self.signatures)
        )

    def moved(self, copy: Callable[[NDArray[Any]], NDArray[Any]]) -> SignedItems:
        """The same items in the arrays that `copy` returns, the messages' offsets included."""
        whole = replace(
            self, keys=copy(self.keys), messages=copy(self.messages), signatures=copy(self.signatures)
        )
        offsets = copy(self._ragged.offsets)
        whole.__dict__["_ragged"] = Messages.of((whole.messages.reshape(-1), offsets))  # as if it were cached
        return whole

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
    return replace(_ed25519(_made(count)).repeated(count), rule=rule)


def ecdsa_items(count: int, key_bytes: int = 65) -> SignedItems:
    """Valid low-s ECDSA items under SEC1 keys of 33 or 65 bytes."""
    pool = _ecdsa(_made(count))
    keys = pool.keys
    if key_bytes == 33:
        keys = np.concatenate([(2 + (keys[:, 64:] & 1)).astype(np.uint8), keys[:, 1:33]], axis=1)
    signatures = np.ascontiguousarray(pool.signatures[:, :64])
    return replace(pool, scheme="ecdsa", keys=keys, signatures=signatures).repeated(count)


def recover_items(count: int) -> SignedItems:
    """The items of `ecdsa_items` with their recovery ids."""
    return _ecdsa(_made(count)).repeated(count)


def schnorr_items(count: int) -> SignedItems:
    """Valid BIP-340 items with 32-byte messages."""
    return _schnorr(_made(count)).repeated(count)


def _made(count: int) -> int:
    """How many different signatures a workload of `count` items draws on: one of two numbers, each made once."""
    return FEW if count <= FEW else DISTINCT


def _random(name: str, shape: tuple[int, int]) -> Bytes:
    return np.random.default_rng([SEED, *name.encode()]).integers(0, 256, shape, dtype=np.uint8)


def _rows(values: list[bytes]) -> Bytes:
    return np.frombuffer(b"".join(values), np.uint8).reshape(len(values), -1)


@functools.cache
def _ed25519(count: int) -> SignedItems:
    return _signed("ed25519", signing.ed25519, _random("ed25519 messages", (count, MESSAGE_BYTES)))


@functools.cache
def _ecdsa(count: int) -> SignedItems:
    return _signed("recover", signing.ecdsa, _random("ecdsa digests", (count, 32)))


@functools.cache
def _schnorr(count: int) -> SignedItems:
    return _signed("schnorr", signing.bip340, _random("schnorr messages", (count, 32)))


def _signed(scheme: str, sign: Callable[[list[bytes]], signing.Signed], messages: Bytes) -> SignedItems:
    signed = sign([message.tobytes() for message in messages])
    return SignedItems(scheme, _rows(signed.keys), messages, _rows(signed.signatures))
