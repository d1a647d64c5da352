# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns of callers, fairly, and answers that nobody reads."""

from __future__ import annotations

import asyncio

import pytest
from patience import PATIENCE

from supervm.tiers.node.turns import Turns, Unread, caller_of

ANNA, BERT, CARL = (
    caller_of(f"ipv4:{host}:{port}") for host, port in (("10.0.0.1", 1), ("10.0.0.1", 2), ("10.0.0.2", 1))
)


async def asked(turns, *callers):
    """Calls that wait for a turn, in this order."""
    calls = []
    for caller in callers:
        calls.append(asyncio.ensure_future(turns.take(caller)))
        await asyncio.sleep(0)
    return calls


def given(calls):
    return [call.done() for call in calls]


def test_next_is_who_has_fewest():
    async def test():
        turns = Turns(2, 2)
        calls = await asked(turns, ANNA, ANNA, ANNA, BERT, CARL)
        assert given(calls) == [True, True, False, False, False]
        for caller, found in (
            (ANNA, [True, True, False, False, True]),  # the other address
            (CARL, [True, True, False, True, True]),  # the other connection
            (ANNA, [True] * 5),
        ):
            turns.give_back(caller)
            await asyncio.sleep(0)
            assert given(calls) == found

    asyncio.run(test())


def test_what_is_not_read_counts_as_a_turn_of_its_connection():
    """But takes none from others."""

    async def test():
        turns = Turns(2, 2)
        calls = await asked(turns, ANNA, ANNA, ANNA, BERT)
        assert given(calls) == [True, True, False, False]
        for _ in range(2):
            turns.keep(ANNA)
            turns.give_back(ANNA)
        await asyncio.sleep(0)
        assert given(calls) == [True, True, False, True]
        turns.let_go(ANNA)
        await asyncio.sleep(0)
        assert all(given(calls))

    asyncio.run(test())


def test_a_connection_has_no_more_than_its_part():
    async def test():
        turns = Turns(3, 2)
        calls = await asked(turns, ANNA, ANNA, ANNA, BERT)
        assert given(calls) == [True, True, False, True]
        turns.give_back(BERT)
        await asyncio.sleep(0)
        assert given(calls) == [True, True, False, True]
        turns.give_back(ANNA)
        await asyncio.sleep(0)
        assert all(given(calls))

    asyncio.run(test())


def test_who_no_longer_waits_keeps_no_turn():
    async def test():
        turns = Turns(1, 1)
        first, gone, late, last = await asked(turns, ANNA, BERT, CARL, BERT)
        gone.cancel()
        turns.give_back(ANNA)
        late.cancel()  # its turn has come, and it does not know yet
        await asyncio.sleep(0)
        await asyncio.wait({first, gone, late, last}, timeout=PATIENCE)
        assert [call.cancelled() for call in (first, gone, late, last)] == [False, True, True, False]
        turns.give_back(BERT)
        await asyncio.wait_for(turns.take(CARL), 20)

    asyncio.run(test())


def test_who_reads_least_is_ended():
    ended = []
    unread = Unread(100, ended.append)
    unread.add(CARL, 60)
    unread.add(ANNA, 30)
    unread.add(BERT, 40)  # with ANNA's of the same address, the most
    assert ended == [BERT.peer]
    assert unread.total == 90
    unread.taken(BERT, 40)  # which is gone already
    unread.taken(CARL, 60)
    unread.taken(ANNA, 30)
    assert unread.total == 0


@pytest.mark.parametrize(("sizes", "ended"), [([500], []), ([500, 1], [ANNA.peer])])
def test_one_large_answer_has_room(sizes, ended):
    found = []
    unread = Unread(100, found.append)
    for size in sizes:
        unread.add(ANNA, size)
    assert found == ended
