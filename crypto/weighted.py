# SPDX-License-Identifier: GPL-3.0-or-later
"""Many equations checked as one, with random weights, and verdicts that are exact nevertheless.

Every equation says that a product of pairings is 1. If one of them fails, the product of all, each to the power of a weight
that whoever made the items could not know, is 1 with a probability of 2^−128 at most (Bellare, Garay, Rabin, EUROCRYPT '98,
section 3). The points must be of the groups of prime order. Where the product is not 1, parts are tested, and what they
leave is checked item by item.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from math import isqrt

import numpy as np

from supervm.crypto.curves import Group
from supervm.crypto.msm import msm
from supervm.kernels.array_types import Flags, Indices, Verdicts, Words

WEIGHT_BYTES = 16

FEWEST = 8
"""Items of a range that failed which are checked one by one, where the caller says nothing else."""

WIDEST = 1024
"""Items of the first ranges, at most: one bad item costs the tests of one range again, not those of all."""

MOST_PARTS = 16

SUMMED = 32
"""Points from which one multi-scalar multiplication is faster than a product for each."""

_BLOCK = 1 << 12
"""Products whose limbs are in memory at a time, 192 bytes each."""

Holds = Callable[[Indices, Indices], Flags]
Alone = Callable[[Indices], Flags]


def random_weights(count: int) -> Words:
    """uint64 (count, 4): fresh numbers of 128 bits from the operating system, as scalars."""
    words = np.zeros((count, 4), np.uint64)
    words[:, :2] = np.frombuffer(os.urandom(WEIGHT_BYTES * count), "<u8").reshape(count, 2)
    return words


def verdicts(count: int, holds: Holds, alone: Alone, fewest: int = FEWEST) -> Verdicts:
    """The verdict of each of `count` items, int8: 1 or 0.

    Args:
        count: of items.
        holds: takes the starts and stops of ranges of items, ascending; says of each whether the weighted equation of all
            its items holds. The weights may be the same in every call: ranges are the nodes of one fixed tree, fewer than
            2·count, so that a false "holds" has a probability of 2·count·2^−128 at most.
        alone: takes items; says of each whether its own equation holds.
        fewest: a range that failed and has no more items is checked item by item; no less than 3.

    A range of s items that failed is cut into about √s parts, the parts of all ranges are tested in one call, which fills
    lanes, and small ones are checked item by item. Halves would pay for nearly all items again at every level; single items
    at once pay for a last exponentiation each, which costs about two pairs. For Groth16, where a range then costs s + 5
    pairs and an item alone 6, one bad item in 1,024 makes all of it 2.2 times the first test, and half of them bad 1.6
    times checking every item alone.
    """
    found = np.ones(count, np.int8)
    if count == 0:
        return found
    starts, stops = split(np.zeros(1, np.int64), np.array([count]), np.array([-(-count // WIDEST)]))
    suspects = [np.zeros(0, np.int64)]
    if count == 1:
        suspects, starts, stops = [starts], starts[:0], stops[:0]
    while len(starts):
        failed = np.logical_not(holds(starts, stops))
        starts, stops = starts[failed], stops[failed]
        small = stops - starts <= fewest
        suspects.append(spread(starts[small], stops[small] - starts[small]))
        starts, stops = starts[~small], stops[~small]
        parts = [min(MOST_PARTS, isqrt(size)) for size in (stops - starts).tolist()]
        starts, stops = split(starts, stops, np.array(parts, np.int64))
    items = np.sort(np.concatenate(suspects))
    if len(items):
        found[items] = alone(items)
    return found


def spread(starts: Indices, counts: Indices) -> Indices:
    """The numbers starts[i] … starts[i] + counts[i] − 1 for every i, one after the other."""
    before = np.cumsum(counts) - counts
    return np.repeat(starts - before, counts) + np.arange(counts.sum(), dtype=np.int64)


def split(starts: Indices, stops: Indices, parts: Indices) -> tuple[Indices, Indices]:
    """Starts and stops of `parts` nearly equal pieces of every range; no range has fewer items than parts."""
    number = spread(np.zeros(len(parts), np.int64), parts)
    first, size, among = (np.repeat(each, parts) for each in (starts, stops - starts, parts))
    return first + size * number // among, first + size * (number + 1) // among


def inner_products(weights: Words, values: Words, places: Indices, modulus: int) -> Words:
    """Σ wᵢ·vᵢ modulo `modulus` over all i with the same place, for each place.

    Args:
        weights: uint64 (n, 4), below 2^128.
        values: uint64 (n, 4).
        places: int64 (n,), ascending, every number from 0 to the last one among them.
        modulus: below 2^256.

    Returns:
        uint64 (places, 4).
    """
    columns = np.zeros((int(places[-1]) + 1 if len(places) else 0, 24), np.uint64)
    for at in range(0, len(places), _BLOCK):
        block = slice(at, at + _BLOCK)
        first = np.flatnonzero(np.diff(places[block], prepend=-1))
        # Limbs of 16 bits: a column of a product is below 2^35, and so that of 2^29 products fits a word.
        left = np.ascontiguousarray(weights[block, :2]).view("<u2").astype(np.uint64)
        right = np.ascontiguousarray(values[block]).view("<u2").astype(np.uint64)
        products = np.zeros((len(left), 24), np.uint64)
        for index in range(8):
            products[:, index : index + 16] += left[:, index, None] * right
        columns[places[block][first]] += np.add.reduceat(products, first, axis=0)
    return _reduced(columns, modulus)


def _reduced(columns: Words, modulus: int) -> Words:
    """Words of numbers modulo `modulus`, each from columns of 16 bits, any of which may be up to a word."""
    # Every fourth column is a whole word of one of four numbers.
    data = columns.reshape(-1, 6, 4).swapaxes(1, 2).tobytes()
    reduced = []
    for at in range(0, len(data), 192):
        four = (int.from_bytes(data[at + 48 * j : at + 48 * j + 48], "little") << 16 * j for j in range(4))
        reduced.append((sum(four) % modulus).to_bytes(32, "little"))
    return np.frombuffer(b"".join(reduced), "<u8").reshape(-1, 4).astype(np.uint64)


def point_sums(group: Group, points: Words, scalars: Words, offsets: Indices, backend: str) -> Words:
    """Σ kᵢ·Pᵢ over each row of a ragged array, affine.

    Args:
        group: G1 or G2.
        points: affine, n of them, of the subgroup.
        scalars: uint64 (n, 4), below the order.
        offsets: int64 (rows + 1,).
        backend: `auto`, or a name of `kernels.registry.BACKENDS`.
    """
    counts = np.diff(offsets)
    sums = np.zeros((len(counts), *points.shape[1:]), np.uint64)
    many = counts >= SUMMED
    few = spread(offsets[:-1][~many], counts[~many])
    if len(few):
        products = group.multiply(points[few], scalars[few], backend=backend)
        sums[~many] = row_sums(group, products, counts[~many], backend)
    curve, _, name = group.name.partition(".")
    for row in np.flatnonzero(many):
        own = slice(offsets[row], offsets[row + 1])
        sums[row] = msm(curve, points[own], scalars[own], group=name, backend=backend)
    return sums


def row_sums(group: Group, points: Words, counts: Indices, backend: str) -> Words:
    """Sums of the rows of a ragged array of points, in pairs, pairs of pairs and so on; an empty one's is infinity."""
    while counts.max(initial=0) > 1:
        place = spread(np.zeros_like(counts), counts)
        left = np.flatnonzero(place % 2 == 0)
        paired = left[place[left] + 1 < np.repeat(counts, counts)[left]]
        points[paired] = group.add(points[paired], points[paired + 1], backend=backend)
        points, counts = points[left], (counts + 1) // 2
    sums = np.zeros((len(counts), *points.shape[1:]), np.uint64)
    sums[counts > 0] = points
    return sums
