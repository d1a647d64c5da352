# SPDX-License-Identifier: GPL-3.0-or-later
"""PTX text as kernels and their statements."""

from __future__ import annotations

import re
from dataclasses import dataclass


class PtxError(Exception):
    """The text asks for what the machine does not know, or does what the ISA gives no meaning to."""


@dataclass(frozen=True)
class Statement:
    """`@guard opcode operands;`, with the operands' text."""

    text: str
    guard: str
    opcode: str
    operands: tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """A kernel: names of its parameters in order, statements, the statement that each label stands before, and the
    module's constant arrays."""

    name: str
    parameters: tuple[str, ...]
    statements: list[Statement]
    labels: dict[str, int]
    constants: dict[str, bytes]


def parse(ptx: str) -> dict[str, Entry]:
    """The kernels of a PTX module by name."""
    ptx = re.sub(r"//[^\n]*|^\s*\.(loc|file)\s[^\n]*", "", ptx, flags=re.MULTILINE)
    ptx = re.sub(r'\.pragma\s+"[^"]*";', "", ptx)
    constants = {}
    for _, kind, name, values in re.findall(
        r"\.const\s+(\.align \d+\s+)?\.b(\d+)\s+(\w+)\[\d+\]\s*=\s*\{([^}]*)\};", ptx
    ):
        width = int(kind) // 8
        constants[name] = b"".join(int(value, 0).to_bytes(width, "little") for value in values.split(","))
    entries = {}
    for match in re.finditer(r"\.entry\s+(\w+)\s*\(([^)]*)\)[^{;]*\{", ptx):
        end, depth = match.end(), 1
        while depth:
            depth += {"{": 1, "}": -1}.get(ptx[end], 0)
            end += 1
        parameters = tuple(part.split()[-1] for part in match[2].split(",") if part.strip())
        entries[match[1]] = Entry(match[1], parameters, *_body(ptx[match.end() : end - 1]), constants)
    return entries


def _body(text: str) -> tuple[list[Statement], dict[str, int]]:
    statements: list[Statement] = []
    labels: dict[str, int] = {}
    for part in text.split(";"):
        rest = part.strip()
        while match := re.match(r"([$\w]+):\s*", rest):
            labels[match[1]] = len(statements)
            rest = rest[match.end() :]
        if not rest or rest.startswith(".reg"):
            continue
        shape = re.fullmatch(r"(?:@(!?%p\d+)\s+)?([\w.:]+)\s*(.*)", rest, re.DOTALL)
        if shape is None:
            raise PtxError(f"not understood: {rest!r}")
        operands = tuple(
            operand.strip() for operand in re.split(r",(?![^{]*\})", shape[3]) if operand.strip()
        )
        statements.append(Statement(rest, shape[1] or "", shape[2], operands))
    return statements, labels
