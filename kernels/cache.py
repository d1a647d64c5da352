# SPDX-License-Identifier: GPL-3.0-or-later
"""Where compiled kernels are kept between processes.

Numba's own cache notices a change in the file that holds a function, not in the files it calls. The cache
folder is therefore named by a digest of every source of every room, the version of Numba and Python's: after
any change the folder is another one. `configure` must run before Numba is imported; importing
`supervm.kernels` does that.

Processes share the folder while they compile. Numba numbers a function's files of code by what its index says when one is
saved: two processes that save at once take the same number, and one's index may lead to the other's code. `save_alone` takes
the place of Numba's own way to save, for every function, as soon as `supervm.kernels.cpu` is imported.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.metadata
import os
import shutil
import stat
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

ROOMS = ("kernels", "crypto", "vm", "engine")
"""The rooms that hold compiled code."""

KEPT_FOLDERS = 4
"""Folders of other source digests that `configure` leaves in place: a checkout goes back and forth."""

KEPT_SECONDS = 86400.0
"""Folders used within this time stay in any case: another process may be working with one."""


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, and its folder where there is none: who reads it finds the old one or the new one, never a part.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def source_digest() -> str:
    """Sixteen hex digits over the names and bytes of every Python source of every room, and the compiler."""
    digest = hashlib.sha256(f"{sys.version}|numba {importlib.metadata.version('numba')}".encode())
    base = Path(__file__).resolve().parent.parent
    for room in ROOMS:
        for path in sorted((base / room).rglob("*.py")):
            digest.update(str(path.relative_to(base)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def cache_root() -> Path:
    """The folder above the digests: `SUPERVM_CACHE_DIR`, else `XDG_CACHE_HOME`/supervm, else ~/.cache/supervm."""
    chosen = os.environ.get("SUPERVM_CACHE_DIR")
    if chosen:
        return Path(chosen)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "supervm"
    except RuntimeError:  # a user without a home
        return _temporary_root()


def configure() -> Path:
    """Point Numba at the folder of this source digest and return it.

    An unwritable home is no reason to fail: a folder for this user under the system's temporary directory serves
    then, and if somebody else owns one of that name, a new one that lasts as long as nobody cleans up.
    """
    name = source_digest()
    folder = cache_root() / "numba" / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(folder)
    except OSError:
        folder = _temporary_root() / "numba" / name
        folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)
    _forget_old(folder.parent)
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    if "numba" in sys.modules:
        sys.modules["numba"].config.CACHE_DIR = str(folder)
    return folder


def save_alone(file: Any, key: Any, data: Any) -> None:
    """Save a function's code in `file`, one process and thread at a time, under a name that no other code ever has.

    The code is there before the index names it. Where a file cannot be locked nothing is saved: it is compiled again.

    Args:
        file: a `numba.core.caching.IndexDataCacheFile`.
        key: what the code is for.
    """
    index = Path(file._index_path)
    try:
        lock = (index.parent / "lock").open("wb")
    except OSError:
        return
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:
            return
        known = file._load_index()
        name = known.get(key) or f"{index.stem}.{uuid.uuid4().hex}.nbc"
        file._save_data(name, data)
        if key not in known:
            file._save_index(known | {key: name})


def _temporary_root() -> Path:
    """A folder that only this user can write: cached kernels are loaded as code."""
    root = Path(tempfile.gettempdir()) / f"supervm-{os.getuid()}"
    root.mkdir(exist_ok=True, mode=0o700)
    found = root.lstat()
    if found.st_uid == os.getuid() and stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o022:
        return root
    return Path(tempfile.mkdtemp(prefix="supervm-"))


def _forget_old(parent: Path) -> None:
    def last_used(path: Path) -> float:
        try:
            return path.stat().st_mtime
        except OSError:
            return 0.0

    folders = sorted((path for path in parent.iterdir() if path.is_dir()), key=last_used, reverse=True)
    limit = time.time() - KEPT_SECONDS
    for stale in folders[KEPT_FOLDERS + 1 :]:
        if last_used(stale) < limit:
            shutil.rmtree(stale, ignore_errors=True)
