# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests as bytes, with the answers that are right: a load generator has other things to do than to encode.

One signature in four is damaged, so that a service which mixes up its callers, or accepts everything, is found out. The
right verdicts come from the library, in this process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from supervm.benchmarks.workloads.signatures import (
    SignedItems,
    ecdsa_items,
    ed25519_items,
    schnorr_items,
)
from supervm.crypto import ed25519, secp256k1
from supervm.tiers.service.v1 import verification_pb2 as pb

VERIFY = "/supervm.v1.Verification/Verify"
STREAM = "/supervm.v1.Verification/VerifyStream"


@dataclass(frozen=True)
class Scheme:
    """A scheme: its number in requests, its valid items by count, and the library's batch function."""

    number: Any
    make: Callable[[int], SignedItems]
    verify: Callable[..., npt.NDArray[np.int8]]


SCHEMES = {
    "ed25519": Scheme(pb.SCHEME_ED25519, ed25519_items, ed25519.verify_batch),
    "ecdsa": Scheme(
        pb.SCHEME_ECDSA_SECP256K1,
        partial(ecdsa_items, key_bytes=33),
        secp256k1.ecdsa_verify_batch,
    ),
    "schnorr": Scheme(pb.SCHEME_SCHNORR_SECP256K1, schnorr_items, secp256k1.schnorr_verify_batch),
}


@dataclass(frozen=True, eq=False)
class Signatures:
    """Signatures of one scheme, and what the library says of them.

    Args:
        scheme: a key of `SCHEMES`.
        items: keys, messages or digests, and signatures.
        verdicts: int8 (n,).
    """

    scheme: str
    items: SignedItems
    verdicts: npt.NDArray[np.int8]

    def __len__(self) -> int:
        return self.items.items

    def batch(self, first: int, count: int) -> bytes:
        """A `VerifyRequest` of `count` signatures from `first` on."""
        part = self.items.part(first, first + count)
        if self.scheme == "ecdsa":
            return self._request(part, digests=part.messages.tobytes())
        offsets = np.arange(count + 1, dtype="<u8") * part.messages.shape[1]
        rows = pb.Rows(data=part.messages.tobytes(), offsets=offsets.tobytes())
        return self._request(part, messages=rows)

    def single(self, index: int) -> bytes:
        """The request of one signature without an id; `head(id)` goes before it."""
        part = self.items.part(index, index + 1)
        field = "digests" if self.scheme == "ecdsa" else "message"
        return self._request(part, **{field: part.messages.tobytes()})

    def reply(self, first: int, count: int) -> bytes:
        """The `VerifyReply` that is right, byte by byte."""
        verdicts = self.verdicts[first : first + count].tobytes()
        return pb.VerifyReply(verdicts=verdicts).SerializeToString()

    def _request(self, part: SignedItems, **signed: Any) -> bytes:
        return pb.VerifyRequest(
            scheme=SCHEMES[self.scheme].number,
            public_keys=part.keys.tobytes(),
            signatures=part.signatures.tobytes(),
            **signed,
        ).SerializeToString()


def signatures(count: int, scheme: str = "ed25519") -> Signatures:
    """The same ones at every call, with the library's verdicts."""
    one = SCHEMES[scheme]
    items = one.make(count).damaged()
    return Signatures(scheme, items, one.verify(items.keys, items.messages, items.signatures))


def head(identity: int) -> bytes:
    """The field `id` alone: encoded fields of one message may follow one another (Protocol Buffers, "Encoding")."""
    return pb.VerifyRequest(id=identity).SerializeToString()
