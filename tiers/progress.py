# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command is doing, told while it does it: nothing is silent for longer than a second.

On a terminal one line moves on standard error, and goes when the work is done. Anywhere else (a pipe, a file, a journal) a
plain line appears after the first second, one a second at most when something else begins, later one in five seconds, and
every ten seconds while the same thing goes on. A process that serves logs instead.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column

from supervm.tiers.compiling import Compilations
from supervm.tiers.plain_text import visible

log = logging.getLogger("supervm.progress")
"""Where a process that serves tells of its progress."""

QUIET_SECONDS = 1.0
"""How long something may take before anything is told, and between two plain lines about different things."""

SPARING_SECONDS = 5.0
"""The same, when the work has gone on for longer than `REPEAT_SECONDS`."""

REPEAT_SECONDS = 10.0
"""Between two plain lines about the same thing."""

LOOK_SECONDS = 0.2
"""How often the time is looked at while something is going on."""

PREFIX = "supervm: "
"""How a plain line begins."""

Tell = Callable[[str], None]


class ProgressLine:
    """Says what is being done and how far it is; a thread of its own keeps it moving while a kernel is compiled.

    Args:
        console: for standard error.
        tell: what takes a line of text instead, such as a logger's `info`.

    Attributes:
        compilations: of kernels while the line is there.
    """

    def __init__(self, console: Console, tell: Tell | None = None) -> None:
        self.compilations = Compilations()
        self._console = console
        self._tell = tell or self._print
        self._bar = None if tell or not console.is_interactive else _bar(console)
        self._doing, self._aside = "", ""
        self._fraction: float | None = None
        self._begun = self._aside_begun = time.monotonic()
        self._told, self._told_at = "", 0.0
        self._shown = False
        self._lock = threading.RLock()
        self._busy, self._closed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._watch, name="progress", daemon=True)
        self._thread.start()

    def update(self, doing: str, fraction: float | None = None, *, since: float | None = None) -> None:
        """Say what is being done, and the part of it that is done, 0 to 1, if that is known; '' for nothing now.

        Args:
            since: when it began, by `time.monotonic`; now if not given.
        """
        with self._lock:
            if not self._doing and not self._aside:
                self._begun = since or time.monotonic()
            self._doing, self._fraction = doing, fraction
            self._changed()

    def aside(self, text: str) -> None:
        """Say what holds the work up at the moment; '' ends that."""
        with self._lock:
            if not self._doing and not self._aside:
                self._begun = time.monotonic()
            self._aside, self._aside_begun = text, time.monotonic()
            self._changed()

    def close(self) -> None:
        """Take the line away."""
        self._closed.set()
        self._busy.set()
        self._thread.join(timeout=QUIET_SECONDS)  # it may hang on a pipe that nobody reads
        self._hide()

    def _changed(self) -> None:
        if self._doing or self._aside:
            self._busy.set()
        else:
            self._busy.clear()
        self._look()

    def _watch(self) -> None:
        while not self._closed.is_set():
            self._busy.wait()
            if self._closed.wait(LOOK_SECONDS):
                return
            with self._lock:
                self._look()

    def _look(self) -> None:
        """Show what there is to be shown now."""
        if self._closed.is_set():
            return
        late = time.monotonic() - self._begun >= QUIET_SECONDS
        if self._bar is None:
            if late:
                self._say()
            return
        if not (self._doing or self._aside):
            self._hide()
            return
        total = None if self._fraction is None else 1.0
        self._bar.update(
            self._bar.task_ids[0], description=self._text(), total=total, completed=self._fraction or 0.0
        )
        # A compilation is shown at once: it goes on for seconds.
        if not self._shown and (late or self._aside):
            self._bar.start()
            self._shown = True

    def _say(self) -> None:
        """Tell a plain line, if it is time for one."""
        about = re.sub(r"\d[\d.,]*", "#", f"{self._doing}: {self._aside}")
        now = time.monotonic()
        since = now - self._told_at
        least = SPARING_SECONDS if now - self._begun > REPEAT_SECONDS else QUIET_SECONDS
        new = about != self._told and since >= least
        if (new or since >= REPEAT_SECONDS) and (self._doing or self._aside):
            self._told, self._told_at = about, now
            share = "" if self._fraction is None else f" ({self._fraction:.0%})"
            self._tell(self._text() + share)

    def _text(self) -> str:
        aside, seconds = self._aside, int(time.monotonic() - self._aside_begun)
        if aside and seconds:
            aside += f", for {seconds} s"
        text = ": ".join(part for part in (self._doing, aside) if part)
        return visible(text)

    def _print(self, text: str) -> None:
        try:
            self._console.print(PREFIX + text, markup=False)
        except (OSError, ValueError):  # nobody reads it any more, which is no reason to stop the work
            self._closed.set()

    def _hide(self) -> None:
        if self._bar is not None and self._shown:
            self._bar.stop()
            self._shown = False


def _bar(console: Console) -> Progress:
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False, table_column=Column(overflow="fold")),
        BarColumn(bar_width=12),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
    bar.add_task("", total=None)
    return bar
