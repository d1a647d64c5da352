# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts that were asked for last, in as much memory as they may take: a set-associative cache in arrays.

An address belongs to one set of eight places, as a line does in a processor's cache; the least recently used of the eight
makes room. So many thousand addresses are looked up at once without a step of Python for each.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from supervm.kernels.array_types import Bytes, Flags, Numbers

WAYS = 8
"""Places of a set."""

ENTRY_BYTES = 20 + 8 + 32 + 8 + 8
"""Memory of an account: address, nonce, balance, when it was used and when it was read."""

MIXER = np.uint64(0xBF58476D1CE4E5B9)
"""A factor of the finalizer of SplitMix64 (Steele, Lea and Flood, 2014): each bit moves about half of the others."""


class AccountCache:
    """The cache; every method may be called from any thread.

    Args:
        memory: bytes that it takes at most, and from the first use on.
        seconds: after which what was read counts as unknown.
        clock: seconds that only go forward.
    """

    def __init__(self, memory: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._sets = max(1, memory // (WAYS * ENTRY_BYTES))
        self._seconds, self._clock, self._lock = seconds, clock, threading.Lock()
        shape = (self._sets, WAYS)
        self._addresses = np.zeros((*shape, 20), np.uint8)
        self._nonces = np.zeros(shape, np.uint64)
        self._balances = np.zeros((*shape, 32), np.uint8)
        self._used = np.zeros(shape, np.int64)  # 0: nothing is there
        self._read = np.zeros(shape, np.float64)
        self._uses = 0
        # Secret, since whoever knows the set of an address could fill it.
        self._factors = np.array([secrets.randbits(64) | 1 for _ in range(4)], np.uint64)

    @property
    def capacity(self) -> int:
        """Accounts that there is room for."""
        return self._sets * WAYS

    def __len__(self) -> int:
        """Accounts in it, those that are too old included."""
        return int(np.count_nonzero(self._used))

    def look_up(self, addresses: Bytes) -> tuple[Flags, NDArray[np.uint64], Bytes]:
        """What is known of accounts.

        Args:
            addresses: uint8 (n, 20).

        Returns:
            (which are known, bool (n,); their nonces, uint64 (n,); balances, uint8 (n, 32)), zeros for the others.
        """
        with self._lock:
            sets, ways, found = self._places(addresses)
            found &= self._read[sets, ways] >= self._clock() - self._seconds
            self._uses += 1
            self._used[sets[found], ways[found]] = self._uses
            nonces = np.where(found, self._nonces[sets, ways], np.uint64(0))
            balances = np.where(found[:, None], self._balances[sets, ways], np.uint8(0))
        return found, nonces, balances

    def store(self, addresses: Bytes, nonces: NDArray[np.uint64], balances: Bytes) -> None:
        """Note accounts as they are now.

        Args:
            addresses: uint8 (n, 20), each once.
            nonces, balances: uint64 (n,), uint8 (n, 32).
        """
        with self._lock:
            self._uses += 1
            sets, ways, found = self._places(addresses)
            self._used[sets[found], ways[found]] = self._uses
            new = np.flatnonzero(~found)
            ways[new], fits = self._room(sets[new])
            kept = found.copy()
            kept[new] = fits
            at = sets[kept], ways[kept]
            self._addresses[at], self._nonces[at] = addresses[kept], nonces[kept]
            self._balances[at], self._used[at], self._read[at] = balances[kept], self._uses, self._clock()

    def _places(self, addresses: Bytes) -> tuple[Numbers, Numbers, Flags]:
        """Set and place of each address, and whether it is there."""
        words = np.zeros((len(addresses), 24), np.uint8)
        words[:, :20] = addresses
        mixed = (words.view(np.uint64) * self._factors[:3]).sum(axis=1, dtype=np.uint64)
        # A sum of products alone leaves sets empty for addresses that follow one another: one factor in fifty did.
        mixed = (mixed ^ (mixed >> np.uint64(32))) * self._factors[3]
        mixed = (mixed ^ (mixed >> np.uint64(29))) * MIXER
        sets = ((mixed >> np.uint64(32)) % np.uint64(self._sets)).astype(np.int64)
        same = (self._addresses[sets] == addresses[:, None, :]).all(axis=2) & (self._used[sets] > 0)
        ways = same.argmax(axis=1)
        return sets, ways, same.any(axis=1)

    def _room(self, sets: Numbers) -> tuple[Numbers, Flags]:
        """A place for each of several new addresses, the least recently used first; no more of a set than it has."""
        order = np.argsort(sets, kind="stable")
        in_order = sets[order]
        starts = np.flatnonzero(np.diff(in_order, prepend=-1))
        runs = np.diff(np.append(starts, len(sets)))
        rank = np.empty(len(sets), np.int64)
        rank[order] = np.arange(len(sets)) - np.repeat(starts, runs)
        oldest = np.argsort(self._used[sets], axis=1, kind="stable")
        ways = oldest[np.arange(len(sets)), np.minimum(rank, WAYS - 1)]
        return ways, rank < WAYS
