# SPDX-License-Identifier: GPL-3.0-or-later
"""Roots of whole states, and of states that a witness proves in part, against plain Python."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import rlp
from plain_trie import PlainTrie, keccak256

from supervm.crypto.messages import Messages
from supervm.engine.errors import MissingNode, MissingNodes, UnreadableLeaf
from supervm.engine.ethereum.account_leaves import EMPTY_CODE_HASH, AccountLeaves
from supervm.engine.ethereum.proven_state import ProvenState, StateChanges, proven_root
from supervm.engine.ethereum.state_root import state_root, storage_roots
from supervm.engine.ethereum.tries import EMPTY_ROOT
from supervm.kernels.array_types import Bytes, Offsets
from supervm.kernels.errors import ArgumentError


@dataclass(frozen=True)
class Account:
    nonce: int = 0
    balance: int = 0
    code_hash: bytes = EMPTY_CODE_HASH
    storage: Mapping[bytes, int] = field(default_factory=dict)

    def trie(self) -> PlainTrie:
        return PlainTrie({keccak256(slot): rlp.encode(held) for slot, held in self.storage.items() if held})

    def leaf(self) -> bytes:
        encoded: bytes = rlp.encode([self.nonce, self.balance, self.trie().root, self.code_hash])
        return encoded


State = dict[bytes, Account]


def trie_of(state: State) -> PlainTrie:
    return PlainTrie({keccak256(address): account.leaf() for address, account in state.items()})


def rows(items: list[bytes], width: int) -> Bytes:
    return np.frombuffer(bytearray(b"".join(items)), np.uint8).reshape(-1, width)


def words(numbers: list[int]) -> Bytes:
    return rows([number.to_bytes(32) for number in numbers], 32)


def some_account(chosen: random.Random) -> Account:
    slots = chosen.choice([0, 0, 0, 1, 2, 30])
    return Account(
        nonce=chosen.choice([0, 1, 127, 128, 255, 2**64 - 1]),
        balance=chosen.choice([0, 1, 2**7, 10**18, 2**256 - 1]),
        code_hash=chosen.choice([EMPTY_CODE_HASH, chosen.randbytes(32)]),
        storage={
            chosen.randrange(40).to_bytes(32): chosen.choice([0, 1, 127, 128, 2**160, 2**256 - 1])
            for _ in range(slots)
        },
    )


def some_state(chosen: random.Random, count: int) -> State:
    return {chosen.randbytes(20): some_account(chosen) for _ in range(count)}


def storage_of(accounts: list[Account]) -> tuple[Offsets, Bytes, Bytes]:
    offsets = np.cumsum([0, *(len(account.storage) for account in accounts)])
    slots = rows([slot for account in accounts for slot in account.storage], 32)
    return offsets, slots, words([held for account in accounts for held in account.storage.values()])


def columns(accounts: list[Account], roots: Bytes) -> AccountLeaves:
    return AccountLeaves(
        np.array([account.nonce for account in accounts], np.uint64),
        words([account.balance for account in accounts]),
        roots,
        rows([account.code_hash for account in accounts], 32),
    )


@pytest.mark.parametrize("count", [0, 1, 2, 40, 400])
def test_root_of_a_whole_state(count: int) -> None:
    state = some_state(random.Random(count), count)
    accounts = list(state.values())
    roots = storage_roots(*storage_of(accounts))
    assert [root.tobytes() for root in roots] == [account.trie().root for account in accounts]
    assert state_root(rows(list(state), 20), columns(accounts, roots)) == trie_of(state).root


def test_an_account_that_holds_nothing_is_a_leaf_all_the_same() -> None:
    """Whether it exists is the fork's matter."""
    address = bytes(20)
    assert state_root(rows([address], 20), AccountLeaves.empty(1)) == trie_of({address: Account()}).root


def test_columns_of_another_shape() -> None:
    with pytest.raises(ArgumentError, match="addresses"):
        state_root(np.zeros((2, 20), np.uint8), AccountLeaves.empty(1))
    with pytest.raises(ArgumentError, match="slots"):
        storage_roots(np.array([0, 1]), np.zeros((1, 31), np.uint8), np.zeros((1, 32), np.uint8))
    with pytest.raises(ArgumentError, match="twice"):
        state_root(np.zeros((2, 20), np.uint8), AccountLeaves.empty(2))


def nodes_of(state: State) -> list[bytes]:
    """Every node of a state and its storages."""
    tries = [trie_of(state), *(account.trie() for account in state.values())]
    return [node for trie in tries for node in trie.nodes.values()]


def changes_of(
    before: State, after: Mapping[bytes, Account | None], wiped: set[bytes] = frozenset()
) -> StateChanges:  # type: ignore[assignment]
    """From what accounts are after a block: every slot that is another, and of one that is wiped every slot."""
    accounts = []
    for address, account in after.items():
        old = before.get(address, Account()).storage if address not in wiped else {}
        new = account.storage if account else {}
        changed = {slot: new.get(slot, 0) for slot in [*new, *old] if new.get(slot, 0) != old.get(slot, 0)}
        accounts.append(replace(account or Account(), storage=changed))
    leaves = columns(accounts, np.zeros((len(accounts), 32), np.uint8))
    return StateChanges(
        rows(list(after), 20),
        np.array([account is not None for account in after.values()], np.bool_),
        leaves.nonces,
        leaves.balances,
        leaves.code_hashes,
        np.array([address in wiped for address in after], np.bool_),
        *storage_of(accounts),
    )


@pytest.mark.parametrize("seed", range(12))
def test_state_after_a_block(seed: int) -> None:
    chosen = random.Random(seed)
    before = some_state(chosen, chosen.choice([1, 3, 30]))
    after: dict[bytes, Account | None] = dict(some_state(chosen, 4))
    wiped = set()
    for address in chosen.sample(sorted(before), max(1, len(before) // 2)):
        fresh = some_account(chosen)
        old = before[address]
        if fresh.nonce == 1:
            after[address] = None
        elif fresh.nonce == 127:
            wiped.add(address)
            after[address] = fresh
        else:
            after[address] = replace(fresh, storage={**old.storage, **fresh.storage})
    changes = changes_of(before, after, wiped)
    expected = {address: account for address, account in {**before, **after}.items() if account}
    state = ProvenState(Messages.of(nodes_of(before)), trie_of(before).root)
    assert state.root_after(changes) == trie_of(expected).root
    # What was asked for stays what it was before the block.
    assert state.root_after(changes) == trie_of(expected).root
    addresses = [*before, *after]
    found = state.accounts(rows(addresses, 20))
    old_ones = [before.get(address, Account()) for address in addresses]
    assert found.exists.tolist() == [address in before for address in addresses]
    assert found.accounts.nonces.tolist() == [account.nonce for account in old_ones]
    assert np.array_equal(found.accounts.balances, words([account.balance for account in old_ones]))
    assert np.array_equal(found.accounts.code_hashes, rows([account.code_hash for account in old_ones], 32))
    offsets, slots, values = storage_of(old_ones)
    assert np.array_equal(state.slots(rows(addresses, 20), offsets, slots), values)


def test_no_changes() -> None:
    state = {b"\1" * 20: Account(1)}
    root = trie_of(state).root
    assert proven_root(Messages.of([]), root, changes_of(state, {})) == root
    assert proven_root(Messages.of([]), EMPTY_ROOT, changes_of({}, {b"\1" * 20: Account(1)})) == root


def test_what_is_missing_is_named_with_its_account() -> None:
    address = b"\xab" * 20
    slots = {bytes([i]) * 32: i for i in range(1, 9)}
    state = {address: Account(5, storage=slots)}
    storage = state[address].trie()
    nodes = [node for node in nodes_of(state) if node != storage.nodes[storage.root]]
    proven = ProvenState(Messages.of(nodes), trie_of(state).root)
    with pytest.raises(MissingNodes, match=f"path '' of the storage of 0x{address.hex()}") as missing:
        proven.slots(rows([address], 20), np.array([0, 1]), words([1]))
    assert [node.hash for node in missing.value.nodes] == [storage.root]
    with pytest.raises(MissingNodes, match=f"storage of 0x{address.hex()}"):
        proven.root_after(changes_of(state, {address: Account(5, storage={**slots, bytes(32): 1})}))
    # Of a storage that is wiped nothing need be known.
    wiped = {address: Account(6, storage={bytes(32): 7})}
    assert proven.root_after(changes_of(state, wiped, {address})) == trie_of(wiped).root
    with pytest.raises(MissingNodes, match="path '' of the state"):
        ProvenState(Messages.of([]), trie_of(state).root).accounts(rows([address], 20))


def test_a_sibling_in_its_form_after_the_block() -> None:
    """Proofs of the state after the block have a leaf with a longer path. Of a branch they only have the hash."""
    lacking: list[MissingNode] = []
    before = {bytes([i]) * 20: Account(i) for i in range(1, 40)}
    for gone in before:
        after = {address: account for address, account in before.items() if address != gone}
        whole, later = trie_of(before), trie_of(after)
        known = {whole.nodes[digest] for digest in whole.way([keccak256(gone)])}
        known |= {later.nodes[digest] for digest in later.way([keccak256(gone)])}
        proven = ProvenState(Messages.of(sorted(known)), whole.root)
        try:
            assert proven.root_after(changes_of(before, {gone: None})) == later.root
        except MissingNodes as missing:
            lacking += missing.nodes
    assert lacking
    assert all(len(rlp.decode(whole.nodes[node.hash])) == 17 for node in lacking)


@pytest.mark.parametrize(
    "leaf",
    [
        b"x",
        rlp.encode([0, 0, EMPTY_ROOT]),
        rlp.encode([0, 0, EMPTY_ROOT, EMPTY_CODE_HASH, b""]),
        rlp.encode([2**64, 0, EMPTY_ROOT, EMPTY_CODE_HASH]),
        rlp.encode([b"\0\1", 0, EMPTY_ROOT, EMPTY_CODE_HASH]),
        rlp.encode([0, 2**256, EMPTY_ROOT, EMPTY_CODE_HASH]),
        rlp.encode([0, 0, EMPTY_ROOT[1:], EMPTY_CODE_HASH]),
        rlp.encode([0, 0, EMPTY_ROOT, [EMPTY_CODE_HASH]]),
        rlp.encode([0, 0, EMPTY_ROOT, EMPTY_CODE_HASH]) + b"\0",
    ],
    ids=range(9),
)
def test_a_leaf_that_is_no_account(leaf: bytes) -> None:
    address = b"\7" * 20
    trie = PlainTrie({keccak256(address): leaf, keccak256(b"\6" * 20): Account(1).leaf()})
    proven = ProvenState(Messages.of(list(trie.nodes.values())), trie.root)
    with pytest.raises(UnreadableLeaf, match=f"account 0x{address.hex()}"):
        proven.accounts(rows([b"\6" * 20, address], 20))


@pytest.mark.parametrize("held", [b"\0", b"\x81\x05", b"\xc0", b"\x80", rlp.encode(2**256), b"\x05\x05"])
def test_a_leaf_that_is_no_storage_value(held: bytes) -> None:
    address, slot = b"\7" * 20, bytes(32)
    storage = PlainTrie({keccak256(slot): held})
    trie = PlainTrie({keccak256(address): rlp.encode([1, 1, storage.root, EMPTY_CODE_HASH])})
    proven = ProvenState(Messages.of([*trie.nodes.values(), *storage.nodes.values()]), trie.root)
    with pytest.raises(UnreadableLeaf, match=f"slot 0x{'00' * 32} of 0x{address.hex()}"):
        proven.slots(rows([address], 20), np.array([0, 1]), words([0]))
