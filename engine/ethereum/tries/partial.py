# SPDX-License-Identifier: GPL-3.0-or-later
"""Tries of which a witness gives some nodes: values that their roots prove, and their roots after changes.

A node is found by its hash, so that whatever it says is what the root commits to; nodes that no walk reaches change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from supervm.crypto import hashes
from supervm.crypto.messages import Messages
from supervm.engine.errors import MalformedNode, MissingNode, MissingNodes
from supervm.engine.ethereum.rlp import STRING
from supervm.engine.ethereum.tries.building import EMPTY_ROOT
from supervm.engine.ethereum.tries.nodes import (
    CHILDREN,
    CLOSED,
    HASH,
    HASHED,
    KEY_BYTES,
    KIND,
    REFERENCE_SIZE,
    VALUE,
    Nodes,
    hash_nodes,
    keccak,
    root_hashes,
)
from supervm.engine.ethereum.tries.opening import (
    BRANCHES_USED,
    LOOKED_UP,
    MALFORMED,
    MISSING,
    ROWS_USED,
    fill_table,
)
from supervm.engine.ethereum.tries.shortening import shortened
from supervm.engine.ethereum.tries.walking import (
    BRANCHES_PER_WALK,
    ROWS_PER_WALK,
    SIBLING,
    change,
    look_up,
)
from supervm.kernels.array_types import Bytes, Flags, Indices
from supervm.kernels.errors import ArgumentError

Places = npt.NDArray[np.int64]
"""Where values lie, int64 (k, 2): the first byte of each and how many it has."""

ADDRESS_BYTES = 20


class Values(NamedTuple):
    """What keys have: `present` bool (k,), and the values, of no bytes where there is none."""

    present: Flags
    values: Messages


class PartialTries:
    """The known nodes of any number of tries whose keys have 32 bytes.

    Args:
        nodes: encodings of nodes in any order; some may be needed by nobody.
        backend: where Keccak-256 runs.
    """

    def __init__(self, nodes: Messages, *, backend: str = "auto") -> None:
        self.backend = backend
        self._data = np.zeros(0, np.uint8)
        self._places = np.zeros((0, 2), np.int64)
        self._hashes = np.zeros((0, HASH), np.uint8)
        self._table = np.full(1, -1, np.int64)
        self._nodes = Nodes.empty(ROWS_PER_WALK + CHILDREN * len(nodes), BRANCHES_PER_WALK + len(nodes))
        self._used = np.array([1, 0], np.int64)
        self._roots = np.zeros(0, np.int64)
        self._owners = np.zeros((0, ADDRESS_BYTES), np.uint8)
        self.add(nodes)

    def add(self, nodes: Messages) -> None:
        """Make more nodes known."""
        if len(nodes):
            self._know(nodes, keccak(nodes, self.backend))

    def derive(self, wanted: Iterable[bytes]) -> int:
        """Look for nodes among those that are known with a longer path; how many were found, and are known now.

        Args:
            wanted: their hashes.
        """
        candidates = shortened(self._data, self._places)
        if not len(candidates):
            return 0
        digests = keccak(candidates, self.backend)
        whole = np.dtype((np.void, HASH))
        asked = np.frombuffer(b"".join(wanted), np.uint8).reshape(-1, HASH).view(whole)[:, 0]
        found = np.flatnonzero(np.isin(digests.view(whole)[:, 0], asked))
        self._know(candidates.take(found), digests[found])
        return len(found)

    def _know(self, nodes: Messages, digests: Bytes) -> None:
        places = np.stack([nodes.offsets[:-1] + len(self._data), np.diff(nodes.offsets)], axis=1)
        self._data = np.concatenate([self._data, nodes.data])
        self._places = np.concatenate([self._places, places])
        self._hashes = np.concatenate([self._hashes, digests])
        self._table = np.full(1 << (2 * len(self._hashes)).bit_length(), -1, np.int64)
        fill_table(self._hashes, self._table)

    def copy(self) -> PartialTries:
        """The same tries, to be changed apart from these."""
        made = object.__new__(PartialTries)
        made.__dict__.update(self.__dict__)
        made._nodes = self._nodes.grown(len(self._nodes.rows), len(self._nodes.children))
        made._used, made._roots = self._used.copy(), self._roots.copy()
        return made

    def open(self, roots: Bytes, owners: Bytes | None = None) -> Indices:
        """Numbers for tries by their roots, uint8 (t, 32); a root that is given twice is opened twice.

        Args:
            roots: where each trie begins.
            owners: uint8 (t, 20), the accounts whose storage the tries are, for errors; None: it is the state.
        """
        first = int(self._used[ROWS_USED])
        rows = np.arange(first, first + len(roots))
        self._grow(len(roots), 0)
        self._used[ROWS_USED] += len(roots)
        nodes = self._nodes
        nodes.rows[rows, KIND] = CLOSED
        nodes.rows[rows, VALUE] = LOOKED_UP
        nodes.rows[rows, REFERENCE_SIZE] = HASHED
        nodes.references[rows, 0] = STRING + HASH
        nodes.references[rows, 1:] = roots
        empty = (roots == np.frombuffer(EMPTY_ROOT, np.uint8)).all(axis=1)
        numbers = np.arange(len(self._roots), len(self._roots) + len(roots))
        self._roots = np.append(self._roots, np.where(empty, 0, rows))
        if owners is None:
            owners = np.zeros((len(roots), ADDRESS_BYTES), np.uint8)
        self._owners = np.concatenate([self._owners, owners])
        return numbers

    def get(self, tries: Indices, keys: Bytes) -> Values:
        """The values of keys, each proven by its trie's root, as is that there is none.

        Args:
            tries: int64 (k,), numbers that `open` gave.
            keys: uint8 (k, 32).

        Raises:
            MissingNodes: nodes are not known that lie on the way to keys.
            MalformedNode: the bytes that a root commits to are no node.
        """
        places = self._walk(look_up, tries, keys, np.zeros((len(tries), 2), np.int64))
        offsets = np.append(0, np.cumsum(places[:, 1]))
        data = np.empty(int(offsets[-1]), np.uint8)
        source = np.arange(len(data)) + np.repeat(places[:, 0] - offsets[:-1], places[:, 1])
        np.take(self._data, source, out=data)
        return Values(places[:, 1] > 0, Messages(data, offsets))

    def set(self, tries: Indices, keys: Bytes, values: Messages) -> None:
        """Give keys values; a value of no bytes takes its key away. No key stands twice for a trie.

        Keys that go are taken away after all others have their values: what stands beside them is then asked for only where
        it is left alone in its branch. Arguments and errors as `get`; an error leaves tries that are of no use.
        """
        sizes = np.diff(values.offsets)
        order = np.argsort(sizes == 0, kind="stable")
        places = np.stack([values.offsets[:-1] + len(self._data), sizes], axis=1)
        self._data = np.concatenate([self._data, values.data])
        self._walk(change, tries[order], keys[order], places[order])

    def roots(self, tries: Indices) -> Bytes:
        """The present root of each of these tries, uint8 (t, 32)."""
        rows = self._roots[tries]
        hash_nodes(self._nodes, rows, self._data, self.backend)
        return root_hashes(self._nodes, rows, self.backend)

    def _walk(self, kernel: Callable[..., int], tries: Indices, keys: Bytes, places: Places) -> Places:
        if keys.shape != (len(tries), KEY_BYTES) or keys.dtype != np.uint8:
            raise ArgumentError("keys", f"{keys.dtype} {keys.shape}", f"uint8 ({len(tries)}, {KEY_BYTES})")
        verdicts = np.zeros((len(tries), 4), np.int64)
        source = self._data, self._places, self._hashes, self._table
        done = 0
        while True:
            nodes = self._nodes
            done = kernel(nodes.arena, self._used, source, self._roots, tries, keys, done, places, verdicts)
            if done == len(tries):
                break
            self._grow(len(nodes.rows), len(nodes.children))
        if len(verdicts) and verdicts[:, 0].max() >= MISSING:
            self._refuse(tries, keys, verdicts)
        return places

    def _refuse(self, tries: Indices, keys: Bytes, verdicts: npt.NDArray[np.int64]) -> None:
        beside = verdicts[:, 0] >= SIBLING
        found = verdicts[:, 0] - SIBLING * beside
        malformed = found == MALFORMED
        if malformed.any():
            item = int(np.argmax(malformed))
            raise MalformedNode(self._node(int(tries[item]), keys[item], verdicts[item]))
        named = (
            self._node(int(tries[item]), keys[item], verdicts[item])
            for item in np.flatnonzero(found == MISSING)
        )
        raise MissingNodes(tuple(dict.fromkeys(named)))

    def _node(self, trie: int, key: Bytes, verdict: npt.NDArray[np.int64]) -> MissingNode:
        found, row, depth, nibble = verdict.tolist()
        path = key.tobytes().hex()[:depth]
        if found >= SIBLING:
            path = f"{path[:-1]}{nibble:x}"
        owner = self._owners[trie].tobytes()
        reference = self._nodes.references[row, : self._nodes.rows[row, REFERENCE_SIZE]].tobytes()
        digest = reference[1:] if len(reference) == HASHED else hashes.keccak256(reference)
        return MissingNode(digest, path, owner if any(owner) else None, found >= SIBLING)

    def _grow(self, rows: int, branches: int) -> None:
        """Make room for so many rows and branches."""
        used = self._used
        nodes = self._nodes
        if used[ROWS_USED] + rows > len(nodes.rows) or used[BRANCHES_USED] + branches > len(nodes.children):
            self._nodes = nodes.grown(len(nodes.rows) + rows, len(nodes.children) + branches)
