# SPDX-License-Identifier: GPL-3.0-or-later
"""Which CPU backend is the fastest for how many items of an operation: measured on this machine, kept, and asked by `auto`.

Whoever measures saves; `supervm warmup --all` and `supervm doctor --all` do. Nothing is compiled only to be compared: until
something was measured, `auto` takes the best backend, and for one signature alone one lane. A file that cannot be read, that
another machine or version wrote, or that says something impossible is left aside, and a warning says why. Several processes
may save at once: each replaces the file as a whole.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from supervm.kernels.cache import cache_root, write_whole

FORMAT = 1
"""Of the file."""

MOST_DEEP = 4
"""Lists and objects inside each other in the file. What is deeper is not parsed: where the limit of recursion was raised,
that could end the process."""

Stretches = tuple[tuple[int, str], ...]
"""(from so many items on, backend), ascending, the first from 1 item on."""

_alone: dict[str, Stretches] = {}

_log = logging.getLogger(__name__)


class Choices:
    """The file of this machine.

    It does not depend on threads, which divide the work of every CPU backend alike.

    Args:
        folder: where it lies; under the cache root if None.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._machine = _machine()
        name = hashlib.sha256(json.dumps(self._machine).encode()).hexdigest()[:16]
        self.path = (folder or cache_root() / "calibration") / f"choices-{name}.json"

    def load(self) -> dict[str, Stretches]:
        """Operation → stretches; empty if nothing usable is stored."""
        try:
            text = self.path.read_bytes()
            if _depth(text) > MOST_DEEP:
                raise ValueError("nested too deeply")
            found = json.loads(text)
            if found["format"] != FORMAT or found["machine"] != self._machine:
                raise ValueError("another machine or format wrote it")
            return {operation: _checked(rows) for operation, rows in found["operations"].items()}
        except FileNotFoundError:
            return {}
        except OSError as error:
            self._tell(f"cannot be read: {error.strerror or error}")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self._tell(f"is not used: {error or type(error).__name__}")
        return {}

    def save(self, found: Mapping[str, Stretches]) -> None:
        """Add these to what is stored. What cannot be kept is measured again when somebody asks: no error."""
        merged = self.load() | dict(found)
        text = json.dumps({"format": FORMAT, "machine": self._machine, "operations": merged}, indent=1)
        try:
            write_whole(self.path, text.encode())
        except OSError as error:
            self._tell(f"cannot be written: {error.strerror or error}")

    def _tell(self, what: str) -> None:
        _log.warning("file of measured backends %s %s", self.path, what)


def _depth(text: bytes) -> int:
    """How deep lists and objects are nested, brackets in strings counted too."""
    depth = most = 0
    for bracket in re.findall(rb"[\[\]{}]", text):
        depth += 1 if bracket in b"[{" else -1
        most = max(most, depth)
    return most


def _checked(rows: Any) -> Stretches:
    """Stretches as they were stored.

    Raises:
        ValueError, TypeError: they are none.
    """
    stretches = tuple((start, name) for start, name in rows)
    starts = [start for start, _ in stretches]
    if not all(type(start) is int for start in starts) or not all(type(name) is str for _, name in stretches):
        raise ValueError("no numbers of items with names of backends")
    if starts[:1] != [1] or any(after <= before for before, after in pairwise(starts)):
        raise ValueError("numbers of items that do not ascend from 1")
    return stretches


def _machine() -> list[str]:
    """What measurements depend on: the processor, what of it may be used, and the sources."""
    from supervm.kernels import CACHE_FOLDER
    from supervm.kernels.cpu.backends import CPU_BACKENDS
    from supervm.kernels.cpu.lanes.features import cpu_features

    found = cpu_features()
    usable = [each.name for each in CPU_BACKENDS if not each.unavailable()]
    return [found.name, *sorted(found.features), *usable, f"sha {found.sha}", CACHE_FOLDER.name]


@functools.cache
def _stored() -> dict[str, Stretches]:
    """Read once per process."""
    return Choices().load()


def alone_in_one_lane(operation: str) -> None:
    """As long as nothing is measured, take one lane for one item of this operation, and the best backend from two on.

    One lane was faster than lanes for one signature on every processor so far: 50 to 55 microseconds beside 58 to 71 in
    eight lanes of AVX-512.
    """
    _alone[operation] = ((1, "scalar"), (2, ""))


def fastest(operation: str, items: int) -> str:
    """The backend that was measured to be the fastest for so many items; '' for the best one, as long as nothing was."""
    name = ""
    for start, following in _stored().get(operation) or _alone.get(operation, ()):
        if items < start:
            break
        name = following
    return name
