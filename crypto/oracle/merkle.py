# SPDX-License-Identifier: GPL-3.0-or-later
"""Merkle trees of any arity by their definition, and the check of their proofs.

Hash functions over bytes, SHA-256 and Keccak-256: a leaf is H(`00` ‖ data), a node H(`01` ‖ its children), an empty subtree
32 zero bytes. Poseidon: a leaf is the field element that it is, a node Poseidon of its children, with as many inputs as a
node has children; a missing leaf is 0, and an empty subtree the node over empty subtrees.

n leaves stand in the first n places of `arity`^depth; without a depth that is asked for it is the least one that has room.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from supervm.crypto.oracle.hashes import keccak256, sha256
from supervm.crypto.oracle.poseidon import compress
from supervm.crypto.params.poseidon import FIELDS, poseidon

Row = Any
"""What stands in a node: 32 bytes, or a field element as an integer."""


@dataclass(frozen=True)
class TreeHash:
    """A hash function as trees use it.

    Args:
        leaf: the row of a leaf.
        node: the row over children.
        missing: the row of a missing leaf.
        empty_is_missing: whether a subtree without leaves has that row at every level; else it is computed.
        valid: whether something may be a leaf's value or a row.
    """

    leaf: Callable[[Any], Row]
    node: Callable[[Sequence[Row]], Row]
    missing: Row
    empty_is_missing: bool
    valid: Callable[[Any], bool]


def over_bytes(h: Callable[[bytes], bytes]) -> TreeHash:
    """Trees of a hash function with 32 bytes of digest."""
    return TreeHash(
        leaf=lambda data: h(b"\x00" + data),
        node=lambda children: h(b"\x01" + b"".join(children)),
        missing=bytes(32),
        empty_is_missing=True,
        valid=lambda row: True,
    )


def over_field(curve: str) -> TreeHash:
    """Trees of Poseidon over the scalars of a curve; rows are integers."""
    return TreeHash(
        leaf=lambda element: element,
        node=lambda children: compress(poseidon(curve, len(children) + 1), children),
        missing=0,
        empty_is_missing=False,
        valid=lambda row: 0 <= row < FIELDS[curve].modulus,
    )


HASHES: dict[str, TreeHash] = {
    "sha256": over_bytes(sha256),
    "keccak256": over_bytes(keccak256),
    "poseidon_bn254": over_field("bn254"),
    "poseidon_bls12_381": over_field("bls12_381"),
}
"""The functions that a tree may be made with."""


def least_depth(size: int, arity: int) -> int:
    """The least depth that has room for `size` leaves."""
    depth = 0
    while arity**depth < size:
        depth += 1
    return depth


@functools.cache
def empty(hash: str, arity: int, level: int) -> Row:
    """The row of a subtree of `level` levels without leaves."""
    h = HASHES[hash]
    if h.empty_is_missing or not level:
        return h.missing
    return h.node([empty(hash, arity, level - 1)] * arity)


def levels(leaves: Sequence[Any], hash: str, arity: int = 2, depth: int | None = None) -> list[list[Row]]:
    """The rows of every level over leaves, those of empty subtrees left out; the last level has one row, or none."""
    h = HASHES[hash]
    top = least_depth(len(leaves), arity) if depth is None else depth
    found = [[h.leaf(leaf) for leaf in leaves]]
    for level in range(top):
        below = found[-1] + [empty(hash, arity, level)] * (-len(found[-1]) % arity)
        found.append([h.node(below[place : place + arity]) for place in range(0, len(below), arity)])
    return found


def root(leaves: Sequence[Any], hash: str, arity: int = 2, depth: int | None = None) -> Row:
    """The root."""
    found = levels(leaves, hash, arity, depth)
    return found[-1][0] if leaves else empty(hash, arity, len(found) - 1)


def prove(
    leaves: Sequence[Any], index: int, hash: str, arity: int = 2, depth: int | None = None
) -> list[list[Row]]:
    """The siblings of a leaf and of the nodes above it, from the leaf up, each level's in ascending order."""
    siblings = []
    for level, rows in enumerate(levels(leaves, hash, arity, depth)[:-1]):
        first = index // arity * arity
        group = (rows + [empty(hash, arity, level)] * arity)[first : first + arity]
        siblings.append([row for place, row in enumerate(group) if first + place != index])
        index //= arity
    return siblings


def verify(
    root: Row,
    leaf: Any,
    index: int,
    siblings: Sequence[Sequence[Row]],
    hash: str,
    arity: int,
    size: int,
    depth: int,
) -> int:
    """Whether the tree of `size` leaves with this root and depth has a leaf at `index`: 1 yes, 0 no, −1 malformed.

    Malformed: an index that is not below `size`, other than `depth` times `arity` − 1 siblings, a leaf or sibling that is
    no value of the hash function.
    """
    h = HASHES[hash]
    if not 0 <= index < size or len(siblings) != depth or any(len(row) != arity - 1 for row in siblings):
        return -1
    if not all(h.valid(value) for value in [leaf, *(row for level in siblings for row in level)]):
        return -1
    node = h.leaf(leaf)
    for level in siblings:
        place = index % arity
        node = h.node([*level[:place], node, *level[place:]])
        index //= arity
    return int(node == root)
