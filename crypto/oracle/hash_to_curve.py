# SPDX-License-Identifier: GPL-3.0-or-later
"""Hashing to G1 and G2 of BLS12-381 as RFC 9380 defines it, step by step, with SHA-256.

A suite `…_XMD:SHA-256_SSWU_RO_` is `hash_to_curve`, `…_XMD:SHA-256_SSWU_NU_` is `encode_to_curve`.
"""

from __future__ import annotations

import hashlib

from supervm.crypto.oracle.pairing_groups import GROUPS, Group, Point
from supervm.crypto.params import bls12_381
from supervm.kernels.spec import Coordinate, SimplifiedSwu

BYTES_OF_PART = 64
"""L: bytes that are reduced to an integer modulo p (section 5.1): ⌈(381 + 128)/8⌉."""

MOST_TAG_BYTES = 255
"""A longer domain separation tag is hashed (section 5.3.3)."""

COFACTORS = {
    "bls12_381.g1": 1 - bls12_381.PARAMETER,
    "bls12_381.g2": 3 * (bls12_381.PARAMETER**2 - 1) * bls12_381.G2.cofactor,
}
"""h_eff, sections 8.8.1 and 8.8.2: what a point is multiplied by to be in the subgroup."""


def expand_message_xmd(message: bytes, tag: bytes, length: int) -> bytes:
    """`length` uniform bytes (section 5.3.1).

    Raises:
        ValueError: an empty tag, or more than 255 blocks of 32 bytes.
    """
    if not tag:
        raise ValueError("an empty tag; expected a byte or more")
    blocks = -(-length // 32)
    if blocks > 255:
        raise ValueError(f"{length} bytes; expected 8160 at most")
    if len(tag) > MOST_TAG_BYTES:
        tag = _sha256(b"H2C-OVERSIZE-DST-" + tag)
    tag += bytes([len(tag)])
    first = _sha256(bytes(64) + message + length.to_bytes(2, "big") + b"\0" + tag)
    uniform, block = b"", bytes(32)
    for index in range(1, blocks + 1):
        mixed = bytes(a ^ b for a, b in zip(first, block, strict=True))
        block = _sha256(mixed + bytes([index]) + tag)
        uniform += block
    return uniform[:length]


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def hash_to_field(group: Group, message: bytes, tag: bytes, count: int) -> list[Coordinate]:
    """`count` field elements (section 5.2)."""
    uniform = expand_message_xmd(message, tag, count * group.degree * BYTES_OF_PART)
    parts = [
        int.from_bytes(uniform[at : at + BYTES_OF_PART], "big") % group.p
        for at in range(0, len(uniform), BYTES_OF_PART)
    ]
    return [group.field.element(parts[at : at + group.degree]) for at in range(0, len(parts), group.degree)]


def sign(group: Group, element: Coordinate) -> int:
    """sgn0 (section 4.1): the lowest bit of the first part that is not 0, c₀ before c₁."""
    return next((part % 2 for part in group.field.parts(element) if part), 0)


def simplified_swu(group: Group, u: Coordinate) -> Point:
    """A point of the curve y² = x³ + a·x + b that is isogenous to the group's (section 6.6.2)."""
    f, swu = group.field, swu_of(group)
    a, b, z = (_reduced(group, constant) for constant in (swu.a, swu.b, swu.z))
    zu2 = f.mul(z, f.mul(u, u))
    denominator = f.add(f.mul(zu2, zu2), zu2)
    if denominator == f.zero:
        x = f.mul(b, f.inverse(f.mul(z, a)))
    else:
        minus_b_over_a = f.sub(f.zero, f.mul(b, f.inverse(a)))
        x = f.mul(minus_b_over_a, f.add(f.one, f.inverse(denominator)))
    y = f.sqrt(f.add(f.mul(f.add(f.mul(x, x), a), x), b))
    if y is None:
        x = f.mul(zu2, x)
        y = f.sqrt(f.add(f.mul(f.add(f.mul(x, x), a), x), b))
        assert y is not None
    return (x, y) if sign(group, u) == sign(group, y) else (x, f.sub(f.zero, y))


def isogeny(group: Group, point: Point) -> Point | None:
    """The point's image on the group's curve (section 6.6.3); None, infinity, for points of the kernel."""
    f, maps = group.field, swu_of(group).isogeny
    x, y = point
    kernel, above, slope = (_evaluate(group, polynomial, x) for polynomial in (maps.kernel, maps.x, maps.y))
    if kernel == f.zero:
        return None
    inverse = f.inverse(kernel)
    square = f.mul(inverse, inverse)
    return f.mul(above, square), f.mul(y, f.mul(slope, f.mul(square, inverse)))


def _evaluate(group: Group, polynomial: tuple[Coordinate, ...], x: Coordinate) -> Coordinate:
    total = group.field.zero
    for coefficient in reversed(polynomial):
        total = group.field.add(group.field.mul(total, x), _reduced(group, coefficient))
    return total


def _reduced(group: Group, constant: Coordinate) -> Coordinate:
    parts = (constant,) if isinstance(constant, int) else constant
    return group.field.element(part % group.p for part in parts)


def map_to_curve(group: Group, u: Coordinate) -> Point | None:
    """A point of the group's curve, not of the subgroup in general (section 6.6.3)."""
    return isogeny(group, simplified_swu(group, u))


def clear_cofactor(group: Group, point: Point | None) -> Point | None:
    """h_eff times the point (section 7)."""
    return group.multiply(COFACTORS[group.spec.name], point)


def map_to_group(group: Group, u: Coordinate) -> Point | None:
    """What MAP_FP_TO_G1 and MAP_FP2_TO_G2 of EIP-2537 compute."""
    return clear_cofactor(group, map_to_curve(group, u))


def hash_to_curve(name: str, message: bytes, tag: bytes) -> Point | None:
    """The message's point in the group `bls12_381.g1` or `bls12_381.g2`, as if drawn from all of them (section 3)."""
    group = GROUPS[name]
    first, second = (map_to_curve(group, u) for u in hash_to_field(group, message, tag, 2))
    return clear_cofactor(group, group.add(first, second))


def encode_to_curve(name: str, message: bytes, tag: bytes) -> Point | None:
    """The same at half the cost, from about half of the points and not evenly (section 3)."""
    group = GROUPS[name]
    (u,) = hash_to_field(group, message, tag, 1)
    return map_to_group(group, u)


def swu_of(group: Group) -> SimplifiedSwu:
    """How field elements become points of the group.

    Raises:
        ValueError: nothing is hashed to this group.
    """
    if group.spec.map is None:
        raise ValueError(f"{group.spec.name}; expected a group with a map")
    return group.spec.map
