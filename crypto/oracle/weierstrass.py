# SPDX-License-Identifier: GPL-3.0-or-later
"""Points of secp256k1, y² = x³ + 7: affine (x, y), None for infinity; Jacobian (X, Y, Z) inside products.

x = X/Z², y = Y/Z³, Z = 0 at infinity. Formulas: the group law of the curve, in the Jacobian form of "Guide to
Elliptic Curve Cryptography", section 3.2.2. Encodings: SEC 1, version 2.0, sections 2.3.3 and 2.3.4.
"""

from __future__ import annotations

from supervm.crypto.params.secp256k1 import SECP256K1

Point = tuple[int, int]
Jacobian = tuple[int, int, int]

P = SECP256K1.field.modulus
N = SECP256K1.scalar_field.modulus
B = SECP256K1.b
BASE: Point = SECP256K1.base

_INFINITY: Jacobian = (1, 1, 0)


def on_curve(x: int, y: int) -> bool:
    """(x, y) has coordinates in [0, p) and satisfies the equation."""
    return 0 <= x < P and 0 <= y < P and (y * y - x * x * x - B) % P == 0


def lift_x(x: int, odd: int) -> Point | None:
    """The point with abscissa x whose y has the parity `odd`; None if x ≥ p or x is no abscissa."""
    if not 0 <= x < P:
        return None
    y = SECP256K1.field.sqrt(x * x * x + B)
    if y is None:
        return None
    return (x, y) if y & 1 == odd else (x, P - y)


def negate(point: Point | None) -> Point | None:
    """−point."""
    return None if point is None else (point[0], -point[1] % P)


def add(first: Point | None, second: Point | None) -> Point | None:
    """first + second, for every pair of points."""
    return _to_affine(_add(_to_jacobian(first), _to_jacobian(second)))


def multiply(scalar: int, point: Point | None) -> Point | None:
    """scalar·point; the scalar is taken mod n."""
    return multiply_sum(scalar, point, 0, None)


def multiply_sum(
    first_scalar: int, first: Point | None, second_scalar: int, second: Point | None
) -> Point | None:
    """first_scalar·first + second_scalar·second, scalars mod n, bit by bit (Shamir's trick)."""
    a, b = first_scalar % N, second_scalar % N
    one, two = _to_jacobian(first), _to_jacobian(second)
    both = _add(one, two)
    result = _INFINITY
    for bit in range(max(a.bit_length(), b.bit_length()) - 1, -1, -1):
        result = _double(result)
        take_first, take_second = a >> bit & 1, b >> bit & 1
        if take_first and take_second:
            result = _add(result, both)
        elif take_first:
            result = _add(result, one)
        elif take_second:
            result = _add(result, two)
    return _to_affine(result)


def encode(point: Point) -> bytes:
    """64 bytes: x ‖ y, big-endian."""
    return point[0].to_bytes(32, "big") + point[1].to_bytes(32, "big")


def encode_sec1(point: Point, compressed: bool) -> bytes:
    """33 bytes (02 or 03, x) or 65 bytes (04, x, y)."""
    if compressed:
        return bytes([2 + (point[1] & 1)]) + point[0].to_bytes(32, "big")
    return b"\x04" + encode(point)


def decode(key: bytes) -> Point | None:
    """The point of a public key of 33 or 65 bytes (SEC 1) or 64 bytes (x ‖ y), or None if it is malformed.

    1. 33 bytes: the prefix is 02 (even y) or 03 (odd y), x < p, and x is an abscissa of the curve.
    2. 65 bytes: the prefix is 04; the hybrid prefixes 06 and 07 are refused. Then as 64 bytes.
    3. 64 bytes: x < p, y < p, and (x, y) satisfies the equation. Infinity has no encoding here: 64 zero bytes
       are not on the curve.
    """
    if len(key) == 33:
        return lift_x(int.from_bytes(key[1:], "big"), key[0] & 1) if key[0] in (2, 3) else None
    if len(key) == 65:
        return decode(key[1:]) if key[0] == 4 else None
    if len(key) != 64:
        raise ValueError(f"argument 'key': found {len(key)} bytes, expected 33, 64 or 65")
    x, y = int.from_bytes(key[:32], "big"), int.from_bytes(key[32:], "big")
    return (x, y) if on_curve(x, y) else None


def _to_jacobian(point: Point | None) -> Jacobian:
    return _INFINITY if point is None else (point[0], point[1], 1)


def _to_affine(point: Jacobian) -> Point | None:
    x, y, z = point
    if z == 0:
        return None
    inverse = pow(z, -1, P)
    return x * inverse * inverse % P, y * inverse * inverse * inverse % P


def _double(point: Jacobian) -> Jacobian:
    x, y, z = point
    if z == 0:
        return _INFINITY
    s = 4 * x * y * y % P
    m = 3 * x * x % P
    x3 = (m * m - 2 * s) % P
    return x3, (m * (s - x3) - 8 * y * y * y * y) % P, 2 * y * z % P


def _add(first: Jacobian, second: Jacobian) -> Jacobian:
    x1, y1, z1 = first
    x2, y2, z2 = second
    if z1 == 0:
        return second
    if z2 == 0:
        return first
    z1z1, z2z2 = z1 * z1 % P, z2 * z2 % P
    u1, u2 = x1 * z2z2 % P, x2 * z1z1 % P
    s1, s2 = y1 * z2 * z2z2 % P, y2 * z1 * z1z1 % P
    if u1 == u2:
        return _double(first) if s1 == s2 else _INFINITY
    h, r = u2 - u1, s2 - s1
    hh = h * h % P
    hhh = h * hh % P
    v = u1 * hh % P
    x3 = (r * r - hhh - 2 * v) % P
    return x3, (r * (v - x3) - s1 * hhh) % P, z1 * z2 * h % P
