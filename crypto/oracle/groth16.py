# SPDX-License-Identifier: GPL-3.0-or-later
"""Groth16 by its definition: "On the Size of Pairing-based Non-interactive Arguments" (eprint 2016/260), section 3.2.

A proof (A, B, C) of the statement x₁ … x_k is valid where e(A, B) = e(α, β) · e(IC₀ + Σ xⱼ·ICⱼ, γ) · e(C, δ). Points are
affine, None is infinity, which is an element of the groups like any other: the equation alone decides about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from supervm.crypto.oracle.pairing_groups import Group
from supervm.crypto.oracle.pairings import ONE, PAIRINGS, Point


@dataclass(frozen=True)
class Key:
    """A verification key, whose points are taken to be of the groups.

    Args:
        curve: one of `pairings.PAIRINGS`.
        alpha, ic: of G1; IC has one point more than the statement has numbers.
        beta, gamma, delta: of G2.
    """

    curve: str
    alpha: Point | None
    beta: Point | None
    gamma: Point | None
    delta: Point | None
    ic: tuple[Point | None, ...]


@dataclass(frozen=True)
class Proof:
    """A and C of G1, B of G2, if it is well formed."""

    a: Point | None
    b: Point | None
    c: Point | None


def verify(key: Key, proof: Proof, inputs: Sequence[int]) -> int:
    """1 valid, 0 invalid, −1 malformed: a point off the curve or outside the subgroup, inputs of another count, an input
    outside [0, r)."""
    pairing = PAIRINGS[key.curve]
    first, second = pairing.first, pairing.second
    if not all(_member(*each) for each in ((first, proof.a), (second, proof.b), (first, proof.c))):
        return -1
    if len(inputs) != len(key.ic) - 1 or not all(0 <= x < first.order for x in inputs):
        return -1
    statement = first.msm(key.ic, [1, *inputs])
    sides = ((key.alpha, key.beta), (statement, key.gamma), (proof.c, key.delta))
    pairs = [(first.negate(one), other) for one, other in sides]
    return int(pairing.product([(proof.a, proof.b), *pairs]) == ONE)


def _member(group: Group, point: Point | None) -> bool:
    return group.on_curve(point) and group.in_subgroup(point)
