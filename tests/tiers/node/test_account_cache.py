# SPDX-License-Identifier: GPL-3.0-or-later
"""The cache of an edge node: never wrong, never larger than it may be, and the last used stay."""

from __future__ import annotations

import numpy as np
import pytest

from supervm.tiers.node.account_cache import ENTRY_BYTES, WAYS, AccountCache


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def accounts(numbers):
    """Addresses, nonces and balances that follow from numbers."""
    numbers = np.asarray(numbers, np.uint64)
    addresses = np.zeros((len(numbers), 20), np.uint8)
    addresses[:, :8] = numbers.view(np.uint8).reshape(-1, 8)
    addresses[:, 12:20] = (numbers * np.uint64(0x9E3779B97F4A7C15)).view(np.uint8).reshape(-1, 8)
    balances = np.zeros((len(numbers), 32), np.uint8)
    balances[:, 24:] = addresses[:, 12:20]
    return addresses, numbers * np.uint64(3), balances


def test_what_it_knows_is_what_was_stored():
    cache, random = AccountCache(64 * WAYS * ENTRY_BYTES, 1e9), np.random.default_rng(5)
    stored: set[int] = set()
    for _ in range(60):
        numbers = np.unique(random.integers(0, 4_000, 180))
        cache.store(*accounts(numbers))
        stored |= set(numbers.tolist())
        asked = random.integers(0, 8_000, 200)
        addresses, nonces, balances = accounts(asked)
        found, known_nonces, known_balances = cache.look_up(addresses)
        assert set(asked[found].tolist()) <= stored
        assert (known_nonces[found] == nonces[found]).all()
        assert (known_balances[found] == balances[found]).all()
        assert not known_nonces[~found].any()
        assert not known_balances[~found].any()
        assert len(cache) <= cache.capacity == 64 * WAYS
    assert len(cache) == cache.capacity


def test_every_set_is_used_whatever_the_secret():
    """Addresses that follow one another, 60 to a set: no set is left with less than it has places for."""
    for _ in range(200):
        cache = AccountCache(64 * WAYS * ENTRY_BYTES, 1e9)
        cache.store(*accounts(range(64 * 60)))
        assert len(cache) == cache.capacity


def test_a_newer_value_takes_the_place_of_the_older():
    cache = AccountCache(1 << 16, 1e9)
    addresses, nonces, balances = accounts([1, 2])
    cache.store(addresses, nonces, balances)
    cache.store(addresses[:1], nonces[:1] + np.uint64(9), balances[:1] + np.uint8(1))
    found, known, amounts = cache.look_up(addresses)
    assert found.all()
    assert known.tolist() == [nonces[0] + 9, nonces[1]]
    assert (amounts[0] == balances[0] + np.uint8(1)).all()
    assert len(cache) == 2


@pytest.mark.parametrize("together", [True, False])
def test_the_least_recently_used_makes_room(together):
    """One set: what eight places hold is what a list of eight would."""
    cache, random = AccountCache(WAYS * ENTRY_BYTES, 1e9), np.random.default_rng(7)
    assert cache.capacity == WAYS
    order: list[int] = []
    for _ in range(300):
        number = int(random.integers(0, 20))
        if random.random() < 0.5:
            [found], _, _ = cache.look_up(accounts([number])[0])
            assert found == (number in order)
            if found:
                order.append(order.pop(order.index(number)))
        else:
            cache.store(*accounts([number]))
            if number in order:
                order.remove(number)
            order = [*order, number][-WAYS:]
    if together:
        # More new ones than there are places: some of them stay, none twice, and it is full.
        cache.store(*accounts(range(100, 130)))
        found, _, _ = cache.look_up(accounts(range(100, 130))[0])
        assert found.sum() == WAYS == len(cache)


def test_what_is_too_old_is_unknown():
    clock = Clock()
    cache = AccountCache(1 << 16, 2.0, clock)
    addresses, nonces, balances = accounts([1, 2, 3])
    cache.store(addresses[:2], nonces[:2], balances[:2])
    clock.now = 1.5
    cache.store(addresses[2:], nonces[2:], balances[2:])
    cache.store(addresses[:1], nonces[:1], balances[:1])
    clock.now = 2.5
    assert cache.look_up(addresses)[0].tolist() == [True, False, True]
    clock.now = 4.0
    assert cache.look_up(addresses)[0].tolist() == [False] * 3


def test_memory_is_what_was_said():
    memory = 1 << 20
    cache = AccountCache(memory, 1.0)
    held = sum(each.nbytes for each in vars(cache).values() if isinstance(each, np.ndarray))
    assert memory // 2 < held <= memory + 64
    assert AccountCache(1, 1.0).capacity == WAYS


def test_nothing_of_nothing():
    cache = AccountCache(1 << 12, 1.0)
    cache.store(*accounts([]))
    assert cache.look_up(accounts([])[0])[0].shape == (0,)
