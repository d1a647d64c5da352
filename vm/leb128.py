# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading and writing the primitives of the WebAssembly binary format (core specification 2.0, section 5.2).

Integers are LEB128: seven bits a byte, least significant first. An encoding may be padded but not be longer than
⌈bits / 7⌉ bytes, and the bits of its last byte beyond the integer's must be zeros, or copies of its sign.
"""

from __future__ import annotations

from supervm.vm.errors import ContractRejected


class Reader:
    """A cursor over a slice of a module; every error names the byte of the whole module.

    Args:
        data: the module.
        start, end: the slice to read.
    """

    def __init__(self, data: bytes, start: int = 0, end: int | None = None) -> None:
        self.data = data
        self.at = start
        self.end = len(data) if end is None else end

    def fail(self, found: str, expected: str, at: int | None = None) -> ContractRejected:
        """The error of a malformed module, to be raised."""
        return ContractRejected("binary", found, expected, self.at if at is None else at)

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        if count > self.end - self.at:
            raise self.fail(f"{self.end - self.at} bytes left", f"{count} bytes")
        self.at += count
        return self.data[self.at - count : self.at]

    def byte(self) -> int:
        """The next byte."""
        if self.at >= self.end:
            raise self.fail("the end", "a byte")
        self.at += 1
        return self.data[self.at - 1]

    def unsigned(self, bits: int = 32) -> int:
        """An unsigned integer of 32 or 64 bits."""
        start, value, shift = self.at, 0, 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
            if shift >= bits:
                raise self.fail("an integer that goes on", f"at most {-(-bits // 7)} bytes", start)
        if value >> bits:
            raise self.fail(f"{value}", f"an integer below 2^{bits}", start)
        return value

    def signed(self, bits: int) -> int:
        """A signed integer of 32, 33 or 64 bits."""
        start, value, shift = self.at, 0, 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
            if shift >= bits:
                raise self.fail("an integer that goes on", f"at most {-(-bits // 7)} bytes", start)
        if byte & 0x40:
            value -= 1 << shift
        if not -(1 << bits - 1) <= value < 1 << bits - 1:
            raise self.fail(f"{value}", f"a signed integer of {bits} bits", start)
        return value

    def name(self) -> str:
        """A length and that many bytes of UTF-8."""
        start = self.at
        raw = self.take(self.unsigned())
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.fail("bytes that are no UTF-8", "a name", start) from error

    def done(self, what: str) -> None:
        """Nothing may be left of `what`."""
        if self.at != self.end:
            raise self.fail(f"{self.end - self.at} bytes after it", f"the end of {what}")


def unsigned(value: int) -> bytes:
    """The shortest encoding of a non-negative integer."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def signed(value: int) -> bytes:
    """The shortest encoding of a signed integer."""
    out = bytearray()
    while not -0x40 <= value < 0x40:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value & 0x7F)
    return bytes(out)


def name(text: str) -> bytes:
    """A length and the name's UTF-8."""
    raw = text.encode("utf-8")
    return unsigned(len(raw)) + raw
