# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes of points to words and flags, and back, in whole columns. `supervm.crypto.oracle.point_encodings` states the rules.

Words are uint64 rows of x and then y (of x alone where an encoding is compressed), c₀ first, little end first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from supervm.kernels.array_types import Bytes, Words
from supervm.kernels.errors import ArgumentError
from supervm.kernels.point_checks import INFINITE, LARGER, MALFORMED
from supervm.kernels.spec import FieldSpec, GroupSpec

Flags = npt.NDArray[np.int8]

_TOP = {"zcash": 0x1F, "arkworks": 0x3F}
"""What is left of the byte that holds an encoding's flags."""


@dataclass(frozen=True)
class Encoding:
    """How the parts of coordinates lie in the bytes.

    Args:
        groups: names of the groups it is for.
        little: bytes of a part from the lowest.
        imaginary_first: c₁ before c₀.
        padding: zero bytes before each part.
        flags: where flag bits are: `zcash`, the top of the first byte; `arkworks`, the top of the last; or none.
        compressed: x alone, and a flag for y.
    """

    groups: tuple[str, ...]
    little: bool = False
    imaginary_first: bool = False
    padding: int = 0
    flags: str = ""
    compressed: bool = False

    def part_bytes(self, spec: GroupSpec) -> int:
        """Bytes of one part, its padding among them."""
        return self.padding + 8 * base_field(spec).words

    def parts(self, spec: GroupSpec) -> int:
        """Parts of a point."""
        return (1 if self.compressed else 2) * spec.field.words // base_field(spec).words

    def length(self, spec: GroupSpec) -> int:
        """Bytes of a point."""
        return self.parts(spec) * self.part_bytes(spec)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The encoding as `group_decode.cu` takes it."""
        kind = ("", "zcash", "arkworks").index(self.flags)
        return self.little, self.imaginary_first, self.padding, kind, self.compressed


_BN254, _BLS12_381 = ("bn254.g1", "bn254.g2"), ("bls12_381.g1", "bls12_381.g2")
ENCODINGS = {
    "big": Encoding(_BN254 + _BLS12_381),
    "little": Encoding(_BN254 + _BLS12_381, little=True),
    "eip196": Encoding(_BN254[:1]),
    "eip197": Encoding(_BN254, imaginary_first=True),
    "eip2537": Encoding(_BLS12_381, padding=16),
    "zcash_uncompressed": Encoding(_BLS12_381, imaginary_first=True, flags="zcash"),
    "zcash_compressed": Encoding(_BLS12_381, imaginary_first=True, flags="zcash", compressed=True),
    "arkworks": Encoding(_BN254 + _BLS12_381, little=True, flags="arkworks"),
    "arkworks_compressed": Encoding(_BN254, little=True, flags="arkworks", compressed=True),
}
"""Every encoding as bytes, by name."""


def base_field(spec: GroupSpec) -> FieldSpec:
    """The prime field below a group's coordinates."""
    return spec.field if isinstance(spec.field, FieldSpec) else spec.field.base


def encoding_of(spec: GroupSpec, name: str) -> Encoding:
    """The encoding `name` if it is for this group.

    Raises:
        ArgumentError: another name.
    """
    known = [key for key, encoding in ENCODINGS.items() if spec.name in encoding.groups]
    if name not in known:
        raise ArgumentError("encoding", repr(name), f"for {spec.name} one of limbs, {', '.join(known)}")
    return ENCODINGS[name]


def read(spec: GroupSpec, encoding: Encoding, data: Bytes) -> tuple[Words, Flags]:
    """(words, flags) of rows of bytes; flags are those that `group_decode.decode_slice` takes."""
    count, degree = len(data), spec.field.words // base_field(spec).words
    parts = _turned(data.reshape(count, encoding.parts(spec), encoding.part_bytes(spec)), encoding, degree)
    padding, content = parts[:, :, : encoding.padding], parts[:, :, encoding.padding :]
    if not encoding.little:
        content = content[:, :, ::-1]
    content = np.array(content, order="C")
    if encoding.flags:
        # The top byte of the first part that was written holds Zcash's flags, that of the last one arkworks'.
        place = -1 if encoding.flags == "arkworks" else degree - 1
        content[:, place, -1] &= _TOP[encoding.flags]
    words = content.reshape(count, encoding.parts(spec) * content.shape[2]).view(np.uint64)
    zero = np.logical_not(words.any(axis=1))
    flags = np.zeros(count, np.int8)
    if encoding.flags == "zcash":
        _read_zcash(encoding.compressed, data[:, 0], zero, flags)
    elif encoding.flags == "arkworks":
        _read_arkworks(encoding.compressed, data[:, -1], zero, flags)
    else:
        flags[zero] = INFINITE
        flags[padding.any(axis=(1, 2))] = MALFORMED
    return words, flags


def _turned(parts: Bytes, encoding: Encoding, degree: int) -> Bytes:
    """Parts (n, parts, bytes) with c₀ and c₁ exchanged where the encoding has c₁ first."""
    if degree == 1 or not encoding.imaginary_first:
        return parts
    count, of_point, size = parts.shape
    return parts.reshape(count, of_point // 2, 2, size)[:, :, ::-1].reshape(parts.shape)


def _read_zcash(compressed: bool, top: Bytes, zero: npt.NDArray[np.bool_], flags: Flags) -> None:
    infinite, larger = (top & 0x40) != 0, (top & 0x20) != 0
    flags[infinite] = INFINITE
    flags[larger] |= LARGER
    refused = ((top & 0x80) != 0) != compressed
    refused |= infinite & ~zero
    refused |= larger & infinite if compressed else larger | (zero & ~infinite)
    flags[refused] = MALFORMED


def _read_arkworks(compressed: bool, top: Bytes, zero: npt.NDArray[np.bool_], flags: Flags) -> None:
    infinite, larger = (top & 0x40) != 0, (top & 0x80) != 0
    flags[infinite] = INFINITE
    if compressed:
        flags[larger] |= LARGER
    flags[(infinite & larger) | (infinite & ~zero if compressed else zero & ~infinite)] = MALFORMED


def write(spec: GroupSpec, encoding: Encoding, words: Words) -> Bytes:
    """Rows of bytes of points on the curve, whose words are canonical."""
    base = base_field(spec)
    count, degree = len(words), spec.field.words // base.words
    infinite = np.logical_not(words.any(axis=1))
    larger = _larger(spec, words[:, spec.field.words :])
    used = words[:, : spec.field.words] if encoding.compressed else words
    content = np.ascontiguousarray(used).view(np.uint8).reshape(count, encoding.parts(spec), 8 * base.words)
    content = _turned(content if encoding.little else content[:, :, ::-1], encoding, degree)
    data = np.zeros((count, encoding.parts(spec), encoding.part_bytes(spec)), np.uint8)
    data[:, :, encoding.padding :] = content
    rows = data.reshape(count, encoding.length(spec))
    if encoding.flags == "zcash":
        rows[:, 0] |= 0x80 * encoding.compressed + 0x40 * infinite.astype(np.uint8)
        rows[:, 0] |= 0x20 * (encoding.compressed & larger).astype(np.uint8)
    elif encoding.flags == "arkworks":
        rows[:, -1] |= 0x80 * larger.astype(np.uint8) + 0x40 * infinite.astype(np.uint8)
    return rows


def _larger(spec: GroupSpec, y: Words) -> npt.NDArray[np.bool_]:
    """Where y is the larger of y and −y; c₁ decides, and c₀ where c₁ is zero."""
    base = base_field(spec)
    half = (base.modulus - 1) // 2
    limits = [np.uint64(half >> 64 * index & (1 << 64) - 1) for index in range(base.words)]
    result = np.zeros(len(y), bool)
    for at in range(0, spec.field.words, base.words):
        part = y[:, at : at + base.words]
        above = np.zeros(len(y), bool)
        for index, limit in enumerate(limits):
            above = (part[:, index] > limit) | ((part[:, index] == limit) & above)
        result = np.where(part.any(axis=1), above, result)
    return result


def negated(spec: GroupSpec, words: Words) -> Words:
    """Rows of words with −y in place of y, which is canonical."""
    base = base_field(spec)
    result = words.copy()
    for at in range(spec.field.words, 2 * spec.field.words, base.words):
        finite = words[:, at : at + base.words].any(axis=1)
        borrow = np.zeros(len(words), np.uint64)
        for index in range(base.words):
            word = words[:, at + index]
            limit = np.uint64(base.modulus >> 64 * index & (1 << 64) - 1)
            difference = limit - word
            result[:, at + index] = np.where(finite, difference - borrow, 0)
            borrow = ((word > limit) | (difference < borrow)).astype(np.uint64)
    return result
