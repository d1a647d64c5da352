# SPDX-License-Identifier: GPL-3.0-or-later
"""What a block pays besides its transactions: to miners and uncles before the Merge, to validators that withdraw after it.

Sources: the Yellow Paper, section 11.3 (rewards of blocks and uncles); EIP-4895 (withdrawals, in Gwei).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from supervm.engine.ethereum.rlp_reading import read_item

GWEI = 10**9

_NEPHEW_SHARE = 32
"""The miner gets this part of a reward for each uncle that the block names."""
_UNCLE_PARTS = 8
"""An uncle of k blocks ago gets (8 − k) eighths of a reward."""


@dataclass(frozen=True)
class Uncle:
    """An uncle: who mined it, and its number."""

    miner: bytes
    number: int


@dataclass(frozen=True)
class Payment:
    """Wei that come from nowhere."""

    address: bytes
    amount: int


def mining_payments(number: int, miner: bytes, uncles: Sequence[Uncle], reward: int) -> list[Payment]:
    """Rewards of a block: first the miner's, then each uncle's.

    Args:
        number: the block's.
        miner: who gets its fees.
        uncles: those that it names.
        reward: of a block without uncles, in wei.
    """
    own = Payment(miner, reward + len(uncles) * (reward // _NEPHEW_SHARE))
    others = [
        Payment(uncle.miner, (_UNCLE_PARTS - (number - uncle.number)) * reward // _UNCLE_PARTS)
        for uncle in uncles
    ]
    return [own, *others]


def withdrawal_payments(withdrawals: Sequence[bytes]) -> list[Payment]:
    """Payments of withdrawals, each the RLP list of index, validator, address and Gwei; those of nothing change nothing."""
    payments = []
    for encoded in withdrawals:
        address, amount = _items(encoded)[2:4]
        if amount:
            payments.append(Payment(address, int.from_bytes(amount) * GWEI))
    return payments


def _items(encoded: bytes) -> list[bytes]:
    """The strings of an RLP list that this package wrote."""
    data = np.frombuffer(encoded, np.uint8)
    _, place, end = read_item(data, 0, len(data))
    items = []
    while place < end:
        _, first, place = read_item(data, place, end)
        items.append(encoded[first:place])
    return items
