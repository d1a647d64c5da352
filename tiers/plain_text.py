# SPDX-License-Identifier: GPL-3.0-or-later
"""Text from files and peers as people may see it: nothing in it moves a cursor, begins a line or turns the writing round."""

from __future__ import annotations

import re

_HIDDEN = (
    r"\x00-\x1f\x7f-\x9f"  # control characters, the escape of terminals among them
    r"\xad\u061c\u200b-\u200f\u2060-\u206f\ufeff\ufff9-\ufffb"  # invisible, or setting a direction
    r"\u2028-\u202e"  # ends of lines and paragraphs, directions
    r"\ud800-\udfff"  # what stands in Python's texts for bytes that are not UTF-8
    r"\U000e0000-\U000e007f"  # tags
)
_CONTROL = re.compile(f"[{_HIDDEN}]")
_CONTROL_BUT_LINES = re.compile(f"(?!\n)[{_HIDDEN}]")
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_BYTES = range(0xDC80, 0xDD00)
"""How `os.fsdecode` writes a byte that is not UTF-8 (PEP 383): 0xdc00 and the byte."""


def visible(text: str, *, lines: bool = False) -> str:
    r"""The text with every character written out that a terminal would obey or hide.

    Args:
        lines: leave the ends of lines as they are.

    >>> print(visible("a\x1b[31mb\nc\u202ed\udcff"))
    a\x1b[31mb\nc\u202ed\xff
    """
    return (_CONTROL_BUT_LINES if lines else _CONTROL).sub(_written, text)


def of_json(text: str) -> str:
    """JSON whose strings have such characters as escapes, which mean the same; for text that is laid out in lines."""
    return _CONTROL_BUT_LINES.sub(_unit, text)


def encodable(value: object) -> object:
    """Plain types whose texts can be encoded as UTF-8: the bytes of names that are not UTF-8 are written out."""
    if isinstance(value, str):
        return value if value.isprintable() else "".join(_if_surrogate(mark) for mark in value)
    if isinstance(value, dict):
        return {encodable(key): encodable(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [encodable(inner) for inner in value]
    return value


def _written(found: re.Match[str]) -> str:
    mark = found[0]
    code = ord(mark)
    if code in _BYTES:
        code -= 0xDC00
    if code < 0x100:
        return _SHORT.get(mark) or f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _unit(found: re.Match[str]) -> str:
    """JSON's escape, of one or two units of UTF-16."""
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def _if_surrogate(mark: str) -> str:
    return visible(mark) if "\ud800" <= mark <= "\udfff" else mark
