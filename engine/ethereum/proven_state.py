# SPDX-License-Identifier: GPL-3.0-or-later
"""A state of which a witness gives the nodes that a block touches: what its root proves, and its root after the block."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from supervm.crypto.messages import Messages
from supervm.engine.errors import MissingNodes, UnreadableLeaf
from supervm.engine.ethereum.account_leaves import (
    AccountLeaves,
    decoded_leaves,
    decoded_words,
    encoded_leaves,
    encoded_words,
)
from supervm.engine.ethereum.tries.building import EMPTY_ROOT
from supervm.engine.ethereum.tries.nodes import keccak
from supervm.engine.ethereum.tries.partial import PartialTries
from supervm.kernels.array_types import Bytes, Flags, Indices, Offsets


@dataclass(frozen=True)
class ProvenAccounts:
    """What a root proves of n accounts: `exists` bool (n,), and what they have; those that do not exist hold nothing."""

    exists: Flags
    accounts: AccountLeaves


@dataclass(frozen=True)
class StateChanges:
    """What a block leaves of the accounts that it changed, each of them once.

    | column | dtype, shape | meaning |
    |---|---|---|
    | `addresses` | uint8 (n, 20) | |
    | `exists` | bool (n,) | false: the account is gone after the block, with its storage |
    | `nonces`, `balances`, `code_hashes` | uint64 (n,), uint8 (n, 32), uint8 (n, 32) | after the block |
    | `wiped` | bool (n,) | its storage begins empty: the account was destroyed, and made again |
    | `slot_offsets` | int64 (n + 1,) | account i has changed slots `slot_offsets[i]:slot_offsets[i + 1]` |
    | `slots`, `values` | uint8 (k, 32) | each slot once, and its value after the block; zero takes it away |
    """

    addresses: Bytes
    exists: Flags
    nonces: NDArray[np.uint64]
    balances: Bytes
    code_hashes: Bytes
    wiped: Flags
    slot_offsets: Offsets
    slots: Bytes
    values: Bytes

    def __len__(self) -> int:
        return len(self.addresses)


class ProvenState:
    """A state by its root, as far as nodes of its tries are known.

    Args:
        nodes: encodings of nodes of the state's trie and of storage tries, in any order.
        root: the state root.
        backend: where Keccak-256 runs.

    What is asked of it is answered by nodes alone, found by their hashes. All of its functions raise `MissingNodes`, with
    hash and path of what the witness lacks, and `MalformedNode` or `UnreadableLeaf` where a root commits to something else
    than a state.
    """

    def __init__(self, nodes: Messages, root: bytes, *, backend: str = "auto") -> None:
        self.root = root
        self.backend = backend
        self._tries = PartialTries(nodes, backend=backend)
        self._state = self._tries.open(np.frombuffer(root, np.uint8)[None])

    def accounts(self, addresses: Bytes) -> ProvenAccounts:
        """Accounts by their addresses, uint8 (n, 20)."""
        return self._accounts(addresses, keccak(Messages.of(addresses), self.backend))

    def slots(self, addresses: Bytes, offsets: Offsets, slots: Bytes) -> Bytes:
        """Storage values, uint8 (k, 32) big-endian; zero where there is none.

        Args:
            addresses: uint8 (n, 20).
            offsets: int64 (n + 1,); of account i are slots `offsets[i]:offsets[i + 1]`.
            slots: uint8 (k, 32).
        """
        asked = np.flatnonzero(np.diff(offsets))
        accounts = self.accounts(addresses[asked]).accounts
        numbers = self._tries.open(accounts.storage_roots, addresses[asked])
        owners = np.repeat(np.arange(len(asked)), np.diff(offsets)[asked])
        found = self._tries.get(numbers[owners], keccak(Messages.of(slots), self.backend))
        words, bad = decoded_words(found.values)
        if bad >= 0:
            owner = addresses[asked][owners[bad]].tobytes()
            raise UnreadableLeaf(f"slot 0x{slots[bad].tobytes().hex()} of 0x{owner.hex()}", found.values[bad])
        return words

    def root_after(self, changes: StateChanges) -> bytes:
        """The state root after a block; the state itself stays as it is.

        A node that the witness lacks is looked for among those with a longer path, as proofs of the state after the block
        have it.
        """
        while True:
            try:
                return self._root_after(changes)
            except MissingNodes as missing:
                if not self._tries.derive(node.hash for node in missing.nodes):
                    raise

    def _root_after(self, changes: StateChanges) -> bytes:
        tries = self._tries.copy()
        keys = keccak(Messages.of(changes.addresses), self.backend)
        before = self._accounts(changes.addresses, keys).accounts
        roots = before.storage_roots
        roots[changes.wiped | ~changes.exists] = np.frombuffer(EMPTY_ROOT, np.uint8)
        written = np.flatnonzero(np.diff(changes.slot_offsets) * changes.exists)
        if len(written):
            roots[written] = self._storage_after(tries, changes, roots, written)
        accounts = AccountLeaves(changes.nonces, changes.balances, roots, changes.code_hashes)
        tries.set(np.repeat(self._state, len(keys)), keys, _without(encoded_leaves(accounts), changes.exists))
        return tries.roots(self._state).tobytes()

    def _storage_after(
        self, tries: PartialTries, changes: StateChanges, roots: Bytes, written: Indices
    ) -> Bytes:
        numbers = tries.open(roots[written], changes.addresses[written])
        counts = np.diff(changes.slot_offsets)
        kept = np.repeat(changes.exists, counts)
        owners = np.repeat(numbers, counts[written])
        keys = keccak(Messages.of(changes.slots[kept]), self.backend)
        tries.set(owners, keys, encoded_words(changes.values[kept]))
        return tries.roots(numbers)

    def _accounts(self, addresses: Bytes, keys: Bytes) -> ProvenAccounts:
        found = self._tries.get(np.repeat(self._state, len(keys)), keys)
        accounts, bad = decoded_leaves(found.values)
        if bad >= 0:
            raise UnreadableLeaf(f"account 0x{addresses[bad].tobytes().hex()}", found.values[bad])
        return ProvenAccounts(found.present, accounts)


def proven_root(nodes: Messages, root: bytes, changes: StateChanges, *, backend: str = "auto") -> bytes:
    """The state root after a block, from the nodes of a witness and the root before; see `ProvenState`."""
    return ProvenState(nodes, root, backend=backend).root_after(changes)


def _without(values: Messages, kept: Flags) -> Messages:
    """The same values with no bytes where `kept` is false."""
    sizes = np.diff(values.offsets)
    return Messages(values.data[np.repeat(kept, sizes)], np.append(0, np.cumsum(sizes * kept)))
