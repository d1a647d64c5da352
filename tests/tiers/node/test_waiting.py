# SPDX-License-Identifier: GPL-3.0-or-later
"""What waits for a block: who may, for how long, who makes room for whom, and what the next block takes."""

from __future__ import annotations

import itertools

import pytest
from pools import ENOUGH, Accounts, person, pool, sent

from supervm.engine.transactions.encoding import encode, transaction_hashes
from supervm.tiers.node.blocks import block_bytes
from supervm.tiers.node.limits import LATER, Refusal, reason_name
from supervm.vm.outcomes import Reason

FULL, TAKEN, FAR = Refusal.INBOX_FULL, Refusal.NONCE_TAKEN, Refusal.NONCE_TOO_FAR
POOR, CHEAP, MANY = Reason.INSUFFICIENT_BALANCE, Refusal.PRICE_TOO_LOW, Refusal.SENDER_FULL


def hash_of(batch) -> bytes:
    return transaction_hashes(batch)[0].tobytes()


def test_the_best_price_goes_first_and_then_who_came_first(tmp_path):
    with pool(tmp_path / "inbox") as made:
        rows = [sent(1, 0, 5), sent(2, 0, 9), sent(3, 0, 5), sent(2, 1, 5), sent(4, 0, 7)]
        assert made.submit(*rows) == [0] * 5
        assert made.packed(rows[1], rows[4], rows[0], rows[2], rows[3])
        assert made.pack() == []


def test_a_nonce_waits_for_those_before_it_whatever_it_pays(tmp_path):
    with pool(tmp_path / "inbox") as made:
        rich, poor, other = sent(1, 1, 100), sent(1, 0, 2), sent(2, 0, 3)
        assert made.submit(rich, other, poor) == [0, 0, 0]
        assert made.packed(other, poor, rich)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_gap_is_packed_once_it_is_filled(tmp_path, order):
    rows = [sent(1, nonce) for nonce in range(3)]
    with pool(tmp_path / "inbox") as made:
        there: set[int] = set()
        for place in order:
            assert made.submit(rows[place]) == [0]
            there.add(place)
            if there != {0, 1, 2} and 0 not in there:
                assert made.pack() == []
        assert made.packed(*rows)


def test_a_nonce_too_far_ahead_is_refused(tmp_path):
    with pool(tmp_path / "inbox", Accounts({1: (7, ENOUGH)}), sender_gap=10) as made:
        found = made.submit(sent(1, 16), sent(1, 17), sent(1, 2**64 - 2), sent(1, 6))
        assert found == [0, FAR, FAR, Reason.BAD_NONCE]


def test_what_is_not_ready_in_time_is_dropped(tmp_path):
    with pool(tmp_path / "inbox", seconds=60.0) as made:
        gap = sent(1, 1)
        assert made.submit(gap) == [0]
        made.now = 59.0
        assert made.pack() == []
        assert made.inbox.waiting == 1
        made.now = 61.0
        assert made.pack() == []
        assert made.inbox.waiting == 0
        assert made.inbox.find([hash_of(gap)]) == [None]
        assert made.submit(gap) == [0]


def test_balances_pay_for_all_of_a_sender_that_waits(tmp_path):
    """Two are paid for, three are not; value counts, and what is refused does not."""
    accounts = Accounts({1: (0, 2 * (2_000 * 3 + 50)), 2: (0, 0), 3: (0, (1 << 256) - 1)})
    with pool(tmp_path / "inbox", accounts) as made:
        rows = [sent(1, nonce, 3, value=50) for nonce in range(3)]
        assert made.submit(*rows) == [0, 0, POOR]
        assert made.submit(sent(2, 0)) == [POOR]
        assert made.submit(sent(2, 5)) == [POOR]
        most = [sent(3, nonce, value=(1 << 255) - 2_001) for nonce in range(3)]
        assert made.submit(*most) == [0, 0, POOR]
        assert made.packed(rows[0], rows[1], most[0], most[1])


def test_whoever_became_poor_is_not_packed(tmp_path):
    accounts = Accounts()
    with pool(tmp_path / "inbox", accounts) as made:
        rows = [sent(1, 0), sent(1, 1), sent(2, 0)]
        assert made.submit(*rows) == [0] * 3
        accounts.stated[person(1)] = (0, 3_999)
        assert made.packed(rows[0], rows[2])
        accounts.stated[person(1)] = (1, 1_999)
        made.inbox.reconsider()
        assert made.pack() == []
        assert not made.inbox.hopeful
        accounts.stated[person(1)] = (1, 2_000)
        made.inbox.reconsider()
        assert made.inbox.hopeful
        assert made.packed(rows[1])


def test_a_spent_nonce_is_dropped(tmp_path):
    accounts = Accounts()
    with pool(tmp_path / "inbox", accounts) as made:
        rows = [sent(1, nonce) for nonce in range(3)]
        made.submit(*rows)
        accounts.stated[person(1)] = (2, ENOUGH)
        assert made.packed(rows[2])
        assert made.inbox.waiting == 0
        assert made.inbox.find([hash_of(rows[0])]) == [None]


def test_prices_below_the_least_are_refused(tmp_path):
    with pool(tmp_path / "inbox", price=3) as made:
        assert made.submit(sent(1, 0, 2), sent(1, 0, 0), sent(1, 0, 3)) == [CHEAP, CHEAP, 0]


def test_a_higher_price_takes_the_place_of_the_same_nonce(tmp_path):
    with pool(tmp_path / "inbox") as made:
        first, low, high = sent(1, 0, 100), sent(1, 0, 109), sent(1, 0, 110)
        assert made.submit(first) == [0]
        assert made.submit(low) == [TAKEN]
        assert made.submit(high) == [0]
        assert made.inbox.find([hash_of(first), hash_of(low)]) == [None, None]
        assert made.inbox.waiting == 1
        assert made.submit(first) == [TAKEN]
        assert made.packed(high)


def test_rivals_within_one_submission(tmp_path):
    with pool(tmp_path / "inbox") as made:
        assert made.submit(sent(1, 0, 1)) == [0]
        rows = [sent(1, 0, 2), sent(1, 0, 2, value=1), sent(1, 0, 9), sent(1, 0, 9, value=1), sent(2, 0, 4)]
        assert made.submit(*rows) == [TAKEN, TAKEN, 0, TAKEN, 0]
        assert made.packed(rows[2], rows[4])


def test_what_cannot_be_paid_replaces_nothing(tmp_path):
    with pool(tmp_path / "inbox", Accounts({1: (0, 10_000)})) as made:
        first = sent(1, 0, 1)
        assert made.submit(first) == [0]
        assert made.submit(sent(1, 0, 6)) == [POOR]
        assert made.packed(first)


def test_the_same_twice_is_known(tmp_path):
    with pool(tmp_path / "inbox") as made:
        one = sent(1, 0)
        assert made.submit(one, one) == [0, 0]
        assert made.submit(one) == [0]
        assert made.packed(one)
        assert made.submit(one) == [0]
        assert made.inbox.waiting == 0


def test_a_sender_has_so_many_and_so_many_bytes(tmp_path):
    with pool(tmp_path / "inbox", sender_transactions=3, sender_bytes=100_000) as made:
        assert made.submit(*[sent(1, nonce) for nonce in range(5)]) == [0, 0, 0, MANY, MANY]
        assert made.submit(sent(1, 3)) == [MANY]
        assert made.submit(sent(1, 1, 5)) == [0]  # takes a place that the sender has
        large = [sent(2, nonce, input=bytes(40_000), gas_limit=200_000) for nonce in range(3)]
        assert made.submit(*large) == [0, 0, MANY]
        assert made.submit(sent(3, 0)) == [0]


def test_strangers_do_not_push_out_who_pays(tmp_path):
    """Many keys, each with money and a nonce that never comes: the best price of them takes no place of a ready one."""
    with pool(tmp_path / "inbox", transactions=64) as made:
        honest = [sent(number, 0, 2) for number in range(40)]
        assert made.submit(*honest) == [0] * 40
        strangers = [sent(1_000 + number, 1, 10**6) for number in range(500)]
        for first in range(0, 500, 50):
            made.submit(*strangers[first : first + 50])
            assert made.inbox.waiting <= 64
        cheap = [sent(5_000 + number, 0, 1) for number in range(500)]
        for first in range(0, 500, 50):
            made.submit(*cheap[first : first + 50])
        same = [sent(9_000 + number, 0, 2) for number in range(500)]
        made.submit(*same)
        assert made.inbox.waiting <= 64
        block = made.pack()
        assert block[:40] == [encode(each)[0] for each in honest]


def test_a_full_inbox_takes_better_prices_and_refuses_others(tmp_path):
    with pool(tmp_path / "inbox", transactions=16) as made:
        assert made.submit(*[sent(number, 0, 5) for number in range(15)]) == [0] * 15
        assert made.submit(*[sent(100 + number, 0, 4) for number in range(5)]) == [FULL] * 5
        best = [sent(200 + number, 0, 6) for number in range(5)]
        assert made.submit(*best) == [0] * 5
        assert made.inbox.waiting == 15
        assert made.pack()[:5] == [encode(each)[0] for each in best]


def test_bytes_that_wait_are_bounded(tmp_path):
    with pool(tmp_path / "inbox", bytes=1 << 20) as made:
        for number in range(60):
            made.submit(sent(number, 0, 1 + number, input=bytes(50_000), gas_limit=250_000))
            assert int(made.inbox._waiting.rows["bytes"].sum()) <= 1 << 20
        kept = made.pack()
        assert len(kept) >= 18
        assert kept[0] == encode(sent(59, 0, 60, input=bytes(50_000), gas_limit=250_000))[0]


def test_blocks_are_bounded_by_number_bytes_and_gas(tmp_path):
    rows = [sent(number, 0, input=bytes(1_000), gas_limit=5_000) for number in range(10)]
    size = len(encode(rows[0])[0])
    exact = block_bytes(3, 3 * size)
    for place, (block, most) in enumerate(
        [({"transactions": 4}, 4), ({"bytes": exact}, 3), ({"bytes": exact - 1}, 2), ({"gas": 10_000}, 2)]
    ):
        with pool(tmp_path / f"inbox{place}", block=block) as made:
            assert made.submit(*rows) == [0] * 10
            assert made.inbox.may_fill
            counts = []
            while packed := made.pack():
                counts.append(len(packed))
            assert sum(counts) == 10
            assert max(counts) == counts[0] == most


def test_a_transfer_takes_no_more_gas_of_a_block_than_it_can_use(tmp_path):
    with pool(tmp_path / "inbox", block={"gas": 2 * 1_976}) as made:
        rows = [sent(number, 0, gas_limit=10**9) for number in range(3)]
        assert made.submit(*rows) == [0] * 3
        assert len(made.pack()) == 2
        call = sent(9, 0, gas_limit=2 * 1_976 + 1, entry=b"f")
        assert made.submit(call) == [Refusal.ABOVE_BLOCK]


def test_a_block_that_is_to_be_full_is(tmp_path):
    with pool(tmp_path / "inbox", block={"transactions": 5}) as made:
        assert made.submit(*[sent(1, nonce) for nonce in range(4)], *[sent(2, 9)]) == [0] * 5
        assert made.inbox.may_fill
        assert made.pack(full=True) == []
        assert not made.inbox.may_fill  # one of the five is not ready
        assert made.submit(sent(3, 0)) == [0]
        assert made.inbox.may_fill
        assert len(made.pack(full=True)) == 5


def test_what_waits_survives_and_large_ones_of_before_are_dropped(tmp_path, caplog):
    path = tmp_path / "inbox"
    rows = [sent(1, nonce, 5) for nonce in range(3)]
    with pool(path) as made:
        assert made.submit(*rows, sent(2, 0, 1)) == [0] * 4
        database = made.inbox._table._database
        for place in range(4):  # an earlier version took such
            database.execute(
                "INSERT INTO transactions (hash, data) VALUES (?, ?)",
                (bytes([place]), bytes((2 << 20) + place)),
            )
    with pool(path, price=2, block={"transactions": 2}) as made:
        assert made.inbox.waiting == 3
        assert "5 transactions that waited" in caplog.text
        assert made.packed(*rows[:2])
    with pool(path, Accounts({1: (2, ENOUGH)})) as made:
        made._last = 1
        made.inbox.release(0, lambda number: True)
        assert made.packed(rows[2])
    with pool(path, Accounts({1: (2, ENOUGH)})) as made:
        made.inbox.release(0, lambda number: number == 1)
        made._last = 1
        assert made.packed(rows[2])


def test_reasons_have_names():
    assert reason_name(12) == "INSUFFICIENT_BALANCE"
    assert reason_name(133) == "INBOX_FULL"
    assert reason_name(255) == "reason 255"
    assert {Refusal.INBOX_FULL} < LATER
    assert not {int(each) for each in Refusal} & {int(each) for each in Reason}
