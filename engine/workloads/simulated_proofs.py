# SPDX-License-Identifier: GPL-3.0-or-later
"""Groth16 proofs on BN254 without a circuit, for load: under test keys whose secrets are in this file.

Whoever knows α, β, γ and δ of a key proves every statement (eprint 2016/260, section 3.1, the simulator): A and B are
multiples a and b of the generators at will, and C is the multiple (a·b − α·β − γ·(u₀ + Σ xⱼ·uⱼ))/δ, where ICⱼ is the
multiple uⱼ. Such proofs cost a verifier what those of a circuit cost. The keys are good for load and for nothing else:
`TransactionProofs` refuses them unless it is told to take them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from supervm.crypto import curves
from supervm.crypto.fixed_base import of_generator
from supervm.crypto.groth16 import Key
from supervm.engine.privacy.batch_verifier import FORMAT
from supervm.engine.privacy.proof_form import PROOF_BYTES
from supervm.engine.workloads.traffic import random_rows
from supervm.kernels.array_types import Bytes, Flags

_TAG = b"supervm/workload/proof"
_CURVE = curves.get("bn254")
_ORDER = _CURVE.order


def _secret(name: str) -> int:
    """A number of the keys that everybody knows: SHA-256(`supervm/workload/proof` ‖ name) modulo r."""
    return int.from_bytes(hashlib.sha256(_TAG + name.encode()).digest()) % _ORDER


ALPHA, BETA, GAMMA, DELTA = map(_secret, ("alpha", "beta", "gamma", "delta"))


@dataclass(frozen=True)
class Simulator:
    """Makes proofs of anything.

    Args:
        inputs: how many public inputs its statements have.
    """

    inputs: int

    @property
    def ic(self) -> list[int]:
        """The multiples of IC."""
        return [_secret(f"ic{place}") for place in range(self.inputs + 1)]

    def key(self) -> Key:
        """The key that the proofs are valid under; made anew at each call."""
        alpha, *ic = of_generator(_CURVE.g1, [ALPHA, *self.ic])
        beta, gamma, delta = of_generator(_CURVE.g2, [BETA, GAMMA, DELTA])
        return Key(_CURVE.name, alpha, beta, gamma, delta, np.stack(ic))

    def prove(self, stated: Bytes, random: np.random.Generator, another_c: Flags | None = None) -> Bytes:
        """Proofs of statements, uint8 (n, 128), as private transactions carry them.

        Args:
            stated: uint8 (n, inputs, 32), big-endian and below r.
            random: numbers.
            another_c: bool (n,), where C is to be another one than the right one; nowhere, without.
        """
        if not len(stated):
            return np.zeros((0, PROOF_BYTES[_CURVE.name]), np.uint8)
        first, second = (_integers(random_rows(random, len(stated), 31)) for _ in range(2))
        spoils = [False] * len(stated) if another_c is None else another_c.tolist()
        thirds, ic, inverse = [], self.ic, pow(DELTA, -1, _ORDER)
        for a, b, row, spoilt in zip(first, second, stated, spoils, strict=True):
            told = ic[0] + sum(x * u for x, u in zip(_integers(row), ic[1:], strict=True))
            thirds.append(((a * b - ALPHA * BETA - GAMMA * told) * inverse + spoilt) % _ORDER)
        columns = [
            group.to_bytes(of_generator(group, scalars), FORMAT)
            for group, scalars in ((_CURVE.g1, first), (_CURVE.g2, second), (_CURVE.g1, thirds))
        ]
        return np.concatenate(columns, axis=1)


def _integers(rows: Bytes) -> list[int]:
    return [int.from_bytes(row.tobytes()) for row in rows]
