# SPDX-License-Identifier: GPL-3.0-or-later
"""The README's examples give what they show, and its links lead somewhere."""

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted(ROOT.glob("*/README.md")),
]


def test_examples_give_what_they_show() -> None:
    blocks = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    example = doctest.DocTestParser().get_doctest("".join(blocks), {}, "README.md", "README.md", 0)
    assert len(example.examples) > 10
    shown: list[str] = []
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(example, out=shown.append)
    assert not runner.failures, "".join(shown)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text("utf-8"))
    local = [link for link in links if not link.startswith(("http://", "https://"))]
    assert not [link for link in local if not (page.parent / link).exists()]
