# SPDX-License-Identifier: GPL-3.0-or-later
"""Groth16 proofs of three public inputs under one key, made with the key's secrets, which are known here."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervm.benchmarks.workloads import random_elements
from supervm.crypto import curves, groth16
from supervm.crypto.fixed_base import of_generator
from supervm.kernels.array_types import Bytes, Words
from supervm.kernels.arrays import integers

INPUTS = 3


@dataclass(frozen=True)
class ProofItems:
    """n proofs.

    Args:
        key: of all of them.
        a, b, c: affine points.
        inputs: uint8 (n, 3, 32), big-endian.
    """

    key: groth16.Key
    a: Words
    b: Words
    c: Words
    inputs: Bytes

    @property
    def items(self) -> int:
        """How many proofs."""
        return len(self.a)

    def run(self, backend: str) -> object:
        """The public functions on all proofs: points are checked, and then the proofs."""
        proofs = groth16.Proofs(self.key.curve, self.a, self.b, self.c, backend=backend)
        return groth16.verify_batch(self.key, proofs, self.inputs, backend=backend)

    def answers(self, result: Any) -> list[Any]:
        """Whether each is valid."""
        return [bool(verdict == 1) for verdict in result]

    def part(self, start: int, stop: int) -> ProofItems:
        """Proofs start … stop − 1."""
        parts = {name: getattr(self, name)[start:stop] for name in ("a", "b", "c", "inputs")}
        return replace(self, **parts)

    def moved(self, copy: Callable[[NDArray[Any]], NDArray[Any]]) -> ProofItems:
        """The same proofs in the arrays that `copy` returns."""
        return replace(self, a=copy(self.a), b=copy(self.b), c=copy(self.c), inputs=copy(self.inputs))

    def damaged(self) -> ProofItems:
        """The same proofs, every third of another statement."""
        inputs = self.inputs.copy()
        inputs[::3, 0, 31] ^= 1
        return replace(self, inputs=inputs)

    def key_text(self) -> str:
        """The key as snarkjs writes it."""
        curve = curves.get(self.key.curve)
        texts = {"protocol": "groth16", "curve": "bn128", "nPublic": INPUTS}
        return json.dumps(
            {
                **texts,
                "vk_alpha_1": curve.g1.to_snarkjs(self.key.alpha[None])[0],
                "vk_beta_2": curve.g2.to_snarkjs(self.key.beta[None])[0],
                "vk_gamma_2": curve.g2.to_snarkjs(self.key.gamma[None])[0],
                "vk_delta_2": curve.g2.to_snarkjs(self.key.delta[None])[0],
                "IC": curve.g1.to_snarkjs(self.key.ic),
            }
        )


def proofs(curve: str) -> Callable[[int], ProofItems]:
    """A maker of proofs."""
    return partial(_make, curve)


def _make(curve: str, count: int) -> ProofItems:
    groups = curves.get(curve)
    order = groups.order
    alpha, beta, gamma, delta, *ic = integers(random_elements(order, 4 + INPUTS + 1, salt=5))
    one, *points = of_generator(groups.g1, [alpha, *ic])
    two, three, four = of_generator(groups.g2, [beta, gamma, delta])
    key = groth16.Key(curve, one, two, three, four, np.stack(points))
    first, second = (integers(random_elements(order, count, salt=salt)) for salt in (6, 7))
    stated = integers(random_elements(order, count * INPUTS, salt=8))
    inverse, third = pow(delta, -1, order), []
    for index, (a, b) in enumerate(zip(first, second, strict=True)):
        own = stated[INPUTS * index : INPUTS * (index + 1)]
        total = ic[0] + sum(x * u for x, u in zip(own, ic[1:], strict=True))
        third.append((a * b - alpha * beta - gamma * total) * inverse % order)
    inputs = np.frombuffer(b"".join(value.to_bytes(32, "big") for value in stated), np.uint8)
    return ProofItems(
        key,
        of_generator(groups.g1, first),
        of_generator(groups.g2, second),
        of_generator(groups.g1, third),
        inputs.reshape(count, INPUTS, 32),
    )
