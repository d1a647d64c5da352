# SPDX-License-Identifier: GPL-3.0-or-later
"""The state root by the rules: a sparse tree of 256 levels, built by dividing the leaves in two again and again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

from Crypto.Hash import keccak

Hash = Callable[[bytes], bytes]
EMPTY = bytes(32)
LEVELS = 256


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def keccak256(data: bytes) -> bytes:
    return keccak.new(digest_bits=256, data=data).digest()


HASHES: dict[str, Hash] = {"sha256": sha256, "keccak256": keccak256}


def bit(path: bytes, level: int) -> int:
    """The direction at a level counted from the root: 0 left, 1 right; the first bit is the highest."""
    return path[level // 8] >> (7 - level % 8) & 1


def leaf_of(path: bytes, value: bytes, h: Hash) -> bytes:
    return h(b"\x00" + path + h(value))


def node_of(left: bytes, right: bytes, h: Hash) -> bytes:
    return h(b"\x01" + left + right)


def root(state: Mapping[bytes, bytes], hash_name: str = "sha256") -> bytes:
    """The root of a state: 32 bytes, zeros where it is empty."""
    h = HASHES[hash_name]
    return _subtree(_leaves(state, h), 0, h)


def _leaves(state: Mapping[bytes, bytes], h: Hash) -> list[tuple[bytes, bytes]]:
    """(path, leaf) of every key."""
    return [(h(key), leaf_of(h(key), value, h)) for key, value in state.items()]


def _subtree(leaves: Sequence[tuple[bytes, bytes]], level: int, h: Hash) -> bytes:
    if not leaves:
        return EMPTY
    if len(leaves) == 1:
        return leaves[0][1]
    halves = [[leaf for leaf in leaves if bit(leaf[0], level) == side] for side in (0, 1)]
    return node_of(_subtree(halves[0], level + 1, h), _subtree(halves[1], level + 1, h), h)


def siblings(state: Mapping[bytes, bytes], key: bytes, hash_name: str = "sha256") -> list[bytes]:
    """The subtrees beside the way from the root to the key's place, from the root down.

    The way ends at the first subtree with at most one leaf.
    """
    h = HASHES[hash_name]
    path, here = h(key), _leaves(state, h)
    beside: list[bytes] = []
    while len(here) > 1:
        level = len(beside)
        other = [leaf for leaf in here if bit(leaf[0], level) != bit(path, level)]
        here = [leaf for leaf in here if bit(leaf[0], level) == bit(path, level)]
        beside.append(_subtree(other, level + 1, h))
    return beside


def other_leaf(
    state: Mapping[bytes, bytes], key: bytes, hash_name: str = "sha256"
) -> tuple[bytes, bytes] | None:
    """(path, H(value)) of the one leaf in the subtree where an absent key's way ends; None where it is empty."""
    h = HASHES[hash_name]
    depth, path = len(siblings(state, key, hash_name)), h(key)
    for other, value in state.items():
        if all(bit(h(other), level) == bit(path, level) for level in range(depth)):
            return h(other), h(value)
    return None


def _climb(node: bytes, path: bytes, beside: Sequence[bytes], h: Hash) -> bytes:
    for level in reversed(range(len(beside))):
        sides = (beside[level], node) if bit(path, level) else (node, beside[level])
        node = node_of(*sides, h)
    return node


def includes(
    tree_root: bytes, key: bytes, value: bytes, beside: Sequence[bytes], hash_name: str = "sha256"
) -> bool:
    """Whether the siblings, from the root down, prove that the key has this value."""
    h = HASHES[hash_name]
    path = h(key)
    return len(beside) <= LEVELS and _climb(leaf_of(path, value, h), path, beside, h) == tree_root


def excludes(
    tree_root: bytes,
    key: bytes,
    beside: Sequence[bytes],
    other: tuple[bytes, bytes] | None = None,
    hash_name: str = "sha256",
) -> bool:
    """Whether the siblings prove that the key is absent: its place is empty, or another key's leaf stands there.

    Args:
        other: (path, H(value)) of the leaf that stands there.
    """
    h = HASHES[hash_name]
    path, node = h(key), EMPTY
    if other is not None:
        same = all(bit(other[0], level) == bit(path, level) for level in range(min(len(beside), LEVELS)))
        if other[0] == path or not same:
            return False
        node = h(b"\x00" + other[0] + other[1])
    return len(beside) <= LEVELS and _climb(node, path, beside, h) == tree_root
