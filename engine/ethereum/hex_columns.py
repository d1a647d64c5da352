# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns of hexadecimal text to columns of bytes, a whole column at a time.

The two encodings of the Ethereum JSON-RPC specification ("Hex value encoding"): a *quantity* is `0x` and one
or more digits, most significant first; *data* is `0x` and two digits a byte. Leading zeros of a quantity are
accepted, since several nodes write them; a digit beyond the column's width that is not zero is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn

import numpy as np
from numba import njit

from supervm.kernels.array_types import Bytes, Offsets

Refuse = Callable[[int, str, str], NoReturn]
"""`refuse(item, found, expected)` raises the error that names item `item` of the column."""

_GOOD, _NO_PREFIX, _NO_DIGITS, _NOT_HEX, _TOO_LARGE, _WRONG_LENGTH = range(6)


def quantities(texts: Sequence[str], width: int, refuse: Refuse) -> Bytes:
    """Quantities as big-endian rows of `width` bytes, shape (n, width)."""
    out = np.zeros((len(texts), width), np.uint8)
    _decode(texts, True, out.reshape(-1), _even_offsets(len(texts), width), refuse)
    return out


def rows(texts: Sequence[str], width: int, refuse: Refuse) -> Bytes:
    """Data of exactly `width` bytes each, shape (n, width)."""
    out = np.zeros((len(texts), width), np.uint8)
    _decode(texts, False, out.reshape(-1), _even_offsets(len(texts), width), refuse)
    return out


def ragged(texts: Sequence[str], refuse: Refuse) -> tuple[Bytes, Offsets]:
    """Data of any length as one buffer and n + 1 offsets."""
    digits = np.maximum(_lengths(texts) - 2, 0)
    offsets = np.zeros(len(texts) + 1, np.int64)
    np.cumsum(digits // 2, out=offsets[1:])
    out = np.zeros(int(offsets[-1]), np.uint8)
    _decode(texts, False, out, offsets, refuse)
    return out, offsets


def _lengths(texts: Sequence[str]) -> Offsets:
    return np.fromiter(map(len, texts), np.int64, len(texts))


def _even_offsets(items: int, width: int) -> Offsets:
    return np.arange(items + 1, dtype=np.int64) * width


def _decode(texts: Sequence[str], quantity: bool, out: Bytes, out_offsets: Offsets, refuse: Refuse) -> None:
    # One character stays one byte whatever it is: what Latin-1 lacks becomes '?', no hex digit either.
    text = np.frombuffer("".join(texts).encode("latin-1", "replace"), np.uint8)
    offsets = np.zeros(len(texts) + 1, np.int64)
    np.cumsum(_lengths(texts), out=offsets[1:])
    item, reason = _decode_hex(text, offsets, quantity, out, out_offsets)
    if reason == _GOOD:
        return
    width = int(out_offsets[item + 1] - out_offsets[item])
    found = repr(texts[item])
    if reason == _WRONG_LENGTH:
        digits = len(texts[item]) - 2
        parity = "an odd number of digits" if digits % 2 else f"{digits // 2} bytes"
        found = f"{found} ({parity})"
    kind = (
        "a quantity: '0x' and hexadecimal digits"
        if quantity
        else "data: '0x' and two hexadecimal digits a byte"
    )
    if reason == _TOO_LARGE:
        kind = f"a number below 2^{8 * width}"
    elif reason == _WRONG_LENGTH and len(texts[item]) % 2 == 0:
        kind = f"{width} bytes"
    refuse(item, found, kind)


@njit(nogil=True, cache=True)
def _decode_hex(text, offsets, quantity, out, out_offsets):  # type: ignore[no-untyped-def]
    """Decode each item, right-aligned in its room; return the first bad item and why, or (0, _GOOD)."""
    for i in range(len(offsets) - 1):
        first, end = offsets[i], offsets[i + 1]
        low, high = out_offsets[i], out_offsets[i + 1]
        if end - first < 2 or text[first] != 48 or text[first + 1] != 120:
            return i, _NO_PREFIX
        digits = end - first - 2
        if quantity and digits == 0:
            return i, _NO_DIGITS
        if not quantity and digits != 2 * (high - low):
            return i, _WRONG_LENGTH
        for k in range(digits):
            c = np.int64(text[end - 1 - k])
            if 48 <= c <= 57:
                nibble = c - 48
            elif 97 <= c <= 102:
                nibble = c - 87
            elif 65 <= c <= 70:
                nibble = c - 55
            else:
                return i, _NOT_HEX
            at = high - 1 - (k >> 1)
            if at >= low:
                out[at] |= np.uint8(nibble << (4 * (k & 1)))
            elif nibble != 0:
                return i, _TOO_LARGE
    return 0, _GOOD
