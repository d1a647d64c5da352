# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command printed besides lines of progress, which depend on how long it took."""

from __future__ import annotations

from supervm.tiers.progress import PREFIX, log

LOGGED = f'"logger":"{log.name}"'


def without_progress(text: str) -> str:
    """The text without the lines that a terminal would have shown and taken away again, and those that are logged."""
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(PREFIX) and LOGGED not in line)
