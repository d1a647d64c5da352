# SPDX-License-Identifier: GPL-3.0-or-later
"""Shielded pools in the state: their addresses, keys and values (docs/privacy-pool.md, "What a pool is")."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from supervm.crypto import merkle_frontier
from supervm.crypto.merkle_frontier import Frontier
from supervm.crypto.messages import Messages
from supervm.engine.state.keys import ACCOUNT, CODE, STORAGE
from supervm.engine.state.store import StateStore
from supervm.engine.transactions.addresses import contract_addresses
from supervm.kernels.array_types import Bytes, Numbers, Words
from supervm.kernels.errors import ArgumentError

NAME = b"supervm/pool/ringct_v1/1"
"""What the hash of a pool's rules begins with; its unit follows."""

UNIT = 10**9
"""How much of a balance a unit of a pool's amounts is, unless said otherwise."""

HASH, DEPTH = "poseidon_bn254", 32
"""Of note trees."""

RECENT = 100
"""Roots that a proof may be about."""

_UNIT, _HELD, _TREE, _ROOT, SPENT = b"unit", b"held", b"tree", b"root", b"spent"
_UNIT_BYTES, _HELD_BYTES, _COUNT_BYTES, _ROW_BYTES = 8, 16, 8, 32


@dataclass(frozen=True, eq=False)
class Pool:
    """A pool that stands in the state.

    Args:
        address: 20 bytes.
        unit: see `UNIT`.
        account, held, tree: key numbers of its account and of these values.
        roots: int64 (`RECENT`,), key numbers of the roots by slot.
    """

    address: bytes
    unit: int
    account: int
    held: int
    tree: int
    roots: Numbers


@dataclass(frozen=True, eq=False)
class PoolState:
    """What a pool is at a moment.

    Args:
        unit: see `UNIT`.
        held: units that it owes to its notes.
        frontier: of its note tree.
        roots_so_far: how many roots it had.
        recent: uint8 (r, 32), the last `RECENT` roots at most, by slot, big-endian.
    """

    unit: int
    held: int
    frontier: Frontier
    roots_so_far: int
    recent: Bytes

    @property
    def notes(self) -> int:
        """Leaves of the note tree."""
        return self.frontier.size

    @property
    def root(self) -> bytes:
        """The newest root, 32 bytes, big-endian."""
        root: bytes = self.recent[self.slot].tobytes()
        return root

    @property
    def slot(self) -> int:
        """Of the newest root."""
        return (self.roots_so_far - 1) % RECENT

    def appended(self, commitments: Bytes, backend: str = "auto") -> PoolState:
        """The state with these commitments, uint8 (m, 32), big-endian and below r, behind the others, and the new root."""
        frontier, root = merkle_frontier.append(self.frontier, _words(commitments), HASH, backend=backend)
        slot = self.roots_so_far % RECENT
        recent = np.concatenate([self.recent[:slot], _rows(root[None]), self.recent[slot + 1 :]])
        return replace(self, frontier=frontier, roots_so_far=self.roots_so_far + 1, recent=recent)

    def entries(self, pool: Pool, *, held: bool) -> tuple[Numbers, Messages]:
        """Keys, by number, and values that a block changes: the tree, its newest root and, if told, what is held."""
        numbers = [pool.tree, int(pool.roots[self.slot])]
        values = [self._tree(), self.root]
        if held:
            numbers.append(pool.held)
            values.append(self.held.to_bytes(_HELD_BYTES))
        return np.array(numbers, np.int64), Messages.of(values)

    def _tree(self) -> bytes:
        counts = self.notes.to_bytes(_COUNT_BYTES) + self.roots_so_far.to_bytes(_COUNT_BYTES)
        return counts + _rows(self.frontier.rows).tobytes()


def checked_unit(unit: int) -> int:
    """A unit.

    Raises:
        ArgumentError: it is none.
    """
    if not isinstance(unit, int) or isinstance(unit, bool) or not 1 <= unit < 1 << 64:
        raise ArgumentError("unit", repr(unit), "a whole number from 1 to 2^64 − 1")
    return unit


def rules_hash(unit: int) -> bytes:
    """What stands where other contracts have the hash of their code, 32 bytes."""
    return hashlib.sha256(NAME + unit.to_bytes(_UNIT_BYTES)).digest()


def pool_address(salt: bytes, unit: int = UNIT) -> bytes:
    """Where a pool with this salt (32 bytes) and unit stands, 20 bytes.

    Raises:
        ArgumentError: another salt or unit.
    """
    if not isinstance(salt, bytes) or len(salt) != 32:
        raise ArgumentError("salt", repr(salt), "32 bytes")
    rows = (np.frombuffer(each, np.uint8)[None] for each in (salt, rules_hash(checked_unit(unit))))
    address: bytes = contract_addresses(*rows)[0].tobytes()
    return address


def new_state(unit: int) -> PoolState:
    """A new pool, which has the root of the empty tree."""
    frontier, root = merkle_frontier.empty(HASH, DEPTH)
    return PoolState(unit, 0, frontier, 1, _rows(root[None]))


def first_entries(address: bytes, unit: int) -> tuple[list[bytes], list[bytes]]:
    """Keys and values of a new pool."""
    state = new_state(unit)
    keys = [bytes([CODE]) + address, *(_key(address, name) for name in (_UNIT, _HELD, _TREE, _slot(0)))]
    values = [
        rules_hash(unit),
        unit.to_bytes(_UNIT_BYTES),
        bytes(_HELD_BYTES),
        state._tree(),
        state.root,
    ]
    return keys, values


def unit_of(get: Callable[[bytes], bytes | None], address: bytes, digest: bytes) -> int | None:
    """The unit of the pool at an address; None if no pool stands there.

    Args:
        get: the value of a state key.
        address: 20 bytes.
        digest: what stands there as hash of the code.
    """
    stated = get(_key(address, _UNIT))
    if stated is None or hashlib.sha256(NAME + stated).digest() != digest:
        return None
    return int.from_bytes(stated)


def held_units(get: Callable[[bytes], bytes | None], address: bytes) -> int:
    """What the pool at an address holds, in units."""
    return int.from_bytes(get(_key(address, _HELD)) or b"")


def found(store: StateStore, address: bytes, unit: int) -> Pool:
    """The pool that stands at an address, with its keys numbered."""
    names = [_HELD, _TREE, *map(_slot, range(RECENT))]
    keys = [bytes([ACCOUNT]) + address, *(_key(address, name) for name in names)]
    numbers = store.intern(Messages.of(keys).ragged)
    account, held, tree = (int(number) for number in numbers[:3])
    return Pool(address, unit, account, held, tree, numbers[3:])


def read(store: StateStore, pool: Pool, watermark: int | None = None) -> PoolState:
    """What a pool was at a held watermark, by default the last commit's."""
    numbers = np.concatenate([np.array([pool.held, pool.tree], np.int64), pool.roots])
    values, present = store.values(numbers, store.watermark if watermark is None else watermark)
    data = values.data.tobytes()
    held, data = int.from_bytes(data[:_HELD_BYTES]), data[_HELD_BYTES:]
    notes, roots = (int.from_bytes(data[at : at + _COUNT_BYTES]) for at in (0, _COUNT_BYTES))
    end = 2 * _COUNT_BYTES + _ROW_BYTES * DEPTH
    rows = np.frombuffer(data[2 * _COUNT_BYTES : end], np.uint8).reshape(DEPTH, _ROW_BYTES)
    recent = np.frombuffer(data[end:], np.uint8).reshape(int(present[2:].sum()), _ROW_BYTES).copy()
    return PoolState(pool.unit, held, Frontier(notes, _words(rows)), roots, recent)


def spent_keys(addresses: Bytes, nullifiers: Bytes) -> Bytes:
    """State keys of nullifiers, uint8 (n, 32), of the pools at addresses, uint8 (n, 20); uint8 (n, 58)."""
    width = 1 + addresses.shape[1] + len(SPENT)
    keys = np.empty((len(addresses), width + nullifiers.shape[1]), np.uint8)
    keys[:, 0] = STORAGE
    keys[:, 1 : width - len(SPENT)] = addresses
    keys[:, width - len(SPENT) : width] = np.frombuffer(SPENT, np.uint8)
    keys[:, width:] = nullifiers
    return keys


def _key(address: bytes, name: bytes) -> bytes:
    return bytes([STORAGE]) + address + name


def _slot(number: int) -> bytes:
    return _ROOT + bytes([number])


def _words(rows: Bytes) -> Words:
    """Elements, uint64 (n, 4), of big-endian rows, uint8 (n, 32)."""
    words: Words = np.ascontiguousarray(rows[:, ::-1]).view("<u8").astype(np.uint64)
    return words


def _rows(words: Words) -> Bytes:
    """The reverse of `_words`."""
    rows: Bytes = np.ascontiguousarray(words.astype("<u8")).view(np.uint8)[:, ::-1]
    return np.ascontiguousarray(rows)
