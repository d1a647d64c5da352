# SPDX-License-Identifier: GPL-3.0-or-later
"""Fields of requests as columns, checked. Bytes are viewed, never copied; whatever is wrong names its field."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from supervm.crypto.schemes import ECDSA, ED25519, SCHNORR, SignatureScheme
from supervm.kernels.array_types import Bytes, Offsets
from supervm.tiers.errors import ServiceError
from supervm.tiers.service.codes import Code
from supervm.tiers.service.v1 import verification_pb2 as pb

RULES = {
    pb.ED25519_RULE_DALEK: "dalek",
    pb.ED25519_RULE_STRICT: "strict",
    pb.ED25519_RULE_ZIP215: "zip215",
}
SIGNATURE = 64
DIGEST = 32
SCHEMES: dict[pb.Scheme, SignatureScheme] = {
    pb.SCHEME_ED25519: ED25519,
    pb.SCHEME_ECDSA_SECP256K1: ECDSA,
    pb.SCHEME_SCHNORR_SECP256K1: SCHNORR,
}
"""By the number that a request has."""
SHOWN = 120
"""Characters of a caller's text that an error repeats."""

_LENGTH = struct.Struct("<q").pack


class Kind(NamedTuple):
    """What signatures have in common that one call can verify."""

    scheme: pb.Scheme
    rule: str
    key_width: int
    low_s: bool


class Signatures(NamedTuple):
    """The signatures of one request.

    Args:
        kind: of all of them.
        items: n.
        keys, signatures: n rows, one after the other.
        signed: messages, or digests, one after the other.
        lengths: n little-endian int64, of the messages; empty for digests.
    """

    kind: Kind
    items: int
    keys: bytes
    signatures: bytes
    signed: bytes
    lengths: bytes

    @property
    def weight(self) -> int:
        """See `gathering.Columns`."""
        return self.items

    def joined(self, others: Sequence[Signatures]) -> Signatures:
        """See `gathering.Columns`."""
        every = (self, *others)
        return Signatures(
            self.kind,
            sum([one.items for one in every]),
            b"".join([one.keys for one in every]),
            b"".join([one.signatures for one in every]),
            b"".join([one.signed for one in every]),
            b"".join([one.lengths for one in every]),
        )

    def arrays(self, first: int, after: int) -> tuple[Bytes, Any, Bytes]:
        """Keys (n, width), messages (data, offsets) or digests (n, 32), signatures (n, 64)."""
        keys = table(self.keys, self.kind.key_width, self.items)[first:after]
        packed = table(self.signatures, SIGNATURE, self.items)[first:after]
        if not self.lengths and self.items:
            return keys, table(self.signed, DIGEST, self.items)[first:after], packed
        return keys, part_of(self.signed, self.lengths, first, after), packed


def table(packed: bytes, width: int, items: int) -> Bytes:
    """Rows one after the other, which are known to be `items`, as uint8 (n, width)."""
    return np.frombuffer(packed, np.uint8).reshape(items, width)


def part_of(data: bytes, lengths: bytes, first: int, after: int) -> tuple[Bytes, Offsets]:
    """Rows of different lengths, packed int64, from `first` until `after`: all data, and offsets."""
    bounds = np.zeros(len(lengths) // 8 + 1, np.int64)
    np.cumsum(np.frombuffer(lengths, np.int64), out=bounds[1:])
    return np.frombuffer(data, np.uint8), bounds[first : after + 1]


def signatures(request: pb.VerifyRequest) -> Signatures:
    """The columns of a request.

    Raises:
        ServiceError: INVALID_ARGUMENT.
    """
    packed = request.signatures
    items = _rows("signatures", packed, SIGNATURE)
    scheme = SCHEMES.get(request.scheme)
    if scheme is None:
        refuse("scheme", str(request.scheme), "1 (Ed25519), 2 (ECDSA) or 3 (Schnorr)")
    if scheme.signs == "digest":
        return _over_digests(scheme, request, packed, items)
    rule = ""
    if scheme is ED25519:
        rule = RULES.get(request.rule, "")
        if not rule:
            refuse("rule", str(request.rule), "0 (dalek), 1 (strict) or 2 (ZIP-215)")
    keys = request.public_keys
    (width,) = scheme.key_bytes
    _same(_rows("public_keys", keys, width), "public_keys", items)
    signed, lengths = _messages(request, items)
    return Signatures(Kind(request.scheme, rule, width, False), items, keys, packed, signed, lengths)


def _over_digests(
    scheme: SignatureScheme, request: pb.VerifyRequest, packed: bytes, items: int
) -> Signatures:
    keys, digests = request.public_keys, request.digests
    _same(_rows("digests", digests, DIGEST), "digests", items)
    width = len(keys) // items if items else scheme.key_bytes[0]
    if len(keys) != width * items or width not in scheme.key_bytes:
        refuse("public_keys", f"{len(keys)} bytes", f"{items} rows of 33, 64 or 65 bytes")
    if request.HasField("messages") or request.message:
        refuse("messages", "messages", "none: ECDSA is over digests")
    kind = Kind(request.scheme, "", width, not request.allow_high_s)
    return Signatures(kind, items, keys, packed, digests, b"")


def _messages(request: pb.VerifyRequest, items: int) -> tuple[bytes, bytes]:
    """Messages one after the other, and their lengths, packed."""
    if request.digests:
        refuse("digests", f"{len(request.digests)} bytes", "none: this scheme is over messages")
    single = request.message
    if not request.HasField("messages"):
        if items == 1:
            return single, _LENGTH(len(single))
        if single:
            refuse("message", f"one for {items} signatures", "`messages` where there is not one signature")
        if not items:
            return b"", b""
    elif single:
        refuse("message", "both `message` and `messages`", "one of them")
    data, offsets = ragged("messages", request.messages)
    _same(len(offsets) - 1, "messages", items)
    return data, np.diff(offsets).tobytes()


def ragged(field: str, rows: pb.Rows) -> tuple[bytes, Offsets]:
    """The data and offsets, int64 (n + 1,), of rows of different lengths.

    Raises:
        ServiceError: INVALID_ARGUMENT.
    """
    data, packed = rows.data, rows.offsets
    if not packed and not data:
        return data, np.zeros(1, np.int64)
    return data, offsets(f"{field}.offsets", packed, len(data), "bytes of data")


def offsets(field: str, packed: bytes, total: int, of: str) -> Offsets:
    """Offsets that ascend from 0 to `total`.

    Raises:
        ServiceError: INVALID_ARGUMENT.
    """
    count = _rows(field, packed, 8)
    if not count:
        refuse(field, "none", "n + 1 numbers of 8 bytes, little-endian, from 0")
    found = np.frombuffer(packed, "<i8")  # what is above 2⁶³ turns negative, and is refused as descending
    if found[0] or found[-1] != total:
        refuse(field, f"from {found[0]} to {found[-1]}", f"from 0 to {total}, the {of}")
    falls = found[1:] < found[:-1]
    if falls.any():
        place = int(falls.argmax()) + 1
        refuse(field, f"{found[place]} at {place} after {found[place - 1]}", "ascending numbers")
    return found


def rows(field: str, packed: bytes, width: int) -> Bytes:
    """Rows of one width, uint8 (n, width).

    Raises:
        ServiceError: INVALID_ARGUMENT.
    """
    return np.frombuffer(packed, np.uint8).reshape(_rows(field, packed, width), width)


def words(field: str, packed: bytes, shape: tuple[int, ...]) -> npt.NDArray[np.uint64]:
    """Rows of little-endian numbers of 8 bytes, uint64 (n, *shape).

    Raises:
        ServiceError: INVALID_ARGUMENT.
    """
    items = _rows(field, packed, 8 * math.prod(shape))
    return np.frombuffer(packed, "<u8").reshape(items, *shape)


def same_count(field: str, found: int, expected: int, of: str) -> None:
    """Raises:
    ServiceError: INVALID_ARGUMENT where the two differ.
    """
    if found != expected:
        refuse(field, f"{found} rows", f"{expected}, as many as '{of}'")


def shortened(text: str) -> str:
    """The beginning of a text of a caller's: errors travel in headers, which hold no more than a few KiB."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def quoted(text: str) -> str:
    """What a caller named something, for an error; in ASCII."""
    return ascii(shortened(text))


def refuse(field: str, found: str, expected: str) -> NoReturn:
    """Raises:
    ServiceError: INVALID_ARGUMENT that names the field.
    """
    raise ServiceError(Code.INVALID_ARGUMENT, field, f"found {found}, expected {expected}")


def _rows(field: str, packed: bytes, width: int) -> int:
    count, rest = divmod(len(packed), width)
    if rest:
        refuse(field, f"{len(packed)} bytes", f"rows of {width} bytes")
    return count


def _same(found: int, field: str, expected: int) -> None:
    same_count(field, found, expected, "signatures")
