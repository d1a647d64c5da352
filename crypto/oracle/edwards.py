# SPDX-License-Identifier: GPL-3.0-or-later
"""Points of edwards25519, −x² + y² = 1 + d·x²·y², in extended coordinates (X : Y : Z : T).

x = X/Z, y = Y/Z, xy = T/Z. Formulas: Hisil, Wong, Carter, Dawson, "Twisted Edwards Curves Revisited"
(ASIACRYPT 2008), sections 3.1 and 3.3; d is a non-square, so the addition is complete.

Encoding: RFC 8032, section 5.1.2; decoding: see `decode`.
"""

from __future__ import annotations

from supervm.crypto.params.curve25519 import EDWARDS25519

Point = tuple[int, int, int, int]

P = EDWARDS25519.field.modulus
L = EDWARDS25519.scalar_field.modulus
D = EDWARDS25519.d

IDENTITY: Point = (0, 1, 1, 0)


def from_affine(x: int, y: int) -> Point:
    """The point (x, y); that it lies on the curve is the caller's business."""
    return x, y, 1, x * y % P


BASE: Point = from_affine(*EDWARDS25519.base)


def add(first: Point, second: Point) -> Point:
    """first + second, for every pair of points."""
    x1, y1, z1, t1 = first
    x2, y2, z2, t2 = second
    a = (y1 - x1) * (y2 - x2) % P
    b = (y1 + x1) * (y2 + x2) % P
    c = 2 * D * t1 * t2 % P
    d = 2 * z1 * z2 % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def double(point: Point) -> Point:
    """2·point."""
    x1, y1, z1, _ = point
    a = x1 * x1 % P
    b = y1 * y1 % P
    c = 2 * z1 * z1 % P
    h = a + b
    e = h - (x1 + y1) * (x1 + y1)
    g = a - b
    f = c + g
    return e * f % P, g * h % P, f * g % P, e * h % P


def negate(point: Point) -> Point:
    """−point: the same y, the opposite x."""
    x, y, z, t = point
    return -x % P, y, z, -t % P


def multiply(scalar: int, point: Point) -> Point:
    """scalar·point, for scalar ≥ 0, not reduced: a point with a torsion part feels the difference."""
    return multiply_sum(scalar, point, 0, IDENTITY)


def multiply_sum(first_scalar: int, first: Point, second_scalar: int, second: Point) -> Point:
    """first_scalar·first + second_scalar·second, both scalars ≥ 0, bit by bit (Shamir's trick)."""
    both = add(first, second)
    result = IDENTITY
    for bit in range(max(first_scalar.bit_length(), second_scalar.bit_length()) - 1, -1, -1):
        result = double(result)
        take_first, take_second = first_scalar >> bit & 1, second_scalar >> bit & 1
        if take_first and take_second:
            result = add(result, both)
        elif take_first:
            result = add(result, first)
        elif take_second:
            result = add(result, second)
    return result


def equal(first: Point, second: Point) -> bool:
    """The same point, whatever the coordinates' common factor."""
    x1, y1, z1, _ = first
    x2, y2, z2, _ = second
    return (x1 * z2 - x2 * z1) % P == 0 and (y1 * z2 - y2 * z1) % P == 0


def is_small_order(point: Point) -> bool:
    """8·point is the identity: the point is one of the eight torsion points."""
    return equal(double(double(double(point))), IDENTITY)


def encode(point: Point) -> bytes:
    """The canonical 32 bytes: y little-endian, with the lowest bit of x in the top bit."""
    x, y, z, _ = point
    inverse = pow(z, -1, P)
    return (y * inverse % P | (x * inverse % P & 1) << 255).to_bytes(32, "little")


def decode(data: bytes) -> Point | None:
    """The point that 32 bytes stand for, read permissively, or None.

    1. The top bit is the sign; the lower 255 bits are y and are reduced mod p, so the 19 non-canonical
       encodings of y in [0, 18] decode.
    2. None exactly when (y² − 1)/(d·y² + 1) is not a square. (The denominator is never 0.)
    3. x is the root whose lowest bit is the sign. For x = 0 the sign has nothing to choose: sign 1 decodes to
       the same point (0, ±1). RFC 8032 would refuse rules 1 and 3 their leniency; ZIP-215 and
       curve25519-dalek 4 (`CompressedEdwardsY::decompress`) do not.
    """
    if len(data) != 32:
        raise ValueError(f"argument 'data': found {len(data)} bytes, expected 32")
    value = int.from_bytes(data, "little")
    sign, y = value >> 255, value % 2**255 % P
    x = EDWARDS25519.field.sqrt((y * y - 1) * pow(D * y * y + 1, -1, P))
    if x is None:
        return None
    return from_affine(-x % P if x & 1 != sign else x, y)
