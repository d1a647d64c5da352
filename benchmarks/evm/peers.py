# SPDX-License-Identifier: GPL-3.0-or-later
"""Other EVMs, asked through `peer_process.py`."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from supervm.benchmarks.errors import PeerMissing
from supervm.benchmarks.evm.programs import Program

SCRIPT = Path(__file__).with_name("peer_process.py")


@dataclass(frozen=True)
class Known:
    """A peer.

    Args:
        name: of the row, and the script's argument.
        most_gas: of a call that it is asked to run; a slow one would need minutes for more.
    """

    name: str
    most_gas: int


KNOWN = (Known("pyrevm", 1 << 62), Known("py-evm", 5_000_000), Known("eels", 1_000_000))

Answer = tuple[bool, int, str]
"""Whether it succeeded, the gas that it used, and its output in hexadecimal digits."""


class PeerProcess:
    """A peer in a process of its own.

    Args:
        known: which.
        python: the interpreter that has its package; this one's if None.

    Raises:
        PeerMissing: its package is not there.
    """

    def __init__(self, known: Known, python: Path | None = None) -> None:
        self.known = known
        command = [str(python or sys.executable), str(SCRIPT), known.name]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        try:
            self.version = str(self._ask({"version": True})["version"])
        except BaseException:
            self.close()
            raise

    def run(self, program: Program, times: int) -> tuple[Answer, list[float]]:
        """The answer of a program, and the seconds of each time.

        Raises:
            PeerMissing: a package that it needs is not there, or it ended.
        """
        said = self._ask({"run": program.to_json(), "times": times})
        success, gas, output = said["answer"]
        return (success, gas, output), said["seconds"]

    def close(self) -> None:
        """End the process. May be called twice."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> PeerProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, asked: dict[str, Any]) -> dict[str, Any]:
        pipes = self._process.stdin, self._process.stdout
        assert pipes[0] is not None
        assert pipes[1] is not None
        try:
            pipes[0].write(json.dumps(asked) + "\n")
            pipes[0].flush()
            line = pipes[1].readline()
        except BrokenPipeError:
            line = ""
        said: dict[str, Any] = json.loads(line) if line else {"missing": self.known.name}
        if "missing" in said:
            raise PeerMissing(said["missing"])
        return said


def started(python: Path | None = None) -> tuple[list[PeerProcess], list[str]]:
    """The peers that are there, running, and the packages of the others.

    Args:
        python: another interpreter, asked where this one lacks a package.
    """
    processes, missing = [], []
    for known in KNOWN:
        for interpreter in dict.fromkeys((None, python)):
            try:
                processes.append(PeerProcess(known, interpreter))
                break
            except PeerMissing as error:
                lacking = error.distribution
        else:
            missing.append(lacking)
    return processes, missing


def missing(python: Path | None = None) -> list[str]:
    """Packages of peers that are not there; see `started`."""
    processes, lacking = started(python)
    for process in processes:
        process.close()
    return lacking
