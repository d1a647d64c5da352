# SPDX-License-Identifier: GPL-3.0-or-later
"""The site builds without a warning, needs nothing from elsewhere, and shows every public name."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from doc_pages import ROOT

import supervm.engine

FOREIGN = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?https?:|"""
    r"""<link\b[^>]*\brel=["']?(?:stylesheet|preload|preconnect|icon)[^>]*\bhref=["']?https?:|"""
    r"""@import\s+(?:url\()?["']?https?:|url\(["']?https?:"""
)
"""What makes a browser load something from another host."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (built.returncode, built.stderr) == (0, "")
    return folder


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    pages = [path for kind in ("*.html", "*.css") for path in site.rglob(kind)]
    assert len(pages) > 50
    assert not [page for page in pages if FOREIGN.search(page.read_text("utf-8"))]


@pytest.mark.parametrize(
    ("text", "foreign"),
    [
        ('<script src="https://x.example/a.js">', True),
        ("<link href=a.css rel=stylesheet>", False),
        ('<link rel="stylesheet" href="https://x.example/a.css">', True),
        ('@import url("https://x.example/a.css")', True),
        ('<a href="https://x.example">', False),
    ],
)
def test_what_is_foreign(text: str, foreign: bool) -> None:
    assert bool(FOREIGN.search(text)) is foreign


def test_links_to_sources_lead_to_pages(site: Path) -> None:
    page = (site / "architecture.html").read_text("utf-8")
    targets = [target for target in re.findall(r'href="?([^">\s]+)', page) if target.startswith("source/")]
    assert targets
    assert not [target for target in targets if not (site / target).exists()]


def test_the_reference_has_what_the_rooms_export(site: Path) -> None:
    reference = "".join(path.read_text("utf-8") for path in (site / "reference").glob("*.html"))
    named = set(re.findall(r'id="?(supervm\.[\w.]+)', reference))
    last = {name.rsplit(".", 1)[1] for name in named}
    assert set(supervm.engine.__all__) <= last
    assert {
        "verify_batch",
        "ecdsa_recover_batch",
        "keccak256_batch",
        "msm",
        "ntt",
        "detect",
        "SupervmError",
    } <= last
