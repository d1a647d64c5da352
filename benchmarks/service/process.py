# SPDX-License-Identifier: GPL-3.0-or-later
"""A server in a process of its own, on a free port of this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil

from supervm.benchmarks.errors import ServerFailed

PATIENCE = 60.0
"""Seconds that a server may take to end after a signal."""

COMMAND = (sys.executable, "-c", "from supervm.tiers.cli import main; main()", "serve", "--json")


@dataclass(frozen=True)
class Server:
    """A server that is ready.

    Args:
        said: the object that it printed when it was.
        process: of the operating system.
    """

    said: Mapping[str, Any]
    process: subprocess.Popen[str]

    @property
    def grpc(self) -> str:
        """HOST:PORT."""
        return str(self.said["grpc"])

    @property
    def http(self) -> str:
        """HOST:PORT, or '' without HTTP."""
        return str(self.said.get("http") or "")

    def resident(self) -> int:
        """Bytes of memory that the process has resident."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self.process.kill()
        self.process.wait(PATIENCE)


@contextmanager
def server(
    *arguments: object, command: Iterable[str] = COMMAND, variables: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Start a server and stop it afterwards; who kills it meanwhile has it so.

    Args:
        arguments: of `supervm serve`, or of the other command.
        command: what to run.
        variables: of the environment, beside those of this process.

    Raises:
        ServerFailed: it ended before it was ready, or did not end well.
    """
    asked = [*command, *map(str, arguments)]
    process = subprocess.Popen(
        asked, stdout=subprocess.PIPE, text=True, env={**os.environ, **(variables or {})}
    )
    try:
        yield Server(_first_object(process), process)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            if (code := process.wait(PATIENCE)) != 0:
                raise ServerFailed("did not end well", code)
    finally:
        process.kill()
        process.wait(PATIENCE)
        assert process.stdout is not None
        process.stdout.close()


def _first_object(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What it prints when it is ready: lines up to the end of a JSON object."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("}"):
            found: dict[str, Any] = json.loads("".join(lines))
            if "error" in found:
                break
            return found
    raise ServerFailed("ended before it was ready", process.wait(PATIENCE))
