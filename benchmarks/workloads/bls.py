# SPDX-License-Identifier: GPL-3.0-or-later
"""BLS signatures of keys in G1: each on a message of its own, all on one, and of committees on one message each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervm.benchmarks.workloads import random_elements
from supervm.crypto import bls, curves
from supervm.crypto.hash_to_curve import hash_to_g2
from supervm.kernels.array_types import Bytes
from supervm.kernels.arrays import integers

TAG = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"
COMMITTEE = 512
"""Keys of a sync committee of Ethereum."""

_ORDER = curves.get("bls12_381").order


@dataclass(frozen=True)
class BlsItems:
    """n signatures, each by `signers` keys together.

    Args:
        keys: uint8 (n · signers, 48).
        messages: uint8 (n, 32).
        signatures: uint8 (n, 96).
        signers: 1, or a committee's keys, which are decoded beforehand.
    """

    keys: Bytes
    messages: Bytes
    signatures: Bytes
    signers: int = 1
    decoded: bls.Keys | None = None

    @property
    def items(self) -> int:
        """How many signatures."""
        return len(self.signatures)

    def run(self, backend: str) -> object:
        """The public function on all signatures."""
        if self.decoded is None:
            return bls.verify_batch(self.keys, self.messages, self.signatures, backend=backend)
        offsets = self.signers * np.arange(self.items + 1)
        return bls.fast_aggregate_verify_batch(
            self.decoded, offsets, self.messages, self.signatures, backend=backend
        )

    def answers(self, result: Any) -> list[Any]:
        """Whether each is valid."""
        return [bool(verdict == 1) for verdict in result]

    def part(self, start: int, stop: int) -> BlsItems:
        """Signatures start … stop − 1."""
        chosen = slice(self.signers * start, self.signers * stop)
        decoded = None if self.decoded is None else self.decoded.take(np.arange(chosen.start, chosen.stop))
        return replace(
            self,
            keys=self.keys[chosen],
            messages=self.messages[start:stop],
            signatures=self.signatures[start:stop],
            decoded=decoded,
        )

    def moved(self, copy: Callable[[NDArray[Any]], NDArray[Any]]) -> BlsItems:
        """The same signatures in the arrays that `copy` returns."""
        return replace(
            self, keys=copy(self.keys), messages=copy(self.messages), signatures=copy(self.signatures)
        )

    def damaged(self) -> BlsItems:
        """The same signatures, every third of them under another message."""
        messages = self.messages.copy()
        messages[::3, 0] ^= 1
        return replace(self, messages=messages)


def signed(one_message: bool) -> Callable[[int], BlsItems]:
    """A maker of signatures by one key each."""
    return partial(_make, 1, one_message)


def committees() -> Callable[[int], BlsItems]:
    """A maker of committees' signatures, whose keys are decoded beforehand."""
    return partial(_make, COMMITTEE, False)


def _make(signers: int, one_message: bool, count: int) -> BlsItems:
    curve = curves.get("bls12_381")
    secrets = random_elements(_ORDER, count * signers, salt=11)
    generator = np.repeat(curve.g1.generator[None], len(secrets), 0)
    keys = curve.g1.to_bytes(curve.g1.multiply(generator, secrets), "zcash_compressed")
    number = (0 if one_message else index for index in range(count))
    texts = [hashlib.sha256(each.to_bytes(8, "big")).digest() for each in number]
    messages = np.frombuffer(b"".join(texts), np.uint8).reshape(count, 32)
    numbers = integers(secrets)
    totals = [sum(numbers[at : at + signers]) % _ORDER for at in range(0, len(numbers), signers)]
    scalars = np.frombuffer(b"".join(total.to_bytes(32, "little") for total in totals), "<u8")
    points = curve.g2.multiply(hash_to_g2(messages, TAG), scalars.astype(np.uint64).reshape(count, 4))
    signatures = curve.g2.to_bytes(points, "zcash_compressed")
    decoded = bls.decode_keys(keys) if signers > 1 else None
    return BlsItems(keys, messages, signatures, signers, decoded)
