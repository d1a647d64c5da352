# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command says: answers on standard output, everything else on standard error.

With `--json` standard output carries exactly one JSON object, an error included. What takes longer than a second is told on
standard error (`progress.py`). `NO_COLOR` is honoured (by Rich).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec
import typer
from rich.console import Console

from supervm.kernels.errors import SupervmError
from supervm.tiers.compiling import telling_of_compilations
from supervm.tiers.errors import exit_code
from supervm.tiers.progress import ProgressLine, Tell

PIPE_WIDTH = 160
"""Columns of a table that goes to a file or another program."""

NO_CODES: Mapping[str, int] = {}


def answers() -> Console:
    """The console for results."""
    console = Console(highlight=False, soft_wrap=True, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PIPE_WIDTH
    return console


def notes() -> Console:
    """The console for progress, warnings and errors."""
    return Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


def print_json(answer: dict[str, Any]) -> None:
    """Print one object, indented, and nothing else."""
    typer.echo(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())


def print_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Print names and values, one pair a line, values below each other and never cut or broken."""
    rows = list(pairs)
    width = max((len(name) for name, _ in rows), default=0)
    out = answers()
    for name, value in rows:
        out.print(f"{name:<{width}}  {value}")


@contextmanager
def reporting(as_json: bool, codes: Mapping[str, int] = NO_CODES) -> Iterator[None]:
    """Turn the project's errors, and those of the machine, into a message and the right exit code.

    Args:
        as_json: print the error as an object too.
        codes: exit codes of errors, by class name, that differ from what `errors.exit_code` says.
    """
    try:
        yield
    except (SupervmError, OSError, MemoryError) as error:
        code = codes.get(type(error).__name__, exit_code(error))
        if as_json:
            print_json({"error": error_json(error), "exit_code": code})
        show_error(error)
        raise typer.Exit(code) from None


def error_json(error: BaseException) -> dict[str, str]:
    """An error as it appears in an answer."""
    return {"type": type(error).__name__, "message": str(error) or type(error).__name__}


def show_error(error: BaseException) -> None:
    """Print an error on standard error."""
    notes().print(f"[bold red]error:[/] {plain(error_json(error)['message'])}")


def warn(message: str) -> None:
    """Print a warning on standard error."""
    notes().print(f"[yellow]warning:[/] {plain(message)}")


@contextmanager
def progress_line(tell: Tell | None = None) -> Iterator[ProgressLine]:
    """A progress line that also tells when a kernel is being compiled; `tell` as in `ProgressLine`."""
    line = ProgressLine(notes(), tell)
    try:
        with telling_of_compilations(line.aside) as line.compilations:
            yield line
    finally:
        line.close()


@contextmanager
def telling(doing: str, since: float | None = None) -> Iterator[None]:
    """A progress line around what compiles nothing; nothing is imported to watch for it.

    Args:
        since: when it began, by `time.monotonic`, if that was before.
    """
    line = ProgressLine(notes())
    try:
        line.update(doing, since=since)
        yield
    finally:
        line.close()


def plain(text: str) -> str:
    """Text in which square brackets mean nothing to Rich."""
    return text.replace("[", r"\[")
