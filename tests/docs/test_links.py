# SPDX-License-Identifier: GPL-3.0-or-later
"""Every page's links lead somewhere in the checkout."""

import re
from pathlib import Path

import pytest
from doc_pages import PAGES, ROOT

PAGES_WITH_LINKS = [*PAGES, ROOT / "CHANGELOG.md", *sorted(ROOT.glob("*/README.md"))]


@pytest.mark.parametrize("page", PAGES_WITH_LINKS, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text("utf-8"))
    local = [link for link in links if not link.startswith(("http://", "https://"))]
    assert not [link for link in local if not (page.parent / link).exists()]
