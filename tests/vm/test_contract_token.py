# SPDX-License-Identifier: GPL-3.0-or-later
"""The token, against a model in Python integers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wasm_host import MOST, Host, address, word

from supervm.vm import contracts
from supervm.vm.outcomes import Reason

A, B, C = address(1), bytes(range(1, 21)), b"\xff" * 20
OWNER = A


def event(kind: int, first: bytes, second: bytes, amount: int) -> bytes:
    return bytes([kind]) + bytes(12) + first + bytes(12) + second + word(amount)


class Token:
    """The contract with entry points as methods: the returned number, and checks of output and events."""

    def __init__(self) -> None:
        self.host = Host(contracts.load("token"))

    def change(self, entry: str, data: bytes, caller: bytes, expected: bytes) -> int:
        outcome = self.host.call(entry, data, caller=caller)
        if outcome.ok:
            assert outcome.output == b"\1"
            assert outcome.events == [expected]
        else:
            assert outcome.reason == Reason.CONTRACT_ERROR
        return outcome.returned

    def mint(self, to: bytes, amount: int, caller: bytes = OWNER) -> int:
        return self.change("mint", to + word(amount), caller, event(1, bytes(20), to, amount))

    def transfer(self, caller: bytes, to: bytes, amount: int) -> int:
        return self.change("transfer", to + word(amount), caller, event(1, caller, to, amount))

    def approve(self, caller: bytes, spender: bytes, amount: int) -> int:
        return self.change("approve", spender + word(amount), caller, event(2, caller, spender, amount))

    def transfer_from(self, caller: bytes, source: bytes, to: bytes, amount: int) -> int:
        return self.change("transfer_from", to + word(amount) + source, caller, event(1, source, to, amount))

    def view(self, entry: str, data: bytes = b"") -> int:
        outcome = self.host.call(entry, data)
        assert (outcome.returned, len(outcome.output), outcome.events) == (0, 32, [])
        return int.from_bytes(outcome.output, "big")

    def balance(self, owner: bytes) -> int:
        return self.view("balance_of", owner)

    def allowance(self, owner: bytes, spender: bytes) -> int:
        return self.view("allowance", spender + owner)


@pytest.fixture
def token():
    return Token()


def test_a_transfer_makes_these_host_calls(token):
    token.mint(A, 100)
    token.transfer(A, B, 1)
    outcome = token.host.call("transfer", B + word(5), caller=A)
    assert outcome.calls == [
        "caller",
        "input_read",
        "storage_get",
        "storage_read_value",
        "storage_set",
        "storage_get",
        "storage_read_value",
        "storage_set",
        "emit_event",
        "set_output",
    ]


def test_nothing_is_there_at_first(token):
    assert token.balance(A) == token.allowance(A, B) == token.view("total_supply") == 0


@pytest.mark.parametrize("amount", [0, 1, 2**64 - 1, 2**64, 2**128, 2**192 - 1, 2**255, MOST])
def test_amounts_at_the_edges(token, amount):
    assert token.mint(A, MOST) == 0
    assert token.transfer(A, B, amount) == 0
    assert (token.balance(A), token.balance(B)) == (MOST - amount, amount)
    assert token.transfer(B, A, amount) == 0
    assert (token.balance(A), token.balance(B)) == (MOST, 0)


@pytest.mark.parametrize("amount", [0, 7, 100])
def test_to_oneself(token, amount):
    token.mint(A, 100)
    assert token.transfer(A, A, amount) == 0
    assert token.balance(A) == 100
    assert token.transfer(A, A, 101) == -2
    token.approve(A, A, 100)
    assert token.transfer_from(A, A, A, amount) == 0
    assert token.balance(A) == 100


@pytest.mark.parametrize(
    ("held", "amount"), [(0, 1), (5, 6), (2**64 - 1, 2**64), (2**128, 2**128 + 1), (3, MOST)]
)
def test_balance_too_small(token, held, amount):
    token.mint(A, held)
    before = dict(token.host.storage)
    assert token.transfer(A, B, amount) == -2
    assert token.host.storage == before


def test_only_the_first_minter_mints(token):
    assert token.mint(B, 1, caller=C) == 0
    assert token.mint(B, 1, caller=A) == -5
    assert token.mint(B, 1, caller=C) == 0
    assert token.view("total_supply") == 2


def test_supply_does_not_overflow(token):
    assert token.mint(A, MOST) == 0
    assert token.mint(B, 1) == -4
    assert token.mint(B, 0) == 0
    assert token.view("total_supply") == MOST


def test_allowances(token):
    token.mint(A, 100)
    assert token.transfer_from(B, A, C, 1) == -3
    assert token.approve(A, B, 60) == 0
    assert token.allowance(A, B) == 60
    assert token.allowance(B, A) == 0
    assert token.transfer_from(C, A, B, 1) == -3
    assert token.transfer_from(B, A, C, 25) == 0
    assert (token.allowance(A, B), token.balance(A), token.balance(C), token.balance(B)) == (35, 75, 25, 0)
    assert token.transfer_from(B, A, C, 36) == -3
    assert token.approve(A, B, MOST) == 0
    assert token.transfer_from(B, A, C, 76) == -2
    assert token.allowance(A, B) == MOST
    assert token.transfer_from(B, A, A, 75) == 0
    assert token.balance(A) == 75
    assert token.approve(A, B, 0) == 0
    assert token.transfer_from(B, A, C, 0) == 0
    assert token.transfer_from(B, A, C, 1) == -3


@pytest.mark.parametrize(
    ("entry", "length"),
    [
        ("transfer", 52),
        ("approve", 52),
        ("transfer_from", 72),
        ("mint", 52),
        ("balance_of", 20),
        ("allowance", 40),
        ("total_supply", 0),
    ],
)
def test_other_lengths_of_input(token, entry, length):
    for wrong in {0, length - 1, length + 1, length + 100} - {length, -1}:
        outcome = token.host.call(entry, bytes(wrong))
        assert (outcome.reason, outcome.returned) == (Reason.CONTRACT_ERROR, -1)
    assert token.host.call(entry, bytes(length)).ok


AMOUNTS = st.one_of(
    st.integers(0, 50), st.integers(0, MOST), st.sampled_from([2**64 - 1, 2**64, 2**128, MOST])
)
WHO = st.sampled_from([A, B, C])


@settings(max_examples=20)
@given(st.lists(st.tuples(WHO, WHO, WHO, AMOUNTS, st.booleans()), max_size=12), AMOUNTS)
def test_against_a_model(steps, supply):
    token = Token()
    token.mint(A, supply)
    balances, allowed = {A: supply, B: 0, C: 0}, {}
    for caller, source, to, amount, direct in steps:
        if direct:
            source = caller
            expected = 0 if balances[source] >= amount else -2
            assert token.transfer(caller, to, amount) == expected
        else:
            assert token.approve(source, caller, amount // 2 + 1) == 0
            allowed[source, caller] = amount // 2 + 1
            expected = -3 if allowed[source, caller] < amount else 0 if balances[source] >= amount else -2
            assert token.transfer_from(caller, source, to, amount) == expected
            if expected == 0:
                allowed[source, caller] -= amount
        if expected == 0:
            balances[source] -= amount
            balances[to] += amount
    assert {who: token.balance(who) for who in balances} == balances
    assert {pair: token.allowance(*pair) for pair in allowed} == allowed
    assert sum(balances.values()) == token.view("total_supply")
