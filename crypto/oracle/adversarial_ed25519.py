# SPDX-License-Identifier: GPL-3.0-or-later
"""Ed25519 inputs that tell the rules apart and break careless verifiers; the oracle gives the verdicts.

Small-order, mixed-order and non-canonical encodings of A and R, s around the order, and points that meet
inside the double product. The 14 × 14 table of small-order encodings is that of ed25519-zebra's tests.
Sources: Chalkias, Garillot, Nikolaenko, "Taming the many EdDSAs" (SSR 2020); de Valence, "It's 255:19AM"
(2020).
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

from supervm.crypto.oracle import edwards
from supervm.crypto.oracle.ed25519 import challenge
from supervm.crypto.oracle.edwards import BASE, IDENTITY, L, P, Point

_SECRET = 0x6A09E667F3BCC908B2FB1366EA957D3E3ADEC17512775099DA2F590B0667322A % L
_NONCE = 0xCBBB9D5DC1059ED8629A292A367CD507152FECD8F70E59396 * 0x10001 % L
_ORDINARY = edwards.encode(edwards.multiply(_SECRET, BASE))


class Ed25519Case(NamedTuple):
    """One input of `verify`, and what is special about it."""

    public_key: bytes
    message: bytes
    signature: bytes
    description: str


def torsion() -> list[Point]:
    """The eight points T with 8·T = 0, as multiples 0 to 7 of one of order eight."""
    y = 2
    while True:
        point = edwards.decode(y.to_bytes(32, "little"))
        if point is not None:
            part = edwards.multiply(L, point)
            if not edwards.equal(edwards.multiply(4, part), IDENTITY):
                return [edwards.multiply(k, part) for k in range(8)]
        y += 1


def non_canonical_encodings() -> list[bytes]:
    """Every 32 bytes that decode to a point and are not its encoding; the first six are of small order."""
    found = [(1 | 1 << 255), (P - 1 | 1 << 255)]
    found += [y + P | sign << 255 for y in (1, 0, *range(2, 19)) for sign in (0, 1)]
    encodings = [value.to_bytes(32, "little") for value in found]
    return [data for data in encodings if edwards.decode(data) is not None]


def small_order_encodings() -> list[bytes]:
    """The fourteen encodings of the torsion points: eight canonical ones and six others."""
    return [edwards.encode(point) for point in torsion()] + non_canonical_encodings()[:6]


def cases() -> list[Ed25519Case]:
    """All of them, in a fixed order."""
    return [
        *small_order_table(),
        *_mixed_order(),
        *_cofactor_agreeing(),
        *_non_canonical(),
        *_scalar_edges(),
        *_undecodable(),
        *_meeting_points(),
        *_changed_fields(),
    ]


def small_order_table() -> list[Ed25519Case]:
    """A and R from the fourteen small-order encodings, s = 0: all valid under zip215, none under strict."""
    encodings = small_order_encodings()
    return [
        Ed25519Case(a, b"Zcash", r + bytes(32), f"small-order A {i}, small-order R {j}, s = 0")
        for i, a in enumerate(encodings)
        for j, r in enumerate(encodings)
    ]


def _signed(
    message: bytes, description: str, *, secret: int, nonce: int, a_bytes: bytes, r_bytes: bytes
) -> Ed25519Case:
    """s = nonce + h·secret: right up to the torsion parts that the two encodings bring along."""
    s = (nonce + challenge(r_bytes, a_bytes, message) * secret) % L
    return Ed25519Case(a_bytes, message, r_bytes + s.to_bytes(32, "little"), description)


def _with_torsion(scalar: int, part: Point) -> bytes:
    return edwards.encode(edwards.add(edwards.multiply(scalar, BASE), part))


def _mixed_order() -> list[Ed25519Case]:
    found = []
    parts = torsion()
    for i, of_a in enumerate(parts):
        for j, of_r in enumerate(parts):
            a_bytes, r_bytes = _with_torsion(_SECRET, of_a), _with_torsion(_NONCE, of_r)
            found.append(
                _signed(
                    b"mixed order",
                    f"A with torsion part {i}, R with torsion part {j}",
                    secret=_SECRET,
                    nonce=_NONCE,
                    a_bytes=a_bytes,
                    r_bytes=r_bytes,
                )
            )
    for i, of_a in enumerate(parts):
        a_bytes, r_bytes = edwards.encode(of_a), _with_torsion(_NONCE, parts[i])
        found.append(
            _signed(
                b"small A",
                f"small-order A {i}, mixed-order R",
                secret=0,
                nonce=_NONCE,
                a_bytes=a_bytes,
                r_bytes=r_bytes,
            )
        )
    return found


def _cofactor_agreeing() -> list[Ed25519Case]:
    """Mixed-order A and mixed- or small-order R whose torsion parts cancel in R + h·A: the cofactor is not needed."""
    found = []
    parts = torsion()
    for i, j, nonce in itertools.product((1, 2, 4), (0, 1, 2, 4), (_NONCE, 0)):
        a_bytes, r_bytes = _with_torsion(_SECRET, parts[i]), _with_torsion(nonce, parts[j])
        messages = (b"cancel %d" % attempt for attempt in range(64))
        message = next((m for m in messages if (j + challenge(r_bytes, a_bytes, m) * i) % 8 == 0), None)
        if message is not None:
            name = f"torsion parts {i} of A and {j} of R cancel" + ("" if nonce else ", R of small order")
            found.append(
                _signed(message, name, secret=_SECRET, nonce=nonce, a_bytes=a_bytes, r_bytes=r_bytes)
            )
    return found


def _non_canonical() -> list[Ed25519Case]:
    found = []
    for i, data in enumerate(non_canonical_encodings()):
        message = b"non-canonical"
        found.append(
            _signed(
                message,
                f"non-canonical R {i}, ordinary A",
                secret=_SECRET,
                nonce=0,
                a_bytes=_ORDINARY,
                r_bytes=data,
            )
        )
        found.append(
            _signed(
                message,
                f"non-canonical A {i}, ordinary R",
                secret=0,
                nonce=_NONCE,
                a_bytes=data,
                r_bytes=_with_torsion(_NONCE, IDENTITY),
            )
        )
        found.append(
            Ed25519Case(data, message, data + _NONCE.to_bytes(32, "little"), f"non-canonical A and R {i}")
        )
    return found


def _ordinary(message: bytes, description: str, secret: int = _SECRET, nonce: int = _NONCE) -> Ed25519Case:
    return _signed(
        message,
        description,
        secret=secret,
        nonce=nonce,
        a_bytes=_with_torsion(secret, IDENTITY),
        r_bytes=_with_torsion(nonce, IDENTITY),
    )


def _scalar_edges() -> list[Ed25519Case]:
    good = _ordinary(b"scalars", "ordinary signature")
    r_bytes, s = good.signature[:32], int.from_bytes(good.signature[32:], "little")
    found = [good]
    for times in range(1, 16):
        found.append(
            good._replace(
                signature=r_bytes + (s + times * L).to_bytes(32, "little"), description=f"s + {times}·L"
            )
        )
    for name, value in {
        "0": 0,
        "1": 1,
        "L − 1": L - 1,
        "L": L,
        "L + 1": L + 1,
        "0x80 in every byte": int("0f" + "80" * 31, 16),
        "0x7f in every byte": int("0f" + "7f" * 31, 16),
        "0x81 in every byte": int("0f" + "81" * 31, 16),
        "0x88 in every byte": int("08" + "88" * 31, 16),
        "0xff in every byte": (1 << 252) - 1,
        "2^252": 1 << 252,
        "2^253 − 1": (1 << 253) - 1,
        "2^255": 1 << 255,
        "2^256 − 1": (1 << 256) - 1,
    }.items():
        scalar = value.to_bytes(32, "little")
        found.append(good._replace(signature=r_bytes + scalar, description=f"s = {name}, R of another s"))
        r_of_s = _with_torsion(value % L, IDENTITY)
        identity = edwards.encode(IDENTITY)
        found.append(Ed25519Case(identity, b"", r_of_s + scalar, f"A is the identity, R = s·B, s = {name}"))
    return found


def _undecodable() -> list[Ed25519Case]:
    good = _ordinary(b"encodings", "ordinary signature")
    no_point = next(
        y.to_bytes(32, "little") for y in range(2, 100) if edwards.decode(y.to_bytes(32, "little")) is None
    )
    high_no_point = (int.from_bytes(no_point, "little") | 1 << 255).to_bytes(32, "little")
    s, over = good.signature[32:], L.to_bytes(32, "little")
    return [
        good._replace(public_key=no_point, description="A is no point"),
        good._replace(public_key=high_no_point, description="A is no point, sign bit set"),
        good._replace(public_key=no_point, signature=no_point + s, description="neither A nor R is a point"),
        good._replace(signature=no_point + s, description="R is no point"),
        good._replace(signature=high_no_point + s, description="R is no point, sign bit set"),
        good._replace(signature=no_point + over, description="R is no point and s = L"),
        good._replace(public_key=no_point, signature=good.signature[:32] + over, description="bad A, s = L"),
        Ed25519Case(bytes(32), b"", bytes(64), "all zero"),
        Ed25519Case(bytes(32), b"zero", bytes(64), "all zero, with a message"),
        Ed25519Case(b"\xff" * 32, b"", b"\xff" * 64, "all ones"),
        Ed25519Case(_ORDINARY, b"", bytes(64), "signature all zero"),
        Ed25519Case(_ORDINARY, b"", b"\xff" * 64, "signature all ones"),
    ]


def _meeting_points() -> list[Ed25519Case]:
    """Keys and nonces that are small multiples of B, so that table entries and partial sums coincide."""
    values = {"1": 1, "−1": L - 1, "2": 2, "3": 3, "8": 8, "16": 16, "2^128": 1 << 128, "1/2": (L + 1) // 2}
    found = [
        _ordinary(b"meet", f"A = {name}·B, R = {other}·B", secret, nonce)
        for name, secret in values.items()
        for other, nonce in values.items()
    ]
    identity = edwards.encode(IDENTITY)
    found.append(
        _signed(b"meet", "R is the identity", secret=_SECRET, nonce=0, a_bytes=_ORDINARY, r_bytes=identity)
    )
    return found


def _changed_fields() -> list[Ed25519Case]:
    found = []
    for length in (0, 1, 46, 47, 48, 63, 64, 65, 111, 112, 174, 175, 176, 303, 304, 1000):
        found.append(_ordinary(bytes(i * 7 & 255 for i in range(length)), f"{length}-byte message"))
    good = _ordinary(b"fields", "ordinary signature")
    for bit in (0, 1, 7, 100, 127, 128, 250, 254, 255):
        mask = (1 << bit).to_bytes(32, "little")
        flipped = bytes(x ^ y for x, y in zip(good.public_key, mask, strict=True))
        found.append(good._replace(public_key=flipped, description=f"bit {bit} of A flipped"))
        for name, field in (("R", mask + bytes(32)), ("s", bytes(32) + mask)):
            flipped = bytes(x ^ y for x, y in zip(good.signature, field, strict=True))
            found.append(good._replace(signature=flipped, description=f"bit {bit} of {name} flipped"))
    found.append(good._replace(message=b"fieldz", description="another message"))
    found.append(good._replace(message=b"", description="message dropped"))
    return found
