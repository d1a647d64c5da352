# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests that rest on pairings, with the verdicts that they must get: proofs of a simulator, and BLS signatures of
py_ecc."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from py_ecc.bls import G2ProofOfPossession
from signed_requests import packed_rows
from simulated_groth16 import Setup

from supervm.crypto.groth16 import Key
from supervm.tiers.service.v1 import verification_pb2 as pb

CURVE_NAMES = {"bn254": "bn128", "bls12_381": "bls12381"}
FORMATS = {
    "ethereum": ("eip197", "bn254"),
    "arkworks_uncompressed": ("zcash_uncompressed", "bls12_381"),
    "arkworks_compressed": ("zcash_compressed", "bls12_381"),
}
"""Format → encoding of its points, and curve."""


class Proved(NamedTuple):
    """Proofs of one circuit: every third one is of another statement.

    Args:
        key: as snarkjs writes it.
        lines: proof and public inputs of each, as snarkjs writes them.
        proofs: of each, in the format.
        inputs: public inputs.
        verdicts: what they must get.
    """

    key: str
    lines: list[tuple[Any, list[str]]]
    proofs: list[bytes]
    inputs: list[list[int]]
    verdicts: list[int]

    def request(self, **more: Any) -> pb.VerifyGroth16Request:
        """All of them; with a key of its own unless `more` names a circuit."""
        numbers = b"".join(number.to_bytes(32, "little") for row in self.inputs for number in row)
        if "circuit" not in more:
            more = {"verifying_key": self.key.encode(), **more}
        return pb.VerifyGroth16Request(proofs=b"".join(self.proofs), public_inputs=numbers, **more)


@functools.cache
def setup(curve: str, inputs: int, seed: int = 1) -> Setup:
    return Setup(curve, inputs, seed)


@functools.cache
def proved(count: int, format: str = "ethereum", inputs: int = 2, seed: int = 1) -> Proved:
    """So many proofs."""
    encoding, curve = FORMATS[format]
    made = setup(curve, inputs, seed)
    stated = [made.statement() for _ in range(count)]
    columns = made.points([made.scalars(row) for row in stated])
    verdicts = [int(row % 3 != 2) for row in range(count)]
    stated = [row if good else [row[0] ^ 1, *row[1:]] for row, good in zip(stated, verdicts, strict=True)]
    g1, g2 = made.groups.g1, made.groups.g2
    packed = [group.to_bytes(points, encoding) for group, points in zip((g1, g2, g1), columns, strict=True)]
    texts = [group.to_snarkjs(points) for group, points in zip((g1, g2, g1), columns, strict=True)]
    named = {"protocol": "groth16", "curve": CURVE_NAMES[curve]}
    lines = [
        (named | {"pi_a": a, "pi_b": b, "pi_c": c}, list(map(str, row)))
        for a, b, c, row in zip(*texts, stated, strict=True)
    ]
    proofs = [row.tobytes() for row in np.concatenate(packed, axis=1)]
    return Proved(key_text(curve, inputs, seed), lines, proofs, stated, verdicts)


@functools.cache
def key_text(curve: str, inputs: int, seed: int = 1) -> str:
    """A key as snarkjs writes it."""
    made = setup(curve, inputs, seed)
    key = Key(*made.key_points())
    g1, g2 = made.groups.g1, made.groups.g2
    second = g2.to_snarkjs(np.stack((key.beta, key.gamma, key.delta)))
    text = {"protocol": "groth16", "curve": CURVE_NAMES[curve], "nPublic": inputs}
    text |= {"vk_alpha_1": g1.to_snarkjs(key.alpha[None])[0], "IC": g1.to_snarkjs(key.ic)}
    text |= {f"vk_{name}_2": point for name, point in zip(("beta", "gamma", "delta"), second, strict=True)}
    return json.dumps(text)


class BlsSigned(NamedTuple):
    """A signature of the suite `pop`, keys of 48 bytes."""

    key: bytes
    message: bytes
    signature: bytes
    verdict: int


@functools.cache
def bls_signed(count: int) -> tuple[BlsSigned, ...]:
    """So many, made by py_ecc; every third one is over another message."""
    found = []
    for index in range(count):
        secret, message = 1000 + index, b"message %d" % index
        verdict = int(index % 3 != 2)
        signature = G2ProofOfPossession.Sign(secret, message)
        key = G2ProofOfPossession.SkToPk(secret)
        found.append(BlsSigned(bytes(key), message if verdict else b"!", bytes(signature), verdict))
    return tuple(found)


def bls_request(signed: Sequence[BlsSigned], **more: Any) -> pb.VerifyBlsRequest:
    """All of them."""
    return pb.VerifyBlsRequest(
        public_keys=b"".join(each.key for each in signed),
        signatures=b"".join(each.signature for each in signed),
        messages=packed_rows([each.message for each in signed]),
        **more,
    )
