# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys, notes, nullifiers and trees of a shielded pool in batches, and what rings and amount commitments need.

docs/circuits.md defines all of it; `supervm.crypto.oracle.notes` is the same in integers. Elements of BN254's scalar field
are uint64 (n, 4), little-endian words of a canonical value. Every hash of a batch is one call of `poseidon.hash_batch`.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

import numpy as np

from supervm.crypto import merkle, poseidon
from supervm.crypto.arguments import same_count
from supervm.crypto.params import notes as params
from supervm.kernels.array_types import Words
from supervm.kernels.arrays import number_words
from supervm.kernels.cpu.fields.range_check import first_above
from supervm.kernels.errors import ArgumentError

__all__ = [
    "HASH",
    "Keys",
    "amount_commitments",
    "commitments",
    "draw",
    "keys",
    "members",
    "note_tree",
    "nullifiers",
    "owners",
    "pool_id",
    "ring_tree",
    "signature_nullifiers",
]

CURVE = "bn254"
HASH = "poseidon_bn254"
"""Of trees."""

_WORDS = 4


@dataclass(frozen=True, eq=False)
class Keys:
    """What spending keys give, row by row, each uint64 (n, 4).

    Args:
        authority, nullifier: the full view keys: they show which notes were spent, and spend none.
        owner: to whom notes are made out.
    """

    authority: Words
    nullifier: Words
    owner: Words


def draw(count: int) -> Words:
    """Random elements from the operating system, for spending keys and blindings.

    A number of 384 bits is reduced, so that no element is likelier than another by more than 2^−128 of its probability.
    """
    order = params.FIELD.modulus
    drawn = [secrets.randbits(384) % order for _ in range(count)]
    return np.array([number_words(value, _WORDS) for value in drawn], np.uint64).reshape(count, _WORDS)


def pool_id(chain_id: int, address: bytes) -> int:
    """The public input `pool`.

    Args:
        chain_id: 0 … 2^64 − 1.
        address: of the pool's contract, 20 bytes.

    Raises:
        ArgumentError: another chain id or address.

    >>> hex(pool_id(1, b"\\x02" * 20))
    '0x10202020202020202020202020202020202020202'
    """
    if not isinstance(chain_id, int) or isinstance(chain_id, bool) or chain_id >> params.CHAIN_BITS:
        raise ArgumentError("chain_id", repr(chain_id), "a whole number of 0 … 2^64 − 1")
    if not isinstance(address, bytes) or 8 * len(address) != params.ADDRESS_BITS:
        raise ArgumentError("address", repr(address), "20 bytes")
    return (chain_id << params.ADDRESS_BITS) + int.from_bytes(address)


def keys(spending_keys: Words, *, backend: str = "auto") -> Keys:
    """The keys of spending keys, uint64 (n, 4).

    Raises:
        ArgumentError: another shape or dtype, or a value that is not below r.
        BackendUnavailable: the named backend cannot run here.
    """
    secret = _elements(spending_keys, "spending_keys")
    authority = _hashes(params.SPEND, spending_keys=secret, backend=backend)
    nullifier = _hashes(params.NULLIFIER_KEY, spending_keys=secret, backend=backend)
    return Keys(authority, nullifier, owners(authority, nullifier, backend=backend))


def owners(authorities: Words, nullifier_keys: Words, *, backend: str = "auto") -> Words:
    """Owners of full view keys, both uint64 (n, 4); errors as `keys`."""
    authority, nullifier = _elements(authorities, "authorities"), _elements(nullifier_keys, "nullifier_keys")
    return _hashes(params.OWNER, authorities=authority, nullifier_keys=nullifier, backend=backend)


def commitments(amounts: Words, owners: Words, blindings: Words, *, backend: str = "auto") -> Words:
    """Commitments of notes, which are leaves of the note tree.

    Args:
        amounts: uint64 (n,).
        owners, blindings: uint64 (n, 4).
        backend: as for `poseidon.hash_batch`.

    Returns:
        uint64 (n, 4).

    Raises: as `keys`.
    """
    amount = _numbers(amounts, "amounts")
    owner, blinding = _elements(owners, "owners"), _elements(blindings, "blindings")
    return _hashes(params.NOTE, amounts=amount, owners=owner, blindings=blinding, backend=backend)


def nullifiers(
    nullifier_keys: Words, pool: int, indices: Any, commitments: Words, *, backend: str = "auto"
) -> Words:
    """Nullifiers of notes at their places in a pool's tree.

    Args:
        nullifier_keys: of their owners, uint64 (n, 4).
        pool: as `pool_id` gives it.
        indices: int64 or uint64 (n,), below 2^32.
        commitments: of the notes, uint64 (n, 4).
        backend: as for `poseidon.hash_batch`.

    Returns:
        uint64 (n, 4).

    Raises: as `keys`; and ArgumentError for another pool or index.
    """
    key, leaves = _elements(nullifier_keys, "nullifier_keys"), _elements(commitments, "commitments")
    places = np.asarray(indices)
    if places.ndim != 1 or places.dtype not in (np.int64, np.uint64):
        raise ArgumentError("indices", f"{places.dtype} {places.shape}", "int64 or uint64 of shape (n,)")
    outside = (places < 0) | (places >> params.TREE_DEPTH != 0)
    if outside.any():
        raise ArgumentError("indices", f"{places[outside][0]}", f"indices below 2^{params.TREE_DEPTH}")
    if not isinstance(pool, int) or pool < 0 or pool >> (params.CHAIN_BITS + params.ADDRESS_BITS):
        raise ArgumentError("pool", repr(pool), "a number as `pool_id` gives it")
    place = _numbers(places.astype(np.uint64), "indices")
    same_count(len(leaves), "commitments", {"nullifier_keys": len(key), "indices": len(place)})
    there = np.broadcast_to(number_words(pool, _WORDS), leaves.shape)
    serial = _hashes(params.SERIAL, pool=there, indices=place, commitments=leaves, backend=backend)
    return _hashes(params.NULLIFIER, nullifier_keys=key, serials=serial, backend=backend)


def note_tree(commitments: Words, *, backend: str = "auto") -> merkle.Tree:
    """The note tree over commitments, to which more can be appended; errors as `merkle.build`."""
    return merkle.build(commitments, HASH, depth=params.TREE_DEPTH, backend=backend)


def amount_commitments(amounts: Words, blindings: Words, *, backend: str = "auto") -> Words:
    """Commitments of `range_proof_v1` to amounts, uint64 (n,), with blindings, uint64 (n, 4); errors as `keys`."""
    amount, blinding = _numbers(amounts, "amounts"), _elements(blindings, "blindings")
    return _hashes(params.AMOUNT, amounts=amount, blindings=blinding, backend=backend)


def members(ring_secrets: Words, *, backend: str = "auto") -> Words:
    """Members' keys, which are leaves of a ring, of secrets, uint64 (n, 4); errors as `keys`."""
    secret = _elements(ring_secrets, "ring_secrets")
    return _hashes(params.MEMBER, ring_secrets=secret, backend=backend)


def ring_tree(members: Words, *, backend: str = "auto") -> merkle.Tree:
    """The tree over the members of a ring; errors as `merkle.build`."""
    return merkle.build(members, HASH, depth=params.RING_DEPTH, backend=backend)


def signature_nullifiers(ring_secrets: Words, scopes: Words, *, backend: str = "auto") -> Words:
    """Nullifiers of ring signatures of secrets in scopes, both uint64 (n, 4); errors as `keys`."""
    secret, scope = _elements(ring_secrets, "ring_secrets"), _elements(scopes, "scopes")
    return _hashes(params.SIGNATURE, ring_secrets=secret, scopes=scope, backend=backend)


def _hashes(tag: int, *, backend: str, **columns: Words) -> Words:
    """H(tag, …) of each row; the columns by the names of the caller's arguments."""
    (first, head), *others = columns.items()
    same_count(len(head), first, {name: len(column) for name, column in others})
    inputs = np.zeros((len(head), 4, _WORDS), np.uint64)
    inputs[:, 0] = number_words(tag, _WORDS)
    for place, column in enumerate(columns.values(), 1):
        inputs[:, place] = column
    return poseidon.hash_batch(CURVE, inputs, backend=backend)


def _elements(array: Any, argument: str) -> Words:
    if not isinstance(array, np.ndarray) or array.dtype != np.uint64 or array.shape[1:] != (_WORDS,):
        came = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise ArgumentError(argument, came, f"a uint64 array of shape (n, {_WORDS})")
    elements = np.ascontiguousarray(array)
    if (row := first_above(elements, params.FIELD)) >= 0:
        raise ArgumentError(argument, f"a value that is not in row {row}", "values below r")
    return elements


def _numbers(array: Any, argument: str) -> Words:
    """Whole numbers of 64 bits as elements."""
    if not isinstance(array, np.ndarray) or array.dtype != np.uint64 or array.ndim != 1:
        came = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise ArgumentError(argument, came, "a uint64 array of shape (n,)")
    elements = np.zeros((len(array), _WORDS), np.uint64)
    elements[:, 0] = array
    return elements
