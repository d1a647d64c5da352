# SPDX-License-Identifier: GPL-3.0-or-later
"""Every command and every block of code of the READMEs and of docs/ does what the page shows; every link leads somewhere.

The blocks of a page run in order, in one folder, one shell and one Python process; `doc_pages.py` says how output is
compared and which markers there are.
"""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from doc_pages import MARKERS, PAGES, ROOT, Block, Command, blocks, commands, difference, on_machine
from doc_session import Session

from supervm.kernels.cpu.backends import best
from supervm.kernels.cpu.lanes.features import SWITCHED, WITHOUT
from supervm.vm.text import to_binary
from supervm.vm.validation import inspect

REASONS = (
    "needs a GPU",
    "needs another machine",
    "needs a trusted setup",
    "installs packages",
    "runs every test",
    "takes half an hour",
    "takes minutes",
)
"""How the reason of a `not run` begins."""

CHECKS: dict[str, Callable[[str], Any]] = {
    "json": json.loads,
    "toml": tomllib.loads,
    "wat": lambda text: inspect(to_binary(text)),
    "yaml": yaml.safe_load,
}
RUN = ("python", "console")
PLAIN = ("", "text", "ini", "protobuf")
"""Drawings, grammars and shapes of output, which are no commands and no code of ours."""

TOOLS = ("curl", "openssl")
"""What commands of pages use besides the shell's own and ours."""

A_COMMAND = re.compile(r"^\s*(?:\$ |>>> |(?:supervm|make|pip|python3?|pytest|curl) (?!.* \| ))", re.MULTILINE)

PAGES_WITH_LINKS = [*PAGES, ROOT / "CHANGELOG.md", *sorted(ROOT.glob("*/README.md"))]


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _blocks(page: Path) -> list[Block]:
    return blocks(page.read_text("utf-8"))


TRANSLATED = ROOT / "README.zh-CN.md"
"""Its blocks are those of README.md, which `test_readmes.py` asserts."""

WITH_BLOCKS = [
    page
    for page in PAGES
    if page != TRANSLATED and any(block.language in (*RUN, *CHECKS) for block in _blocks(page))
]
WITH_BACKENDS = [
    page
    for page in WITH_BLOCKS
    if any(b.language in RUN and not b.marker and "ifma" in b.text for b in _blocks(page))
]
"""Pages that say which backend computes, in output that is compared whole."""

NOT_RUN = [(page, block) for page in PAGES for block in _blocks(page) if block.marker == "not run"]


@pytest.mark.parametrize("page", WITH_BLOCKS, ids=_name)
def test_blocks_do_what_they_show(page: Path, tmp_path: Path) -> None:
    _run(page, tmp_path, best().name)


@pytest.mark.parametrize("page", WITH_BACKENDS, ids=_name)
def test_blocks_do_what_they_show_with_one_lane(page: Path, tmp_path: Path) -> None:
    """On this processor, as on one that has neither lanes nor instructions for SHA-256."""
    if best().name == "scalar":
        pytest.skip("this processor has one lane only, which is how the page was run")
    _run(page, tmp_path, "scalar", **{WITHOUT: ",".join(SWITCHED)})


def _run(page: Path, folder: Path, backend: str, **variables: str) -> None:
    missing = [tool for tool in TOOLS if re.search(rf"\b{tool} ", _console(page)) and not shutil.which(tool)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    with _one_with_servers(page), Session(folder, **variables) as session:
        for block in _blocks(page):
            problem = "" if block.marker == "not run" else _problem(session, block, _name(page), backend)
            if problem:
                pytest.fail(f"{_name(page)}, line {block.line}\n{problem}", pytrace=False)


@pytest.mark.parametrize(
    ("page", "block"), NOT_RUN, ids=[f"{_name(page)}:{block.line}" for page, block in NOT_RUN]
)
def test_what_is_not_run_says_why(page: Path, block: Block) -> None:
    assert block.reason.startswith(REASONS), f"{_name(page)}, line {block.line}: {block.reason}"
    pytest.skip(block.reason)


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_no_block_escapes(page: Path) -> None:
    for block in _blocks(page):
        where = f"{_name(page)}, line {block.line}"
        assert block.language in (*RUN, *CHECKS, *PLAIN), f"{where}: language {block.language!r}"
        assert block.marker in ("", *MARKERS), f"{where}: marker {block.marker!r}"
        if block.language in PLAIN:
            assert not A_COMMAND.search(block.text), f"{where}: commands belong in a `console` block"


def _console(page: Path) -> str:
    return "".join(b.text for b in _blocks(page) if b.language == "console" and b.marker != "not run")


def _problem(session: Session, block: Block, page: str, backend: str) -> str:
    if block.title:
        path = session.folder / block.title
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, "utf-8")
    if block.language in CHECKS:
        CHECKS[block.language](block.text)
    if block.language == "python" and not block.title:
        return session.python(block.text, page, block.line)
    return _problem_of_commands(session, block, backend) if block.language == "console" else ""


def _problem_of_commands(session: Session, written: Block, backend: str) -> str:
    """What the first command that does not do as shown did; one whose exit code is not 0 shows it with `echo $?`.

    Where there is no IFMA, output that names it is right as it is written if that is what was printed: of recorded figures.
    """
    block = on_machine(written, backend)
    listed = commands(block)
    varies = block.marker == "output varies"
    for place, (command, recorded) in enumerate(zip(listed, commands(written), strict=True)):
        text = block.reason if block.marker == "run as" else command.text
        if text.endswith(" &"):
            problem = session.server(text, command.shown, varies)
        elif text == "echo $?":
            continue
        else:
            code, printed = session.command(text)
            expected = _code_after(listed[place + 1 :])
            problem = difference(command.shown, printed, varies)
            if problem and not difference(recorded.shown, printed, varies):
                problem = ""
            if code != expected:
                problem = f"exit code {code}, expected {expected}\n{printed}"
        if problem:
            return f"$ {text}\n{problem}"
    return ""


def _code_after(following: list[Command]) -> int:
    return int(following[0].shown[0]) if following and following[0].text == "echo $?" else 0


@contextmanager
def _one_with_servers(page: Path) -> Iterator[None]:
    """Pages whose servers listen where the page says take turns, in whatever process they are run."""
    if not any(
        command.text.endswith(" &")
        for b in _blocks(page)
        if b.language == "console"
        for command in commands(b)
    ):
        yield
        return
    with (Path(tempfile.gettempdir()) / "supervm-pages-with-servers.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.mark.parametrize("page", PAGES_WITH_LINKS, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    """In the checkout."""
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text("utf-8"))
    local = [link for link in links if not link.startswith(("http://", "https://"))]
    assert not [link for link in local if not (page.parent / link).exists()]
