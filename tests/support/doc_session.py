# SPDX-License-Identifier: GPL-3.0-or-later
"""What the blocks of one page run in: a folder, a shell and a Python process, as one reader would have them."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

import doc_python
from command_line import without_progress
from doc_pages import OMITTED, ROOT, difference

COMMAND_SECONDS = 900
"""Longest wait for a command, for a server's shown output, or for a Python example; `doctor` compiles everything once."""

PAGE_SECONDS = 1800
"""After so long everything that a page started is ended, whatever became of the tests."""

END_SECONDS = 20
"""How long a server may drain at the end of a page."""

LINKED = ("benchmarks", "docs")
"""Folders of the checkout that a page's commands find where they run."""


class Session:
    """Runs commands and Python examples of one page in `folder`.

    Commands share a shell: its folder, variables and jobs. One that ends with `&` runs until the page ends it or is done.
    Lines of progress, which a reader's terminal shows and takes away again, are left out of what they print.

    Args:
        variables: what the page's processes find in their environment besides.
    """

    def __init__(self, folder: Path, **variables: str) -> None:
        self.folder = folder
        for name in LINKED:
            (folder / name).symlink_to(ROOT / name)
        paths = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        plain = {"PATH": paths, "NO_COLOR": "1", "TERM": "dumb"}
        self._environment = {**os.environ, **plain, **variables}
        self._environment.pop("COLUMNS", None)  # as for a program that reads: lines are whole
        self._shell: _Process | None = None
        self._python: _Process | None = None
        self._servers = 0

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in (self._shell, self._python):
            if process is not None:
                process.end()

    def python(self, source: str, page: str, line: int) -> str:
        """What went wrong in a Python example; empty if nothing did."""
        if self._python is None:
            self._python = self._start([sys.executable, doc_python.__file__])
        self._python.write(json.dumps({"source": source, "page": page, "line": line}) + "\n")
        answer: str = json.loads(self._python.line())
        return answer

    def command(self, text: str) -> tuple[int, str]:
        """Exit code of a command, and what it printed on both streams."""
        if self._shell is None:
            self._shell = self._start(["bash", "--noprofile", "--norc"])
        end = f"end-of-command-{time.monotonic_ns()}"
        self._shell.write(f"{{ {text}\n}} </dev/null 2>&1; printf '\\n%s %d\\n' {end} $?\n")
        printed = []
        while not (line := self._shell.line()).startswith(end):
            printed.append(line)
        return int(line.split()[1]), without_progress("".join(printed))

    def server(self, text: str, shown: Sequence[str], varies: bool) -> str:
        """Starts a command that goes on, and waits for what the page shows, between whatever else it logs."""
        self._servers += 1
        log = self.folder / f".server-{self._servers}.log"
        self.command(f"{text.rstrip('& ')} >{log.name} 2>&1 &")
        process = self.command("echo $!")[1].strip()
        expected = [OMITTED, *shown, OMITTED] if shown else []
        until = time.monotonic() + COMMAND_SECONDS
        while (found := difference(expected, _logged(log), varies)) and time.monotonic() < until:
            if self.command(f"kill -0 {process} 2>&1")[0]:
                break  # it has ended, whatever other servers do
            time.sleep(0.1)
        return found

    def _start(self, arguments: Sequence[str]) -> _Process:
        return _Process(["timeout", "-k", "5", str(PAGE_SECONDS), *arguments], self.folder, self._environment)


def _logged(log: Path) -> str:
    return without_progress(log.read_text("utf-8")) if log.exists() else ""


class _Process:
    """A process group that is written to and read from line by line, without waiting for ever."""

    def __init__(self, arguments: Sequence[str], folder: Path, environment: dict[str, str]) -> None:
        self._errors = (folder / f".errors-{Path(arguments[3]).name}").open("w+b")
        self._process = subprocess.Popen(
            arguments,
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            encoding="utf-8",
        )
        self._lines: queue.Queue[str] = queue.Queue()
        assert self._process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()

    def write(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text)
        self._process.stdin.flush()

    def line(self) -> str:
        """The next line.

        Raises:
            TimeoutError: none came in time, or the process has ended.
        """
        try:
            line = self._lines.get(timeout=COMMAND_SECONDS)
        except queue.Empty:
            line = ""
        if not line:
            self._errors.seek(0)
            raise TimeoutError(f"no answer: {self._errors.read().decode('utf-8', 'replace')[-2000:]}")
        return line

    def end(self) -> None:
        """End the group, servers in it too."""
        self._process.terminate()  # `timeout` passes it on to its group, which has its number
        until = time.monotonic() + END_SECONDS
        while self._group_lives(0) and time.monotonic() < until:
            time.sleep(0.05)
        self._group_lives(signal.SIGKILL)
        self._process.wait()
        self._reader.join(timeout=END_SECONDS)
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            assert stream is not None
            stream.close()

    def _group_lives(self, number: int) -> bool:
        self._process.poll()
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return False
        return True

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            self._lines.put(line)
        self._lines.put("")
