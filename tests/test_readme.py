# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of the README and of docs/execution.md give what they show, and every page's links lead somewhere."""

import doctest
import re
from pathlib import Path

import pytest

from supervm.vm.text import to_binary
from supervm.vm.validation import inspect

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted(ROOT.glob("*/README.md")),
]
EXECUTION = "docs/execution.md"


def _blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a page in this language."""
    text = (ROOT / page).read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", ["README.md", EXECUTION])
def test_examples_give_what_they_show(page: str) -> None:
    examples = "".join(_blocks(page, "python"))
    test = doctest.DocTestParser().get_doctest(examples, {}, page, page, 0)
    assert len(test.examples) > 10
    shown: list[str] = []
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(test, out=shown.append)
    assert not runner.failures, "".join(shown)


def test_the_example_contract_is_accepted() -> None:
    (text,) = _blocks(EXECUTION, "wat")
    assert inspect(to_binary(text)).entry_points == ("write", "read")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text("utf-8"))
    local = [link for link in links if not link.startswith(("http://", "https://"))]
    assert not [link for link in local if not (page.parent / link).exists()]
