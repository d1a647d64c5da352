# SPDX-License-Identifier: GPL-3.0-or-later
"""The sparse Merkle tree of 256 levels by its definition, and the check of its proofs.

path = H(key), leaf = H(`00` ‖ path ‖ H(value)), node = H(`01` ‖ left ‖ right); an empty subtree is 32 zero bytes and a
subtree with one leaf is that leaf.

With Poseidon every row is a field element, as 32 bytes with the least significant first, and Pₖ hashes k elements (one
permutation of width k + 1). A byte string m becomes an element E(m): it is cut into numbers c₀, c₁, … of 31 bytes each,
the least significant first, of which the last may be shorter; h₀ is the length of m in bytes, hᵢ₊₁ = P₄(hᵢ, c₃ᵢ, c₃ᵢ₊₁,
c₃ᵢ₊₂) with zeros behind the last number, and E(m) is the last h, at least h₁. Length and numbers give m back, so
different strings are different inputs. Level i of the tree asks for bit i of E(key), from the least significant one: the
path is E(key) with the bits of each byte turned round. leaf = P₃(E(key), E(value), 1), node = P₂(left, right), an empty
subtree is 0: over E(key) and E(value) this is the tree of circomlib's `smt`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from supervm.crypto.oracle.hashes import keccak256, sha256
from supervm.crypto.oracle.poseidon import compress
from supervm.crypto.params.poseidon import FIELDS, poseidon


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


def over_field(curve: str) -> Hash:
    """The tree of Poseidon over the scalars of a curve."""
    modulus = FIELDS[curve].modulus

    def hashed(*inputs: int) -> int:
        return compress(poseidon(curve, len(inputs) + 1), inputs)

    def text(message: bytes) -> int:
        numbers = [_number(message[place : place + 31]) for place in range(0, len(message), 31)] or [0]
        numbers += [0] * (-len(numbers) % 3)
        state = len(message)
        for place in range(0, len(numbers), 3):
            state = hashed(state, *numbers[place : place + 3])
        return state

    return Hash(
        path=lambda key: _turned(_row(text(key))),
        value=lambda value: _row(text(value)),
        leaf=lambda path, value: _row(hashed(_number(_turned(path)), _number(value), 1)),
        node=lambda left, right: _row(hashed(_number(left), _number(right))),
        is_path=lambda path: _number(_turned(path)) < modulus,
        is_row=lambda row: _number(row) < modulus,
    )


def _number(row: bytes) -> int:
    return int.from_bytes(row, "little")


def _row(element: int) -> bytes:
    return element.to_bytes(32, "little")


def _turned(row: bytes) -> bytes:
    """The bits of each byte in the other order."""
    return bytes(int(f"{byte:08b}"[::-1], 2) for byte in row)


HASHES: dict[str, Hash] = {
    "sha256": over_bytes(sha256),
    "keccak256": over_bytes(keccak256),
    "poseidon_bn254": over_field("bn254"),
    "poseidon_bls12_381": over_field("bls12_381"),
}
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
