# SPDX-License-Identifier: GPL-3.0-or-later
"""Random messages of one length, or of mixed lengths."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervm.benchmarks.workloads import SEED
from supervm.crypto import hashes
from supervm.crypto.messages import Messages

HASHES: dict[str, Callable[..., NDArray[np.uint8]]] = {
    "sha256": hashes.sha256_batch,
    "sha512": hashes.sha512_batch,
    "keccak256": hashes.keccak256_batch,
    "blake2b": hashes.blake2b_batch,
}


@dataclass(frozen=True)
class HashItems:
    """Messages for one hash function; for `eth_address` they are 64-byte public keys.

    Args:
        operation: the registry's name.
        data: the bytes of all messages.
        offsets: (n + 1,) where each begins.
    """

    operation: str
    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]

    @property
    def items(self) -> int:
        """How many messages."""
        return len(self.offsets) - 1

    def run(self, backend: str) -> object:
        """The public function on all messages."""
        if self.operation == "eth_address":
            return hashes.eth_address_batch(self.data.reshape(-1, 64), backend=backend)
        if self.items == 1:
            return HASHES[self.operation](self._one, backend=backend)
        return HASHES[self.operation](Messages.of((self.data, self.offsets)), backend=backend)

    @functools.cached_property
    def _one(self) -> list[bytes]:
        """A batch of one, as a caller who has one message has it."""
        return self.messages()

    def answers(self, result: Any) -> list[Any]:
        """The digest of each message."""
        return [digest.tobytes() for digest in result]

    def part(self, start: int, stop: int) -> HashItems:
        """Messages start … stop − 1; their bytes are not copied, and offsets begin at 0 again."""
        first, last = int(self.offsets[start]), int(self.offsets[stop])
        return HashItems(self.operation, self.data[first:last], self.offsets[start : stop + 1] - first)

    def moved(self, copy: Callable[[NDArray[Any]], NDArray[Any]]) -> HashItems:
        """The same messages, with bytes and offsets in the arrays that `copy` returns."""
        return HashItems(self.operation, copy(self.data), copy(self.offsets))

    def messages(self) -> list[bytes]:
        """Each message as bytes."""
        data, offsets = self.data.tobytes(), self.offsets.tolist()
        return [data[start:stop] for start, stop in pairwise(offsets)]


def fixed_length(operation: str, length: int) -> Callable[[int], HashItems]:
    """A maker of messages that all have `length` bytes."""
    return partial(_messages, operation, length, length)


def mixed_lengths(operation: str, longest: int) -> Callable[[int], HashItems]:
    """A maker of messages of 0 to `longest` bytes, every length as likely."""
    return partial(_messages, operation, 0, longest)


def _messages(operation: str, shortest: int, longest: int, count: int) -> HashItems:
    random = np.random.default_rng([SEED, shortest, longest, count])
    offsets = np.zeros(count + 1, np.int64)
    np.cumsum(random.integers(shortest, longest + 1, count), out=offsets[1:])
    return HashItems(operation, random.integers(0, 256, int(offsets[-1]), dtype=np.uint8), offsets)
