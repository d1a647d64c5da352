# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys, notes, nullifiers and rings as docs/circuits.md defines them, and the rules of a shielded transfer, in integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from supervm.crypto.oracle import merkle
from supervm.crypto.oracle.poseidon import compress
from supervm.crypto.params import notes as params
from supervm.crypto.params.poseidon import poseidon

HASH = "poseidon_bn254"


def hashed(tag: int, a: int, b: int = 0, c: int = 0) -> int:
    """H(tag, a, b, c)."""
    return compress(poseidon("bn254", 5), [tag, a, b, c])


@dataclass(frozen=True)
class Keys:
    """What a spending key gives."""

    authority: int
    nullifier: int
    owner: int


def keys(secret: int) -> Keys:
    """The keys of a spending key."""
    authority, nullifier = hashed(params.SPEND, secret), hashed(params.NULLIFIER_KEY, secret)
    return Keys(authority, nullifier, hashed(params.OWNER, authority, nullifier))


def commitment(amount: int, owner: int, blinding: int) -> int:
    """A note as a leaf of the tree."""
    return hashed(params.NOTE, amount, owner, blinding)


def nullifier(key: int, pool: int, index: int, leaf: int) -> int:
    """What shows that the note at a place of a pool's tree is spent."""
    return hashed(params.NULLIFIER, key, hashed(params.SERIAL, pool, index, leaf))


def pool_id(chain_id: int, address: int) -> int:
    """The element that stands for a pool."""
    return (chain_id << params.ADDRESS_BITS) + address


def path(leaves: Sequence[int], index: int, depth: int = params.TREE_DEPTH) -> list[int]:
    """The siblings of a leaf, from the leaf up."""
    return [sibling for (sibling,) in merkle.prove(leaves, index, HASH, depth=depth)]


def root(leaves: Sequence[int], depth: int = params.TREE_DEPTH) -> int:
    """The root over leaves."""
    found: int = merkle.root(leaves, HASH, depth=depth)
    return found


def climbed(leaf: int, index: int, siblings: Sequence[int]) -> int:
    """The root that a leaf and its siblings give."""
    node = leaf
    for level, sibling in enumerate(siblings):
        pair = [sibling, node] if index >> level & 1 else [node, sibling]
        node = compress(poseidon("bn254", 3), pair)
    return node


def amount_commitment(amount: int, blinding: int) -> int:
    """A commitment of `range_proof_v1`."""
    return hashed(params.AMOUNT, amount, blinding)


def member(secret: int) -> int:
    """A member's key: a leaf of a ring."""
    return hashed(params.MEMBER, secret)


def signature_nullifier(secret: int, scope: int) -> int:
    """What all signatures of one key in a scope have in common."""
    return hashed(params.SIGNATURE, secret, scope)
