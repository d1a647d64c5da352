# SPDX-License-Identifier: GPL-3.0-or-later
"""An attacker in a process of its own: `python -m supervm.benchmarks.attack.attacker NAME HOST:PORT SECONDS`.

In earnest it would run on another machine. Here it takes the lowest priority, so that the server keeps the processor.
"""

from __future__ import annotations

import ipaddress
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from supervm.benchmarks.attack.attacks import ATTACKS
from supervm.kernels.errors import ArgumentError

LOWEST_PRIORITY = 19
GRACE = 20.0
"""Seconds that an attacker may take to end after its time."""


def main(arguments: list[str]) -> None:
    """Attack, and print what was done as one line of JSON."""
    name, address, seconds = arguments
    if not ipaddress.ip_address(address.rpartition(":")[0].strip("[]")).is_loopback:
        raise ArgumentError("address", address, "one of this machine's loopback: nothing else is attacked")
    os.nice(LOWEST_PRIORITY)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print(json.dumps(ATTACKS[name].run(address, float(seconds))))


class Attacker:
    """An attacker that runs.

    Args:
        process: of the operating system.
        seconds: for which it attacks.
    """

    def __init__(self, process: subprocess.Popen[str], seconds: float) -> None:
        self._process, self._seconds = process, seconds

    def counts(self) -> Mapping[str, int]:
        """What it did, when it has ended; empty if it failed, as it may when the server is gone."""
        try:
            out, _ = self._process.communicate(timeout=self._seconds + GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            out, _ = self._process.communicate()
        lines = out.splitlines()
        found: dict[str, int] = json.loads(lines[-1]) if self._process.returncode == 0 and lines else {}
        return found


@contextmanager
def attacking(name: str, address: str, seconds: float) -> Iterator[Attacker]:
    """Run an attack beside this process; whatever happens, it ends with the context."""
    command = [sys.executable, "-m", __name__, name, address, str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield Attacker(process, seconds)
    finally:
        process.kill()
        process.communicate()


if __name__ == "__main__":
    main(sys.argv[1:])
