# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of circuits, keys and proofs that commands read and write."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from supervm.engine.files.whole_files import write_together, write_whole
from supervm.kernels.errors import ArgumentError
from supervm.tiers.errors import BrokenFile


@contextmanager
def told_of_circuit_files() -> Iterator[None]:
    """Have a file that the operating system refuses be told as a `BrokenFile`."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            raise
        raise BrokenFile(str(error.filename), "", error.strerror or str(error)) from None


def require_other_files(written: Mapping[str, Path | None], read: Mapping[str, Path | None]) -> None:
    """What is written must not be what is read, nor the same file twice.

    Raises:
        ArgumentError: naming the option.
    """
    taken = {
        os.path.realpath(path): f"the file of --{name}" for name, path in read.items() if path is not None
    }
    for name, path in written.items():
        if path is None:
            continue
        real = os.path.realpath(path)
        if real in taken:
            raise ArgumentError(name, f"{path}, {taken[real]}", "another file")
        taken[real] = f"the file of --{name}"


def write_file(path: Path, data: bytes) -> None:
    """Write a whole file, or leave what is there as it is.

    Raises:
        BrokenFile: the file cannot be written.
    """
    try:
        write_whole(path, data)
    except OSError as error:
        raise _unwritten(path, error) from None


def write_files(files: Sequence[tuple[Path, bytes]]) -> None:
    """Write files that belong together: the last one is only ever there with the others of it.

    Raises:
        BrokenFile: one cannot be written.
    """
    try:
        write_together(files)
    except OSError as error:
        raise _unwritten(Path(error.filename or files[-1][0]), error) from None


def _unwritten(path: Path, error: OSError) -> BrokenFile:
    return BrokenFile(str(path), "", f"cannot be written: {error.strerror or error}")
