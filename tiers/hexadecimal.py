# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes on the command line: hexadecimal digits, with or without `0x`."""

from __future__ import annotations

from supervm.kernels.errors import ArgumentError

SHOWN = 40
"""Characters of a wrong text that a message repeats."""


def from_hex(argument: str, text: str, size: int | None = None) -> bytes:
    """The bytes of a text.

    Args:
        argument: its name, for the message.
        text: what was given.
        size: how many bytes it must be; None for any number.

    Raises:
        ArgumentError: other characters, an odd number of digits, or another size.
    """
    expected = "hexadecimal digits" if size is None else f"{2 * size} hexadecimal digits"
    digits = text[2:] if text[:2] in ("0x", "0X") else text
    found = repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")
    try:
        data = bytes.fromhex(digits)
    except ValueError:
        raise ArgumentError(argument, found, expected) from None
    # `fromhex` passes over spaces.
    if 2 * len(data) != len(digits) or size not in (None, len(data)):
        raise ArgumentError(argument, f"{found}, {len(data)} bytes", expected)
    return data
