# SPDX-License-Identifier: GPL-3.0-or-later
"""Roots of a world: of all that it holds, and what a block changed, for a root by a witness."""

from __future__ import annotations

from supervm.engine.ethereum.account_leaves import AccountLeaves
from supervm.engine.ethereum.proven_state import StateChanges
from supervm.engine.ethereum.state_root import state_root, storage_roots
from supervm.engine.evm.world import Changed, World


def world_root(world: World) -> bytes:
    """The state root of everything that a world holds in the commit that is being made."""
    held = world.accounts()
    roots = storage_roots(held.offsets, held.slots, held.values)
    return state_root(held.addresses, AccountLeaves(held.nonces, held.balances, roots, held.code_hashes))


def changes_of(changed: Changed) -> StateChanges:
    """What a block leaves of the accounts that it changed, as a witness's nodes take it."""
    held = changed.accounts
    return StateChanges(
        addresses=held.addresses,
        exists=changed.exists,
        nonces=held.nonces,
        balances=held.balances,
        code_hashes=held.code_hashes,
        wiped=changed.wiped,
        slot_offsets=held.offsets,
        slots=held.slots,
        values=held.values,
    )
