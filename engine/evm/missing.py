# SPDX-License-Identifier: GPL-3.0-or-later
"""What a block reached and nobody has given, by name; and what of it the nodes of a witness prove all the same."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from supervm.engine.errors import MissingNodes
from supervm.engine.ethereum.proven_state import ProvenState
from supervm.engine.ethereum.transactions import AccessLists
from supervm.engine.evm.accounts import EMPTY_CODE_HASH, Accounts
from supervm.engine.evm.errors import MissingState
from supervm.engine.evm.world import World
from supervm.kernels.array_types import Bytes, Numbers
from supervm.vm.evm.state import keys as k

_EMPTY = np.frombuffer(EMPTY_CODE_HASH, np.uint8)
_SLOT = k.ADDRESS_KEY_BYTES + k.INCARNATION_BYTES


class UnknownSlots(NamedTuple):
    """Slots that nobody has given, in the order in which execution asked for them.

    `numbers` int64 (n,) of their keys; `owners` int64 (n,), places in the given accounts; `slots` uint8 (n, 32).
    """

    numbers: Numbers
    owners: Numbers
    slots: Bytes

    def first(self, state: Accounts) -> MissingState:
        """The first one, in words."""
        owner, slot = state.addresses[self.owners[0]].tobytes(), self.slots[0].tobytes()
        return MissingState("slot", f"slot 0x{slot.hex()} of account 0x{owner.hex()}")


def unknown_slots(
    world: World, state: Accounts, given: int, listed: Set[bytes] = frozenset()
) -> UnknownSlots:
    """The storage slots that execution asked for and nobody has given.

    An account that the state has with code may hold anything in a slot that is not given. One that the state lacks, or has
    without code, is taken to have no storage.

    Args:
        world: after the execution.
        state: what was given.
        given: how many keys the world had before it.
        listed: slots that transactions only announce, address ‖ slot: whoever gives a state gives what is read.
    """
    keys = world.store.keys.strings(np.arange(given, len(world.store.keys)))
    stored = np.flatnonzero(np.diff(keys.offsets) == k.STORAGE_KEY_BYTES)
    rows = keys.take(stored).data.reshape(-1, k.STORAGE_KEY_BYTES)
    coded = np.flatnonzero((state.code_hashes != _EMPTY).any(axis=1)).tolist()
    places = {state.addresses[place].tobytes(): place for place in coded}
    owners = np.array([places.get(row[1 : k.ADDRESS_KEY_BYTES].tobytes(), -1) for row in rows], np.int64)
    first = ~rows[:, k.ADDRESS_KEY_BYTES : _SLOT].any(axis=1)
    named = np.array([_name(row) in listed for row in rows], np.bool_) if listed else False
    kept = (rows[:, 0] == k.STORAGE) & first & (owners >= 0) & ~np.asarray(named)
    return UnknownSlots(given + stored[kept], owners[kept], rows[kept, _SLOT:])


def listed_slots(lists: AccessLists) -> set[bytes]:
    """Address ‖ slot of everything in these access lists."""
    owners = np.repeat(lists.addresses, np.diff(lists.key_offsets), axis=0)
    return {row.tobytes() for row in np.concatenate([owners, lists.keys], axis=1)}


def _name(row: Bytes) -> bytes:
    """Address ‖ slot of a storage key."""
    return row[1 : k.ADDRESS_KEY_BYTES].tobytes() + row[_SLOT:].tobytes()


def with_owner(missing: MissingState, state: Accounts) -> MissingState:
    """The same, saying of a code which account has it."""
    if missing.kind != "code":
        return missing
    same = (state.code_hashes == np.frombuffer(missing.digest, np.uint8)).all(axis=1)
    if not same.any():
        return missing
    owner = state.addresses[int(np.argmax(same))].tobytes().hex()
    what = f"the code of account 0x{owner}, with Keccak-256 0x{missing.digest.hex()},"
    return MissingState("code", what, missing.digest)


def with_proven_codes(state: Accounts, proof: ProvenState) -> Accounts:
    """The same accounts, with the code hashes that are proven where the file gives none: it may leave out code that the
    block does not run."""
    try:
        proven = proof.accounts(state.addresses).accounts.code_hashes
    except MissingNodes:
        return state
    without = (state.code_hashes == _EMPTY).all(axis=1)
    return replace(state, code_hashes=np.where(without[:, None], proven, state.code_hashes))


def with_proven_accounts(state: Accounts, addresses: Iterable[bytes], proof: ProvenState) -> Accounts:
    """The same accounts, and those of these addresses that exist and are not given, as far as that is proven."""
    given = {address.tobytes() for address in state.addresses}
    for address in sorted(set(addresses) - given):
        row = np.frombuffer(address, np.uint8)[None]
        try:
            proven = proof.accounts(row)
        except MissingNodes:
            continue
        if proven.exists[0]:
            state = Accounts(
                addresses=np.concatenate([state.addresses, row]),
                nonces=np.concatenate([state.nonces, proven.accounts.nonces]),
                balances=np.concatenate([state.balances, proven.accounts.balances]),
                code_hashes=np.concatenate([state.code_hashes, proven.accounts.code_hashes]),
                offsets=np.append(state.offsets, state.offsets[-1]),
                slots=state.slots,
                values=state.values,
            )
    return state


def with_proven_slots(state: Accounts, unknown: UnknownSlots, proof: ProvenState) -> Accounts | None:
    """The same accounts with slots that were not given, as the nodes prove them; None where they do not."""
    order = np.argsort(unknown.owners, kind="stable")
    owners, slots = unknown.owners[order], unknown.slots[order]
    offsets = np.zeros(len(state) + 1, np.int64)
    np.cumsum(np.bincount(owners, minlength=len(state)), out=offsets[1:])
    try:
        values = proof.slots(state.addresses, offsets, slots)
    except MissingNodes:
        return None
    of_all = np.concatenate([np.repeat(np.arange(len(state)), np.diff(state.offsets)), owners])
    together = np.argsort(of_all, kind="stable")
    return replace(
        state,
        offsets=state.offsets + offsets,
        slots=np.concatenate([state.slots, slots])[together],
        values=np.concatenate([state.values, values])[together],
    )
