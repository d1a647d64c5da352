# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns of texts to packed bytes."""

from __future__ import annotations

import binascii
from typing import NoReturn

import numpy as np

from supervm.kernels.array_types import Bytes, Flags
from supervm.tiers.errors import ServiceError
from supervm.tiers.service.codes import Code
from supervm.tiers.service.http.bodies import MOST_BYTES, check_size
from supervm.tiers.service.http.decimals import MOST_DIGITS, from_decimals
from supervm.tiers.service.http.texts import ZERO, Part, Positions, Texts
from supervm.tiers.service.v1 import verification_pb2 as pb

NUMBER_BYTES = 32
_HEX_DIGITS = 2 * NUMBER_BYTES
_SHOWN = 40
_HEX, _DECIMAL = np.zeros(256, np.bool_), np.zeros(256, np.bool_)
_HEX[list(b"0123456789abcdefABCDEF")] = True
_DECIMAL[list(b"0123456789")] = True


def packed(field: str, texts: Texts, width: int) -> bytes:
    """Rows of `width` bytes, one after the other.

    Args:
        field: the name of the list, for the error.
        texts: hexadecimal digits, each text with or without 0x.
        width: bytes of a row; 0 where all have the first one's length.

    Raises:
        ServiceError: INVALID_ARGUMENT that names an item that is wrong.
    """
    data, lengths = _decoded(field, texts)
    expected = width or (int(lengths[0]) if len(lengths) else 0)
    wrong = np.flatnonzero(lengths != expected)
    if wrong.size:
        at = int(wrong[0])
        _refuse(f"{field}[{at}]", f"{lengths[at]} bytes", f"{expected} bytes, {2 * expected} digits")
    return data


def ragged(field: str, texts: Texts) -> pb.Rows:
    """Rows of any lengths, from texts as `packed` takes them.

    Raises:
        ServiceError: INVALID_ARGUMENT that names an item that is wrong.
    """
    data, lengths = _decoded(field, texts)
    offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))
    return pb.Rows(data=data, offsets=offsets.astype("<u8").tobytes())


def numbers(field: str, texts: Texts) -> bytes:
    """Numbers below 2^256 as rows of 32 bytes, little-endian.

    Args:
        field: the name of the list, for the error.
        texts: each decimal, or hexadecimal behind 0x.

    Raises:
        ServiceError: INVALID_ARGUMENT that names an item that is wrong; RESOURCE_EXHAUSTED, where all are right, but no
            message has room for them.
    """
    lengths = texts.lengths
    only_digits_can_be_wrong = bool(
        texts.prefixed.all() and ((lengths >= 1) & (lengths <= _HEX_DIGITS)).all()
    )
    size = NUMBER_BYTES * len(texts)
    found = []
    for part in texts.parts():
        rows = np.empty((len(part.prefixed), NUMBER_BYTES), np.uint8)
        wrong, too_large = _fill(rows, part, lengths[part.first : part.first + len(rows)])
        if wrong is None:
            # Short digits are eight times their bytes in JSON as numbers, of 1 MiB 8 MiB.
            if size <= MOST_BYTES:
                found.append(rows.tobytes())
            continue
        at = part.first + wrong
        if only_digits_can_be_wrong:
            _refuse_digits(field, at, texts)
        text = "a number of 2^256 or more" if too_large else _short(texts.text(at))
        _refuse(f"{field}[{at}]", text, "a number below 2^256, decimal or hexadecimal with 0x")
    check_size(size, MOST_BYTES)
    return b"".join(found)


def _fill(rows: Bytes, part: Part, lengths: Positions) -> tuple[int | None, bool]:
    """Convert a part; the first number that is wrong, and whether it is one, but too large."""
    digits, prefixed = part.digits(), part.prefixed
    owners = np.repeat(np.arange(len(lengths)), lengths)
    of_hexadecimal = prefixed[owners]
    good = np.where(of_hexadecimal, _HEX[digits], _DECIMAL[digits])
    wrong = (lengths < 1) | (lengths > np.where(prefixed, _HEX_DIGITS, MOST_DIGITS))
    wrong[owners[~good]] = True
    count = int(np.argmax(wrong)) if wrong.any() else len(wrong)
    if count < len(wrong):
        kept = owners < count
        digits, of_hexadecimal = digits[kept], of_hexadecimal[kept]
        rows, lengths, prefixed = rows[:count], lengths[:count], prefixed[:count]
    rows[prefixed] = _from_hexadecimal(digits[of_hexadecimal], lengths[prefixed])
    values, too_large = from_decimals(digits[~of_hexadecimal], lengths[~prefixed])
    rows[~prefixed] = values
    if too_large.any():
        return int(np.flatnonzero(~prefixed)[np.argmax(too_large)]), True
    return (count if count < len(wrong) else None), False


def _from_hexadecimal(digits: Bytes, lengths: Positions) -> Bytes:
    """Rows of 32 bytes, little-endian, from right digits, at most 64 each."""
    aligned = np.full((len(lengths), _HEX_DIGITS), ZERO, np.uint8)
    aligned[np.arange(_HEX_DIGITS) >= _HEX_DIGITS - lengths[:, None]] = digits
    rows = np.frombuffer(binascii.unhexlify(aligned.data), np.uint8)
    return rows.reshape(-1, NUMBER_BYTES)[:, ::-1]


def _decoded(field: str, texts: Texts) -> tuple[bytes, Positions]:
    """Bytes of all texts, and how many each has."""
    odd = np.flatnonzero(texts.lengths % 2)
    if odd.size:
        at = int(odd[0])
        _refuse(f"{field}[{at}]", f"{texts.lengths[at]} digits", "hexadecimal digits, two for each byte")
    data = []
    for part in texts.parts():
        try:
            data.append(binascii.unhexlify(part.digits().data))
        except binascii.Error:
            _refuse_digits(field, part.first + _first_wrong(part), texts)
    return b"".join(data), texts.lengths // 2


def _first_wrong(part: Part) -> int:
    """The first text with a character that is no hexadecimal digit."""
    good: Flags = _HEX[part.buffer]
    good[part.starts[:-1][part.prefixed] + 1] = True
    return int(np.searchsorted(part.starts, int(np.argmin(good)), side="right")) - 1


def _refuse_digits(field: str, at: int, texts: Texts) -> NoReturn:
    _refuse(f"{field}[{at}]", _short(texts.text(at)), "hexadecimal digits, with or without 0x")


def _short(text: str) -> str:
    return ascii(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def _refuse(field: str, found: str, expected: str) -> NoReturn:
    raise ServiceError(Code.INVALID_ARGUMENT, field, f"found {found}, expected {expected}")
