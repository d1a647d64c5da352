# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command says: answers on standard output, everything else on standard error.

With `--json` standard output carries exactly one JSON object, an error included. What takes longer than a second is told on
standard error (`progress.py`). `NO_COLOR` is honoured (by Rich).

What comes from a file, a peer or the command line may hold anything. Whatever passes through here is shown with control
characters written out; a line ends where a call to print does, or where a `Text` of this program has it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec
import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.errors import MarkupError
from rich.markup import escape
from rich.segment import Segment
from rich.text import Text

from supervm.kernels.errors import SupervmError
from supervm.tiers import output
from supervm.tiers.compiling import telling_of_compilations
from supervm.tiers.errors import OutputLost, exit_code
from supervm.tiers.plain_text import encodable, of_json, visible
from supervm.tiers.progress import ProgressLine, Tell

PIPE_WIDTH = 160
"""Columns of a table that goes to a file or another program."""

NO_CODES: Mapping[str, int] = {}


class _Console(Console):
    """A console that obeys no control character, wherever it comes from.

    Text given as `str` has its line ends written out too: names with line ends in them cannot forge lines.
    """

    def render_str(self, text: str, **how: Any) -> Text:
        """As `Console.render_str`, which every text given as `str` passes before it is laid out."""
        try:
            return super().render_str(visible(text), **how)
        except MarkupError:  # somebody else's brackets
            return super().render_str(visible(text), **{**how, "markup": False})

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """As `Console.render`; what was made a `Text` without this console is written out here."""
        for segment in super().render(renderable, options):
            if segment.control is None:
                yield Segment(visible(segment.text, lines=True), segment.style)
            else:
                yield segment


class _Answers(_Console):
    """Standard output: what cannot be written there was not answered.

    Raises, from `print`:
        OutputLost: it is full or closed, or nobody reads it any more.
    """

    def print(self, *objects: Any, **how: Any) -> None:
        with output.writing():
            super().print(*objects, **how)

    def on_broken_pipe(self) -> None:
        raise OutputLost(errno.EPIPE)


class _Notes(_Console):
    """Standard error: where it cannot be written there is nobody to tell."""

    def print(self, *objects: Any, **how: Any) -> None:
        try:
            super().print(*objects, **how)
        except OSError:
            self.quiet = True

    def on_broken_pipe(self) -> None:
        self.quiet = True


def answers() -> Console:
    """The console for results: lines wrap at words where a terminal, or COLUMNS, says how long they may be.

    What it cannot write is `OutputLost`.
    """
    console = _Answers(highlight=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width, console.soft_wrap = PIPE_WIDTH, True
    return console


def notes() -> Console:
    """The console for progress, warnings and errors; lines wrap at words on a terminal."""
    console = _Notes(stderr=True, highlight=False, emoji=False)
    console.soft_wrap = not console.is_terminal
    return console


def print_json(answer: dict[str, Any] | list[Any]) -> None:
    """Print one object, or one list, indented, and nothing else.

    Raises:
        OutputLost: standard output does not take it.
    """
    try:
        text = msgspec.json.encode(answer)
    except UnicodeEncodeError:
        text = msgspec.json.encode(encodable(answer))
    output.set_answered()
    output.print_plain(of_json(msgspec.json.format(text, indent=2).decode()) + "\n")


def print_json_error(error: BaseException, code: int) -> None:
    """Print the object of a command that ends with an error, unless its answer is out already."""
    if not output.is_answered():
        print_json({"error": error_json(error), "exit_code": code})


def print_pairs(pairs: Iterable[tuple[str, str | Text]]) -> None:
    """Print names and values, one pair a line, values below each other; where lines wrap, values do beside their names.

    A value that is a `str` is shown as it is, whatever it is; one with colours is a `Text`.
    """
    rows = list(pairs)
    width = max((len(name) for name, _ in rows), default=0)
    out = answers()
    for name, value in rows:
        text = value if isinstance(value, Text) else Text(visible(value))
        room = max(out.width - width - 2, 1)
        lines = [text] if out.soft_wrap else text.wrap(out, room, overflow="fold")
        for place, line in enumerate(lines or [text]):
            line.rstrip()
            out.print(Text(f"{'' if place else name:<{width}}  ").append_text(line))


@contextmanager
def reporting(as_json: bool, codes: Mapping[str, int] = NO_CODES) -> Iterator[None]:
    """Turn the project's errors, and those of the machine, into a message and the right exit code.

    Args:
        as_json: print the error as an object too.
        codes: exit codes of errors, by class name, that differ from what `errors.exit_code` says.
    """
    try:
        yield
    except OutputLost:
        raise
    except (SupervmError, OSError, MemoryError) as error:
        code = codes.get(type(error).__name__, exit_code(error))
        if as_json:
            print_json_error(error, code)
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
    """Text in which square brackets mean nothing to Rich, and control characters nothing to a terminal."""
    # A backslash before a bracket, or at the end, would escape what follows it.
    return escape(visible(text))
