# SPDX-License-Identifier: GPL-3.0-or-later
"""Bech32m (BIP-350): bytes as text that people copy, with a checksum.

Of any length below 1,023 characters, where BIP-173 stops at 90: up to 1,022 characters, three wrong ones in any places are
always found, and more are missed once in 2^30.
"""

from __future__ import annotations

from supervm.kernels.errors import ArgumentError

__all__ = ["decode", "encode"]

MOST_CHARACTERS = 1022
_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)}
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CONSTANT = 0x2BC830A3
_CHECKSUM = 6


def encode(prefix: str, data: bytes) -> str:
    """Text of bytes behind a prefix.

    Args:
        prefix: 1 to 83 characters of printable ASCII, no capital letters.
        data: of any length that fits.

    Raises:
        ArgumentError: another prefix, or data too long.

    >>> encode("a", b"")
    'a1lqfn3a'
    """
    _require_prefix(prefix)
    values = _regrouped(data, 8, 5)
    if len(prefix) + 1 + len(values) + _CHECKSUM > MOST_CHARACTERS:
        raise ArgumentError("data", f"{len(data)} bytes", f"what fits {MOST_CHARACTERS} characters")
    residue = _residue(prefix, [*values, *[0] * _CHECKSUM]) ^ _CONSTANT
    check = [residue >> 5 * (_CHECKSUM - 1 - index) & 31 for index in range(_CHECKSUM)]
    return prefix + "1" + "".join(_ALPHABET[value] for value in [*values, *check])


def decode(text: str, prefix: str, argument: str = "text") -> bytes:
    """The bytes of a text that has this prefix; capitals throughout are the same text.

    Args:
        text: as `encode` makes it.
        prefix: that it must have.
        argument: the name of `text` in errors, which do not repeat it: it may be a secret.

    Raises:
        ArgumentError: anything else, mixed cases, or a wrong checksum.
    """
    _require_prefix(prefix)
    expected = f"text that begins with {prefix}1"
    if not isinstance(text, str) or not 0 < len(text) <= MOST_CHARACTERS:
        raise ArgumentError(argument, "no text, or too much of it", expected)
    if text not in (text.lower(), text.upper()):
        raise ArgumentError(argument, "capital and small letters", "either ones throughout")
    found, separator, rest = text.lower().rpartition("1")
    if not separator or found != prefix:
        raise ArgumentError(argument, "another prefix, or none", expected)
    if len(rest) < _CHECKSUM or any(letter not in _VALUES for letter in rest):
        raise ArgumentError(argument, "characters that Bech32m does not have, or too few", expected)
    values = [_VALUES[letter] for letter in rest]
    if _residue(prefix, values) != _CONSTANT:
        raise ArgumentError(argument, "a wrong checksum", "the text as it was written: a character is wrong")
    data, count = values[:-_CHECKSUM], 5 * len(values[:-_CHECKSUM])
    if count % 8 > 4 or (data and data[-1] & ((1 << count % 8) - 1)):
        raise ArgumentError(argument, "bits behind the last byte", expected)
    return bytes(_regrouped(data, 5, 8)[: count // 8])


def _require_prefix(prefix: str) -> None:
    known = isinstance(prefix, str) and 0 < len(prefix) <= 83
    if not known or prefix != prefix.lower() or not all(33 <= ord(letter) <= 126 for letter in prefix):
        raise ArgumentError("prefix", repr(prefix), "1 to 83 characters of printable ASCII, no capitals")


def _residue(prefix: str, values: list[int]) -> int:
    letters = [ord(letter) for letter in prefix]
    residue = 1
    for value in [*(each >> 5 for each in letters), 0, *(each & 31 for each in letters), *values]:
        top = residue >> 25
        residue = (residue & 0x1FFFFFF) << 5 ^ value
        for index, term in enumerate(_GENERATOR):
            if top >> index & 1:
                residue ^= term
    return residue


def _regrouped(values: bytes | list[int], before: int, after: int) -> list[int]:
    """Numbers of `before` bits as numbers of `after` bits, the highest bit first, filled up with zeros."""
    number = 0
    for value in values:
        number = number << before | value
    bits = before * len(values)
    count = -(-bits // after)
    number <<= count * after - bits
    return [number >> after * (count - 1 - index) & ((1 << after) - 1) for index in range(count)]
