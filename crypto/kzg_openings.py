# SPDX-License-Identifier: GPL-3.0-or-later
"""Do committed polynomials have these values? The check of KZG proofs, of one and of many at once.

A commitment C to a polynomial f has the value y at z if and only if, for its proof π and the setup's secret τ,
e(C − y·G₁ + z·π, G₂) = e(π, τ·G₂) (Kate, Zaverucha, Goldberg, ASIACRYPT 2010). Equations e(Aᵢ, G₂) = e(Bᵢ, Q) with one Q are
added up with random weights of 128 bits: the sum holds if all do, and if one does not, with a probability of 2^−128. Where
it fails, sums over an eighth each are checked, eight in the lanes that one would take, down to each equation alone.
"""

from __future__ import annotations

import functools
import secrets
from collections.abc import Sequence

import numpy as np

from supervm.crypto import curves, pairings
from supervm.crypto.msm import msm
from supervm.crypto.params.kzg import MAINNET_TAU_G2
from supervm.kernels.array_types import Bytes, Verdicts, Words
from supervm.kernels.errors import ArgumentError
from supervm.kernels.transform import words_of

CURVE = curves.get("bls12_381")
ORDER = CURVE.order

PARTS = 8
"""Into how many parts a failing sum is divided: as many checks as the widest lanes hold take the time of one."""

FEW = 3
"""Equations up to which each is checked alone."""


def number(data: bytes, argument: str) -> int:
    """A field element from 32 bytes, big end first.

    Raises:
        ArgumentError: it is not below the order.
    """
    found = int.from_bytes(data, "big")
    if found >= ORDER:
        raise ArgumentError(argument, "a number of the order or more", "field elements, canonical")
    return found


def decoded(data: Bytes, backend: str) -> tuple[Words, Verdicts]:
    """Points of G1 from uint8 (n, 48), zeros where one is malformed; 1 for points of the group, −1 for what is none."""
    points, verdicts = CURVE.g1.from_bytes(data, "zcash_compressed", "subgroup", backend)
    return points, np.where(verdicts == 1, 1, -1).astype(np.int8)


def decoded_all(data: Bytes, argument: str, backend: str) -> Words:
    """Points of G1 from uint8 (n, 48).

    Raises:
        ArgumentError: one of them is malformed or not in the group, by its row.
    """
    points, verdicts = decoded(data, backend)
    bad = np.flatnonzero(verdicts != 1)
    if bad.size:
        raise ArgumentError(argument, f"point {bad[0]}, which is none", "compressed points of the group G1")
    return points


@functools.cache
def mainnet_minus_tau() -> Words:
    """−τ·G₂ of Ethereum's ceremony, uint64 (2, 2, 6)."""
    data = np.frombuffer(MAINNET_TAU_G2, np.uint8).reshape(1, -1)
    points, _ = CURVE.g2.from_bytes(data, "zcash_compressed", "curve")
    minus: Words = CURVE.g2.negate(points)[0]
    minus.flags.writeable = False
    return minus


def verify_openings(
    commitments: Words,
    points: Sequence[int],
    values: Sequence[int],
    proofs: Words,
    minus_tau: Words,
    backend: str,
) -> Verdicts:
    """Verdicts of n claims that a committed polynomial has a value at a point, int8 (n,): 1 or 0.

    Args:
        commitments, proofs: uint64 (n, 2, 6), in the group.
        points, values: n integers each, below the order.
        minus_tau: −τ·G₂, uint64 (2, 2, 6).
        backend: `auto`, or a name of `kernels.registry.BACKENDS`.
    """
    count = len(commitments)
    if count > FEW:
        weights = random_weights(count)
        scaled = [weight * z % ORDER for weight, z in zip(weights, points, strict=True)]
        rest = -sum(weight * y for weight, y in zip(weights, values, strict=True)) % ORDER
        terms = np.concatenate((commitments, proofs, CURVE.g1.generator[None]))
        scalars = words_of([*weights, *scaled, rest]).reshape(-1, 4)
        left = msm(CURVE.name, terms, scalars, backend=backend)
        right = msm(CURVE.name, proofs, scalars[:count], backend=backend)
        if pairings_agree(left[None], right[None], minus_tau, backend)[0] == 1:
            return np.ones(count, np.int8)
    terms = np.concatenate((proofs, np.repeat(CURVE.g1.generator[None], count, axis=0)))
    scalars = words_of([*points, *(-y % ORDER for y in values)]).reshape(-1, 4)
    products = CURVE.g1.multiply(terms, scalars, backend=backend)
    left = CURVE.g1.add(commitments, products[:count], backend=backend)
    left = CURVE.g1.add(left, products[count:], backend=backend)
    return verify_each(left, proofs, minus_tau, backend)


def random_weights(count: int) -> list[int]:
    """Numbers of 128 bits that nobody can foresee, none of them 0."""
    return [secrets.randbits(128) or 1 for _ in range(count)]


def pairings_agree(first: Words, second: Words, minus: Words, backend: str) -> Verdicts:
    """Whether e(firstᵢ, G₂) = e(secondᵢ, Q), int8 (n,).

    Args:
        first, second: uint64 (n, 2, 6), in the group.
        minus: −Q, uint64 (2, 2, 6).
        backend: as in `verify_openings`.
    """
    count = len(first)
    left = np.stack((first, second), axis=1).reshape(2 * count, *first.shape[1:])
    right = np.tile(np.stack((CURVE.g2.generator, minus)), (count, 1, 1, 1))
    offsets = np.arange(0, 2 * count + 1, 2, dtype=np.int64)
    verdicts: Verdicts = pairings.get(CURVE.name).check(left, right, offsets, backend=backend)
    return verdicts


def verify_each(first: Words, second: Words, minus: Words, backend: str) -> Verdicts:
    """As `pairings_agree` where few of many equations are expected to fail: sums of them are checked from the top down."""
    count = len(first)
    if count <= PARTS:
        return pairings_agree(first, second, minus, backend)
    levels = _sums(first, second, backend)
    bad = np.arange(len(levels[-1][0]))
    for above, (left, right) in reversed(list(enumerate(levels))):
        if above < len(levels) - 1:
            bad = (PARTS * bad[:, None] + np.arange(PARTS)).reshape(-1)
            bad = bad[bad < len(left)]
        bad = bad[pairings_agree(left[bad], right[bad], minus, backend) != 1] if bad.size else bad
    verdicts = np.ones(count, np.int8)
    verdicts[bad] = 0
    return verdicts


def _sums(first: Words, second: Words, backend: str) -> list[tuple[Words, Words]]:
    """Both sides of the equations with random weights, and level by level the sums of `PARTS` that follow each other."""
    count = len(first)
    weights = words_of(random_weights(count)).reshape(-1, 4)
    both = CURVE.g1.multiply(np.concatenate((first, second)), np.tile(weights, (2, 1)), backend=backend)
    levels = [(both[:count], both[count:])]
    while len(levels[-1][0]) > PARTS:
        left, right = (_added(side, backend) for side in levels[-1])
        levels.append((left, right))
    return levels


def _added(points: Words, backend: str) -> Words:
    """Sums of each `PARTS` points that follow each other, with fewer in the last one."""
    groups = -(-len(points) // PARTS)
    found = np.zeros((groups * PARTS, *points.shape[1:]), np.uint64)
    found[: len(points)] = points
    while len(found) > groups:
        found = CURVE.g1.add(found[::2], found[1::2], backend=backend)
    return found
