# SPDX-License-Identifier: GPL-3.0-or-later
"""One adapter for each library that SuperVM is measured against.

An adapter turns a workload into the library's own objects, outside the timed part, and returns the loop that
is timed: keys and signatures are parsed beforehand wherever the library lets a caller keep the parsed form,
which favours the peer. The loop is Python and its cost is inside the peer's figure
(`measure.loop_overhead_ns`).
"""

import importlib.metadata
from collections.abc import Callable, Sequence

from supervm.benchmarks.errors import PeerMissing


def version(distribution: str) -> str:
    """The installed version of a package.

    Raises:
        PeerMissing: it is not installed.
    """
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        raise PeerMissing(distribution) from None


def tree_of(leaves: Sequence[bytes], digest: Callable[[bytes], bytes]) -> Callable[[], list[bytes]]:
    """A loop that makes the root of a binary tree as `supervm.crypto.merkle` defines it, level by level."""

    def run() -> list[bytes]:
        level = [digest(b"\0" + leaf) for leaf in leaves]
        while len(level) > 1:
            if len(level) % 2:
                level.append(bytes(32))
            level = [digest(b"\1" + level[at] + level[at + 1]) for at in range(0, len(level), 2)]
        return level

    return run
