# SPDX-License-Identifier: GPL-3.0-or-later
"""Arguments of calls in Solidity's encoding, of one call at a time; what calls by the thousand share is written in columns.

A value takes words of 32 bytes. Of what has no fixed length the place is written there, and the length and content behind
all words. Source: Solidity's documentation, "Contract ABI Specification".
"""

from __future__ import annotations

import re
from typing import Any

from supervm.kernels.errors import ArgumentError

WORD = 32
_INTEGER = re.compile(r"^(u?)int(\d+)$")
_FIXED = re.compile(r"^bytes(\d+)$")


def encode_arguments(types: str, *arguments: Any) -> bytes:
    """The bytes of a list of arguments.

    Args:
        types: their types, separated by commas: integers, `address`, `bool`, `bytesN`, `bytes`, `string`, and lists of those
            that have a fixed length, such as `address[]`.
        arguments: integers, bools, 20 bytes of an address, bytes, texts, and lists of these.

    Raises:
        ArgumentError: another number of arguments, one that its type cannot hold, or a type that is none of these.
    """
    listed = types.split(",") if types else []
    if len(listed) != len(arguments):
        raise ArgumentError("arguments", f"{len(arguments)}", f"{len(listed)}, for ({types})")
    heads, tails = [], b""
    for kind, value in zip(listed, arguments, strict=True):
        if kind in ("bytes", "string") or kind.endswith("[]"):
            heads.append((len(listed) * WORD + len(tails)).to_bytes(WORD))
            tails += _tail(kind, value)
        else:
            heads.append(_word(kind, value))
    return b"".join(heads) + tails


def _tail(kind: str, value: Any) -> bytes:
    """Length and content of what has no fixed length."""
    if kind.endswith("[]"):
        return len(value).to_bytes(WORD) + b"".join(_word(kind[:-2], each) for each in value)
    data: bytes = value.encode() if kind == "string" else value
    return len(data).to_bytes(WORD) + data + bytes(-len(data) % WORD)


def _word(kind: str, value: Any) -> bytes:
    integer, fixed = _INTEGER.match(kind), _FIXED.match(kind)
    if integer or kind == "bool":
        bits = int(integer[2]) if integer else 1
        signed = integer is not None and not integer[1]
        low, high = (-(1 << bits - 1), 1 << bits - 1) if signed else (0, 1 << bits)
        if not low <= int(value) < high:
            raise ArgumentError("arguments", str(value), f"what {kind} holds")
        return (int(value) % (1 << 8 * WORD)).to_bytes(WORD)
    if kind == "address" or fixed:
        size = int(fixed[1]) if fixed else 20
        if len(value) != size:
            raise ArgumentError("arguments", f"{len(value)} bytes", f"{size} bytes, for {kind}")
        return bytes(value) + bytes(WORD - size) if fixed else bytes(WORD - size) + bytes(value)
    raise ArgumentError("types", repr(kind), "a type that is listed above")
