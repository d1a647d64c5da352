# SPDX-License-Identifier: GPL-3.0-or-later
"""Groth16 proofs and verification keys as other tools read them: snarkjs' JSON, arkworks' bytes, those of precompiles."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from supervm.crypto import curves
from supervm.crypto.groth16_columns import Key, Proofs, curve_of
from supervm.crypto.groth16_formats import FORMATS
from supervm.crypto.groth16_json import CURVES, PROTOCOL, TEST_ONLY
from supervm.kernels.array_types import Words
from supervm.kernels.errors import ArgumentError

_NAMES = {ours: theirs for theirs, ours in CURVES.items()}


@dataclass(frozen=True, eq=False)
class Proof:
    """A proof and its statement.

    Args:
        curve: `bn254` or `bls12_381`.
        a, c: affine points of G1, uint64 (2, L).
        b: of G2, (2, 2, L).
        public: the public outputs and inputs.
    """

    curve: str
    a: Words
    b: Words
    c: Words
    public: tuple[int, ...]

    def proofs(self) -> Proofs:
        """As `Proofs` of one row."""
        return Proofs(self.curve, self.a[None], self.b[None], self.c[None])

    def to_snarkjs(self) -> str:
        """snarkjs' `proof.json`."""
        groups = curves.get(self.curve)
        (a, c), (b,) = groups.g1.to_snarkjs(np.stack((self.a, self.c))), groups.g2.to_snarkjs(self.b[None])
        found = {"pi_a": a, "pi_b": b, "pi_c": c, "protocol": PROTOCOL, "curve": _NAMES[self.curve]}
        return json.dumps(found, indent=1) + "\n"

    def public_to_snarkjs(self) -> str:
        """snarkjs' `public.json`."""
        return json.dumps([str(number) for number in self.public], indent=1) + "\n"

    def to_arkworks(self, *, compressed: bool = True) -> bytes:
        """arkworks' `CanonicalSerialize`: A, B, C."""
        return self._written(FORMATS[f"arkworks_{'' if compressed else 'un'}compressed"][self.curve])

    def to_precompile(self) -> bytes:
        """A, B, C as Ethereum's precompiles have points: EIP-197 on BN254, 256 bytes; EIP-2537 on BLS12-381, 512."""
        return self._written("eip197" if self.curve == "bn254" else "eip2537")

    def public_to_precompile(self) -> bytes:
        """The statement, 32 bytes a number, big-endian."""
        return b"".join(number.to_bytes(32, "big") for number in self.public)

    def _written(self, encoding: str) -> bytes:
        groups = curves.get(self.curve)
        sides = ((groups.g1, self.a), (groups.g2, self.b), (groups.g1, self.c))
        return b"".join(group.to_bytes(point, encoding).tobytes() for group, point in sides)


def key_to_snarkjs(key: Key) -> str:
    """snarkjs' `verification_key.json`.

    Args:
        key: a verification key. One that is made for tests alone is marked, in a field that snarkjs passes over and
            `load_snarkjs_key` refuses.
    """
    if not isinstance(key, Key):
        raise ArgumentError("key", type(key).__name__, "a Key")
    groups = curve_of(key.curve)
    found: dict[str, Any] = {"protocol": PROTOCOL, "curve": _NAMES[key.curve], "nPublic": key.inputs}
    found["vk_alpha_1"] = groups.g1.to_snarkjs(key.alpha[None])[0]
    for name in ("beta", "gamma", "delta"):
        found[f"vk_{name}_2"] = groups.g2.to_snarkjs(getattr(key, name)[None])[0]
    found["IC"] = groups.g1.to_snarkjs(key.ic)
    if key.test_only:
        found[TEST_ONLY] = True
    return json.dumps(found, indent=1) + "\n"
