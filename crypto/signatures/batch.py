# SPDX-License-Identifier: GPL-3.0-or-later
"""What all signature batches share: the column of verdicts, and slices for threads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from supervm.crypto.calls import Output
from supervm.crypto.one import Desk
from supervm.kernels.array_types import Bytes
from supervm.kernels.cpu.bound import Bound
from supervm.kernels.cpu.hashes.batch import hasher
from supervm.kernels.cpu.hashes.concatenate import cut, prefixed
from supervm.kernels.cpu.hashes.emitter import HashKernel
from supervm.kernels.threads import get_threads, run_slices
from supervm.kernels.work import Ragged

VERDICT: Output = ((), np.int8)
"""A column of verdicts."""

MOST_ITEMS = 2048
"""Items of one slice: some twenty milliseconds of work, and scratch that fits the second-level cache."""

MOST_BYTES = 4 << 20
"""Message bytes of one slice, beyond its first message: what bounds the memory of a batch of long messages."""


def slice_items(items: int) -> int:
    """Items per slice: whole lane groups, and at least four slices a thread when there are several threads."""
    share = -(-items // (4 * get_threads())) if get_threads() > 1 else items
    return max(256, -(-min(MOST_ITEMS, share) // 256) * 256)


def for_slices(items: int, work: Callable[[int, int], None]) -> None:
    """`work(start, stop)` over all items, on the threads of the pool."""
    run_slices(work, items, slice_items(items))


@dataclass(frozen=True)
class Challenge:
    """How a scheme hashes R, A and the message: hash(constant ‖ R ‖ A ‖ message), both of 32 bytes."""

    kernel: HashKernel
    constant: bytes

    def hash_one(self, desk: Desk, key: bytes, message: bytes, signature: bytes) -> None:
        """The hash of one item, to the digest of a desk."""
        desk.hash(hasher(self.kernel), self.constant + signature[:32] + key + message, desk.digest_bytes)


Check = Callable[[int, int, npt.NDArray[np.uint64]], None]


def for_challenges(
    challenge: Challenge, keys: Bytes, messages: Ragged, signatures: Bytes, check: Check
) -> None:
    """`check(start, stop, hashes)` over all items, on the threads of the pool.

    Slices are bounded in message bytes too, since every message is copied behind R and A to be hashed.

    Args:
        challenge: the scheme's hash.
        keys: uint8 (n, 32), contiguous.
        messages: n messages.
        signatures: uint8 (n, 64), contiguous; R is the first half.
        check: takes the hashes of the items start … stop − 1 as one flat uint64 array.
    """
    flat_keys, flat_signatures = keys.reshape(-1), signatures.reshape(-1)
    data, offsets = messages
    bounds = _CUT(offsets, slice_items(len(keys)), MOST_BYTES)
    constant = np.frombuffer(challenge.constant, np.uint8)
    hash_messages, words = hasher(challenge.kernel), challenge.kernel.spec.digest_bytes // 8

    def work(index: int, _: int) -> None:
        start, stop = int(bounds[index]), int(bounds[index + 1])
        joined, places = _PREFIXED(
            constant, flat_signatures, 64, 32, flat_keys, 32, 32, data, offsets, start, stop
        )
        hashes = np.empty((stop - start) * words, np.uint64)
        hash_messages(joined, places, hashes.view(np.uint8), 0, stop - start)
        check(start, stop, hashes)

    run_slices(work, bounds.size - 1, 1)


_CUT, _PREFIXED = Bound(cut), Bound(prefixed)
