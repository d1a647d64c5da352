# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests of signatures, made by libraries of others, with the verdicts that they must get."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import coincurve
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from supervm.tiers.service.v1 import verification_pb2 as pb

WRONG, GOOD = 0, 1


class Signed(NamedTuple):
    """One signature."""

    key: bytes
    message: bytes
    signature: bytes
    verdict: int


def seed(index: int) -> bytes:
    return hashlib.sha256(b"service %d" % index).digest()


def ed25519_signed(index: int) -> Signed:
    """Every third one is over another message."""
    key, message = Ed25519PrivateKey.from_private_bytes(seed(index)), seed(index + 1)[: index % 33]
    verdict = GOOD if index % 3 else WRONG
    signature = key.sign(message if verdict else message + b"!")
    return Signed(key.public_key().public_bytes_raw(), message, signature, verdict)


def schnorr_signed(index: int) -> Signed:
    """Every third one is over another message."""
    verdict = GOOD if index % 3 else WRONG
    message = seed(index + 1)
    signature = coincurve.PrivateKey(seed(index)).sign_schnorr(message, aux_randomness=b"")
    key = coincurve.PublicKeyXOnly.from_secret(seed(index)).format()
    return Signed(key, message if verdict else bytes(32), signature, verdict)


def ecdsa_signed(index: int, width: int) -> Signed:
    """Over digests; every third one over another; keys of `width` bytes."""
    verdict = GOOD if index % 3 else WRONG
    key, digest = coincurve.PrivateKey(seed(index)), seed(index + 1)
    public = key.public_key.format(compressed=width == 33)[-width:]
    signature = key.sign_recoverable(digest, hasher=None)[:64]
    return Signed(public, digest if verdict else bytes(32), signature, verdict)


def packed_rows(rows: Sequence[bytes]) -> pb.Rows:
    """Rows of different lengths as the protocol has them."""
    offsets = np.cumsum([0, *map(len, rows)], dtype=np.uint64)
    return pb.Rows(data=b"".join(rows), offsets=offsets.tobytes())


def over_messages(scheme: pb.Scheme, signed: Sequence[Signed], identity: int = 0) -> pb.VerifyRequest:
    """A request of Ed25519 or Schnorr signatures."""
    return pb.VerifyRequest(
        id=identity,
        scheme=scheme,
        public_keys=b"".join(one.key for one in signed),
        signatures=b"".join(one.signature for one in signed),
        messages=packed_rows([one.message for one in signed]),
    )


def over_digests(signed: Sequence[Signed], identity: int = 0) -> pb.VerifyRequest:
    """A request of ECDSA signatures."""
    return pb.VerifyRequest(
        id=identity,
        scheme=pb.SCHEME_ECDSA_SECP256K1,
        public_keys=b"".join(one.key for one in signed),
        signatures=b"".join(one.signature for one in signed),
        digests=b"".join(one.message for one in signed),
    )


def expected(signed: Sequence[Signed]) -> bytes:
    """The verdicts, as a reply has them."""
    return bytes(one.verdict for one in signed)


def single(index: int) -> pb.VerifyRequest:
    """One Ed25519 signature, its index the id."""
    one = ed25519_signed(index)
    return pb.VerifyRequest(
        id=index,
        scheme=pb.SCHEME_ED25519,
        public_keys=one.key,
        signatures=one.signature,
        message=one.message,
    )
