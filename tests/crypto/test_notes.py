# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys, notes and trees of pools and rings against the oracle."""

from __future__ import annotations

import random

import numpy as np
import pytest

from supervm.crypto import merkle, notes
from supervm.crypto.oracle import notes as oracle
from supervm.crypto.params.notes import FIELD
from supervm.kernels.array_types import Words
from supervm.kernels.arrays import integers, number_words
from supervm.kernels.errors import ArgumentError

R = FIELD.modulus
EDGES = [0, 1, R - 1, (1 << 64) - 1, 1 << 64]
POOL = oracle.pool_id(2**64 - 1, 2**160 - 1)


def elements(rng: random.Random, count: int = 12) -> list[int]:
    return [*EDGES, *(rng.randrange(R) for _ in range(count - len(EDGES)))]


def words(values: list[int]) -> Words:
    return np.array([number_words(value, 4) for value in values], np.uint64).reshape(-1, 4)


def test_keys():
    secrets = elements(random.Random(1))
    found, expected = notes.keys(words(secrets)), [oracle.keys(secret) for secret in secrets]
    assert integers(found.authority) == [keys.authority for keys in expected]
    assert integers(found.nullifier) == [keys.nullifier for keys in expected]
    assert integers(found.owner) == [keys.owner for keys in expected]
    assert integers(notes.owners(found.authority, found.nullifier)) == [keys.owner for keys in expected]


def test_commitments_and_nullifiers():
    rng = random.Random(2)
    owners, blindings, keys = (elements(rng) for _ in range(3))
    amounts = [0, 1, 2**64 - 1, *(rng.randrange(2**64) for _ in range(9))]
    leaves = notes.commitments(np.array(amounts, np.uint64), words(owners), words(blindings))
    expected = [oracle.commitment(*note) for note in zip(amounts, owners, blindings, strict=True)]
    assert integers(leaves) == expected
    places = [0, 1, 2**32 - 1, *(rng.randrange(2**32) for _ in range(9))]
    for pool in (0, 1, POOL):
        wanted = [
            oracle.nullifier(k, pool, i, leaf) for k, i, leaf in zip(keys, places, expected, strict=True)
        ]
        for dtype in (np.int64, np.uint64):
            found = notes.nullifiers(words(keys), pool, np.array(places, dtype), leaves)
            assert integers(found) == wanted
    assert len(set(wanted)) == len(wanted)


def test_rings_and_amounts():
    rng = random.Random(3)
    secrets, scopes = elements(rng), elements(rng)
    assert integers(notes.members(words(secrets))) == [oracle.member(secret) for secret in secrets]
    expected = [oracle.signature_nullifier(*pair) for pair in zip(secrets, scopes, strict=True)]
    assert integers(notes.signature_nullifiers(words(secrets), words(scopes))) == expected
    amounts = np.array([0, 2**64 - 1], np.uint64)
    expected = [oracle.amount_commitment(int(amount), 7) for amount in amounts]
    assert integers(notes.amount_commitments(amounts, words([7, 7]))) == expected


@pytest.mark.parametrize(("make", "depth"), [(notes.note_tree, 32), (notes.ring_tree, 16)])
def test_trees(make, depth):
    leaves = elements(random.Random(4), 7)
    tree = make(words(leaves[:5]))
    tree.append(words(leaves[5:]))
    assert integers(tree.root.value) == [oracle.root(leaves, depth)]
    proofs = tree.prove_batch([0, 6])
    for row, index in enumerate((0, 6)):
        siblings = integers(proofs.siblings[row])
        assert siblings == oracle.path(leaves, index, depth)
        assert oracle.climbed(leaves[index], index, siblings) == oracle.root(leaves, depth)
    assert merkle.verify_batch(tree.root, words([leaves[0], leaves[6]]), proofs).tolist() == [1, 1]
    assert integers(make(words([])).root.value) == [oracle.root([], depth)]


def test_pools():
    assert notes.pool_id(7, b"\x01" * 20) == 7 * 2**160 + int("01" * 20, 16)
    assert notes.pool_id(2**64 - 1, b"\xff" * 20) == POOL < R
    for chain_id in (-1, 2**64, True, "1"):
        with pytest.raises(ArgumentError, match="chain_id"):
            notes.pool_id(chain_id, bytes(20))
    for address in (bytes(19), bytes(21), "00" * 20):
        with pytest.raises(ArgumentError, match="address"):
            notes.pool_id(1, address)


def test_drawn_elements():
    drawn = integers(notes.draw(200))
    assert len(set(drawn)) == 200
    assert max(drawn) < R
    assert max(drawn) > R // 2
    assert notes.draw(0).shape == (0, 4)


def test_empty_batches():
    none = np.zeros((0, 4), np.uint64)
    assert notes.keys(none).owner.shape == (0, 4)
    assert notes.nullifiers(none, 1, np.zeros(0, np.int64), none).shape == (0, 4)


def test_bad_arguments():
    one, amount = words([1]), np.array([1], np.uint64)
    place = np.array([1], np.int64)
    for named, call in (
        ("spending_keys", lambda: notes.keys(one[0])),
        ("spending_keys", lambda: notes.keys(one.astype(np.int64))),
        ("nullifier_keys", lambda: notes.owners(one, [1])),
        ("amounts", lambda: notes.commitments(one, one, one)),
        ("amounts", lambda: notes.commitments(amount.astype(np.int64), one, one)),
        ("spending_keys", lambda: notes.keys(words([1, R]))),
        ("owners", lambda: notes.commitments(amount, words([1, 2]), one)),
        ("blindings", lambda: notes.commitments(amount, one, words([]))),
        ("pool", lambda: notes.nullifiers(one, POOL + 1, place, one)),
        ("pool", lambda: notes.nullifiers(one, -1, place, one)),
        ("indices", lambda: notes.nullifiers(one, 1, np.array([2**32]), one)),
        ("indices", lambda: notes.nullifiers(one, 1, np.array([-1]), one)),
        ("indices", lambda: notes.nullifiers(one, 1, np.array([1.0]), one)),
        ("indices", lambda: notes.nullifiers(one, 1, np.array([1, 2]), one)),
        ("nullifier_keys", lambda: notes.nullifiers(words([1, 2]), 1, place, one)),
    ):
        with pytest.raises(ArgumentError, match=f"'{named}'"):
            call()
