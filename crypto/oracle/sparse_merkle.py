# SPDX-License-Identifier: GPL-3.0-or-later
"""The sparse Merkle tree of 256 levels by its definition, and the check of its proofs.

path = H(key), leaf = H(`00` ‖ path ‖ H(value)), node = H(`01` ‖ left ‖ right); an empty subtree is 32 zero bytes and a
subtree with one leaf is that leaf.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from supervm.crypto.oracle.hashes import keccak256, sha256


@dataclass(frozen=True)
class Hash:
    """A hash function as the tree uses it; rows and paths are 32 bytes.

    Args:
        path: of a key.
        value: the row of a value.
        leaf: the row over a path and a value's row.
        node: the row over a left and a right one.
        is_path, is_row: whether 32 bytes can be one.
    """

    path: Callable[[bytes], bytes]
    value: Callable[[bytes], bytes]
    leaf: Callable[[bytes, bytes], bytes]
    node: Callable[[bytes, bytes], bytes]
    is_path: Callable[[bytes], bool] = lambda path: True
    is_row: Callable[[bytes], bool] = lambda row: True


def over_bytes(h: Callable[[bytes], bytes]) -> Hash:
    """The tree of a hash function with 32 bytes of digest."""
    return Hash(
        path=h,
        value=h,
        leaf=lambda path, hashed: h(b"\x00" + path + hashed),
        node=lambda left, right: h(b"\x01" + left + right),
    )


HASHES: dict[str, Hash] = {"sha256": over_bytes(sha256), "keccak256": over_bytes(keccak256)}
"""The functions that a tree may be made with."""

EMPTY = bytes(32)


def root(mapping: Mapping[bytes, bytes], hash: str = "sha256") -> bytes:
    """The root over keys and values: 32 bytes."""
    h = HASHES[hash]
    return root_of_paths({h.path(key): value for key, value in mapping.items()}, hash)


def root_of_paths(mapping: Mapping[bytes, bytes], hash: str = "sha256") -> bytes:
    """The root over paths (32 bytes each) and values."""
    h = HASHES[hash]
    return _subtree([(path, h.leaf(path, h.value(value))) for path, value in mapping.items()], 0, h)


def verify(root: bytes, key: bytes, value: bytes | None, proof: bytes, hash: str = "sha256") -> bool:
    """Whether an encoded proof shows that `key` has `value`, or, if that is None, that it has none.

    The encoding is described in `supervm.crypto.sparse_merkle_proof`.
    """
    h = HASHES[hash]
    path = h.path(key)
    if len(proof) < 36 or proof[0] != 1 or proof[4:36] != path:
        return False
    kind, depth = proof[1], int.from_bytes(proof[2:4], "big")
    if depth > 256 or (kind != 0 if value is not None else kind not in (1, 2)):
        return False
    taken = 36 + (depth + 7) // 8
    bitmap, rest = proof[36:taken], proof[taken:]
    if len(bitmap) != (depth + 7) // 8 or len(rest) % 32:
        return False
    rows = [rest[place : place + 32] for place in range(0, len(rest), 32)]
    siblings = []
    for level in range(8 * len(bitmap)):
        full = _bit(bitmap, level)
        if full and (level >= depth or not rows or rows[0] == EMPTY):
            return False
        if level < depth:
            siblings.append(rows.pop(0) if full else EMPTY)
    if (depth and siblings[-1] == EMPTY) or len(rows) != (2 if kind == 2 else 0):
        return False
    if not all(h.is_row(row) for row in siblings):
        return False
    if kind == 2:
        other, hashed = rows
        if not h.is_path(other) or not h.is_row(hashed):
            return False
        if other == path or any(_bit(other, level) != _bit(path, level) for level in range(depth)):
            return False
        node = h.leaf(other, hashed)
    else:
        node = EMPTY if value is None else h.leaf(path, h.value(value))
    for level in reversed(range(depth)):
        node = h.node(*((siblings[level], node) if _bit(path, level) else (node, siblings[level])))
    return node == root


def _subtree(leaves: list[tuple[bytes, bytes]], level: int, h: Hash) -> bytes:
    """The hash over pairs of path and leaf hash that agree in their first `level` bits."""
    if not leaves:
        return EMPTY
    if len(leaves) == 1:
        return leaves[0][1]
    sides: tuple[list[tuple[bytes, bytes]], list[tuple[bytes, bytes]]] = ([], [])
    for pair in leaves:
        sides[_bit(pair[0], level)].append(pair)
    left, right = (_subtree(side, level + 1, h) for side in sides)
    return h.node(left, right)


def _bit(row: bytes, place: int) -> int:
    """A bit of a row, from the uppermost of its first byte."""
    return row[place // 8] >> (7 - place % 8) & 1
