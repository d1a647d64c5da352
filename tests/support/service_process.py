# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm serve` in a process of its own, on free ports of this machine."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PATIENCE = 60


@contextmanager
def service_process(*arguments: object) -> Iterator[dict[str, Any]]:
    """What a service with these arguments says when it is ready; it is stopped, and has ended well, afterwards."""
    command = [sys.executable, "-c", "from supervm.tiers.cli import main; main()", "serve", "--json"]
    given = ["--grpc", "127.0.0.1:0", *map(str, arguments)]
    process = subprocess.Popen([*command, *given], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield json.loads("".join(_object(process.stdout)))
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(PATIENCE)
        finally:
            process.kill()
            process.stdout.close()
    assert code == 0


def _object(lines: Iterator[str]) -> Iterator[str]:
    """The lines up to the end of the first JSON object."""
    for line in lines:
        yield line
        if line.startswith("}"):
            return
