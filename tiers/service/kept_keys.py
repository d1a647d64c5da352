# SPDX-License-Identifier: GPL-3.0-or-later
"""Decoded BLS keys that come again: validators sign every few minutes, and decoding a key costs a subgroup check."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from supervm.kernels.array_types import Bytes, Flags, Words

if TYPE_CHECKING:
    from supervm.crypto.bls import Keys

MOST = 1 << 16
"""Keys of one variant that are kept: 15 MB with keys in G1, 25 MB with keys in G2."""


class KeptKeys:
    """Keys of one variant, by their bytes; of any thread.

    A key is what its bytes are: what is kept of them is what `bls.decode_keys` made of the same bytes. Keys that it refuses
    are not kept. Where there are too many, those that came first go.

    Args:
        variant: `min-pk` or `min-sig`.
        most: keys that are kept.
    """

    def __init__(self, variant: str, most: int = MOST) -> None:
        self._variant, self._most = variant, most
        self._lock = threading.Lock()
        self._places: dict[bytes, int] = {}
        self._names: list[bytes] = []
        self._points: Words | None = None
        self._next = 0

    def __len__(self) -> int:
        return len(self._places)

    def decode(self, encoded: Bytes, backend: str) -> Keys:
        """As `bls.decode_keys`.

        Args:
            encoded: uint8 (n, 48) or (n, 96).
            backend: `auto`, or a name of `kernels.registry.BACKENDS`.
        """
        from supervm.crypto.bls import Keys, decode_keys

        names = [row.tobytes() for row in encoded]
        with self._lock:
            places = np.array([self._places.get(name, -1) for name in names], np.int64)
            known = self._points[places] if self._points is not None else None
        missing = np.flatnonzero(places < 0)
        if known is None or missing.size == len(names):
            made = decode_keys(encoded, variant=self._variant, backend=backend)
            self._keep(names, made.points, made.verdicts == 1)
            return made
        verdicts = np.ones(len(names), np.int8)
        if missing.size:
            made = decode_keys(np.ascontiguousarray(encoded[missing]), variant=self._variant, backend=backend)
            known[missing], verdicts[missing] = made.points, made.verdicts
            self._keep([names[row] for row in missing.tolist()], made.points, made.verdicts == 1)
        return Keys(self._variant, encoded, known, verdicts)

    def _keep(self, names: list[bytes], points: Words, good: Flags) -> None:
        """Keep what is good of these keys, in place of those that came first."""
        with self._lock:
            if self._points is None:
                self._points = np.zeros((self._most, *points.shape[1:]), points.dtype)
            for row in np.flatnonzero(good).tolist():
                name, place = names[row], self._next
                if name in self._places:
                    continue
                if place < len(self._names):
                    del self._places[self._names[place]]
                    self._names[place] = name
                else:
                    self._names.append(name)
                self._places[name], self._points[place] = place, points[row]
                self._next = (place + 1) % self._most
