# SPDX-License-Identifier: GPL-3.0-or-later
"""Standard output: what could not be written there was not answered, and is an error. Loads nothing large."""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from supervm.tiers.errors import OutputLost
from supervm.tiers.plain_text import visible

_answered = False
"""Whether the object of `--json` is out; there is only one."""


def begin() -> None:
    """A command line begins: no answer is out yet. Characters that the encoding of its output lacks are written out."""
    global _answered
    _answered = False
    if logging.lastResort is not None:  # what shows warnings where no logs are kept
        logging.lastResort.setFormatter(_PlainLines())
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


class _PlainLines(logging.Formatter):
    """A message as one line."""

    def format(self, record: logging.LogRecord) -> str:
        return visible(record.getMessage())


def is_answered() -> bool:
    """Whether the object of `--json` has been printed."""
    return _answered


def set_answered() -> None:
    """Remember that it has been."""
    global _answered
    _answered = True


def finish() -> None:
    """Write what is still held back.

    Raises:
        OutputLost: standard output does not take it.
    """
    with writing():
        sys.stdout.flush()


def print_plain(text: str) -> None:
    """Print this program's own text as it is.

    Raises:
        OutputLost: standard output does not take it.
    """
    with writing():
        sys.stdout.write(text)
        sys.stdout.flush()


@contextmanager
def writing() -> Iterator[None]:
    """Have what goes wrong with standard output told as such.

    Raises:
        OutputLost: it is full or closed, or nobody reads it any more.
    """
    if sys.stdout is None:  # it was closed before this process began
        raise OutputLost(errno.EBADF)
    try:
        yield
    except OSError as error:
        raise OutputLost(error.errno or errno.EIO) from None


def drop() -> None:
    """Send the rest nowhere: Python writes what is left at its end, and must not fail once more."""
    if sys.stdout is not None and sys.stdout is sys.__stdout__:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.close(null)


def is_dropped() -> bool:
    """Whether standard output leads nowhere."""
    try:
        return os.path.samestat(os.fstat(1), os.stat(os.devnull))
    except OSError:
        return False
