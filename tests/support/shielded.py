# SPDX-License-Identifier: GPL-3.0-or-later
"""Inputs of the circuits, made honestly from the oracle, and what a forger changes in them."""

from __future__ import annotations

import random
from typing import Any

from supervm.crypto.oracle import notes
from supervm.crypto.params.notes import FIELD, RING_DEPTH, TREE_DEPTH

R = FIELD.modulus
POOL = notes.pool_id(7, 0xAB << 152 | 0xCD)

Inputs = dict[str, Any]


def element(rng: random.Random) -> int:
    """A random element."""
    return rng.randrange(R)


class Note:
    """A note of somebody's, at a place of a tree."""

    def __init__(self, rng: random.Random, amount: int, index: int = 0) -> None:
        self.amount, self.index = amount, index
        self.secret, self.blinding = element(rng), element(rng)
        self.keys = notes.keys(self.secret)
        self.leaf = notes.commitment(amount, self.keys.owner, self.blinding)
        self.path = [element(rng) for _ in range(TREE_DEPTH)]

    def nullifier(self, pool: int = POOL) -> int:
        """At its place."""
        return notes.nullifier(self.keys.nullifier, pool, self.index, self.leaf)


def planted(rng: random.Random, amounts: list[int], others: int = 3) -> tuple[list[Note], int]:
    """Notes with value that stand in one small tree among other leaves, and its root."""
    found = [Note(rng, amount) for amount in amounts]
    places = rng.sample(range(len(amounts) + others), len(amounts))
    leaves = [element(rng) for _ in range(len(amounts) + others)]
    for note, place in zip(found, places, strict=True):
        note.index, leaves[place] = place, note.leaf
    for note in found:
        note.path = notes.path(leaves, note.index)
    return found, notes.root(leaves)


def transfer(
    rng: random.Random, spent: list[Note], root: int, outs: list[int], **public: int
) -> dict[str, Any]:
    """Inputs of `ringct_v1`: two notes into two of these amounts; `public` sets public inputs."""
    owners = [notes.keys(element(rng)).owner for _ in outs]
    blindings = [element(rng) for _ in outs]
    pool = public.get("pool", POOL)
    stated = {"binding": element(rng), "pool": pool, "root": root, "recipient": rng.randrange(1 << 160)}
    stated |= {"public_in": 0, "public_out": 0, "fee": 0, **public}
    made = [notes.commitment(*note) for note in zip(outs, owners, blindings, strict=True)]
    return stated | {
        "nullifier": [note.nullifier(pool) for note in spent],
        "commitment": made,
        "in_amount": [note.amount for note in spent],
        "in_secret": [note.secret for note in spent],
        "in_blinding": [note.blinding for note in spent],
        "in_index": [note.index for note in spent],
        "in_path": [note.path for note in spent],
        "out_amount": outs,
        "out_owner": owners,
        "out_blinding": blindings,
    }


def signature(rng: random.Random, others: int = 4) -> Inputs:
    """Inputs of `ring_signature_v1`."""
    secret, scope = element(rng), element(rng)
    ring = [notes.member(element(rng)) for _ in range(others + 1)]
    index = rng.randrange(len(ring))
    ring[index] = notes.member(secret)
    return {
        "binding": element(rng),
        "root": notes.root(ring, RING_DEPTH),
        "scope": scope,
        "nullifier": notes.signature_nullifier(secret, scope),
        "secret": secret,
        "index": index,
        "path": notes.path(ring, index, RING_DEPTH),
    }
