# SPDX-License-Identifier: GPL-3.0-or-later
"""Who sends to whom: accounts, and traffic that meets at hot ones as much as asked. Nothing loops over transactions."""

from __future__ import annotations

import numpy as np

from supervm.engine.workloads.workload import Parameters
from supervm.kernels.array_types import Bytes, Flags, Indices
from supervm.kernels.errors import ArgumentError


def generator(parameters: Parameters, purpose: str) -> np.random.Generator:
    """Random numbers of this seed for this purpose alone, so that no part of a workload shifts another's."""
    return np.random.default_rng([parameters.seed, *purpose.encode()])


def random_rows(random: np.random.Generator, count: int, width: int) -> Bytes:
    """uint8 (count, width)."""
    return random.integers(0, 256, (count, width), dtype=np.uint8)


def hot_rows(random: np.random.Generator, count: int, share: float) -> Flags:
    """bool (count,), true in exactly round(share × count) places."""
    flags = np.zeros(count, np.bool_)
    flags[: round(share * count)] = True
    random.shuffle(flags)
    return flags


def ordinary_accounts(parameters: Parameters) -> int:
    """How many accounts are not hot.

    Raises:
        ArgumentError: fewer than two.
    """
    ordinary = parameters.accounts - parameters.hot_keys
    if ordinary < 2:
        expected = f"at least {parameters.hot_keys + 2}, two that are not hot"
        raise ArgumentError("accounts", str(parameters.accounts), expected)
    return ordinary


def pairs(random: np.random.Generator, count: int, parameters: Parameters) -> tuple[Indices, Indices]:
    """Senders and recipients, two times int64 (count,), numbers of accounts; the hot ones are 0 … hot_keys − 1.

    A hot transaction goes, one as likely as the other, from a hot account to an ordinary one or back; any other goes from
    an ordinary account to another ordinary one. Nobody sends to itself.

    Raises:
        ArgumentError: fewer than two ordinary accounts.
    """
    hot_keys, ordinary = parameters.hot_keys, ordinary_accounts(parameters)
    sender = random.integers(0, ordinary, count)
    recipient = (sender + random.integers(1, ordinary, count)) % ordinary + hot_keys
    sender += hot_keys
    if hot_keys:
        hot = hot_rows(random, count, parameters.hot_share)
        backwards = random.integers(0, 2, count, dtype=np.uint8).view(np.bool_)
        chosen = random.integers(0, hot_keys, count)
        sender = np.where(hot & ~backwards, chosen, sender)
        recipient = np.where(hot & backwards, chosen, recipient)
    return sender, recipient


def passed_on(items: Indices, holders: Indices, lasts: Indices) -> tuple[Indices, Indices]:
    """For items that each transaction's sender must hold: whom it goes to, and who holds each at first.

    The recipient of an item is whoever sends it next, so that every sender holds what it sends.

    Args:
        items: int64 (n,), the item that each transaction passes on.
        holders: int64 (n,), its sender.
        lasts: int64 (n,), its recipient if nobody passes it on after this.

    Returns:
        (recipients int64 (n,); the transaction that first passes on each distinct item, int64, by item ascending).
    """
    order = np.argsort(items, kind="stable")
    grouped = items[order]
    first = np.ones(len(items), np.bool_)
    first[1:] = grouped[1:] != grouped[:-1]
    recipients = np.empty(len(items), np.int64)
    recipients[order] = np.where(np.roll(first, -1), lasts[order], np.roll(holders[order], -1))
    return recipients, order[first]
