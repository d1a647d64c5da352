# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/cli.md has one section for each command and each part of one, in the order of `supervm --help`."""

from __future__ import annotations

import re
from pathlib import Path

from supervm.tiers.cli import COMMANDS, load_command

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "cli.md").read_text("utf-8")


def _sections() -> list[tuple[str, ...]]:
    """Level and name of each heading, without the arguments that follow a command's name in capitals."""
    prose = re.sub(r"^```.*?^```$", "", PAGE, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^(##+) (.+)$", prose, re.MULTILINE)
    return [(level, *(word for word in title.split() if not word.isupper())) for level, title in headings]


def test_one_section_a_command() -> None:
    expected: list[tuple[str, ...]] = []
    for name in COMMANDS:
        expected.append(("##", name))
        expected += [("###", name, part) for part in getattr(load_command(name), "commands", ())]
    assert _sections() == expected


def test_every_option_is_in_its_section() -> None:
    """Options that several commands share stand in front of the sections."""
    shared, *sections = re.split(r"^(?=## )", PAGE, flags=re.MULTILINE)
    missing, known = [], {"--help", "--version"}
    for name, section in zip(COMMANDS, sections, strict=True):
        command = load_command(name)
        for each in [command, *getattr(command, "commands", {}).values()]:
            for parameter in each.params:
                spellings = {one for one in parameter.opts + parameter.secondary_opts if one.startswith("--")}
                known |= spellings
                if spellings and not any(
                    re.search(rf"{one}(?![\w-])", shared + section) for one in spellings
                ):
                    missing.append((name, each.name, *parameter.opts))
    assert missing == []
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", PAGE)) - known == set()
