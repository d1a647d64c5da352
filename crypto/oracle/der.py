# SPDX-License-Identifier: GPL-3.0-or-later
"""Strict DER of an ECDSA signature: BIP-66 without the trailing hash-type byte.

30 total 02 len-r r 02 len-s s, and:

1. 8 to 72 bytes in all.
2. The first byte is 30 and the second is the number of bytes that follow it, exactly: nothing trails.
3. Each integer has tag 02 and a one-byte length of at least 1; the two fill the sequence exactly.
4. No integer is negative (its first byte is below 80), and none has a leading zero byte unless the next byte
   is 80 or more.
5. r and s are below 2^256; BIP-66 alone would let 34 bytes pass, which no 64-byte signature can hold.

What 5 leaves, 0 and n to 2^256 − 1 included, is well-formed here and left to the verifier, which calls it −1.
"""

from __future__ import annotations


def parse(data: bytes) -> tuple[bytes | None, int]:
    """(r ‖ s as 64 bytes, 1), or (None, −1) where the encoding breaks a rule."""
    if not 8 <= len(data) <= 72 or data[0] != 0x30 or data[1] != len(data) - 2:
        return None, -1
    r_length = data[3]
    if 5 + r_length >= len(data):
        return None, -1
    s_length = data[5 + r_length]
    if r_length + s_length + 6 != len(data):
        return None, -1
    r = _integer(data[2 : 4 + r_length])
    s = _integer(data[4 + r_length :])
    if r is None or s is None:
        return None, -1
    return r + s, 1


def encode(r: int, s: int) -> bytes:
    """The strict encoding of r and s, both in [0, 2^256)."""
    body = b""
    for value in (r, s):
        content = value.to_bytes(value.bit_length() // 8 + 1, "big")
        body += bytes([2, len(content)]) + content
    return bytes([0x30, len(body)]) + body


def _integer(field: bytes) -> bytes | None:
    """The 32 big-endian bytes of tag, length, content, or None where rules 3 to 5 are broken."""
    content = field[2:]
    if field[0] != 2 or not content or content[0] >= 0x80:
        return None
    if content[0] == 0 and len(content) > 1 and content[1] < 0x80:
        return None
    value = int.from_bytes(content, "big")
    return value.to_bytes(32, "big") if value < 1 << 256 else None
