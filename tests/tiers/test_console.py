# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress on a terminal and nowhere else; compilations; the folder of kernels; the environment."""

from __future__ import annotations

import io
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numba
import pytest
from patience import until
from rich.console import Console

from supervm.kernels.errors import ArgumentError, BackendUnavailable, SupervmError, UnknownOperation
from supervm.tiers import console, progress
from supervm.tiers.compiling import Compilations, kernel_cache, telling_of_compilations
from supervm.tiers.environment import commit, environment
from supervm.tiers.errors import BrokenFile, SettingError, exit_code
from supervm.tiers.progress import ProgressLine


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for a second waits for a moment."""
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.01)
    monkeypatch.setattr(progress, "LOOK_SECONDS", 0.01)


@contextmanager
def _line(terminal: bool, tell: progress.Tell | None = None) -> Iterator[tuple[ProgressLine, io.StringIO]]:
    text = io.StringIO()
    line = ProgressLine(Console(file=text, force_terminal=terminal, width=100, _environ={}), tell)
    try:
        yield line, text
    finally:
        line.close()


@pytest.mark.parametrize("terminal", [False, True])
def test_nothing_is_told_in_the_first_second(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "QUIET_SECONDS", 3600.0)
    with _line(terminal) as (line, text):
        line.update("working", 0.5)
    assert text.getvalue() == ""


@pytest.mark.usefixtures("soon")
def test_a_line_moves_on_a_terminal_and_is_taken_away() -> None:
    with _line(terminal=True) as (line, text):
        line.update("working [1]", 0.5)
        until(lambda: "working [1]" in text.getvalue())
        assert "50%" in text.getvalue()
        seen = len(text.getvalue())
        until(lambda: len(text.getvalue()) > seen)  # though nobody calls
    assert text.getvalue().endswith("\x1b[2K")


@pytest.mark.usefixtures("soon")
def test_elsewhere_a_line_says_what_begins_and_what_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SPARING_SECONDS", 0.01)
    with _line(terminal=False) as (line, text):
        line.update("working, 1,000 rows", 0.5)
        until(lambda: "\n" in text.getvalue())
        line.update("working, 2,000 rows", 0.6)
        line.update("resting [here]\x1b[2J")
        until(lambda: "resting" in text.getvalue())
        assert text.getvalue().splitlines() == [
            "supervm: working, 1,000 rows (50%)",
            "supervm: resting [here]\\x1b[2J",
        ]
        monkeypatch.setattr(progress, "REPEAT_SECONDS", 0.01)
        until(lambda: text.getvalue().count("resting") > 2)


def test_a_compilation_is_shown_at_once() -> None:
    with _line(terminal=True) as (line, text):
        line.update("working")
        line.aside("compiling verify")
        assert "working: compiling verify" in text.getvalue()


@pytest.mark.usefixtures("soon")
def test_a_process_that_serves_logs_and_is_silent_while_it_has_nothing_to_say() -> None:
    told: list[str] = []
    with _line(terminal=True, tell=told.append) as (line, text):
        line.update("starting")
        until(lambda: told == ["starting"])
        line.update("")
        line.aside("compiling verify")
        until(lambda: told[1:] == ["compiling verify"])
        line.aside("")
    assert text.getvalue() == ""


def test_a_reader_that_is_gone_stops_nothing(soon: None) -> None:
    with _line(terminal=False) as (line, text):
        text.close()
        line.update("working")
        until(line._closed.is_set)
        line.update("still working")


@pytest.mark.parametrize("no_colour", [False, True])
def test_no_colour_where_none_is_wanted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], no_colour: bool
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_colour:
        monkeypatch.setenv("NO_COLOR", "1")
    console.answers().print("[red]wrong[/]")
    console.notes().print("[red]wrong[/]")
    shown = capsys.readouterr()
    assert ("\x1b[31m" in shown.out) != no_colour
    assert ("\x1b[31m" in shown.err) != no_colour


def test_text_between_colons_is_no_emoji(capsys: pytest.CaptureFixture[str]) -> None:
    console.answers().print("root:x:0")
    console.show_error(ArgumentError("file", "root:x:0", "no :x: at all"))
    shown = capsys.readouterr()
    assert shown.out == "root:x:0\n"
    assert "found root:x:0, expected no :x: at all" in shown.err


@pytest.mark.parametrize("width", [60, 80, 160])
def test_progress_is_not_cut(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.0)
    text = io.StringIO()
    line = ProgressLine(Console(file=text, force_terminal=True, width=width, no_color=True))
    line.update("testing bls12_381.poseidon2.sponge, 43 of 84", 0.5)
    line.aside("compiling verify_signatures_in_batches (1 so far, kept for the next time)")
    line.close()
    shown = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", text.getvalue())
    assert "…" not in shown
    assert all(len(each) <= width for each in re.split(r"[\r\n]", shown))
    words = " ".join(re.sub(r"[━╸╺⠋]", "", shown).split())
    for word in ("bls12_381.poseidon2.sponge,", "verify_signatures_in_batches", "50%"):
        assert word in words


def test_compilations_are_told_with_the_name_of_the_kernel() -> None:
    @numba.njit
    def add_one(value):  # type: ignore[no-untyped-def]
        return value + 1

    told: list[str] = []
    with telling_of_compilations(told.append) as compilations:
        add_one(1)
        add_one(2)
    assert told == ["compiling add_one, 1 so far", ""]
    assert compilations.count == 1
    assert compilations.seconds > 0
    add_one(1.5)
    assert len(told) == 2


def test_of_compilations_inside_each_other_the_innermost_is_told() -> None:
    so_far = Compilations()
    assert so_far.end() == ""  # one that began before anybody listened
    for text in ("outer", "inner"):
        so_far.start(text)
    assert so_far.end() == "outer"
    assert so_far.seconds == 0
    assert so_far.end() == ""
    assert so_far.count == 2
    assert so_far.seconds > 0


def test_the_folder_of_kernels(tmp_path: Path) -> None:
    folder = tmp_path / "cpu_0123"
    folder.mkdir()
    (folder / "sha2.digest_block-12.py311.nbi").write_bytes(b"i" * 10)
    (folder / "sha2.digest_block-12.py311.1.nbc").write_bytes(b"c" * 100)
    (folder / "sha2.digest_block-12.py311.2.nbc").write_bytes(b"c" * 100)
    cache = kernel_cache(tmp_path)
    assert cache.functions == {"sha2": ["digest_block"]}
    assert (cache.specialisations, cache.size) == (2, 210)
    assert kernel_cache(tmp_path / "absent").specialisations == 0


def test_the_environment_names_hardware_versions_system_and_commit() -> None:
    found = environment()
    assert set(found) == {"hardware", "versions", "system", "commit"}
    assert found["versions"]["numba"] == numba.__version__
    assert found["system"]["name"]


def test_the_commit_of_a_checkout_and_whether_files_differ(tmp_path: Path) -> None:
    assert commit(tmp_path) is None
    (tmp_path / "file").write_text("one")
    for arguments in (
        ["init", "-q"],
        ["add", "file"],
        ["-c", "user.name=A", "-c", "user.email=a@b", "commit", "-qm", "one"],
    ):
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True)
    first = commit(tmp_path)
    assert first is not None
    assert len(first["id"]) == 40
    assert first["modified"] is False
    (tmp_path / "file").write_text("two")
    assert commit(tmp_path) == {"id": first["id"], "modified": True}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ArgumentError("a", "b", "c"), 2),
        (UnknownOperation("x"), 2),
        (SettingError("a", "b", "c", "d"), 2),
        (BrokenFile("a", "", "b"), 2),
        (BackendUnavailable("cuda", "x"), 3),
        (SupervmError("x"), 3),
        (MemoryError(), 3),
        (PermissionError("x"), 3),
        (ValueError("a defect"), 3),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_error_has_an_exit_code(error: BaseException, code: int) -> None:
    assert exit_code(error) == code
