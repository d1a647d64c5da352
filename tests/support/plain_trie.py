# SPDX-License-Identifier: GPL-3.0-or-later
"""A Merkle Patricia trie in plain Python, written from the Yellow Paper's appendix D and as slow as it is short."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import rlp
from Crypto.Hash import keccak

Pairs = list[tuple[tuple[int, ...], bytes]]


def keccak256(data: bytes) -> bytes:
    return keccak.new(data=data, digest_bits=256).digest()


def nibbles_of(key: bytes) -> tuple[int, ...]:
    return tuple(half for byte in key for half in (byte >> 4, byte & 15))


def hex_prefixed(path: tuple[int, ...], leaf: bool) -> bytes:
    flags = 2 * leaf + len(path) % 2
    padded = (flags, *(() if len(path) % 2 else (0,)), *path)
    return bytes(16 * high + low for high, low in zip(padded[::2], padded[1::2], strict=True))


class PlainTrie:
    """The trie of a map.

    Attributes:
        root: its hash.
        nodes: every node that is referred to by its hash, and the root, by hash.
        places: the hash of each of those by its path.
    """

    def __init__(self, items: Mapping[bytes, bytes]) -> None:
        self.nodes: dict[bytes, bytes] = {}
        self.places: dict[tuple[int, ...], bytes] = {}
        encoded = rlp.encode(self._node([(nibbles_of(key), value) for key, value in items.items()], ()))
        self.root = keccak256(encoded)
        self.nodes[self.root] = encoded
        self.places[()] = self.root

    def _node(self, pairs: Pairs, place: tuple[int, ...]) -> Any:
        if not pairs:
            return b""
        if len(pairs) == 1:
            return [hex_prefixed(pairs[0][0], True), pairs[0][1]]
        shared = 0
        first = pairs[0][0]
        while all(path[shared] == first[shared] for path, _ in pairs):
            shared += 1
        if shared:
            below = [(path[shared:], value) for path, value in pairs]
            return [hex_prefixed(first[:shared], False), self._reference(below, (*place, *first[:shared]))]
        return [
            self._reference(
                [(path[1:], value) for path, value in pairs if path[0] == nibble], (*place, nibble)
            )
            for nibble in range(16)
        ] + [b""]

    def _reference(self, pairs: Pairs, place: tuple[int, ...]) -> Any:
        node = self._node(pairs, place)
        encoded = rlp.encode(node)
        if len(encoded) < 32:
            return node
        digest = keccak256(encoded)
        self.nodes[digest] = encoded
        self.places[place] = digest
        return digest

    def way(self, keys: Iterable[bytes]) -> set[bytes]:
        """The hashes of the nodes on the way to keys, whether they are there or not."""
        paths = [nibbles_of(key) for key in keys]
        return {
            digest
            for place, digest in self.places.items()
            if any(path[: len(place)] == place for path in paths)
        }
