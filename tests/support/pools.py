# SPDX-License-Identifier: GPL-3.0-or-later
"""Inboxes without a node: unsigned transactions of numbered people, and accounts that a test states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from supervm.engine.transactions.batch import TransactionBatch
from supervm.engine.transactions.encoding import encode, transaction_hashes
from supervm.tiers.node.inbox import Inbox
from supervm.tiers.node.limits import BlockLimits, InboxLimits

ENOUGH = 1 << 60


def person(number: int) -> bytes:
    """Address of a person."""
    return b"\xaa" + number.to_bytes(19)


def sent(sender: int, nonce: int, price: int = 1, **more: Any) -> TransactionBatch:
    """A transfer of nothing, or whatever the fields say."""
    fields = {"to": bytes(20), "gas_limit": 2_000, **more}
    return TransactionBatch.of(sender=person(sender), nonce=nonce, gas_price=price, **fields)


class Accounts:
    """What people have: nonce 0 and enough, unless it is said otherwise."""

    def __init__(self, stated: Mapping[int, tuple[int, int]] = MappingProxyType({})) -> None:
        self.stated = {person(number): account for number, account in stated.items()}

    def __call__(self, addresses: Any) -> tuple[Any, Any]:
        found = [self.stated.get(address.tobytes(), (0, ENOUGH)) for address in addresses]
        balances = b"".join(balance.to_bytes(32) for _, balance in found)
        nonces = np.array([nonce for nonce, _ in found], np.uint64)
        return nonces, np.frombuffer(balances, np.uint8).reshape(-1, 32)


class Pool:
    """An inbox, and what was submitted to it.

    Args:
        path: of its database.
        accounts: of its people.
        limits: of the inbox.
    """

    def __init__(self, path: Path, accounts: Any, limits: InboxLimits) -> None:
        self.now, self.accounts = 0.0, accounts
        self.inbox = Inbox(path, limits, clock=lambda: self.now)
        self._last = 0

    def submit(self, *batches: TransactionBatch) -> list[int]:
        """Submit these together; what each is refused for, 0 if it is not."""
        batch = TransactionBatch.concatenate(batches)
        encoded = encode(batch)
        hashes = [row.tobytes() for row in transaction_hashes(batch)]
        found = self.inbox.add(hashes, [encoded[row] for row in range(len(batch))], self.accounts)
        assert found.dtype == np.uint8
        return [int(each) for each in found]

    def pack(self, **more: Any) -> list[bytes]:
        """The next block's encodings."""
        self._last += 1
        return self.inbox.pack(self._last, self.accounts, **more)

    def packed(self, *batches: TransactionBatch) -> bool:
        """Whether the next block is exactly of these, in this order."""
        return self.pack() == [encode(batch)[0] for batch in batches]


@contextmanager
def pool(
    path: Path, accounts: Any = None, block: Mapping[str, int] = MappingProxyType({}), **limits: Any
) -> Iterator[Pool]:
    """A pool with `BlockLimits` and `InboxLimits` by name, closed at the end."""
    made = Pool(path, accounts or Accounts(), InboxLimits(BlockLimits(**block), **limits))
    try:
        yield made
    finally:
        made.inbox.close()
