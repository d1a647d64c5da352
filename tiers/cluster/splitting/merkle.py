# SPDX-License-Identifier: GPL-3.0-or-later
"""Merkle trees by subtrees: nodes hash subtrees of up to 4,096 leaves, whoever asked hashes what is above them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from supervm.crypto import merkle_hashes
from supervm.crypto.merkle import Tree
from supervm.crypto.merkle_hashes import TreeHash, may_be_dedicated
from supervm.crypto.merkle_proof import Root, checked_arity, checked_depth
from supervm.crypto.merkle_work import Build
from supervm.engine.scheduler.tasks import TaskType
from supervm.kernels import registry
from supervm.kernels.array_types import Array
from supervm.kernels.errors import ArgumentError
from supervm.kernels.merkle_levels import WORDS, Growth, Rows, fresh, least_depth, level_sizes, padded
from supervm.tiers.cluster.splitting.parts import Runner, cuts, in_order
from supervm.tiers.cluster.task import Columns, Options, Task

TASK = "merkle.subtrees"

SUBTREE_LEAVES = 1 << 12
"""Most leaves of a subtree: its rows stay in the second-level cache, and the rows above it are few."""

PART_LEAVES = 1 << 18
"""About as many leaves has a part."""


@dataclass(frozen=True)
class _Shape:
    """A tree that is to be computed.

    Args:
        tree_hash, arity, size, depth: of the tree.
        height: levels of a subtree.
    """

    tree_hash: TreeHash
    arity: int
    size: int
    depth: int
    height: int

    def part_leaves(self, wanted: int) -> int:
        """About `wanted` leaves, in whole subtrees."""
        leaves = int(self.arity**self.height)
        return max(1, wanted // leaves) * leaves


def root(
    run: Runner,
    leaves: Array,
    hash: str,
    arity: int = 2,
    *,
    depth: int | None = None,
    part_leaves: int = PART_LEAVES,
) -> Root:
    """As `supervm.crypto.merkle.root`, by a runner.

    Args:
        run: does the parts.
        part_leaves: about how many leaves a part has.
    """
    shape, data = _shape_of(leaves, hash, arity, depth)
    row = shape.tree_hash.empty(arity, shape.depth)[shape.depth]
    if shape.size:
        rows = [answer[0] for answer in _answers(run, shape, data, part_leaves, keep=False)]
        row = _upper(shape, np.concatenate(rows))[-1][0]
    return Root(hash, shape.arity, shape.size, shape.depth, shape.tree_hash.shown(row.copy()))


def build(
    run: Runner,
    leaves: Array,
    hash: str,
    arity: int = 2,
    *,
    depth: int | None = None,
    part_leaves: int = PART_LEAVES,
) -> Tree:
    """As `supervm.crypto.merkle.build`, by a runner; arguments as `root`. All rows of the tree come back."""
    shape, data = _shape_of(leaves, hash, arity, depth)
    sizes = level_sizes(shape.size, shape.arity, shape.depth)
    answers = _answers(run, shape, data, part_leaves, keep=True)
    lower = []
    for level in range(shape.height):
        rows = np.empty((padded(sizes[level], shape.arity), WORDS), np.uint64)
        np.concatenate([answer[level] for answer in answers], out=rows[: sizes[level]])
        lower.append(rows)
    tops = [np.empty((0, WORDS), np.uint64), *(answer[shape.height] for answer in answers)]
    levels = (*lower, *_upper(shape, np.concatenate(tops)))
    empty = shape.tree_hash.empty(shape.arity, shape.depth)
    growth = Growth(None, levels, (0,) * len(levels), sizes, shape.arity, empty)
    growth.pad()
    return Tree(growth, shape.tree_hash, depth is not None, "auto")


def _shape_of(leaves: Array, hash: str, arity: int, depth: int | None) -> tuple[_Shape, Array]:
    tree_hash = merkle_hashes.get(hash)
    arity = checked_arity(arity)
    data = tree_hash.canonical(tree_hash.leaves(leaves))
    if not isinstance(data, np.ndarray):
        raise ArgumentError("leaves", "an array on a GPU", "a NumPy array: leaves are sent to nodes")
    least = checked_depth(least_depth(len(data), arity), arity)
    levels = least if depth is None else checked_depth(depth, arity)
    if levels < least:
        raise ArgumentError("depth", repr(depth), f"{least} at least, for {len(data)} leaves")
    height = 0
    while height < levels and arity ** (height + 1) <= SUBTREE_LEAVES:
        height += 1
    return _Shape(tree_hash, arity, len(data), levels, height), data


def _answers(run: Runner, shape: _Shape, data: Array, wanted: int, *, keep: bool) -> list[Columns]:
    options = {"hash": shape.tree_hash.name, "arity": shape.arity, "height": shape.height, "keep": keep}
    parts = ((data[start:stop],) for start, stop in cuts(shape.size, shape.part_leaves(wanted)))
    return in_order(run.run(TASK, parts, options))


def _upper(shape: _Shape, rows: Rows) -> tuple[Rows, ...]:
    """The levels from that of the subtrees' roots to the root."""
    sizes = level_sizes(shape.size, shape.arity, shape.depth)[shape.height :]
    levels = [np.empty((padded(size, shape.arity), WORDS), np.uint64) for size in sizes[:-1]]
    levels.append(np.empty((sizes[-1], WORDS), np.uint64))
    levels[0][: len(rows)] = rows
    empty = shape.tree_hash.empty(shape.arity, shape.depth)[shape.height :]
    starts = (len(rows), *(0 for _ in sizes[1:]))
    growth = Growth(None, tuple(levels), starts, sizes, shape.arity, empty)
    if growth.steps and shape.size:
        registry.resolve(shape.tree_hash.operation).function(growth)
    return growth.levels


def _growth(columns: Columns, options: Options) -> tuple[TreeHash, Growth]:
    """What a part computes: the roots of its subtrees, and with `keep` the levels below them."""
    tree_hash = merkle_hashes.get(options["hash"])
    arity = checked_arity(options["arity"])
    height = checked_depth(options["height"], arity)
    data = tree_hash.canonical(tree_hash.leaves(columns[0]))
    lowest = 0 if options["keep"] else height
    empty = tree_hash.empty(arity, height)
    return tree_hash, fresh(data, arity, height, empty, lowest, may_be_dedicated(tree_hash, "auto"))


def _subtrees(columns: Columns, options: Options) -> Columns:
    tree_hash, growth = _growth(columns, options)
    registry.run(Build(tree_hash.operation, growth), "auto")
    return tuple(rows[:end] for rows, end in zip(growth.levels, growth.ends, strict=True))


def _right(columns: Columns, options: Options, answer: Columns, random: np.random.Generator) -> bool:
    """One random subtree, or where all levels are there one random path, is hashed again."""
    tree_hash, growth = _growth(columns, options)
    if len(answer) != len(growth.levels):
        return False
    for rows, end, found in zip(growth.levels, growth.ends, answer, strict=True):
        if found.dtype != np.uint64 or found.shape != (end, WORDS):
            return False
        rows[:end] = found
    function = registry.resolve(tree_hash.operation).function
    return not Build(tree_hash.operation, growth).mismatches(function, 0.0, random)


def _example(items: int) -> tuple[Columns, Options]:
    leaves = np.random.default_rng(0).integers(0, 256, (items, 32), np.uint8)
    return (leaves,), {"hash": "sha256", "arity": 2, "height": 12, "keep": False}


SUBTREES = Task(
    TASK,
    _subtrees,
    items=lambda columns: len(columns[0]),
    type=TaskType.MERKLE_BUILD,
    check=_right,
    example=_example,
)
"""Columns: leaves. Options: `hash`, `arity`, `height` of a subtree, `keep`, whether the levels below its root come back.
Answer: rows of each level that is kept, the lowest first, uint64 (rows, 4)."""
