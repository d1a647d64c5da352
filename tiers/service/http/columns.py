# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of texts to packed bytes and back. A list is decoded as one text; nothing goes item by item but decimals."""

from __future__ import annotations

import binascii
import re
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from supervm.tiers.errors import ServiceError
from supervm.tiers.service.codes import Code
from supervm.tiers.service.v1 import verification_pb2 as pb

Bytes = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.int64]

NUMBER_BYTES = 32
_DIGITS = 2 * NUMBER_BYTES
_SHOWN = 40
_COMMA, _ZERO, _X, _CASE = ord(","), ord("0"), ord("x"), 0x20
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]{1,64}|[0-9]{1,78}")
_HEX = np.zeros(256, np.bool_)
_HEX[list(b"0123456789abcdefABCDEF")] = True


def packed(field: str, texts: list[str], width: int) -> bytes:
    """Rows of `width` bytes, one after the other.

    Args:
        field: the name of the list, for the error.
        texts: hexadecimal digits, each text with or without 0x.
        width: bytes of a row; 0 where all have the first one's length.

    Raises:
        ServiceError: INVALID_ARGUMENT that names an item that is wrong.
    """
    data, offsets = _decoded(field, texts)
    lengths = np.diff(offsets)
    expected = width or (int(lengths[0]) if texts else 0)
    wrong = np.flatnonzero(lengths != expected)
    if wrong.size:
        at = int(wrong[0])
        _refuse(f"{field}[{at}]", f"{lengths[at]} bytes", f"{expected} bytes, {2 * expected} digits")
    return data


def ragged(field: str, texts: list[str]) -> pb.Rows:
    """Rows of any lengths, from texts as `packed` takes them.

    Raises:
        ServiceError: INVALID_ARGUMENT that names an item that is wrong.
    """
    data, offsets = _decoded(field, texts)
    return pb.Rows(data=data, offsets=offsets.astype("<u8").tobytes())


def numbers(field: str, texts: list[str]) -> bytes:
    """Numbers below 2^256 as rows of 32 bytes, little-endian.

    Args:
        field: the name of the list, for the error.
        texts: each decimal, or hexadecimal behind 0x.

    Raises:
        ServiceError: INVALID_ARGUMENT that names an item that is wrong.
    """
    buffer, starts, prefixed = _joined(field, texts)
    lengths = np.diff(starts) - 1 - 2 * prefixed
    if not prefixed.all() or (lengths < 1).any() or (lengths > _DIGITS).any():
        return _decimals(field, texts)
    digits = np.full((len(texts), _DIGITS), _ZERO, np.uint8)
    given = _digits(buffer, starts, prefixed)
    filled = np.arange(_DIGITS) >= _DIGITS - lengths[:, None]
    digits[filled] = given
    try:
        rows = np.frombuffer(binascii.unhexlify(digits.data), np.uint8).reshape(-1, NUMBER_BYTES)
    except binascii.Error:
        _name_wrong_digits(field, texts, buffer, starts, prefixed)
    return rows[:, ::-1].tobytes()


def as_hex(data: bytes, width: int) -> list[str]:
    """Rows of `width` bytes as texts with 0x."""
    if not data:
        return []
    return ("0x" + data.hex(",", width).replace(",", ",0x")).split(",")


def as_numbers(data: bytes) -> list[str]:
    """Rows of 32 little-endian bytes as numbers: 0x and 64 digits, the most significant first."""
    rows = np.frombuffer(data, np.uint8).reshape(-1, NUMBER_BYTES)
    return as_hex(rows[:, ::-1].tobytes(), NUMBER_BYTES)


def _joined(field: str, texts: list[str]) -> tuple[Bytes, Positions, npt.NDArray[np.bool_]]:
    """All texts in one, a comma behind each; where each starts, and where the next would; which begin with 0x."""
    joined = "".join([",".join(texts), ","]) if texts else ""
    buffer = np.frombuffer(joined.encode("ascii", "replace"), np.uint8)
    commas = np.flatnonzero(buffer == _COMMA)
    if len(commas) != len(texts):
        at = next(index for index, text in enumerate(texts) if "," in text)
        _refuse(f"{field}[{at}]", _short(texts[at]), "digits")
    starts = np.concatenate((np.zeros(1, np.int64), commas + 1))
    # A text of no character ends with its comma, so that the character behind a start is always there, save the last one's.
    heads = np.append(buffer, np.uint8(0))
    first = starts[:-1]
    prefixed = (heads[first] == _ZERO) & (heads[first + 1] | _CASE == _X)
    return buffer, starts, prefixed


def _digits(buffer: Bytes, starts: Positions, prefixed: npt.NDArray[np.bool_]) -> Bytes:
    """The characters without commas and prefixes."""
    kept = np.ones(buffer.size, np.bool_)
    kept[starts[1:] - 1] = False
    begun = starts[:-1][prefixed]
    kept[begun] = kept[begun + 1] = False
    return buffer[kept]


def _decoded(field: str, texts: list[str]) -> tuple[bytes, Positions]:
    """Bytes of all texts, and offsets, int64 (n + 1,)."""
    buffer, starts, prefixed = _joined(field, texts)
    lengths = np.diff(starts) - 1 - 2 * prefixed
    odd = np.flatnonzero(lengths % 2)
    if odd.size:
        at = int(odd[0])
        _refuse(f"{field}[{at}]", f"{lengths[at]} digits", "hexadecimal digits, two for each byte")
    try:
        data = binascii.unhexlify(_digits(buffer, starts, prefixed).data)
    except binascii.Error:
        _name_wrong_digits(field, texts, buffer, starts, prefixed)
    return data, np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths // 2)))


def _name_wrong_digits(
    field: str, texts: list[str], buffer: Bytes, starts: Positions, prefixed: Any
) -> NoReturn:
    good = _HEX[buffer]
    good[starts[1:] - 1] = True
    good[starts[:-1][prefixed] + 1] = True
    at = int(np.searchsorted(starts, int(np.argmin(good)), side="right")) - 1
    _refuse(f"{field}[{at}]", _short(texts[at]), "hexadecimal digits, with or without 0x")


def _decimals(field: str, texts: list[str]) -> bytes:
    """Numbers of which at least one is not hexadecimal: Python's own arithmetic, item by item."""
    expected = "a number below 2^256, decimal or hexadecimal with 0x"
    rows = []
    for at, text in enumerate(texts):
        if not _NUMBER.fullmatch(text):
            _refuse(f"{field}[{at}]", _short(text), expected)
        value = int(text, 16 if text[:2] in ("0x", "0X") else 10)
        if value >> 256:
            _refuse(f"{field}[{at}]", "a number of 2^256 or more", expected)
        rows.append(value.to_bytes(NUMBER_BYTES, "little"))
    return b"".join(rows)


def _short(text: str) -> str:
    return ascii(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def _refuse(field: str, found: str, expected: str) -> NoReturn:
    raise ServiceError(Code.INVALID_ARGUMENT, field, f"found {found}, expected {expected}")
