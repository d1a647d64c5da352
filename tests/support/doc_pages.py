# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the fenced blocks of a Markdown page, and compares what a page shows with what a command printed.

A block may have one marker, an HTML comment on the line above it:

    <!-- not run: REASON -->          it cannot run here; the tests report it as skipped
    <!-- run as: COMMAND -->          a smaller form of its one command, for its time
    <!-- output varies: REASON -->    lines are compared by their first column only

A comment that begins with a line `<!-- setup` holds Python that the page's examples need and do not show.

Pages are written on a processor with IFMA. `on_machine` says what a block must show on another one: there, its best backend
wherever the page names `ifma`, and no other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "README.zh-CN.md", *(ROOT / "docs").rglob("*.md")],
    key=lambda page: page.relative_to(ROOT).parts,
)
MARKERS = ("not run", "run as", "output varies")
OMITTED = "..."

_BACKEND = re.compile(r"\bifma\b")
_BLOCK = re.compile(
    r"^<!-- setup\n(?P<setup>.*?)^-->$"
    r"|(?:^<!-- (?P<marker>[a-z ]+): (?P<reason>[^\n]+) -->\n)?"
    r"^(?P<indent> *)(?P<fence>```+)(?P<language>[\w-]*)(?: title=\"(?P<title>[^\"]+)\")?[^\n]*\n"
    r"(?P<text>.*?)^(?P=indent)(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block: where it begins, what it says, and the file that it stands for."""

    line: int
    language: str
    text: str
    title: str = ""
    marker: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Command:
    """A line of a shell with what the page shows below it."""

    text: str
    shown: tuple[str, ...]


def blocks(page: str) -> list[Block]:
    """The fenced blocks and setup comments of a page's text, in order."""
    found = []
    for match in _BLOCK.finditer(page):
        line = page.count("\n", 0, match.start()) + 1
        if match["setup"] is not None:
            found.append(Block(line, "python", match["setup"]))
            continue
        cut = len(match["indent"])
        text = "".join(row[cut:] or "\n" for row in match["text"].splitlines(keepends=True))
        found.append(
            Block(
                line,
                match["language"],
                text,
                match["title"] or "",
                match["marker"] or "",
                match["reason"] or "",
            )
        )
    return found


def commands(block: Block) -> list[Command]:
    """The commands of a console block: lines after `$ `, those that a backslash continues, and the output below each."""
    found: list[tuple[str, list[str]]] = []
    lines = iter(block.text.splitlines())
    for line in lines:
        if line.startswith("$ "):
            text = line[2:]
            while text.endswith("\\"):
                text += "\n" + next(lines)
            found.append((text, []))
        elif not found:
            raise ValueError(f"line {block.line}: a console block begins with a command, `$ …`")
        else:
            found[-1][1].append(line)
    return [Command(text, tuple(line for line in shown if line.strip())) for text, shown in found]


def on_machine(block: Block, backend: str) -> Block:
    """The block as a reader must see it on whose processor this backend is the best."""
    return replace(block, text=_BACKEND.sub(backend, block.text))


VERDICTS = "verdicts"
"""The key of a JSON answer whose numbers a reader relies on."""


def difference(shown: Sequence[str], printed: str, varies: bool = False) -> str:
    """How what a command printed differs in shape from what a page shows; empty where it does not.

    Numbers may differ, unless they end a word as in `sha256`, and the prefix of a unit. Words and hexadecimal text of 40
    digits and more may not, nor the number of lines, except where the page shows `...`. JSON must have the same keys, and
    verdicts are what they are.

    Args:
        shown: lines of the page.
        printed: all that the command printed.
        varies: whether only the first column of each line counts, without hexadecimal text and repetitions.
    """
    if not shown:
        return ""
    expected = _json("\n".join(shown))
    if expected is not None:
        actual = _json(printed)
        return "" if _keys(actual) == _keys(expected) else f"other keys: {_keys(expected)}, {_keys(actual)}"
    shapes = _first_columns if varies else _shapes
    parts: list[list[str]] = [[]]
    for line in shown:
        if line.strip() == OMITTED:
            parts.append([])
        else:
            parts[-1].append(line)
    return _missing([shapes(part) for part in parts], shapes(printed.splitlines()))


def _missing(parts: Sequence[Sequence[str]], rows: Sequence[str]) -> str:
    """The first of the parts that does not follow in `rows`: the first at the start, the last at the end."""
    place = 0
    for index, part in enumerate(parts):
        last = len(rows) - len(part)
        if index == len(parts) - 1:
            starts = range(last, last + 1) if len(parts) > 1 or last == 0 else range(0)
        else:
            starts = range(place, last + 1) if index else range(1)
        found = next(
            (at for at in starts if at >= place and list(rows[at : at + len(part)]) == list(part)), None
        )
        if found is None:
            return "\n".join(["shown, as compared:", *part, "printed, as compared:", *rows[place:]])
        place = found + len(part)
    return ""


def _shapes(lines: Sequence[str]) -> list[str]:
    return [_shape(line) for line in lines if line.strip()]


def _shape(line: str) -> str:
    """A line without its numbers and the widths that follow from them."""
    cut = re.split(r"([0-9a-f]{40,})", line)
    cut[::2] = [re.sub(r"(?<![A-Za-z_\d.,])\d+(?:[.,]\d+)*", "#", text) for text in cut[::2]]
    text = re.sub(r"# (?:[kMG]|[KMGT]i)?(?=B\b|/s)", "# ", "".join(cut))
    text = re.sub(r"# (?:n|µ|m)?s\b", "# s", text)
    return re.sub(r"\s+", " ", re.sub(r"([─━])[─━]*", r"\1", text)).strip()


def _first_columns(lines: Sequence[str]) -> list[str]:
    """The first column of each line; rows of a table that go on with the one above, or say the same, are one row."""
    found: list[str] = []
    for line in lines:
        cell = (
            re.split(r"[│┃]", line[1:])[0] if line[:1] in ("│", "┃") else re.split(r"\s{2,}", line.strip())[0]
        )
        first = _shape(re.sub(r"[0-9a-f]{40,}", "0", cell))
        if first and first != (found[-1] if found else ""):
            found.append(first)
    return found


def _json(text: str) -> Any:
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return None
    return value if isinstance(value, (dict, list)) else None


def _keys(value: Any) -> Any:
    """Nested keys, of a list those of its first member, and verdicts."""
    if isinstance(value, dict):
        return {key: member if key == VERDICTS else _keys(member) for key, member in sorted(value.items())}
    return [_keys(value[0])] if isinstance(value, list) and value else None
