# SPDX-License-Identifier: GPL-3.0-or-later
"""Groth16 proofs checked in batches. `supervm.crypto.oracle.groth16` states the equation of one.

All equations together, with weights wᵢ, are one for a range of proofs and the keys that it touches:

    Π e(wᵢ·Aᵢ, Bᵢ) · Π over keys of e(Σwᵢ·α, −β) · e(Σwᵢ·(IC₀ + Σⱼ xᵢⱼ·ICⱼ), −γ) · e(Σwᵢ·Cᵢ, −δ) = 1
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from supervm.crypto import pairings, weighted
from supervm.crypto.groth16_columns import Key, Keys, Proofs, Statements, joined, keys_of, statements
from supervm.crypto.weighted import inner_products, point_sums, random_weights, spread
from supervm.kernels.array_types import Flags, Indices, Verdicts, Words
from supervm.kernels.errors import ArgumentError


def verify_batch(key: Any, proofs: Any, public_inputs: Any, *, backend: str = "auto") -> Verdicts:
    """Verdicts of n proofs, each that of the proof checked alone, whatever stands beside it.

    Args:
        key: a `Key`; or a list of n of them; or (keys, index), a list of keys and an integer array (n,) that says which of
            them each proof is for. A key's own pairings are shared by all its proofs, in whatever order they come.
        proofs: `Proofs`, or a list of them, which are joined.
        public_inputs: n lists of integers, or uint8 (n, k, 32), big-endian. Those that are not below r, or of another
            number than the proof's key has, make the item malformed: nothing is reduced.
        backend: `auto`, or a name of `kernels.registry.BACKENDS`.

    Returns:
        int8 (n,): 1 valid, 0 invalid, −1 malformed: by its inputs, or by its points where `proofs.well_formed` is False. A 1
        beside invalid proofs is wrong with a probability of 2n·2^−128 at most, over weights drawn anew in each call.

    Raises:
        ArgumentError: another type or shape, different lengths, keys and proofs on different curves.
        BackendUnavailable: the named backend cannot run here.
    """
    columns = joined(proofs)
    keys = keys_of(key, 0 if columns is None else len(columns))
    counts = np.zeros(0, np.int64) if keys is None else keys.counts[keys.index]
    stated = statements(public_inputs, counts, 0 if keys is None else keys.curve.order)
    if columns is None or keys is None:
        return np.zeros(0, np.int8)
    if keys.curve.name != columns.curve:
        raise ArgumentError(
            "proofs", f"proofs on {columns.curve}", f"proofs on the keys' curve, {keys.curve.name}"
        )
    good = np.flatnonzero(columns.well_formed & stated.good)
    good = good[np.argsort(keys.index[good], kind="stable")]
    found = np.full(len(columns), -1, np.int8)
    equations = _Equations(keys, columns, stated, good, backend)
    # Where most proofs have a key of their own a range costs as many pairs as its proofs alone: there is nothing to bisect.
    shared = 3 * len(np.unique(keys.index[good])) < len(good)
    fewest = weighted.FEWEST if shared else max(len(good), weighted.FEWEST)
    found[good] = weighted.verdicts(len(good), equations.hold, equations.hold_alone, fewest)
    return found


class _Equations:
    """The equations of well-formed proofs, of which those of one key stand side by side.

    Args:
        keys, proofs, stated: of the batch.
        good: int64, its rows that are meant, in this order.
        backend: of all computations.
    """

    def __init__(self, keys: Keys, proofs: Proofs, stated: Statements, good: Indices, backend: str) -> None:
        self._keys, self._backend = keys, backend
        self._key = keys.index[good]
        self._a, self._b, self._c = proofs.a[good], proofs.b[good], proofs.c[good]
        self._words, self._starts = stated.words, stated.starts[good]
        self._weighted_a = self._a[:0]
        self._pairing = pairings.get(keys.curve.name)

    @cached_property
    def _weights(self) -> Words:
        return random_weights(len(self._a))

    def hold(self, starts: Indices, stops: Indices) -> Flags:
        """Whether the weighted equation of each range holds."""
        counts = stops - starts
        items, ranges = spread(starts, counts), np.repeat(np.arange(len(starts)), counts)
        # A part: the proofs of one key in one range.
        changes = (np.diff(self._key[items], prepend=-1) != 0) | (np.diff(ranges, prepend=-1) != 0)
        first = np.flatnonzero(changes)
        part, key = np.cumsum(changes) - 1, self._key[items[first]]
        sides = self._sides(items, part, key)
        own = np.concatenate((ranges, np.repeat(ranges[first], 3)))
        order = np.argsort(own, kind="stable")
        offsets = np.append(0, np.cumsum(np.bincount(own, minlength=len(starts))))
        second = self._keys.negated[key].reshape(-1, *self._b.shape[1:])
        return self._check(
            np.concatenate((self._weighted_a[items], sides))[order],
            np.concatenate((self._b[items], second))[order],
            offsets,
        )

    def _sides(self, items: Indices, part: Indices, key: Indices) -> Words:
        """What is paired with −β, −γ and −δ, for each part, whose items stand side by side: (3·parts, 2, L)."""
        scalars = self._scalars(items, part, key)
        counts = self._keys.counts[key]
        begin = np.cumsum(counts) - counts
        ones = np.ones_like(key)
        # One call for all sums, as small ones leave lanes empty: rows of α, IC and C, and of every A at the first time.
        rows = [
            (self._keys.alpha[key], scalars[begin], ones),
            (self._keys.ic[spread(self._keys.starts[key], counts)], scalars, counts),
            (self._c[items], self._weights[items], np.bincount(part)),
        ]
        if not len(self._weighted_a):
            rows.append((self._a, self._weights, np.ones(len(self._a), np.int64)))
        points, factors, sizes = (np.concatenate(column) for column in zip(*rows, strict=True))
        sums = point_sums(self._keys.curve.g1, points, factors, np.append(0, np.cumsum(sizes)), self._backend)
        of_parts = 3 * len(key)
        if not len(self._weighted_a):
            self._weighted_a = sums[of_parts:]
        return (
            sums[:of_parts]
            .reshape(3, len(key), *sums.shape[1:])
            .swapaxes(0, 1)
            .reshape(of_parts, *sums.shape[1:])
        )

    def hold_alone(self, items: Indices) -> Flags:
        """Whether the equation of each item holds."""
        key = self._key[items]
        scalars = self._words[spread(self._starts[items], self._keys.counts[key])]
        if len(items) and (key == key[0]).all():
            return self._hold_for(self._keys.keys[key[0]], items, self._statements(key, scalars))
        left = (self._a[items], self._keys.alpha[key], self._statements(key, scalars), self._c[items])
        first_sides = np.stack(left, axis=1)
        second_sides = np.concatenate((self._b[items][:, None], self._keys.negated[key]), axis=1)
        offsets = 4 * np.arange(len(items) + 1)
        first, second = (sides.reshape(-1, *sides.shape[2:]) for sides in (first_sides, second_sides))
        return self._check(first, second, offsets)

    def _hold_for(self, key: Key, items: Indices, stated: Words) -> Flags:
        """The same of items of one key, whose e(α, β) is known: e(A, B) · e(stated, −γ) · e(C, −δ) must be that."""
        values = self._pairing.product(
            self._a[items],
            self._b[items],
            np.arange(len(items) + 1),
            prepared=key.prepared,
            against=np.stack((stated, self._c[items]), axis=1),
            backend=self._backend,
        )
        found: Flags = (values == key.paired(self._backend)).all(axis=(1, 2))
        return found

    def _scalars(self, items: Indices, part: Indices, key: Indices) -> Words:
        """Σwᵢ and the Σwᵢ·xᵢⱼ modulo r of each part, in rows of a ragged array."""
        counts = self._keys.counts[self._key[items]]
        rows = spread(self._starts[items], counts)
        sizes = self._keys.counts[key]
        begin = np.cumsum(sizes) - sizes
        places = spread(begin[part], counts)
        order = np.argsort(places, kind="stable")
        weights = np.repeat(items, counts)[order]
        return inner_products(
            self._weights[weights], self._words[rows[order]], places[order], self._keys.curve.order
        )

    def _statements(self, key: Indices, scalars: Words) -> Words:
        """Σ scalarⱼ·ICⱼ of the key of each row of scalars."""
        counts = self._keys.counts[key]
        points = self._keys.ic[spread(self._keys.starts[key], counts)]
        offsets = np.append(0, np.cumsum(counts))
        return point_sums(self._keys.curve.g1, points, scalars, offsets, self._backend)

    def _check(self, first: Words, second: Words, offsets: Indices) -> Flags:
        found: Flags = self._pairing.check(first, second, offsets, backend=self._backend) == 1
        return found
