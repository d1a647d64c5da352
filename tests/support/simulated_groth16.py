# SPDX-License-Identifier: GPL-3.0-or-later
"""Groth16 keys whose secrets are known, and proofs made with them, without a circuit.

Whoever knows α, β, γ, δ proves every statement (eprint 2016/260, section 3.1, the simulator): A and B are multiples a and b
of the generators at will, and C is the multiple (a·b − α·β − γ·(u₀ + Σ xⱼ·uⱼ))/δ, where ICⱼ is the multiple uⱼ.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from supervm.crypto import curves
from supervm.crypto.fixed_base import of_generator
from supervm.crypto.oracle import groth16 as oracle
from supervm.crypto.oracle.pairing_groups import GROUPS
from supervm.kernels.array_types import Words


class Setup:
    """A key with its secrets.

    Args:
        curve: `bn254` or `bls12_381`.
        inputs: how many public inputs it has.
        seed: of the secrets.
    """

    def __init__(self, curve: str, inputs: int, seed: int = 1) -> None:
        self.curve, self.groups = curve, curves.get(curve)
        self.order = self.groups.order
        self.random = random.Random(seed)
        self.alpha, self.beta, self.gamma, self.delta = (
            self.random.randrange(1, self.order) for _ in range(4)
        )
        self.ic = [self.random.randrange(1, self.order) for _ in range(inputs + 1)]

    def key_points(self) -> tuple[Any, ...]:
        """What `groth16.Key` takes: curve, α, β, γ, δ, IC."""
        second = of_generator(self.groups.g2, [self.beta, self.gamma, self.delta])
        return (
            self.curve,
            of_generator(self.groups.g1, [self.alpha])[0],
            *second,
            of_generator(self.groups.g1, self.ic),
        )

    def statement(self) -> list[int]:
        """Public inputs at random."""
        return [self.random.randrange(self.order) for _ in self.ic[1:]]

    def scalars(
        self, inputs: Sequence[int], a: int | None = None, b: int | None = None
    ) -> tuple[int, int, int]:
        """Multiples for A, B and C of a valid proof."""
        a = self.random.randrange(1, self.order) if a is None else a
        b = self.random.randrange(1, self.order) if b is None else b
        stated = self.ic[0] + sum(x * u for x, u in zip(inputs, self.ic[1:], strict=True))
        c = (a * b - self.alpha * self.beta - self.gamma * stated) * pow(self.delta, -1, self.order)
        return a, b, c % self.order

    def points(self, rows: Sequence[tuple[int, int, int]]) -> tuple[Words, Words, Words]:
        """The columns A, B and C of multiples."""
        g1, g2 = self.groups.g1, self.groups.g2
        a, b, c = ([row[place] for row in rows] for place in range(3))
        return of_generator(g1, a), of_generator(g2, b), of_generator(g1, c)

    def encoded(self, rows: Sequence[tuple[int, int, int]]) -> Words:
        """Proofs of multiples as arkworks compresses them, uint8 (n, bytes)."""
        g1, g2 = self.groups.g1, self.groups.g2
        columns = zip((g1, g2, g1), self.points(rows), strict=True)
        return np.concatenate(
            [group.to_bytes(each, "arkworks_compressed") for group, each in columns], axis=1
        )


def plain(name: str, point: Words) -> Any:
    """An affine point as the oracle has it."""
    group, data = GROUPS[name], np.ascontiguousarray(point).tobytes()
    size = 8 * group.base.words
    parts = [int.from_bytes(data[at : at + size], "little") for at in range(0, len(data), size)]
    if not any(parts):
        return None
    return group.field.element(parts[: group.degree]), group.field.element(parts[group.degree :])


def oracle_key(key: Any) -> oracle.Key:
    """A `groth16.Key` as the oracle has it."""
    g1, g2 = f"{key.curve}.g1", f"{key.curve}.g2"
    second = (plain(g2, point) for point in (key.beta, key.gamma, key.delta))
    return oracle.Key(key.curve, plain(g1, key.alpha), *second, tuple(plain(g1, point) for point in key.ic))


def oracle_proof(proofs: Any, row: int = 0) -> oracle.Proof:
    """A row of `groth16.Proofs` as the oracle has it."""
    g1, g2 = f"{proofs.curve}.g1", f"{proofs.curve}.g2"
    return oracle.Proof(plain(g1, proofs.a[row]), plain(g2, proofs.b[row]), plain(g1, proofs.c[row]))
