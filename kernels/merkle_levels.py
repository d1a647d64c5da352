# SPDX-License-Identifier: GPL-3.0-or-later
"""The levels of a Merkle tree of any arity: how many rows they have, and how rows are computed from those below.

Level 0 holds a row of 32 bytes for each leaf, level k + 1 one for each `arity` rows of level k, up to a level of one row.
Rows that are missing from the last group of a level are rows of that level's empty subtree.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from supervm.kernels.array_types import Array
from supervm.kernels.arrays import borrow
from supervm.kernels.threads import get_threads, run_slices

Rows = npt.NDArray[np.uint64]

WORDS = 4
"""64-bit words of a row."""

_BLOCK_ROWS = 1 << 14
"""Most leaves whose lower levels are computed one after the other: they stay in the second-level cache."""

_BLOCK_TOP = 64
"""Fewest rows of a block's uppermost level: lanes are full, and a call of a kernel is worth it."""


class Compressor(Protocol):
    """A hash function as a tree uses it, on this processor.

    Args:
        group: rows that lanes take at once; slices are multiples of it.
        grain: most rows of a slice.
    """

    group: int
    grain: int

    def leaves(self, data: Array, out: Rows, target: int, start: int, stop: int) -> None:
        """Rows of leaves `start` to `stop`; that of leaf i goes to row `target` + i of `out`."""

    def nodes(self, level: Rows, arity: int, out: Rows, target: int, start: int, stop: int) -> None:
        """Rows of groups `start` to `stop` of a level; that of group i goes to row `target` + i of `out`."""


@dataclass(frozen=True, eq=False)
class Growth:
    """Leaves that are put behind those of a tree, and the rows that change: what a backend of a tree's operation is given.

    A level is given from the beginning of its first group that changes, so that groups are whole; the rows before
    `starts[k]` are there already, the others are written, and so is the padding of the last group.

    Args:
        leaves: (m, width), uint8, or uint64 field elements; None: the lowest level is there, and the others are written.
        levels: uint64 (rows, WORDS) each, contiguous, from tree level `lowest` on; at least `ends[k]` rows, and whole groups
            but for the last one of them.
        starts, ends: int for each level.
        arity: children of a node.
        empty: uint64 (lowest + levels, WORDS), the row of an empty subtree of each level of the tree.
        lowest: if it is above 0, lower levels are not kept, and `starts` are 0.
        dedicated: whether the processor's own instructions for a hash function may be used.
    """

    leaves: Array | None
    levels: tuple[Rows, ...]
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    arity: int
    empty: Rows
    lowest: int = 0
    dedicated: bool = False

    @property
    def steps(self) -> int:
        """Levels that are computed from the one below them."""
        return len(self.levels) - 1

    def subtree_leaves(self) -> int:
        """Leaves below a row of the lowest level that is kept."""
        return int(self.arity**self.lowest)

    def pad(self) -> None:
        """Fill the last group of each level."""
        for level in range(self.steps):
            end = self.ends[level]
            self.levels[level][end : padded(end, self.arity)] = self.empty[self.lowest + level]

    def groups(self, children: Rows) -> Growth:
        """The growth that computes the parents of m groups, uint64 (m, arity, WORDS), with the same function.

        Only `levels[1]` of it, uint64 (m, WORDS), is written.
        """
        count = len(children)
        level = children.reshape(-1, WORDS)
        parents = np.empty((count, WORDS), np.uint64)
        return replace(
            self,
            leaves=None,
            levels=(level, parents),
            starts=(len(level), 0),
            ends=(len(level), count),
            empty=self.empty[:2] if len(self.empty) > 1 else np.repeat(self.empty, 2, axis=0),
            lowest=0,
        )


def padded(rows: int, arity: int) -> int:
    """Rows of whole groups."""
    return -(-rows // arity) * arity


def least_depth(size: int, arity: int) -> int:
    """Levels above the leaves that this many leaves need."""
    return next(depth for depth in itertools.count() if arity**depth >= size)


def level_sizes(size: int, arity: int, depth: int) -> tuple[int, ...]:
    """Rows of levels 0 to `depth`."""
    return tuple(-(-size // arity**level) for level in range(depth + 1))


def fresh(
    leaves: Array, arity: int, depth: int, empty: Rows, lowest: int = 0, dedicated: bool = False
) -> Growth:
    """The growth of a tree from nothing, with levels of its own."""
    ends = level_sizes(len(leaves), arity, depth)[lowest:]
    sizes = [*(padded(end, arity) for end in ends[:-1]), ends[-1]]
    levels = tuple(np.empty((size, WORDS), np.uint64) for size in sizes)
    return Growth(leaves, levels, (0,) * len(ends), ends, arity, empty, lowest, dedicated)


def grow(compressor: Compressor, growth: Growth) -> None:
    """Compute a growth on this processor; several threads share the rows of a level, or subtrees."""
    growth.pad()
    done = 0
    if growth.lowest:
        _hash_subtrees(compressor, growth)
    elif growth.leaves is not None:
        done = _hash_leaves(compressor, growth)
    for step in range(done, growth.steps):
        level, above = growth.levels[step : step + 2]
        target, groups = growth.starts[step + 1], padded(growth.ends[step], growth.arity) // growth.arity

        def work(
            start: int, stop: int, level: Rows = level, above: Rows = above, target: int = target
        ) -> None:
            compressor.nodes(level, growth.arity, above, target, start, stop)

        run_slices(work, groups, _share(groups, compressor))


def _hash_leaves(compressor: Compressor, growth: Growth) -> int:
    """The lowest level, and some above it, block by block; up to which level."""
    leaves, arity = growth.leaves, growth.arity
    assert leaves is not None
    data, levels, base = borrow(leaves), growth.levels, growth.starts[0]
    height, steps = (0, 0) if any(growth.starts) else _block(len(leaves), growth)
    size = arity**height if steps else _share(len(leaves), compressor)

    def work(start: int, stop: int) -> None:
        compressor.leaves(data, levels[0], base, start, stop)
        for step in range(steps):
            start, stop = start // arity, -(-stop // arity)
            compressor.nodes(levels[step], arity, levels[step + 1], 0, start, stop)

    run_slices(work, len(leaves), size)
    return steps


def _block(leaves: int, growth: Growth) -> tuple[int, int]:
    """The height of a block's subtree, and the levels above the leaves that are computed block by block."""
    most = _BLOCK_ROWS if get_threads() == 1 else min(_BLOCK_ROWS, leaves // (4 * get_threads()))
    height = 0
    while growth.arity ** (height + 1) <= most:
        height += 1
    steps = height
    while steps and growth.arity ** (height - steps) < _BLOCK_TOP:
        steps -= 1
    return height, min(steps, growth.steps)


def _hash_subtrees(compressor: Compressor, growth: Growth) -> None:
    """The lowest level that is kept: each row over a subtree that is not."""
    leaves, arity, size = growth.leaves, growth.arity, growth.subtree_leaves()
    assert leaves is not None
    data, out = borrow(leaves), growth.levels[0]

    def work(start: int, stop: int) -> None:
        scratch = [np.empty((arity**level, WORDS), np.uint64) for level in range(growth.lowest, 0, -1)]
        scratch.append(out)
        for row in range(start, stop):
            first, last = row * size, min((row + 1) * size, len(data))
            compressor.leaves(data, scratch[0], -first, first, last)
            count = last - first
            for level in range(growth.lowest):
                groups = -(-count // arity)
                scratch[level][count : groups * arity] = growth.empty[level]
                target = row if level == growth.lowest - 1 else 0
                compressor.nodes(scratch[level], arity, scratch[level + 1], target, 0, groups)
                count = groups

    run_slices(work, growth.ends[0], max(1, _share(len(data), compressor) // size))


def _share(rows: int, compressor: Compressor) -> int:
    """Rows of a slice: whole groups of lanes, and four slices for each thread if there is enough to do."""
    most = compressor.grain if get_threads() == 1 else min(compressor.grain, -(-rows // (4 * get_threads())))
    return max(1, padded(most, compressor.group))


Backend = Callable[[Growth], None]
"""What a backend of a tree's operation is: it computes a growth."""
