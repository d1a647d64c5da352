# SPDX-License-Identifier: GPL-3.0-or-later
"""Both READMEs have the same commands, output, examples, pictures, links and measured figures."""

import re

from doc_pages import ROOT, blocks

from supervm.benchmarks.table import SUMMARY

ENGLISH, CHINESE = ((ROOT / name).read_text("utf-8") for name in ("README.md", "README.zh-CN.md"))
PICTURE = r"!\[[^\]]+\]\(([^)]+)\)"


def test_the_same_commands_and_examples() -> None:
    def without_lines(page: str) -> list[tuple[str, ...]]:
        return [(block.language, block.text, block.marker, block.reason) for block in blocks(page)]

    assert without_lines(ENGLISH) == without_lines(CHINESE)
    assert sum(block.text.count("$ ") for block in blocks(ENGLISH)) >= 2


def test_the_same_pictures() -> None:
    pictures = re.findall(PICTURE, ENGLISH)
    assert pictures == re.findall(PICTURE, CHINESE)
    assert pictures


def test_the_same_links() -> None:
    def targets(page: str) -> set[str]:
        return set(re.findall(r"\]\(([^)]+)\)", page)) - {"README.md", "README.zh-CN.md"}

    assert targets(ENGLISH) == targets(CHINESE)


def test_the_same_sections() -> None:
    def outline(page: str) -> list[str]:
        prose = re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL)
        return re.findall(r"^(#+) ", prose, re.MULTILINE)

    assert outline(ENGLISH) == outline(CHINESE)


def test_the_same_figures() -> None:
    def rows(page: str) -> list[str]:
        return [line for line in page.splitlines() if line.startswith("| `")]

    assert rows(ENGLISH) == rows(CHINESE)
    assert [row.split("`")[1] for row in rows(ENGLISH)] == list(SUMMARY)
