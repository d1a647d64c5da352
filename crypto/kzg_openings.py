# SPDX-License-Identifier: GPL-3.0-or-later
"""Do committed polynomials have these values? The check of KZG proofs, of one and of many at once.

A commitment C to a polynomial f has the value y at z if and only if, for its proof π and the setup's secret τ,
e(C − y·G₁ + z·π, G₂) = e(π, τ·G₂) (Kate, Zaverucha, Goldberg, ASIACRYPT 2010). Equations e(Aᵢ, G₂) = e(Bᵢ, Q) with one Q are
added up with random weights of 128 bits: the sum holds if all do, and if one does not, with a probability of 2^−128. Where
it fails, `supervm.crypto.weighted` finds out which ones do not.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from supervm.crypto import curves, pairings, weighted
from supervm.crypto.msm import msm
from supervm.crypto.params.kzg import MAINNET_TAU_G2
from supervm.kernels.array_types import Bytes, Flags, Indices, Verdicts, Words
from supervm.kernels.arrays import integers
from supervm.kernels.errors import ArgumentError
from supervm.kernels.transform import words_of

CURVE = curves.get("bls12_381")
ORDER = CURVE.order

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
    # The first call that needs it may be a contract's, which must not wait for a device.
    points, _ = CURVE.g2.from_bytes(data, "zcash_compressed", "curve", "scalar")
    minus: Words = CURVE.g2.negate(points, backend="scalar")[0]
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
        drawn = weighted.random_weights(count)
        weights = integers(drawn)
        scaled = [weight * z % ORDER for weight, z in zip(weights, points, strict=True)]
        rest = -sum(weight * y for weight, y in zip(weights, values, strict=True)) % ORDER
        terms = np.concatenate((commitments, proofs, CURVE.g1.generator[None]))
        scalars = words_of([*weights, *scaled, rest]).reshape(-1, 4)
        left = msm(CURVE.name, terms, scalars, backend=backend)
        right = msm(CURVE.name, proofs, drawn, backend=backend)
        if pairings_agree(left[None], right[None], minus_tau, backend)[0] == 1:
            return np.ones(count, np.int8)
    terms = np.concatenate((proofs, np.repeat(CURVE.g1.generator[None], count, axis=0)))
    scalars = words_of([*points, *(-y % ORDER for y in values)]).reshape(-1, 4)
    products = CURVE.g1.multiply(terms, scalars, backend=backend)
    left = CURVE.g1.add(commitments, products[:count], backend=backend)
    left = CURVE.g1.add(left, products[count:], backend=backend)
    return verify_each(left, proofs, minus_tau, backend)


def pairings_agree(first: Words, second: Words, minus: Words, backend: str) -> Verdicts:
    """Whether e(firstᵢ, G₂) = e(secondᵢ, Q), int8 (n,).

    Args:
        first, second: uint64 (n, 2, 6), in the group.
        minus: −Q, uint64 (2, 2, 6).
        backend: as in `verify_openings`.
    """
    none = np.zeros((0, *first.shape[1:]), np.uint64), np.zeros((0, *minus.shape), np.uint64)
    verdicts: Verdicts = pairings.get(CURVE.name).check(
        *none,
        np.zeros(len(first) + 1, np.int64),
        prepared=_prepared(minus.tobytes()),
        against=np.stack((first, second), axis=1),
        backend=backend,
    )
    return verdicts


@functools.lru_cache(maxsize=16)
def _prepared(minus: bytes) -> pairings.Prepared:
    """G₂ and −Q, with the lines of their Miller loops: a setup has two points Q, and a process few setups."""
    second = np.frombuffer(minus, np.uint64).reshape(CURVE.g2.generator.shape)
    return pairings.get(CURVE.name).prepare(np.stack((CURVE.g2.generator, second)))


def verify_each(first: Words, second: Words, minus: Words, backend: str) -> Verdicts:
    """As `pairings_agree`, for equations few of which are expected to fail."""
    if len(first) <= weighted.FEWEST:
        return pairings_agree(first, second, minus, backend)
    weights = weighted.random_weights(len(first))

    def holds(starts: Indices, stops: Indices) -> Flags:
        items = weighted.spread(starts, stops - starts)
        offsets = np.concatenate(([0], np.cumsum(stops - starts)))
        left, right = (
            weighted.point_sums(CURVE.g1, side[items], weights[items], offsets, backend)
            for side in (first, second)
        )
        return agree(left, right)

    def alone(items: Indices) -> Flags:
        return agree(first[items], second[items])

    def agree(left: Words, right: Words) -> Flags:
        found: Flags = pairings_agree(left, right, minus, backend) == 1
        return found

    return weighted.verdicts(len(first), holds, alone)
