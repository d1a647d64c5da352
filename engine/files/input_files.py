# SPDX-License-Identifier: GPL-3.0-or-later
"""Untrusted input files: opened once, never a device, and read within limits.

A name is a file, a pipe (a FIFO, `/dev/fd/N`, what the shell writes for `<(command)`), or `-` for standard input. What is
opened is looked at and read through that one descriptor: a name that is opened again may lead to something else, and a
pipe has lost by then what was read from it.

Who waits for a pipe is told on the logger of this module after a second, and `InputFile.stop` ends the wait.
"""

from __future__ import annotations

import logging
import mmap
import os
import re
import select
import stat
import time
from pathlib import Path
from types import TracebackType

from supervm.engine.errors import InputFileError

STANDARD_INPUT = "-"

QUIET_SECONDS = 1.0
"""How long a pipe may be waited for before somebody is told."""

_STEP = 1 << 20
_POLL_MILLISECONDS = 200
_DESCRIPTOR = re.compile(r"/(?:dev/fd|proc/self/fd)/([0-9]{1,6})|/dev/(stdin)")
READABLE = "a file that can be read"
"""What is expected where the operating system refuses one."""

_ACCEPTED = "a file or a pipe that can be read"
_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a block device",
}

log = logging.getLogger(__name__)


class InputFile:
    """An open file or pipe, read from front to back; see `open_input`.

    Attributes:
        name: what messages call it.
        size: bytes of a file from where it was opened, None of a pipe, which tells no size.
        whole: whether it is a file that was opened at its first byte, and can be read at any place.
    """

    def __init__(self, descriptor: int, name: str) -> None:
        self.name = name
        self._descriptor = descriptor
        self._head = b""
        self._stopped = False
        found = os.fstat(descriptor)
        regular = stat.S_ISREG(found.st_mode)
        self._identity = (found.st_dev, found.st_ino)
        start = os.lseek(descriptor, 0, os.SEEK_CUR) if regular else 0
        self.size = max(0, found.st_size - start) if regular else None
        self.whole = regular and start == 0

    def peek(self, count: int) -> bytes:
        """The next `count` bytes, fewer at the end; they are read again afterwards."""
        while len(self._head) < count and (more := self._next(count - len(self._head))):
            self._head += more
        return self._head[:count]

    def read(self, most: int) -> bytes:
        """At least one and at most `most` bytes; none at the end.

        Raises:
            InputFileError: it cannot be read, or `stop` was called.
        """
        if self._head:
            piece, self._head = self._head[:most], self._head[most:]
            return piece
        return self._next(most)

    def read_all(self, most: int) -> bytearray:
        """Everything that is left.

        Raises:
            InputFileError: it has more than `most` bytes, or cannot be read.
        """
        data = bytearray()
        if self.size is not None and self.size > most:
            raise InputFileError(self.name, f"{self.size:,} bytes", f"at most {most:,}")
        while more := self.read(_STEP):
            data += more
            if len(data) > most:
                raise InputFileError(self.name, f"more than {most:,} bytes", f"at most {most:,}")
        return data

    def mapped(self) -> mmap.mmap | bytes:
        """The bytes of a file in memory, without reading them; of a `whole` one only."""
        return mmap.mmap(self._descriptor, 0, access=mmap.ACCESS_READ) if self.size else b""

    def raw(self) -> int:
        """A descriptor of a `whole` file, which the caller closes."""
        descriptor = os.dup(self._descriptor)
        os.lseek(descriptor, 0, os.SEEK_SET)
        return descriptor

    def is_same(self, path: Path) -> bool:
        """Whether a path leads to this file."""
        try:
            found = path.stat()
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._identity

    def stop(self) -> None:
        """End a read that waits, in another thread, and refuse those to come."""
        self._stopped = True

    def close(self) -> None:
        """Give the descriptor back. May be called twice."""
        self._stopped = True
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> InputFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _next(self, most: int) -> bytes:
        try:
            while True:
                if self.size is None:
                    self._wait()
                if self._stopped:
                    raise InputFileError(self.name, "an end of the work", "to be read further")
                try:
                    return os.read(self._descriptor, most)
                except BlockingIOError:  # somebody else has read what was there
                    continue
        except OSError as error:
            raise InputFileError(self.name, error.strerror or str(error), READABLE) from None

    def _wait(self) -> None:
        """Return when there is something to read, or nobody who could write any more."""
        ready = select.poll()
        ready.register(self._descriptor, select.POLLIN)
        begun, told = time.monotonic(), False
        while not self._stopped and not ready.poll(_POLL_MILLISECONDS):
            if not told and time.monotonic() - begun >= QUIET_SECONDS:
                log.warning("waiting for somebody to write to %s", _quoted(self.name))
                told = True


def open_input(name: Path | str) -> InputFile:
    """Open a file or a pipe; a FIFO that nobody writes to yet is waited for when it is read, not here.

    Args:
        name: a path, or '-' for standard input.

    Raises:
        InputFileError: there is none, it may not be read, or it is a directory, a device or a terminal.
    """
    text = str(name)
    shown = "standard input" if text == STANDARD_INPUT else text
    try:
        descriptor = _descriptor(text)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise InputFileError(shown, getattr(error, "strerror", None) or str(error), READABLE) from None
    try:
        _check_kind(descriptor, shown)
        return InputFile(descriptor, shown)
    except BaseException:
        os.close(descriptor)
        raise


def read_input(name: Path | str, most: int) -> bytearray:
    """The bytes of a file or a pipe, at most so many.

    Raises:
        InputFileError: as `open_input`, and where there are more.
    """
    with open_input(name) as file:
        return file.read_all(most)


def _descriptor(name: str) -> int:
    """A descriptor of what a name stands for. What is open already is not opened again: a pipe's other end may be
    closed by now, and a socket cannot be opened."""
    inherited = _DESCRIPTOR.fullmatch(name)
    if name == STANDARD_INPUT or (inherited and inherited[2]):
        return os.dup(0)
    if inherited:
        return os.dup(int(inherited[1]))
    # Not blocking: a FIFO without a writer would hold the process here, where nothing can be told.
    descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        os.set_blocking(descriptor, True)
    return descriptor


def _check_kind(descriptor: int, name: str) -> None:
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        return
    kind = "a terminal" if os.isatty(descriptor) else _KINDS.get(stat.S_IFMT(mode), "neither file nor pipe")
    raise InputFileError(name, kind, _ACCEPTED)


def _quoted(name: str) -> str:
    return name if name == "standard input" else repr(name)
