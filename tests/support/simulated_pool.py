# SPDX-License-Identifier: GPL-3.0-or-later
"""A chain with a shielded pool, as a node tells of it: receipts of blocks, and a proof of the pool's note tree.

Its tree is the oracle's. Whoever makes transactions answers for nullifiers and amounts: nothing is checked here.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from supervm.crypto.messages import Messages
from supervm.crypto.note_encryption import encrypt
from supervm.crypto.oracle import notes as oracle
from supervm.crypto.params.notes import FIELD
from supervm.crypto.shielded_keys import Address, Seed
from supervm.crypto.sparse_merkle import SparseMerkleTree
from supervm.engine.blocks.receipts import Path, Receipts
from supervm.tiers.service.v1 import node_pb2 as pb
from supervm.tiers.wallet.note_store import NoteStore
from supervm.tiers.wallet.scanning import Scanned, follow, start_following

CHAIN, ADDRESS, UNIT = 7, b"\x0b" * 20, 10**9
POOL = oracle.pool_id(CHAIN, int.from_bytes(ADDRESS))
GENESIS = b"\x9e" * 32
RULES = hashlib.sha256(b"supervm/pool/ringct_v1/1" + UNIT.to_bytes(8)).digest()
"""What stands in the state where contracts have the hash of their code."""

R = FIELD.modulus
ALICE, BOB = Seed(b"a" * 32), Seed(b"b" * 32)

Made = tuple[bytes, bytes]
"""Commitment and bytes of a new note."""


def note_for(rng: random.Random, address: Address, amount: int, memo: bytes = b"") -> Made:
    """A note that somebody finds."""
    blinding = rng.randrange(R)
    leaf = oracle.commitment(amount, address.owner, blinding)
    return leaf.to_bytes(32), encrypt(address, POOL, leaf, amount=amount, blinding=blinding, memo=memo)


def noise(rng: random.Random) -> Made:
    """A note that nobody finds."""
    return rng.randrange(R).to_bytes(32), rng.randbytes(160)


@dataclass
class Transaction:
    """Of a pool: two notes, and two nullifiers, random ones where nothing is said."""

    made: tuple[Made, Made]
    spent: tuple[bytes, bytes]


@dataclass
class Block:
    """What a node tells of it; `size` is of the tree before."""

    number: int
    hash: bytes
    parent: bytes
    size: int
    transactions: list[Transaction]
    others: list[tuple[Path, tuple[bytes, ...]]] = field(default_factory=list)


class PoolChain:
    """Answers as `Upstream` does."""

    address = "nowhere:1"

    def __init__(self, seed: int = 1) -> None:
        self.rng = random.Random(seed)
        self.blocks: list[Block] = []
        self.leaves: list[int] = []
        self.asked: list[str] = []
        self.code = RULES

    # What happens ----------------------------------------------------------------------------------------

    def transaction(self, *made: Made, spent: tuple[bytes, ...] = ()) -> Transaction:
        """Filled up with noise, and with nullifiers of nobody's."""
        notes = [*made, *(noise(self.rng) for _ in range(2 - len(made)))]
        nullifiers = [*spent, *(self.rng.randbytes(32) for _ in range(2 - len(spent)))]
        return Transaction((notes[0], notes[1]), (nullifiers[0], nullifiers[1]))

    def mine(
        self, *transactions: Transaction, others: tuple[tuple[Path, tuple[bytes, ...]], ...] = ()
    ) -> Block:
        """A block, with transactions of others' contracts and pools in front, of which path and events are given."""
        number = len(self.blocks) + 1
        parent = self.blocks[-1].hash if self.blocks else GENESIS
        hash = hashlib.sha256(parent + self.rng.randbytes(8)).digest()
        block = Block(number, hash, parent, len(self.leaves), list(transactions), list(others))
        self.blocks.append(block)
        self.leaves += [int.from_bytes(leaf) for each in transactions for leaf, _ in each.made]
        return block

    def turn(self, number: int) -> None:
        """Another branch: the blocks above `number` are gone."""
        del self.leaves[self.blocks[number].size :]
        del self.blocks[number:]

    # What a node says ------------------------------------------------------------------------------------

    def get_status(self) -> pb.NodeStatus:
        return pb.NodeStatus(number=len(self.blocks), genesis_hash=GENESIS)

    def call(self, method: str, request: Any) -> Any:
        self.asked.append(method)
        return {"GetBlock": self._block, "GetReceipts": self._receipts, "GetStorage": self._storage}[method](
            request
        )

    def get_proof(self, key: bytes) -> pb.GetProofReply:
        tree, known = SparseMerkleTree("sha256"), self.state()
        values = list(known.values())
        tree.add_keys(0, list(known))
        numbers = np.arange(len(known), dtype=np.uint32)
        root = tree.update(numbers, Messages.of(values), np.ones(len(known), np.bool_))
        proof = tree.prove(key, value_of=lambda number: values[number])
        return pb.GetProofReply(
            number=len(self.blocks),
            state_root=root,
            value=known.get(key),
            proof=proof.to_bytes(),
            hash_function="sha256",
        )

    def state(self) -> dict[bytes, bytes]:
        """Keys and values: an account's, and those of the pool that are asked for."""
        storage = b"\1" + ADDRESS
        own = {
            storage + b"tree": self.tree_value(),
            storage + b"unit": UNIT.to_bytes(8),
            b"\2" + ADDRESS: self.code,
        }
        return {b"\0" + bytes(20): bytes(40), **own}

    def tree_value(self) -> bytes:
        """What the state has under the pool's `tree`."""
        size = len(self.leaves)
        rows = []
        for level in range(32):
            begin = (size >> level + 1) << level + 1
            whole = self.leaves[begin : begin + (1 << level)]
            rows.append(oracle.root(whole, level) if size >> level & 1 else 0)
        return size.to_bytes(8) + (1).to_bytes(8) + b"".join(row.to_bytes(32) for row in rows)

    def _block(self, request: pb.GetBlockRequest) -> pb.BlockInfo:
        block = self.blocks[request.number - 1]
        return pb.BlockInfo(number=block.number, hash=block.hash, parent=block.parent)

    def _storage(self, request: pb.GetStorageRequest) -> pb.GetStorageReply:
        known = (request.contract, request.key) == (ADDRESS, b"unit")
        return pb.GetStorageReply(value=UNIT.to_bytes(8)) if known else pb.GetStorageReply()

    def _receipts(self, request: pb.GetReceiptsRequest) -> pb.GetReceiptsReply:
        block = self.blocks[request.number - 1]
        paths, events = [Path.FAST], [()]
        for path, given in block.others:
            paths.append(path)
            events.append(given)
        for index, each in enumerate(block.transactions):
            rows = [
                event(block.size + 2 * index + k, leaf + spent + data)
                for k, ((leaf, data), spent) in enumerate(zip(each.made, each.spent, strict=True))
            ]
            paths.append(Path.POOL)
            events.append(tuple(rows))
        return pb.GetReceiptsReply(receipts=receipts_of(paths, events).to_bytes())


def event(place: int, rest: bytes, pool: bytes = ADDRESS) -> bytes:
    """That of a note of a pool: commitment, nullifier and the note's bytes are the rest."""
    return pool + place.to_bytes(8) + rest


def paid(chain: PoolChain, seed: Seed, *amounts: int, memo: bytes = b"") -> Transaction:
    """A transaction that pays somebody one or two notes."""
    return chain.transaction(*(note_for(chain.rng, seed.view_key.address, each, memo) for each in amounts))


def scanned(store: NoteStore, chain: Any, seed: Seed = ALICE, **more: Any) -> Scanned:
    """What a wallet's scan of a node's chain comes to; it follows the pool from then on."""
    start_following(store, chain, ADDRESS, CHAIN)
    return follow(store, seed.view_key, chain, **more)


def receipts_of(paths: list[Path], events: list[tuple[bytes, ...]]) -> Receipts:
    """Of successful transactions with these events."""
    count = len(events)
    offsets = np.cumsum([0, *map(len, events)], dtype=np.int64)
    empty = Messages(np.empty(0, np.uint8), np.zeros(count + 1, np.int64))
    return Receipts(
        np.array(paths, np.uint8),
        np.zeros(count, np.uint8),
        np.ones(count, np.uint64),
        np.zeros(count, np.int64),
        empty,
        offsets,
        Messages.of([event for each in events for event in each]),
    )
