# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the contracts keep what they keep, so that a genesis can have it without a transaction for each holder.

Source: Solidity's documentation, "Layout of State Variables in Storage".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from supervm.crypto import hashes
from supervm.crypto.messages import Messages
from supervm.engine.ethereum import contracts
from supervm.kernels.array_types import Bytes

WORD = 32

RESERVE_BITS = 112
"""Of each reserve of a pair; its time stands above both."""

OPEN = 2
"""What `Pair.entered` is outside of a call."""


def mapped_slots(slot: int, keys: Bytes) -> Bytes:
    """The slots of entries of a mapping.

    Args:
        slot: the mapping's.
        keys: uint8 (n, w), w at most 32: addresses, numbers.

    Returns:
        uint8 (n, 32).
    """
    rows = np.zeros((len(keys), 2 * WORD), np.uint8)
    rows[:, WORD - keys.shape[1] : WORD] = keys
    rows[:, WORD:] = np.frombuffer(slot.to_bytes(WORD), np.uint8)
    found: Bytes = hashes.keccak256_batch(Messages.of(rows))
    return found


def mapped(slot: int, *keys: bytes) -> int:
    """The slot of one entry of a mapping, or of mappings in it."""
    for key in keys:
        row = np.frombuffer(key, np.uint8).reshape(1, -1)
        slot = int.from_bytes(mapped_slots(slot, row).tobytes())
    return slot


def pair_storage(first: bytes, second: bytes, reserve: int, time: int) -> dict[int, int]:
    """A pair's slots.

    Args:
        first, second: its tokens.
        reserve: of each, which is also the number of shares.
        time: of its last call, before the one that comes.
    """
    slots = contracts.get("Pair").storage
    one = 1 << RESERVE_BITS
    low, high = sorted((first, second))
    return {
        slots["totalSupply"]: reserve,
        slots["token0"]: int.from_bytes(low),
        slots["token1"]: int.from_bytes(high),
        slots["reserve0"]: reserve | reserve << RESERVE_BITS | time << 2 * RESERVE_BITS,
        slots["price0Cumulative"]: one,
        slots["price1Cumulative"]: one,
        slots["entered"]: OPEN,
    }


def router_storage(first: bytes, second: bytes, pair: bytes) -> dict[int, int]:
    """The slots of a router that knows one pair."""
    slot = contracts.get("Router").storage["pairOf"]
    number = int.from_bytes(pair)
    return {mapped(slot, first, second): number, mapped(slot, second, first): number}


def balance_slots(holders: Bytes) -> Bytes:
    """Of a token, the slots of balances: uint8 (n, 32) of addresses (n, 20)."""
    return mapped_slots(contracts.get("Token").storage["balanceOf"], holders)


def allowance_slots(holders: Bytes, spender: bytes) -> Bytes:
    """Of a token, the slots of what one account may spend of holders: uint8 (n, 32) of addresses (n, 20)."""
    inner = mapped_slots(contracts.get("Token").storage["allowance"], holders)
    rows: Any = np.zeros((len(holders), 2 * WORD), np.uint8)
    rows[:, WORD - len(spender) : WORD] = np.frombuffer(spender, np.uint8)
    rows[:, WORD:] = inner
    found: Bytes = hashes.keccak256_batch(Messages.of(rows))
    return found
