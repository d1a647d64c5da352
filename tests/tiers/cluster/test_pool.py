# SPDX-License-Identifier: GPL-3.0-or-later
"""The pool against one machine: the same verdicts, whatever happens to nodes on the way."""

from __future__ import annotations

import dataclasses
import http.server
import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from cluster_faults import SHARE, SQUARES, computed, gathered, parts
from patience import PATIENCE

from supervm.kernels.errors import ArgumentError
from supervm.tiers.cluster import checks, nodes
from supervm.tiers.cluster import pool as pools
from supervm.tiers.cluster.errors import NoCluster, NoNodeLeft, ShareFailed
from supervm.tiers.cluster.pool import Pool
from supervm.tiers.cluster.signature_tasks import columns_of
from supervm.tiers.cluster.task import Columns
from supervm.tiers.compose import signature_checks
from supervm.tiers.signature_files.rows import read_columns


def node_ids(pool: Pool) -> list[str]:
    return [node.identity for node in pool.usable()]


def test_verdicts_are_those_of_one_machine(pool: Pool, mixed_items: list[Any]) -> None:
    items = mixed_items * 3
    names = ("scheme", "public_key", "message", "digest", "signature")
    columns = {
        name: pa.array(
            [getattr(item, name) for item in items],
            pa.large_string() if name == "scheme" else pa.large_binary(),
        )
        for name in names
    }
    rows, broken = read_columns(columns, np.arange(1, len(items) + 1))
    assert broken is None
    here = signature_checks("auto").verify(rows)
    assert here.tolist() == [item.verdict for item in items]
    whole = columns_of(rows)
    pieces = [
        pools.TASKS["verify.rows"].take(whole, np.arange(at, at + 23)) for at in range(0, len(items), 23)
    ]  # type: ignore[misc]
    answers = dict(pool.run("verify.rows", pieces, recheck=0.5, seed=1))
    there = np.concatenate([answers[index][0] for index in range(len(pieces))])
    assert there.tobytes() == here.tobytes()


def test_nodes_are_described(pool: Pool) -> None:
    described = pool.nodes()
    assert [node.state for node in described] == ["ready", "ready"]
    assert len({node.name for node in described}) == 2
    for node in described:
        assert node.about is not None
        assert node.about.threads == 1


def test_a_share_is_computed_once(pool: Pool, tmp_path: Path) -> None:
    log = tmp_path / "log"
    gathered(pool.run(SQUARES, parts(40), {"log": str(log), "pause": 0.01}), 40)
    begun = computed(log)
    assert {node for node, _ in begun} == set(node_ids(pool))
    # Two may be computed at the end by whoever is idle.
    assert len(begun) <= 42


def test_parts_are_taken_as_their_bytes_allow(pool: Pool) -> None:
    taken = []

    def watched() -> Iterator[Columns]:
        for part in parts(30):
            taken.append(part)
            yield part

    size = SHARE * 8
    run = iter(pool.run(SQUARES, watched(), bytes_in_flight=4 * size))
    for done in range(1, 31):
        next(run)
        assert len(taken) <= done + 4
    assert next(run, None) is None


def test_a_run_that_is_left_hands_out_no_more(pool: Pool, tmp_path: Path) -> None:
    log = tmp_path / "log"
    run = pool.run(SQUARES, parts(1000), {"log": str(log)}, bytes_in_flight=4 * SHARE * 8)
    next(iter(run))
    run.close()
    gathered(pool.run(SQUARES, parts(4)), 4)
    assert len(computed(log)) < 20


def test_a_batch_is_cut_by_what_was_measured(pool: Pool, tmp_path: Path) -> None:
    values = np.arange(200_000, dtype=np.int64)
    models = pool.models(SQUARES)
    assert set(models) == {"", *(node.name for node in pool.usable())}
    (here,) = pool.compute(SQUARES, (values[:10],))  # a message takes longer than ten squares
    assert here.tobytes() == (values[:10] ** 2).tobytes()
    for name, model in models.items():
        model._curve = list(model.sizes), [1.0, 2.0] if name else [1e6, 2e6]
    (found,) = pool.compute(SQUARES, (values,), {"log": str(tmp_path / "log")})
    assert found.tobytes() == (values**2).tobytes()
    assert len({node for node, _ in computed(tmp_path / "log")}) == 2


# Faults


def test_a_node_killed_in_the_middle_costs_what_it_had_in_hand(
    pool: Pool, cluster: Any, tmp_path: Path
) -> None:
    log, third = tmp_path / "log", cluster.add()
    cluster.all_of(pool, 3)
    run = iter(pool.run(SQUARES, parts(60), {"log": str(log), "pause": 0.02}))
    answers = [next(run) for _ in range(12)]
    finished = {index for index, _ in answers}
    cluster.kill(third)
    answers += list(run)
    assert sorted(index for index, _ in answers) == list(range(60))
    assert all(
        (found == np.arange(index * SHARE, (index + 1) * SHARE) ** 2).all() for index, (found,) in answers
    )
    counts = Counter(index for _, index in computed(log))
    assert all(counts[index] == 1 for index in finished)
    # What it computed and what had arrived there, their checks, and a tail of one for each of the two left.
    assert sum(counts.values()) <= 60 + 6
    assert third.node_id not in node_ids(pool)


def test_a_worker_that_is_killed_is_started_again(
    pool: Pool, cluster: Any, other: str, tmp_path: Path
) -> None:
    marker = tmp_path / "killed"
    gathered(pool.run(SQUARES, parts(30), {"die": {other: str(marker)}, "pause": 0.01}), 30)
    assert marker.exists()
    cluster.all_of(pool, 2)
    assert other in node_ids(pool)


def test_work_that_is_too_large_is_halved(pool: Pool) -> None:
    gathered(pool.run(SQUARES, parts(3, 2048), {"room": 600}), 3, 2048)


def test_work_that_no_node_can_do_is_named(pool: Pool) -> None:
    with pytest.raises(ShareFailed, match=r"task 'test\.squares', share 0: .*MemoryError: 64 values"):
        list(pool.run(SQUARES, parts(1), {"room": 1}))


def test_wrong_columns_are_the_callers_error(pool: Pool) -> None:
    with pytest.raises(ArgumentError, match="argument 'values': found these, expected others"):
        list(pool.run(SQUARES, parts(2), {"refuse": True}))


def test_the_share_of_a_slow_node_is_taken_over(pool: Pool, other: str, tmp_path: Path) -> None:
    freed = tmp_path / "freed"
    try:
        gathered(pool.run(SQUARES, parts(20), {"stuck": {other: str(freed)}}), 20)
        assert not freed.exists()
    finally:
        freed.touch()


def test_a_node_that_answers_wrongly_is_taken_out(pool: Pool, other: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    gathered(pool.run(SQUARES, parts(20), {"wrong": [other], "log": str(log)}), 20)
    assert other not in node_ids(pool)
    (status,) = [node for node in pool.nodes() if node.state == "taken out"]
    assert status.trouble == "test.squares: it answered wrongly"
    for node in pool.usable():
        node.refuse("out of use")
    with pytest.raises(NoNodeLeft, match="it answered wrongly"):
        list(pool.run(SQUARES, parts(1)))


def test_a_node_that_failed_too_often_is_let_in_by_a_known_answer(
    pool: Pool, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = next(node for node in pool.usable() if node.identity == other)
    # It may have to compile, on a machine that does other things.
    for module in (pools, nodes):
        monkeypatch.setattr(module, "PROBE_SECONDS", 120.0)

    def fail_and_cool_down() -> None:
        for _ in range(3):
            node.breaker.failure("verify.ed25519", "it failed at what another node did")
        assert not node.usable
        pool.look()
        assert not node.usable
        node.breaker._until = 0.0
        pool.look()

    fail_and_cool_down()
    assert node.usable
    right = pools.TASKS["verify.ed25519"]
    wrong = dataclasses.replace(right, function=lambda columns, options: (np.zeros(1, np.int8),))
    monkeypatch.setitem(pools.TASKS, "verify.ed25519", wrong)
    fail_and_cool_down()
    assert node.why_not == "verify.ed25519: a known answer was wrong"


def test_few_wrong_items_are_found_by_enough_samples(pool: Pool, other: str) -> None:
    def one_wrong(columns: Columns, options: Any) -> Columns:
        import cluster_faults

        (found,) = cluster_faults.squares(columns, {})
        found[len(found) // 2] += len(found) > 8 and cluster_faults.here() in options["wrong"]
        return (found,)

    import ray

    ray.cloudpickle.register_pickle_by_value(__import__("sys").modules[__name__])
    task = dataclasses.replace(SQUARES, function=one_wrong)
    run = pool.run(task, parts(20), {"wrong": [other]}, recheck=1.0)
    gathered(run, 20)
    assert other not in node_ids(pool)


def test_answers_before_a_node_was_found_out_are_told(pool: Pool, other: str) -> None:
    run = pool.run(SQUARES, parts(20))
    answers = iter(run)
    first = [next(answers) for _ in range(10)]
    by_other = {
        index for node, indices in run._answered.items() if node.identity == other for index in indices
    }
    run._options["wrong"] = [other]
    run._distrust(next(node for node in pool.usable() if node.identity == other))
    assert run.suspects == by_other
    assert len(first) + len(list(answers)) == 20


class Again:
    """Shares that are made anew when they are asked for again."""

    def __init__(self, count: int) -> None:
        self.count, self.asked = count, list[int]()

    def __iter__(self) -> Iterator[Columns]:
        return parts(self.count)

    def again(self, index: int) -> Columns:
        self.asked.append(index)
        return next(itertools.islice(parts(self.count), index, None))


def test_doubted_shares_are_made_again(pool: Pool, other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other node is found out after it answered some: those come again, from columns that nobody kept."""
    made, doubted, run = Again(20), set[int](), pool.run

    def found_out(*given: Any, **named: Any) -> Any:
        going = run(*given, **named)
        if doubted:
            return going
        answers = [next(going._iterator) for _ in range(10)]
        going._distrust(next(node for node in pool.usable() if node.identity == other))
        doubted.update(going.suspects)
        going._iterator = itertools.chain(answers, going._iterator)
        return going

    monkeypatch.setattr(pool, "run", found_out)
    last = dict(pool.answers(SQUARES, made))
    assert sorted(made.asked) == sorted(doubted)
    gathered(last.items(), 20)


def test_a_head_that_restarts_stops_nobody(pool: Pool, cluster: Any, tmp_path: Path) -> None:
    log = tmp_path / "log"
    run = iter(pool.run(SQUARES, parts(40), {"log": str(log), "pause": 0.05}))
    answers = [next(run) for _ in range(5)]
    cluster.kill_head()
    answers += [next(run) for _ in range(15)]
    cluster.start_head()
    answers += list(run)
    assert sorted(index for index, _ in answers) == list(range(40))
    assert len(computed(log)) <= 42
    pool.look(now=True)
    assert len(pool.usable()) == 2


def test_a_head_that_is_busy_is_asked_again(
    pool: Pool, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, asked = pools.connecting.answers, list[str]()

    def busy_twice(address: str) -> bool:
        asked.append(address)
        return len(asked) > 2 and answers(address)

    monkeypatch.setattr(pools.connecting, "answers", busy_twice)
    assert Pool.connect(cluster.address).usable()
    assert len(asked) > 2
    monkeypatch.setattr(pools.connecting, "answers", lambda address: False)
    monkeypatch.setattr(pools, "GRACE_SECONDS", 0.1)
    with pytest.raises(NoCluster, match="its head does not answer any more"):
        Pool.connect(cluster.address)


# What is refused


def test_a_node_with_other_sources_is_refused_by_name(
    cluster: Any, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = pool.nodes()[0].name
    monkeypatch.setattr(pools, "sources", lambda: "0123456789abcdef")
    with pytest.raises(
        NoNodeLeft, match=rf"{name}: its sources are \w+ of version .*, ours are 0123456789abcdef"
    ):
        Pool.connect(cluster.address)


def test_a_node_that_answers_late_is_taken_up(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    known = pool.usable()[0]
    node = nodes.Node(known.identity, known.name, known.resources)
    with monkeypatch.context() as patch:
        patch.setattr(nodes, "START_SECONDS", 0.0)
        patch.setattr(nodes.ray, "wait", lambda references, timeout: ([], references))
        for _ in range(3):
            node.look(pool._ours)
        assert "are its cores in use by other work" in node.why_not
    until = time.monotonic() + PATIENCE
    while not node.usable:
        assert time.monotonic() < until
        node.look(pool._ours)
    assert node.why_not == ""


def test_an_address_that_is_no_cluster_is_named() -> None:
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.RequestHandlerClass.log_message = lambda *_: None  # type: ignore[method-assign, assignment]
    try:
        for address, problem in (
            ("somewhere", "expected HOST:PORT"),
            ("127.0.0.1:1", "nothing answers"),
            (f"127.0.0.1:{server.server_port}", "no head of a Ray cluster"),
        ):
            with pytest.raises(NoCluster, match=f"cluster '{address}': .*{problem}"):
                pools.connecting.reach(address)
    finally:
        server.shutdown()
        server.server_close()


def test_samples_have_the_size_that_was_asked_for(pool: Pool) -> None:
    drawn = []

    def take(columns: Columns, rows: Any) -> Columns:
        drawn.append(len(rows))
        return (columns[0][rows],)

    task = dataclasses.replace(SQUARES, take=take)
    gathered(pool.run(task, parts(3), {}, recheck=0.25), 3)
    assert len(drawn) >= 3  # once more for a share that two nodes were given, since one was idle
    assert set(drawn) == {16}
    assert checks.RECOMPUTED == 64
