# SPDX-License-Identifier: GPL-3.0-or-later
"""The equations of BLS signatures, e(key, H(message)) = e(generator, signature), many at a time.

With keys in G1, an item's equation is e(Aᵢ, Bᵢ) · e(−G₁, σᵢ) = 1 where Aᵢ is its key and Bᵢ its message's point; with keys
in G2 it is e(Aᵢ, Bᵢ) · e(σᵢ, −G₂) = 1 where Aᵢ is the message's point and Bᵢ the key. With weights the signatures are one
sum, and so are the Aᵢ of all items whose Bᵢ is the same: a committee that signs one message costs two pairings.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from supervm.crypto import curves, pairings
from supervm.crypto.weighted import point_sums, random_weights, spread, verdicts
from supervm.kernels.array_types import Array, Flags, Indices, Verdicts, Words

_CURVE = curves.get("bls12_381")
_PAIRING = pairings.get("bls12_381")


@cache
def _minus_generator() -> pairings.Prepared:
    """−G₂, which every signature in G1 is paired with."""
    return _PAIRING.prepare(_CURVE.g2.negate(_CURVE.g2.generator[None], backend="scalar"))


def equal_rows(table: Array) -> tuple[Indices, Indices]:
    """The first row of each kind, ascending by its contents, and the kind of every row."""
    if not len(table):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    flat = np.ascontiguousarray(table).reshape(len(table), -1)
    keys = flat.view(np.dtype((np.void, flat.shape[1] * flat.itemsize))).reshape(-1)
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    return first, which.reshape(-1)


@dataclass(frozen=True, eq=False)
class Signed:
    """n items of points of the subgroups, no key infinity.

    Args:
        variant: `min-pk` or `min-sig`.
        keys: (n, 2, …).
        hashed: the points of messages, each once.
        which: int64 (n,), the number of each item's message.
        signatures: (n, 2, …), or one signature for `together`.
        backend: as everywhere.
    """

    variant: str
    keys: Words
    hashed: Words
    which: Indices
    signatures: Words
    backend: str

    @property
    def keys_first(self) -> bool:
        """Whether keys are in G1."""
        return self.variant == "min-pk"

    @cached_property
    def first(self) -> Words:
        """Aᵢ, in G1."""
        return self.keys if self.keys_first else self.hashed[self.which]

    @cached_property
    def _second_kinds(self) -> tuple[Words, Indices]:
        """What is in G2, each point once, and the number of each item's."""
        if self.keys_first:
            return self.hashed, self.which
        unique, which = equal_rows(self.keys)
        return self.keys[unique], which

    @cached_property
    def weights(self) -> Words:
        """Of each item."""
        return random_weights(len(self.keys))

    def closing(self, signatures: Words) -> tuple[Words, Words]:
        """The pairs that signatures make: (−G₁, σ), or (σ, −G₂)."""
        group = _CURVE.g1 if self.keys_first else _CURVE.g2
        opposite = np.repeat(group.negate(group.generator[None], backend="scalar"), len(signatures), 0)
        return (opposite, signatures) if self.keys_first else (signatures, opposite)

    def holds(self, starts: Indices, stops: Indices) -> Flags:
        """Whether the weighted equation of all items of each range holds."""
        counts = stops - starts
        items = spread(starts, counts)
        ranges = np.repeat(np.arange(len(starts)), counts)
        points, kind = self._second_kinds
        number = ranges * len(points) + kind[items]
        order = np.argsort(number, kind="stable")
        begins = np.flatnonzero(np.diff(number[order], prepend=-1))
        chosen, bounds = items[order], np.append(begins, len(order))
        sums = point_sums(_CURVE.g1, self.first[chosen], self.weights[chosen], bounds, self.backend)
        kinds = number[order][begins]
        group = _CURVE.g2 if self.keys_first else _CURVE.g1
        offsets = np.concatenate(([0], np.cumsum(counts)))
        totals = point_sums(group, self.signatures[items], self.weights[items], offsets, self.backend)
        one, other = self.closing(totals)
        # The pairs of a range, and behind them the one of its signatures.
        row = np.concatenate((kinds // len(points), np.arange(len(starts))))
        place = np.argsort(row, kind="stable")
        first = np.concatenate((sums, one))[place]
        second = np.concatenate((points[kinds % len(points)], other))[place]
        pairs = np.concatenate(([0], np.cumsum(np.bincount(row, minlength=len(starts)))))
        whether: Flags = _PAIRING.check(first, second, pairs, backend=self.backend) == 1
        return whether

    def alone(self, items: Indices) -> Flags:
        """Whether each item's own equation holds."""
        points, kind = self._second_kinds
        pairs = self.first[items], points[kind[items]], np.arange(len(items) + 1)
        return self._checked(*pairs, self.signatures[items])

    def _checked(self, first: Words, second: Words, offsets: Indices, signatures: Words) -> Flags:
        """Whether the pairs of each item and its signature's make one."""
        if self.keys_first:
            one, other = self.closing(signatures)
            first, second = (
                np.insert(points, offsets[1:], more, 0) for points, more in ((first, one), (second, other))
            )
            verdicts = _PAIRING.check(first, second, offsets + np.arange(len(offsets)), backend=self.backend)
        else:
            verdicts = _PAIRING.check(
                first,
                second,
                offsets,
                prepared=_minus_generator(),
                against=signatures[:, None],
                backend=self.backend,
            )
        found: Flags = verdicts == 1
        return found

    def together(self) -> int:
        """1 if the one signature is the sum of all items' signatures, else 0."""
        points, kind = self._second_kinds
        pairs = self.first, points[kind], np.array([0, len(self.first)])
        return int(self._checked(*pairs, self.signatures)[0])


def signed_verdicts(signed: Signed) -> Verdicts:
    """The verdict of each item, int8: 1 or 0."""
    return verdicts(len(signed.keys), signed.holds, signed.alone)
