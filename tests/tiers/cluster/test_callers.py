# SPDX-License-Identifier: GPL-3.0-or-later
"""Several callers of one pool, callers that leave, and nodes that do not answer: nobody waits for what is not to come."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cluster_faults import SHARE, SQUARES, computed, gathered, parts
from patience import until

from supervm.crypto import curves, msm
from supervm.engine.work_classes import Work
from supervm.tiers.cluster import planning
from supervm.tiers.cluster.pool import Pool
from supervm.tiers.cluster.splitting.parts import OnPool, digest_of
from supervm.tiers.node.callers import Asker, asker, caller_waits, require_caller
from supervm.tiers.node.task_desk import TaskDesk
from supervm.tiers.node.task_messages import column_message, columns_of
from supervm.tiers.node.tasks import TaskRouter
from supervm.tiers.service.v1 import node_pb2 as pb
from supervm.tiers.tier import L3


def flying(pool: Pool) -> int:
    return sum(node.flying for node in pool._nodes.values())


@contextmanager
def stuck(pool: Pool, folder: Path) -> Iterator[dict[str, Any]]:
    """Options with which both nodes wait over what they begin, while the block runs."""
    freed = folder / "freed"
    try:
        yield {"stuck": {node.identity: str(freed) for node in pool.usable()}, "log": str(folder / "log")}
    finally:
        freed.touch()


def begun(log: Path, shares: int) -> None:
    """Wait until so many shares are."""
    until(lambda: log.exists() and len(computed(log)) >= shares)


def test_what_has_not_begun_ends_with_its_caller(pool: Pool, tmp_path: Path) -> None:
    log = tmp_path / "log"

    def unless_both_have_begun() -> None:
        if flying(pool) == 4:
            begun(log, 2)
            raise TimeoutError("nobody waits")

    with stuck(pool, tmp_path) as options:
        with pytest.raises(TimeoutError, match="nobody waits"):
            list(pool.run(SQUARES, parts(10), options, wanted=unless_both_have_begun))
        for node in pool.usable():
            node.answers()  # what was said to it before has got there
        time.sleep(0.5)  # and is taken to heart
    assert flying(pool) == 0
    gathered(pool.run(SQUARES, parts(4)), 4)
    assert len(computed(log)) == 2  # each node had one more, which had arrived


def test_callers_in_several_threads_have_their_own_answers(pool: Pool, tmp_path: Path) -> None:
    """Each with one share: both nodes get one."""
    log, together = tmp_path / "log", threading.Barrier(4)

    def ask(number: int) -> Any:
        values = np.arange(SHARE, dtype=np.int64) + number * SHARE
        together.wait()
        options = {"log": str(log), "pause": 0.3}
        ((_, (found,)),) = pool.answers(SQUARES, [(values,)], options, recheck=0.0)
        return (found == values**2).all()

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(ask, range(4)))
    assert len({node for node, _ in computed(log)}) == 2
    assert flying(pool) == 0


def test_a_node_that_does_not_answer_is_not_measured(
    pool: Pool, cluster: Any, other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    freed = tmp_path / "freed"
    task = dataclasses.replace(
        SQUARES,
        name="test.stuck",
        example=lambda items: ((np.arange(items),), {"stuck": {other: str(freed)}}),
    )
    (name,) = [node.name for node in pool.usable() if node.identity == other]
    monkeypatch.setattr(planning, "FIRST_SECONDS", 5.0)  # enough for the other one, and for this machine
    try:
        assert set(pool.models(task)) == {"", *(node.name for node in pool.usable())} - {name}
        assert other not in [node.identity for node in pool.usable()]
    finally:
        freed.touch()
    cluster.all_of(pool, 2)


# A node below the pool


def share_of(points: Any, scalars: Any, held: bool) -> pb.RunTaskRequest:
    digest = digest_of((points,))
    request = pb.RunTaskRequest(
        task="msm.range",
        columns=[column_message(scalars[None]), column_message(np.array([0]))],
        options=f'{{"curve": "bn254", "group": "g1", "points": [{{"held": "{digest}"}}, {{"held": "none"}}]}}',
    )
    if held:
        request.held.append(pb.HeldColumns(digest=digest, columns=[column_message(points)]))
    return request


def test_shares_go_over_the_pool_with_what_they_hold(pool: Pool) -> None:
    desk = TaskDesk(TaskRouter(L3, (Work.QUERY,)), OnPool(pool), open_to_others=True)
    group = curves.get("bn254").g1
    scalars = np.random.default_rng(1).integers(1, 1 << 60, (30, 4), np.uint64)
    points = group.multiply(np.repeat(group.generator[None], 30, 0), scalars)
    assert list(desk.answer(share_of(points, scalars, held=False)).lacks) == [digest_of((points,))]
    for held in (True, False):
        ((found,),) = columns_of(desk.answer(share_of(points, scalars, held)).columns, "columns")
        assert (found == msm.msm("bn254", points, scalars)).all()
    assert len(pool.usable()) == 2


def test_a_share_over_the_pool_ends_with_its_caller(pool: Pool, tmp_path: Path) -> None:
    with stuck(pool, tmp_path) as options:

        def ask() -> Any:
            return list(pool.answers(SQUARES, parts(1), options, wanted=require_caller))

        waits = caller_waits.set(time.monotonic() + 0.5)
        with pytest.raises(TimeoutError, match="nobody waits"):
            ask()
        caller_waits.reset(waits)
        gone = asker.set(asking := Asker())
        asking.leave()
        with pytest.raises(TimeoutError, match="nobody waits"):
            ask()
        asker.reset(gone)
    assert flying(pool) == 0
