# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm ARGUMENTS` in a process of its own, where pipes, signals and exit codes are what they are for users."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from supervm.tiers.progress import PREFIX, log

PROGRAM = "from supervm.tiers.entry import main; main()"
PATIENCE = 600
"""Seconds that a command may take: kernels may have to be compiled, on a machine that does other things too."""

LOGGED = f'"logger":"{log.name}"'


def command(*arguments: object) -> list[str | bytes]:
    """The command line; bytes are passed as they are."""
    rest = [each if isinstance(each, bytes) else str(each) for each in arguments]
    return [sys.executable, "-c", PROGRAM, *rest]


def start(*arguments: object, **how: Any) -> subprocess.Popen[bytes]:
    """The command, started, with pipes where `how` does not say other places."""
    places = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | how
    return subprocess.Popen(command(*arguments), env=_environment(), **places)


def finished(*arguments: object, **how: Any) -> subprocess.CompletedProcess[bytes]:
    """The command, when it has ended."""
    places: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    if "input" not in how:
        places["stdin"] = subprocess.DEVNULL
    return subprocess.run(
        command(*arguments), env=_environment(), timeout=PATIENCE, check=False, **(places | how)
    )


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SUPERVM_")}
    if "SUPERVM_CACHE_DIR" in os.environ:
        kept["SUPERVM_CACHE_DIR"] = os.environ["SUPERVM_CACHE_DIR"]
    return kept


def without_progress(text: str) -> str:
    """What a command printed besides lines of progress, which depend on how long it took.

    Those are lines that a terminal would have shown and taken away again, and those that are logged.
    """
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(PREFIX) and LOGGED not in line)


@contextmanager
def process(*arguments: object, patch: str = "") -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """`supervm ARGUMENTS --json`, which runs until a signal, and the object that it prints.

    Args:
        patch: statements that the process executes first.
    """
    program = f"{patch}\nfrom supervm.tiers.cli import main\nmain()"
    command = [sys.executable, "-c", program, *map(str, arguments), "--json"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        text = ""
        for line in child.stdout:
            text += line
            if line == "}\n":
                break
        yield child, json.loads(text)
    finally:
        if child.poll() is None:
            child.kill()
        child.communicate()
