# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests in random company: everybody gets their own verdicts, once, whoever else leaves, is late or fails.

The batch function is replaced by one whose verdict of a signature is its first byte, and which fails on a key of 0xff.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervm.kernels.errors import DeviceLost
from supervm.tiers.errors import ServiceError
from supervm.tiers.service.codes import Code
from supervm.tiers.service.columns import SIGNATURE, Kind, Signatures
from supervm.tiers.service.gathering import Answer, Gatherer, Pending
from supervm.tiers.service.job_pool import JobPool

FULL = 8
KINDS = [Kind(1, "dalek", 32, False), Kind(1, "strict", 32, False), Kind(2, "", 33, True)]
POISON = 0xFF


class Bench:
    """A gatherer over the replaced batch function, and what came of it."""

    def __init__(self, age: float = 0.001) -> None:
        self.calls: list[tuple[Kind, int]] = []
        self.left: list[Pending] = []
        self.held = threading.Event()
        self.held.set()
        self.pool = JobPool("test", asyncio.get_running_loop())
        self.gatherer = Gatherer(self.pool, self.verify, FULL, age, self.failed, self.left.append)

    def verify(self, kind: Kind, keys: Any, signed: Any, signatures: Any) -> Any:
        assert self.held.wait(10)
        self.calls.append((kind, len(signatures)))
        assert keys.shape == (len(signatures), kind.key_width)
        if kind.scheme == 2:
            marks = signed[:, 0]
        else:
            data, offsets = signed
            assert (np.diff(offsets) == 1 + signatures[:, 0] % 3).all()  # message and signature of one item
            marks = data[offsets[:-1]]
        assert np.array_equal(marks, signatures[:, 1])
        if (keys[:, 0] == POISON).any():
            raise DeviceLost("test", "poison")
        return signatures[:, 0].view(np.int8)

    def failed(self, error: BaseException) -> ServiceError:
        assert isinstance(error, DeviceLost)
        return ServiceError(Code.INTERNAL, "", str(error))


class Caller:
    """Sends one request, and keeps what is delivered."""

    def __init__(self, kind: Kind, marks: bytes, first: int, poison: bool = False) -> None:
        self.gone = False
        self.answers: list[Answer] = []
        self.marks = marks
        rows = [bytes([mark, (first + place) % 251]) for place, mark in enumerate(marks)]
        messages = [row[1:] * (1 + row[0] % 3) for row in rows]
        key = bytes([POISON if poison else 1]).ljust(kind.key_width, b"\0")
        if kind.scheme == 2:
            signed, lengths = b"".join(row[1:].ljust(32, b"\0") for row in rows), b""
        else:
            signed = b"".join(messages)
            lengths = np.array(list(map(len, messages)), np.int64).tobytes()
        packed = b"".join(row.ljust(SIGNATURE, b"\0") for row in rows)
        self.columns = Signatures(kind, len(marks), key * len(marks), packed, signed, lengths)

    def pending(self, deadline: float | None = None) -> Pending:
        return Pending(self.columns, deadline, self, id(self), 0)

    def deliver(self, request: Pending, answer: Answer) -> None:
        assert request.sink is self
        self.answers.append(answer)


request_plans = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        st.binary(min_size=1, max_size=80),
        st.sampled_from(["stay", "stay", "stay", "leave", "leave later", "late", "poison"]),
        st.booleans(),
    ),
    max_size=30,
)


@settings(max_examples=60)
@given(request_plans)
def test_everybody_gets_their_own(plans: list[tuple[Kind, bytes, str, bool]]) -> None:
    async def run() -> None:
        bench = Bench()
        callers = []
        for number, (kind, marks, fate, pause) in enumerate(plans):
            caller = Caller(kind, marks, 7 * number, fate == "poison")
            callers.append((caller, fate))
            bench.gatherer.put(caller.pending(time.monotonic() - 1 if fate == "late" else None))
            caller.gone = fate == "leave"
            if pause:
                await asyncio.sleep(0.0005)
        for caller, fate in callers:
            caller.gone |= fate == "leave later"
        await _until(lambda: len(bench.left) == len(plans))
        bench.pool.close(RuntimeError())
        for caller, fate in callers:
            _check(caller, fate)
        assert all(items <= max(FULL, 8 * FULL) for _, items in bench.calls)
        assert len(set(map(id, bench.left))) == len(plans)

    asyncio.run(run())


def _check(caller: Caller, fate: str) -> None:
    if fate.startswith("leave"):
        assert len(caller.answers) <= (fate == "leave later")
        assert all(_own(caller, answer) for answer in caller.answers)
        return
    (answer,) = caller.answers
    if fate == "late":
        assert isinstance(answer, ServiceError)
        assert answer.code is Code.DEADLINE_EXCEEDED
    else:
        assert _own(caller, answer)
        assert fate != "poison" or isinstance(answer, ServiceError)


def _own(caller: Caller, answer: Answer) -> bool:
    """Its own verdicts; or the failure, which it shares with the one that was poisoned."""
    return answer == caller.marks or (isinstance(answer, ServiceError) and answer.code is Code.INTERNAL)


async def _until(true: Any) -> None:
    for _ in range(5000):
        if true():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("nothing came of it")


def test_small_requests_of_a_kind_share_a_call() -> None:
    async def run() -> None:
        bench = Bench(age=10)
        callers = [Caller(KINDS[0], b"ab", 2 * number) for number in range(4)]
        others = [Caller(KINDS[1], b"x", number) for number in range(3)]
        for caller in (*callers, *others):
            bench.gatherer.put(caller.pending())
        await _until(lambda: len(bench.left) == 4)
        assert bench.calls == [(KINDS[0], FULL)]
        assert [caller.answers for caller in callers] == [[b"ab"]] * 4
        assert not any(caller.answers for caller in others)  # neither full nor old
        bench.pool.close(RuntimeError())

    asyncio.run(run())


def test_an_old_batch_is_sent() -> None:
    async def run() -> None:
        bench = Bench(age=0.001)
        caller = Caller(KINDS[0], b"a", 0)
        bench.gatherer.put(caller.pending())
        await _until(lambda: caller.answers)
        assert bench.calls == [(KINDS[0], 1)]
        bench.pool.close(RuntimeError())

    asyncio.run(run())


def test_a_batch_that_is_ready_takes_requests_until_its_turn() -> None:
    async def run() -> None:
        bench = Bench()
        ready = Gatherer(bench.pool, bench.verify, FULL, 10, bench.failed, bench.left.append, 2, 4)
        callers = [Caller(KINDS[0], b"a", number) for number in range(7)]
        bench.held.clear()
        for kind in KINDS[1:]:  # one is computed, and one lies ready for the thread
            ready.put(Caller(kind, b"xy", 0).pending())
        for caller in callers[:3]:
            ready.put(caller.pending())
        await asyncio.sleep(0.01)
        ready.put(callers[3].pending())
        large = Caller(KINDS[0], bytes(9), 0)
        ready.put(large.pending())
        bench.held.set()
        await _until(lambda: large.answers)
        assert [items for _, items in bench.calls] == [2, 2, 4, 4, 4, 1]
        assert [caller.answers for caller in callers[:4]] == [[b"a"]] * 4
        bench.pool.close(RuntimeError())

    asyncio.run(run())


def test_a_large_request_goes_alone_in_pieces_between_which_others_have_their_turn() -> None:
    async def run() -> None:
        bench = Bench(age=0)
        bench.held.clear()
        large = Caller(KINDS[0], bytes(range(100)) + bytes(100), 0)
        small = [Caller(kind, b"a", 0) for kind in KINDS]
        bench.gatherer.put(large.pending())
        await asyncio.sleep(0.01)
        for caller in small:
            bench.gatherer.put(caller.pending())
        await asyncio.sleep(0.01)
        bench.held.set()
        await _until(lambda: len(bench.left) == 4)
        assert [items for _, items in bench.calls] == [64, 1, 1, 1, 64, 64, 8]
        assert large.answers == [large.marks]
        assert [caller.answers for caller in small] == [[b"a"]] * 3
        bench.pool.close(RuntimeError())

    asyncio.run(run())


def test_who_leaves_between_pieces_is_not_computed_further() -> None:
    async def run() -> None:
        bench = Bench()
        bench.held.clear()
        large = Caller(KINDS[0], bytes(300), 0)
        bench.gatherer.put(large.pending())
        await asyncio.sleep(0.01)
        large.gone = True
        bench.held.set()
        await _until(lambda: bench.left)
        assert (bench.calls, large.answers) == ([(KINDS[0], 64)], [])
        bench.pool.close(RuntimeError())

    asyncio.run(run())


def test_expired_and_gone_requests_are_not_computed() -> None:
    async def run() -> None:
        bench = Bench(age=0)
        expired, gone = Caller(KINDS[0], b"a", 0), Caller(KINDS[0], b"b", 0)
        gone.gone = True
        bench.gatherer.put(expired.pending(time.monotonic()))
        bench.gatherer.put(gone.pending())
        await _until(lambda: len(bench.left) == 2)
        assert not bench.calls
        bench.pool.close(RuntimeError())

    asyncio.run(run())


@pytest.mark.parametrize("closed_first", [True, False])
def test_a_closed_lane_fails_what_waits(closed_first: bool) -> None:
    async def run() -> None:
        bench = Bench(age=0)
        bench.held.clear()
        callers = [Caller(kind, b"a", 0) for kind in KINDS]
        if not closed_first:
            for caller in callers:
                bench.gatherer.put(caller.pending())
            await asyncio.sleep(0.02)
        bench.pool.close(DeviceLost("test", "closed"))
        if closed_first:
            for caller in callers:
                bench.gatherer.put(caller.pending())
        bench.held.set()
        await _until(lambda: len(bench.left) == 3)
        failed = [isinstance(caller.answers[0], ServiceError) for caller in callers]
        assert failed == ([True] * 3 if closed_first else [False, False, True])

    asyncio.run(run())


def test_a_sink_that_fails_costs_no_other_caller(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        bench = Bench(age=0)
        callers = [Caller(KINDS[0], bytes([index]), 0) for index in range(3)]

        def fails(*_: Any) -> None:
            raise RuntimeError("no")

        callers[0].deliver = fails  # type: ignore[method-assign]
        for caller in callers:
            bench.gatherer.put(caller.pending())
        await _until(lambda: len(bench.left) == 3)
        assert [len(caller.answers) for caller in callers] == [0, 1, 1]
        bench.pool.close(RuntimeError())

    asyncio.run(run())
    assert "could not be delivered" in caplog.text
