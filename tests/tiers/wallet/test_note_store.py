# SPDX-License-Identifier: GPL-3.0-or-later
"""The store of notes against a model: random blocks, payments and turns, kills between any two statements, and the tree."""

from __future__ import annotations

import hashlib
import random
import sqlite3
from dataclasses import replace

import numpy as np
import pytest

from supervm.crypto.note_encryption import Found
from supervm.crypto.oracle import notes as oracle
from supervm.crypto.params.notes import FIELD
from supervm.kernels.arrays import integers, number_words
from supervm.tiers.node.errors import DatabaseFailed, WalletError
from supervm.tiers.node.wallet import Progress, Wallet
from supervm.tiers.wallet import note_store, note_tree
from supervm.tiers.wallet.note_store import NoteStore, Pool, PoolBlocks

R = FIELD.modulus
POOL = Pool(7, b"\x0b" * 20, 10**9, b"\x9e" * 32)


@pytest.fixture
def wallet(tmp_path):
    with Wallet(tmp_path / "wallet") as opened:
        yield opened


def rows(values: list[bytes], width: int = 32) -> np.ndarray:
    return np.frombuffer(b"".join(values), np.uint8).reshape(-1, width)


def nullifier(leaf: bytes, place: int) -> bytes:
    """Any number that a leaf at a place has for itself."""
    return hashlib.sha256(leaf + place.to_bytes(8)).digest()


class Model:
    """What the store should hold."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.hashes: list[bytes] = []
        self.leaves: list[tuple[bytes, int]] = []
        self.own: dict[int, int] = {}
        self.spent: dict[int, int] = {}

    def blocks(self) -> tuple[PoolBlocks, Found, np.ndarray]:
        """A few blocks more, with own notes among theirs, some of which later ones spend at once."""
        rng, first, base = self.rng, len(self.hashes) + 1, len(self.leaves)
        hashes, offsets, leaves, spent, found = [], [0], [], [], []
        for number in range(first, first + rng.randint(1, 4)):
            hashes.append(rng.randbytes(32))
            fresh = [place for place in self.own if place not in self.spent and place < base + offsets[-1]]
            for _ in range(2 * rng.randint(0, 3)):
                leaf, place = rng.randrange(R).to_bytes(32), base + len(leaves)
                if rng.random() < 0.4:
                    self.own[place] = rng.getrandbits(64) | 1
                    found.append(place - base)
                spends = fresh and rng.random() < 0.3
                target = fresh.pop(rng.randrange(len(fresh))) if spends else None
                leaves.append(leaf)
                self.leaves.append((leaf, number))
                if target is None:
                    spent.append(rng.randbytes(32))
                else:
                    self.spent[target] = number
                    spent.append(nullifier(self.leaves[target][0], target))
            offsets.append(len(leaves))
        self.hashes += hashes
        own = Found(
            np.array(found, np.int64),
            np.array([self.own[base + row] for row in found], np.uint64),
            np.array([number_words(base + row, 4) for row in found], np.uint64).reshape(-1, 4),
            [b"%d" % row for row in found],
        )
        data = np.zeros((len(leaves), 160), np.uint8)
        blocks = PoolBlocks(first, hashes, np.array(offsets), rows(leaves), rows(spent), data)
        return blocks, own, rows([nullifier(leaves[row], base + row) for row in found])

    def roll_back(self, number: int) -> None:
        del self.hashes[number:]
        self.leaves = [each for each in self.leaves if each[1] <= number]
        self.own = {place: amount for place, amount in self.own.items() if place < len(self.leaves)}
        self.spent = {
            place: block for place, block in self.spent.items() if block <= number and place in self.own
        }

    def check(self, store: NoteStore) -> None:
        position = store.position()
        assert (position.number, position.size) == (len(self.hashes), len(self.leaves))
        assert position.hash == (self.hashes[-1] if self.hashes else bytes(32))
        assert [store.hash_of(number + 1) for number in range(len(self.hashes))] == self.hashes
        found = {note.place: (note.amount, note.spent, note.leaf, note.block) for note in store.notes()}
        assert found == {
            place: (amount, self.spent.get(place), int.from_bytes(leaf), block)
            for place, amount in self.own.items()
            for leaf, block in [self.leaves[place]]
        }
        assert all(note.blinding == note.place for note in store.notes())
        assert {note.place for note in store.available()} == set(self.own) - set(self.spent)


def grow(store: NoteStore, model: Model) -> None:
    """A few blocks more, which are proved."""
    store.follow(POOL)
    store.extend(*model.blocks())
    store.note_proved(len(model.hashes))


@pytest.mark.parametrize("seed", range(4))
def test_random_blocks_and_turns(wallet, seed, monkeypatch):
    monkeypatch.setattr(note_tree, "group_root", lambda leaves: leaves[-1])
    monkeypatch.setattr(note_tree, "GROUP", 8)  # many groups; roots are of the next test
    rng = random.Random(seed)
    store, model = NoteStore(wallet.database), Model(rng)
    for _ in range(40):
        if rng.random() < 0.25:
            number = rng.randint(0, len(model.hashes))
            store.roll_back(number)
            model.roll_back(number)
        else:
            grow(store, model)
        model.check(store)
        model.check(NoteStore(wallet.database))  # which reads what is on the disk


def test_the_tree_is_the_oracles(wallet, monkeypatch):
    """Roots and paths at sizes around a group's end, and after going back."""
    monkeypatch.setattr(note_tree, "GROUP_LEVELS", 2)
    monkeypatch.setattr(note_tree, "GROUP", 4)
    rng, store = random.Random(3), NoteStore(wallet.database)
    assert integers(store.root()[None]) == [oracle.root([])]
    leaves: list[int] = []
    nothing = Found(np.empty(0, np.int64), np.empty(0, np.uint64), np.empty((0, 4), np.uint64), [])
    sizes = {0: 0}
    for number, more in enumerate((3, 1, 1, 9, 4), 1):
        new = [rng.randrange(R) for _ in range(more)]
        leaves += new
        data = rows([leaf.to_bytes(32) for leaf in new])
        blocks = PoolBlocks(
            number, [b"h" * 32], np.array([0, more]), data, data, np.zeros((more, 160), np.uint8)
        )
        store.extend(blocks, nothing, np.empty((0, 32), np.uint8))
        sizes[number] = len(leaves)
        assert integers(store.root()[None]) == [oracle.root(leaves)]
    for place in (0, 3, 4, 13, 16, 17):
        assert integers(np.array(store.path(place))) == oracle.path(leaves, place)
    for number in (4, 2, 1, 0):
        store.roll_back(number)
        assert integers(store.root()[None]) == [oracle.root(leaves[: sizes[number]])]


def test_a_root_from_a_frontier():
    rng = random.Random(4)
    for size in (0, 1, 2, 5, 12):
        leaves = [rng.randrange(R) for _ in range(size)]
        frontier = np.zeros((32, 4), np.uint64)
        for level in range(32):
            if size >> level & 1:
                begin = (size >> level + 1) << level + 1
                frontier[level] = number_words(oracle.root(leaves[begin : begin + (1 << level)], level), 4)
        assert integers(note_tree.root_of_frontier(size, frontier)[None]) == [oracle.root(leaves)]


def test_a_kill_between_any_two_statements_changes_nothing(wallet, tmp_path, monkeypatch):
    """The statements of a growth and of a turn fail one after the other; what another process reads is what was before."""
    monkeypatch.setattr(note_tree, "group_root", lambda leaves: leaves[-1])
    model = Model(random.Random(5))
    store = NoteStore(wallet.database)
    for _ in range(6):
        store.extend(*model.blocks())
    database = wallet.database
    before = dump(tmp_path)
    arguments = model.blocks()
    for operation in (lambda: store.extend(*arguments), lambda: store.roll_back(3)):
        failed, allowed = True, 0
        while failed:
            left = [allowed]

            def dying(real, left=left):
                def call(*arguments):
                    if not left[0]:
                        raise KeyboardInterrupt
                    left[0] -= 1
                    return real(*arguments)

                return call

            with monkeypatch.context() as patch:
                for name in ("execute", "execute_many", "first"):
                    patch.setattr(database, name, dying(getattr(database, name)))
                try:
                    operation()
                    failed = False
                except KeyboardInterrupt:
                    assert dump(tmp_path) == before
            allowed += 1
        assert allowed > 4
        assert dump(tmp_path) != before
        store.roll_back(0)
        for table in ("notes", "pool_blocks", "leaf_groups"):
            database.execute(f"DELETE FROM {table}")
        restore(database, before)


def dump(folder) -> list[str]:
    """All that the file has."""
    with sqlite3.connect(folder / "wallet" / "wallet.sqlite") as connection:
        return sorted(line for line in connection.iterdump() if line.startswith("INSERT"))


def restore(database, lines: list[str]) -> None:
    for line in lines:
        if any(f'"{table}"' in line for table in ("notes", "pool_blocks", "leaf_groups")):
            database.execute(line)


def test_one_pool_in_a_wallet(wallet):
    store = NoteStore(wallet.database)
    assert store.pool() is None
    store.follow(POOL)
    store.follow(POOL)
    assert NoteStore(wallet.database).pool() == POOL
    for other in (Pool(8, *list(vars(POOL).values())[1:]), Pool(7, b"\x0c" * 20, POOL.unit, POOL.genesis)):
        with pytest.raises(WalletError, match="follows pool 0b0b"):
            store.follow(other)


def test_blocks_follow_each_other(wallet):
    store, model = NoteStore(wallet.database), Model(random.Random(6))
    first = model.blocks()
    store.extend(*first)
    with pytest.raises(WalletError, match="scan again"):
        store.extend(*first)
    with pytest.raises(WalletError, match="does not keep"):
        store.roll_back(100)


def test_old_blocks_are_dropped(wallet, monkeypatch):
    monkeypatch.setattr(note_store, "KEPT_BLOCKS", 5)
    store, model = NoteStore(wallet.database), Model(random.Random(7))
    while len(model.hashes) < 20:
        grow(store, model)
    last = len(model.hashes)
    assert store.oldest() == last - 4
    with pytest.raises(WalletError, match="does not keep"):
        store.roll_back(last - 5)
    store.roll_back(0)
    assert (store.position().size, store.notes(), store.oldest()) == (0, [], 0)


@pytest.mark.parametrize(
    ("state", "reason", "free"),
    [
        (Progress.QUEUED, 0, False),
        (Progress.SENT, 0, False),
        (Progress.IN_BLOCK, 0, False),
        (Progress.IN_BLOCK, 47, True),
        (Progress.REFUSED, 11, True),
    ],
)
def test_reserved_notes(wallet, state, reason, free):
    """A note is free again as soon as its transaction cannot get into a block any more."""
    store, model = NoteStore(wallet.database), Model(random.Random(8))
    while len(store.available()) < 2:
        grow(store, model)
    one, other = store.available()[:2]
    account = wallet.create()
    queued = wallet.sign(account, b"\1" * 20, also=lambda hash: store.reserve([one.place], hash))
    assert one.place not in {note.place for note in store.available()}
    with pytest.raises(WalletError, match="reserved by another"):
        wallet.sign(account, b"\2" * 20, also=lambda hash: store.reserve([one.place, other.place], hash))
    assert len(wallet.queue()) == 1
    assert other.place in {note.place for note in store.available()}
    wallet.note([replace(queued, state=state, number=9, reason=reason)])
    assert (one.place in {note.place for note in store.available()}) == free


def test_a_turn_sends_what_was_in_its_blocks_again(wallet):
    store, model = NoteStore(wallet.database), Model(random.Random(9))
    while len(model.hashes) < 6:
        store.extend(*model.blocks())
    account = wallet.create()
    early, late = (wallet.sign(account, b"\1" * 20, value=value) for value in (1, 2))
    wallet.note([replace(early, state=Progress.IN_BLOCK, number=2)])
    wallet.note([replace(late, state=Progress.IN_BLOCK, number=5)])
    store.roll_back(4)
    assert [(each.state, each.number) for each in wallet.queue()] == [
        (Progress.IN_BLOCK, 2),
        (Progress.SENT, 0),
    ]


def test_what_was_not_proved_does_not_count(wallet):
    """Notes of blocks behind the last proof are not shown, and a turn below it takes those before back."""
    store, model = NoteStore(wallet.database), Model(random.Random(11))
    while not store.available():
        grow(store, model)
    proved, shown = store.proved(), store.notes()
    while len(model.own) < len(shown) + 3:
        store.extend(*model.blocks())
    assert store.position().number > store.proved() == proved
    assert {note.place for note in store.notes()} == {note.place for note in shown}
    with pytest.raises(WalletError, match="reserved by another"):
        store.reserve([max(model.own)], b"p" * 32)
    with pytest.raises(WalletError, match="scan again"):
        store.note_proved(proved)
    store.note_proved(len(model.hashes))
    model.check(store)
    store.roll_back(1)
    assert store.proved() == 1
    store.roll_back(0)
    assert store.proved() == 0


@pytest.mark.parametrize(("number", "again"), [(3, True), (9, False)])
def test_a_payment_that_no_block_has_is_sent_again(wallet, number, again):
    """It was said to be in a block, of a branch that the wallet never saw, say: the notes would be reserved for ever."""
    store, model = NoteStore(wallet.database), Model(random.Random(8))
    while len(store.available()) < 2 or len(model.hashes) < 3:
        grow(store, model)
    model.own.clear()  # of which no later block spends one
    note = store.available()[0]
    queued = wallet.sign(wallet.create(), b"\1" * 20, also=lambda hash: store.reserve([note.place], hash))
    wallet.note([replace(queued, state=Progress.IN_BLOCK, number=number)])
    store.note_proved(len(model.hashes))
    assert len(model.hashes) < 9
    assert [each.state for each in wallet.queue()] == [Progress.SENT if again else Progress.IN_BLOCK]
    assert note.place not in {each.place for each in store.available()}


def test_a_full_disk_is_told(wallet):
    store, model = NoteStore(wallet.database), Model(random.Random(10))
    wallet.database.execute("PRAGMA max_page_count = 1")

    def grow() -> None:
        for _ in range(200):
            store.extend(*model.blocks())

    with pytest.raises(DatabaseFailed):
        grow()
