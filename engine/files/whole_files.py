# SPDX-License-Identifier: GPL-3.0-or-later
"""Output files and folders that appear under their name only when complete.

A file is written under another name in the same directory, and renamed when it is complete: whoever finds the name finds
everything, after a crash too, and an interrupted write leaves what was there before.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


def unfinished_name(path: Path) -> Path:
    """Where this process writes a file until it is whole."""
    return path.with_name(f".{path.name}.{os.getpid()}")


@contextmanager
def whole_file(path: Path | str, *, new: bool = False) -> Iterator[BinaryIO]:
    """A file to write to, which gets its name and is safe from a power loss when the block ends without an error.

    Args:
        path: what is there is replaced; a symbolic link stays, and what it leads to is replaced.
        new: never replace a file.

    Raises:
        FileExistsError: there is one, and `new` was asked for.
        OSError: it cannot be written; nothing has changed then.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    unfinished = unfinished_name(target)
    try:
        with unfinished.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if new:
            os.link(unfinished, target)
            unfinished.unlink()
        else:
            unfinished.rename(target)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink()
        raise


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A new folder to write files to, which gets its name when the block ends without an error.

    Args:
        path: nothing, or an empty folder, is there; folders above it are made.

    Raises:
        OSError: it cannot be written; nothing has changed then, but for folders above it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    target = Path(os.path.realpath(path))
    unfinished = unfinished_name(target)
    unfinished.mkdir()
    try:
        yield unfinished
        unfinished.rename(target)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def write_together(files: Sequence[tuple[Path, bytes]]) -> None:
    """Write files that belong together, the last of which says that all are there: whoever finds it finds the others of it.

    All are on the disk under other names first. Then the last one that was there is removed, and the new ones get their
    names in order.

    Args:
        files: names, all different, and contents.

    Raises:
        OSError: they cannot be written; nothing has changed then, unless a name could not be given, and then the last one
            is missing.
    """
    targets = [Path(os.path.realpath(path)) for path, _ in files]
    for target, (path, _) in zip(targets, files, strict=True):
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    unfinished = [unfinished_name(target) for target in targets]
    try:
        for name, (path, data) in zip(unfinished, files, strict=True):
            try:
                with name.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as error:  # which would name the other name
                raise OSError(error.errno, error.strerror, str(path)) from None
        targets[-1].unlink(missing_ok=True)
        for name, target in zip(unfinished, targets, strict=True):
            name.rename(target)
    except BaseException:
        for name in unfinished:
            with suppress(OSError):
                name.unlink()
        raise


def write_whole(path: Path, data: bytes, *, new: bool = False) -> Path:
    """Write a file at once as a whole; see `whole_file`."""
    with whole_file(path, new=new) as file:
        file.write(data)
    return path
