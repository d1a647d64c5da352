# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that run until a signal, in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PROGRAM = "from supervm.tiers.cli import main\nmain()"


@contextmanager
def process(*arguments: object, patch: str = "") -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """`supervm ARGUMENTS --json`, and the object that it prints.

    Args:
        patch: statements that the process executes first.
    """
    command = [sys.executable, "-c", f"{patch}\n{PROGRAM}", *map(str, arguments), "--json"]
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
