# SPDX-License-Identifier: GPL-3.0-or-later
"""The bounds of the queue, and the rates of clients under a clock of the test's own."""

from __future__ import annotations

import pytest

from supervm.tiers.errors import ServiceError
from supervm.tiers.service import admission
from supervm.tiers.service.admission import LONGEST_RETRY, SHORTEST_RETRY, Queue, Rates
from supervm.tiers.service.codes import Code


def test_the_queue_is_bounded_in_items_and_bytes() -> None:
    queue = Queue(10, 100)
    queue.enter(10, 1)
    _refused(queue, 1, 1)
    queue.leave(10, 1, 0.0)
    queue.enter(1, 100)
    _refused(queue, 1, 1)
    queue.leave(1, 100, 0.0)
    assert (queue.items, queue.size, queue.requests) == (0, 0, 0)
    queue.enter(10, 100)


def _refused(queue: Queue, items: int, size: int) -> None:
    before = (queue.items, queue.size, queue.requests)
    with pytest.raises(ServiceError) as caught:
        queue.enter(items, size)
    assert caught.value.code is Code.RESOURCE_EXHAUSTED
    assert caught.value.retry_after >= SHORTEST_RETRY
    assert (queue.items, queue.size, queue.requests) == before


def test_answers_that_nobody_reads_take_the_room_of_requests() -> None:
    queue = Queue(5, 100)
    queue.unread += 60
    with pytest.raises(ServiceError, match="full") as caught:
        queue.enter(1, 50)
    assert caught.value.retry_after > 0
    queue.taken(60)
    queue.enter(1, 50)


@pytest.mark.parametrize(("items", "size"), [(11, 1), (1, 101)])
def test_what_never_fits_is_not_told_to_try_again(items: int, size: int) -> None:
    with pytest.raises(ServiceError, match="send less at once") as caught:
        Queue(10, 100).enter(items, size)
    assert (caught.value.code, caught.value.retry_after) == (Code.RESOURCE_EXHAUSTED, 0)


def test_the_time_to_try_again_follows_what_requests_waited() -> None:
    queue = Queue(10, 100)
    for seconds, expected in ((2.0, 1.0), (1000.0, LONGEST_RETRY), (0.0, SHORTEST_RETRY)):
        for _ in range(400):
            queue.enter(1, 1)
            queue.leave(1, 1, seconds)
        assert queue.retry_after == pytest.approx(expected, rel=0.01)


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_client_may_send_its_rate_and_pays_what_it_overdraws() -> None:
    clock = Clock()
    rates = Rates(10, clock)
    rates.spend("a", 8)
    rates.spend("a", 22)
    with pytest.raises(ServiceError) as caught:
        rates.spend("a", 1)
    assert caught.value.code is Code.RESOURCE_EXHAUSTED
    assert caught.value.retry_after == pytest.approx(2.0)
    rates.spend("b", 10)  # another client
    clock.now += 1.9
    with pytest.raises(ServiceError):
        rates.spend("a", 1)
    clock.now += 0.2
    rates.spend("a", 1)
    clock.now += 1000
    rates.spend("a", 10)  # no more than a second's worth is saved up
    with pytest.raises(ServiceError):
        rates.spend("a", 1)


def test_a_request_without_items_counts_as_one() -> None:
    rates = Rates(1, Clock())
    rates.spend("a", 0)
    with pytest.raises(ServiceError):
        rates.spend("a", 0)


def test_without_a_rate_nobody_is_too_fast() -> None:
    rates = Rates(0)
    for _ in range(100):
        rates.spend("a", 1 << 30)


def test_clients_are_forgotten_in_the_order_in_which_they_fell_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admission, "MOST_CLIENTS", 2)
    rates = Rates(1, Clock())
    for client in "abc":
        rates.spend(client, 5)
    rates.spend("a", 5)
    with pytest.raises(ServiceError):
        rates.spend("c", 1)
