# SPDX-License-Identifier: GPL-3.0-or-later
"""Encodings of points of BN254 and BLS12-381 as bytes: what each one accepts, and what it writes.

`size` is the bytes of a coordinate's part: 32 for BN254, 48 for BLS12-381. Every encoding but the compressed ones holds x
and then y; "c₁ first" tells in which order the parts of an extension's element stand. For all of them a part must be below
p, and a finite point must satisfy the curve's equation; bytes that do not are malformed.

- big, little: parts of `size` bytes, c₀ first; infinity is all zero.
- eip196: `big`, for G1 of BN254. eip197: the same for G1; for G2, c₁ first.
- eip2537: for BLS12-381; parts of 64 bytes, big-endian, of which the first 16 are zero; c₀ first; infinity is all zero.
- zcash_uncompressed, zcash_compressed: for BLS12-381; big-endian parts, c₁ first; the compressed form holds x alone. The top
  three bits of the first byte say: compressed (set in one form, clear in the other); infinity, and then all other bits
  must be zero; y is the larger of y and −y, which only the compressed form of a finite point may set. All zero is no
  point. (zkcrypto/bls12_381, notes/serialization; draft-irtf-cfrg-pairing-friendly-curves-11, appendix C.)
- arkworks: little-endian parts, c₀ first. The top bits of the last byte say: bit 7, y is the larger of y and −y; bit 6,
  infinity; both at once are malformed. As `ark-serialize` 0.4 reads its uncompressed form, the sign is not compared with
  y, and beside the infinity bit any parts below p are let pass. All zero is no point.
- arkworks_compressed: for BN254; x alone, with the same bits, of which the first says which y is meant. Beside the infinity
  bit all others must be zero; `ark-serialize` lets any x below p pass there, but writes none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from supervm.crypto.oracle.pairing_groups import GROUPS, Group, Point

COMPRESSED, INFINITY, LARGER = 0x80, 0x40, 0x20
ARKWORKS_LARGER, ARKWORKS_INFINITY = 0x80, 0x40


@dataclass(frozen=True)
class Encoding:
    """How parts lie in the bytes.

    Args:
        groups: which groups it is for.
        order: of bytes in a part.
        imaginary_first: c₁ before c₀.
        padding: zero bytes before each part.
        flags: `zcash`, `arkworks` or none.
        compressed: x alone.
    """

    groups: tuple[str, ...]
    order: str = "big"
    imaginary_first: bool = False
    padding: int = 0
    flags: str = ""
    compressed: bool = False


_BLS = ("bls12_381.g1", "bls12_381.g2")
ENCODINGS = {
    "big": Encoding(tuple(GROUPS)),
    "little": Encoding(tuple(GROUPS), "little"),
    "eip196": Encoding(("bn254.g1",)),
    "eip197": Encoding(("bn254.g1", "bn254.g2"), imaginary_first=True),
    "eip2537": Encoding(_BLS, padding=16),
    "zcash_uncompressed": Encoding(_BLS, imaginary_first=True, flags="zcash"),
    "zcash_compressed": Encoding(_BLS, imaginary_first=True, flags="zcash", compressed=True),
    "arkworks": Encoding(tuple(GROUPS), "little", flags="arkworks"),
    "arkworks_compressed": Encoding(("bn254.g1", "bn254.g2"), "little", flags="arkworks", compressed=True),
}


def length(name: str, encoding: str) -> int:
    """Bytes of a point of the group `name`."""
    form, group = ENCODINGS[encoding], GROUPS[name]
    return (1 if form.compressed else 2) * group.degree * (form.padding + 8 * group.base.words)


def encode(name: str, point: Point | None, encoding: str) -> bytes:
    """The bytes of a point of the group `name`."""
    form, group = ENCODINGS[encoding], GROUPS[name]
    x, y = (group.field.zero, group.field.zero) if point is None else point
    parts: list[int] = []
    for coordinate in (x,) if form.compressed else (x, y):
        own = group.field.parts(coordinate)
        parts += reversed(own) if form.imaginary_first else own
    size = form.padding + 8 * group.base.words
    data = bytearray(b"".join(part.to_bytes(size, form.order) for part in parts))  # type: ignore[arg-type]
    larger = point is not None and group.field.larger(y)
    if form.flags == "zcash":
        data[0] |= COMPRESSED * form.compressed | INFINITY * (point is None)
        data[0] |= LARGER * (form.compressed and larger)
    elif form.flags == "arkworks":
        data[-1] |= ARKWORKS_LARGER * larger | ARKWORKS_INFINITY * (point is None)
    return bytes(data)


def decode(name: str, data: bytes, encoding: str) -> tuple[int, Point | None]:
    """(verdict, point): 1 and a point of the subgroup; 0 for a point of the curve that is not in it, −1 for bytes that are
    no point, both with None."""
    form, group = ENCODINGS[encoding], GROUPS[name]
    content = bytearray(data)
    infinite = larger = False
    if form.flags == "zcash":
        compressed, infinite, larger = (bool(content[0] & bit) for bit in (COMPRESSED, INFINITY, LARGER))
        content[0] &= 0x1F
        if compressed != form.compressed or (larger and (infinite or not compressed)):
            return -1, None
        if infinite:
            return (-1, None) if any(content) else (1, None)
    elif form.flags == "arkworks":
        larger, infinite = bool(content[-1] & ARKWORKS_LARGER), bool(content[-1] & ARKWORKS_INFINITY)
        content[-1] &= 0x3F
        if infinite and (larger or (form.compressed and any(content))):
            return -1, None
    size = form.padding + 8 * group.base.words
    whole = [
        int.from_bytes(content[at : at + size], form.order)  # type: ignore[arg-type]
        for at in range(0, len(content), size)
    ]
    if any(part >= group.p for part in whole):
        return -1, None
    if infinite or (not form.flags and not any(whole)):
        return 1, None
    return _finite(group, form, whole, larger)


def _finite(group: Group, form: Encoding, whole: Sequence[int], larger: bool) -> tuple[int, Point | None]:
    coordinates = []
    for at in range(0, len(whole), group.degree):
        own = whole[at : at + group.degree]
        coordinates.append(group.field.element(reversed(own) if form.imaginary_first else own))
    point: Point | None
    if form.compressed:
        point = group.lift_x(coordinates[0], larger)
    else:
        point = (coordinates[0], coordinates[1])
    if point is None or not group.on_curve(point):
        return -1, None
    return (1, point) if group.in_subgroup(point) else (0, None)
