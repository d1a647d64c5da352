# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages of the site for what lies outside docs/.

The READMEs, the changelog and the rules of measurement are pages under the names in `PAGES`. A link from a page to a
source file or a folder leads to a page that shows it as it was when the site was built, so that the site needs no forge.
Links in the Markdown stay what they are in a checkout: relative paths.
"""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    "README.md": "index.md",
    "README.zh-CN.md": "index.zh-CN.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "measured.md",
}
"""Path in the checkout → path on the site, beside those that only lose their `docs/`."""

SOURCES = "source"
LANGUAGES = {
    ".py": "python",
    ".cuh": "cpp",
    ".cu": "cpp",
    ".toml": "toml",
    ".json": "json",
    ".proto": "protobuf",
}
_FENCE = re.compile(r"^( *)(```+).*?^\1\2 *$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages of `PAGES`, and one for every source file or folder that a page links to."""
    for origin, place in PAGES.items():
        files.append(File.generated(config, place, content=(ROOT / origin).read_text("utf-8")))
    pages = files.documentation_pages()
    wanted = {target for page in pages for target in _targets(page)}
    for target in sorted(wanted):
        place = _place(target)
        if files.get_file_from_path(place) is None:
            files.append(File.generated(config, place, content=_source_page(target)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns paths in the checkout into paths on the site."""
    here = posixpath.dirname(page.file.src_uri)
    origin = posixpath.dirname(_origin(page.file.src_uri))

    def on_the_site(match: re.Match[str]) -> str:
        return posixpath.relpath(_place(posixpath.normpath(posixpath.join(origin, match[1]))), here or ".")

    return "".join(text if code else _LINK.sub(on_the_site, text) for text, code in _parts(markdown))


def _origin(place: str) -> str:
    """Where a page of the site lies in the checkout."""
    return {site: origin for origin, site in PAGES.items()}.get(place, f"docs/{place}")


def _place(target: str) -> str:
    """Where a path of the checkout lies on the site."""
    if target in PAGES:
        return PAGES[target]
    return target[5:] if target.startswith("docs/") else f"{SOURCES}/{target}.md"


def _targets(file: File) -> Iterator[str]:
    folder = posixpath.dirname(_origin(file.src_uri))
    for text, code in _parts(file.content_string):
        for match in () if code else _LINK.finditer(text):
            yield posixpath.normpath(posixpath.join(folder, match[1]))


def _parts(markdown: str) -> Iterator[tuple[str, bool]]:
    """The text cut at fenced code; whether a part is code."""
    end = 0
    for match in _FENCE.finditer(markdown):
        yield markdown[end : match.start()], False
        yield match[0], True
        end = match.end()
    yield markdown[end:], False


def _source_page(target: str) -> str:
    path = ROOT / target
    if not path.exists():
        raise FileNotFoundError(f"a page links to {target}, which is not in the checkout")
    head = f"---\nsearch:\n  exclude: true\n---\n\n# {target}\n\n"
    if path.is_dir():
        lines = [
            f"| `{entry.name}` | {_subject(entry)} |" for entry in sorted(path.iterdir()) if _shown(entry)
        ]
        return head + "\n".join(["| file | subject |", "|---|---|", *lines]) + "\n"
    return f"{head}````{LANGUAGES.get(path.suffix, 'text')}\n{path.read_text('utf-8')}````\n"


def _shown(entry: Path) -> bool:
    return not entry.name.startswith((".", "__"))


def _subject(entry: Path) -> str:
    """The first line of a module's docstring."""
    if entry.suffix != ".py":
        return ""
    text = ast.get_docstring(ast.parse(entry.read_text("utf-8"))) or ""
    return text.split("\n", 1)[0].replace("|", "\\|")
