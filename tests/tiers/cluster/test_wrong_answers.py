# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes that answer wrongly or refuse to: whatever they say, the result is that of one machine."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cluster_faults
import numpy as np
import pytest
from circom_circuits import drawn
from cluster_faults import FORMS, SQUARES, gathered, parts

from supervm.crypto import curves, merkle, msm, ntt
from supervm.crypto.circom_r1cs import load_r1cs
from supervm.crypto.circom_witness import load_witness
from supervm.crypto.groth16_setup import make_test_key
from supervm.engine.ethereum.replay.replay import replay
from supervm.kernels.errors import ArgumentError
from supervm.tiers.cluster.pool import Pool
from supervm.tiers.cluster.splitting import merkle as split_merkle
from supervm.tiers.cluster.splitting import msm as split_msm
from supervm.tiers.cluster.splitting import ntt as split_ntt
from supervm.tiers.cluster.splitting import proving, replaying
from supervm.tiers.cluster.splitting.parts import Here, OnPool
from supervm.tiers.cluster.task import Columns, Options, same, well_formed
from supervm.tiers.cluster.tasks import TASKS

BLOCKS = sorted(
    (Path(__file__).resolve().parents[3] / "benchmarks" / "data" / "ethereum").iterdir(),
    key=lambda path: int(path.name),
)[:4]
VALUES = np.random.default_rng(3).integers(0, 1 << 60, (1 << 10, 4), np.uint64)
Lie = Callable[[Columns], Columns]

TRIES = 20
"""On a busy machine the other node may have answered everything before the one that lies does."""


@pytest.fixture
def lied_to(pool: Pool, other: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., OnPool]:
    """Makes a runner over both nodes, one of which lies about a task of the table."""

    def make(lie: Lie, recheck: float = 1.0) -> OnPool:
        monkeypatch.setattr(
            pool,
            "on_wire",
            lambda task: functools.partial(cluster_faults.lying, task.name, [other], lie),
        )
        return OnPool(pool, recheck)

    return make


def taken_out(pool: Pool, other: str) -> bool:
    (node,) = [node for node in pool._nodes.values() if node.identity == other]
    return "it answered wrongly" in node.why_not


def until_taken_out(pool: Pool, other: str) -> Iterator[None]:
    """Tries, until the node that lies was found out; it has to be."""
    for _ in range(TRIES):
        yield
        if taken_out(pool, other):
            return
    pytest.fail("the node that lies was not found out")


@pytest.mark.parametrize(
    ("lie", "recheck"),
    [
        (cluster_faults.another_point, 1.0),
        (cluster_faults.flipped, 0.0),  # off the curve
        (cluster_faults.shortened, 0.0),
    ],
)
def test_sums(pool: Pool, other: str, lied_to: Callable[..., OnPool], lie: Lie, recheck: float) -> None:
    group, scalars = curves.get("bn254").g1, VALUES[:90]
    points = group.multiply(np.repeat(group.generator[None], 90, 0), scalars)
    bases = split_msm.Bases(lied_to(lie, recheck), "bn254", points, range_points=9)
    for _ in until_taken_out(pool, other):
        assert (bases.msm(scalars) == msm.msm("bn254", points, scalars)).all()


@pytest.mark.parametrize(
    ("lie", "recheck"),
    [
        (cluster_faults.praised, 1.0),
        (cluster_faults.forgetful, 0.0),
        (cluster_faults.flipped, 0.0),  # no JSON
    ],
)
def test_replay(pool: Pool, other: str, lied_to: Callable[..., OnPool], lie: Lie, recheck: float) -> None:
    here = replay(BLOCKS)
    runner = lied_to(lie, recheck)
    for _ in until_taken_out(pool, other):
        there = replaying.replay(runner, BLOCKS, part_blocks=1)
        assert (there.blocks, there.links, there.problems) == (here.blocks, here.links, here.problems)


@pytest.mark.parametrize("lie", [cluster_faults.flipped, cluster_faults.shortened])
def test_trees(pool: Pool, other: str, lied_to: Callable[..., OnPool], lie: Lie) -> None:
    leaves = VALUES.view(np.uint8).reshape(-1, 2)
    runner = lied_to(lie)
    for _ in until_taken_out(pool, other):
        assert split_merkle.root(runner, leaves, "sha256", part_leaves=1) == merkle.root(leaves, "sha256")


def test_rows_of_transforms(pool: Pool, other: str, lied_to: Callable[..., OnPool]) -> None:
    runner = lied_to(cluster_faults.flipped)
    for _ in until_taken_out(pool, other):
        assert (split_ntt.transform(runner, "bn254", VALUES) == ntt.ntt("bn254", VALUES)).all()


def test_proofs(pool: Pool, other: str, lied_to: Callable[..., OnPool], tmp_path: Path) -> None:
    circuit = drawn("bn254", 6)
    (tmp_path / "c.zkey").write_bytes(make_test_key(load_r1cs(circuit.r1cs())))
    witness = load_witness(circuit.wtns())
    prover = proving.Prover(lied_to(cluster_faults.flipped), tmp_path / "c.zkey", allow_test_only=True)
    for _ in until_taken_out(pool, other):
        proofs = prover.prove([witness] * 6, part_witnesses=1)
        assert {proof.public for proof in proofs} == {tuple(circuit.witness[1:3])}


# Answers that are none


@pytest.mark.parametrize(
    "form", ["nothing", "no side", "no arrays", "another dtype", "another column", "more sides"]
)
def test_what_has_not_the_form_of_an_answer_is_wrong(pool: Pool, other: str, form: str) -> None:
    gathered(pool.run(SQUARES, parts(20), {"form": {other: form}}), 20)
    assert taken_out(pool, other)


def test_no_items_have_no_rows(pool: Pool, other: str) -> None:
    gathered(pool.run(SQUARES, parts(20, 0), {"form": {other: "too many rows"}}), 20, 0)
    assert taken_out(pool, other)


def test_forms_are_told_without_a_node() -> None:
    columns = (np.arange(5),)
    answer: Any = (columns[0] ** 2,)
    assert well_formed(SQUARES, columns, {}, answer)
    for name in (
        "nothing",
        "no columns",
        "a list",
        "a number",
        "no side",
        "no arrays",
        "too few rows",
        "too many rows",
    ):
        assert not well_formed(SQUARES, columns, {}, FORMS[name](answer)), name


# What is said later of earlier answers


def test_a_batch_is_not_of_answers_that_are_not_believed_any_more(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.arange(200, dtype=np.int64)
    monkeypatch.setattr(pool, "models", lambda task: {})
    monkeypatch.setattr(pool._planner, "models", lambda task: {})
    run, runs = pool.run, []

    def doubted(*given: Any, **more: Any) -> Any:
        made = run(*given, **more)
        runs.append(made)
        if len(runs) == 1:
            made.suspects.add(0)
            return Wrong(made)
        return made

    class Wrong:
        """The first answer, as somebody gave it whose lies were found out too late."""

        def __init__(self, made: Any) -> None:
            self.made, self.suspects = made, made.suspects

        def __iter__(self) -> Iterator[tuple[int, Columns]]:
            return ((index, cluster_faults.flipped(answer)) for index, answer in self.made)

    monkeypatch.setattr(pool, "run", doubted)
    (found,) = pool.compute(SQUARES, (values,))
    assert len(runs) == 2
    assert found.tobytes() == (values**2).tobytes()


def test_a_batch_without_items(pool: Pool) -> None:
    (found,) = pool.compute(SQUARES, (np.arange(0),))
    assert (found.dtype, found.shape) == (np.int64, (0,))
    names = [""] + [node.name for node in pool.usable()]
    assert set(pool.models(SQUARES)) == set(names)
    (found,) = pool.compute(SQUARES, (np.arange(0),))
    assert found.shape == (0,)


# Nodes that refuse


@pytest.mark.parametrize("failure", ["error", "refusal", "stubborn"])
def test_a_node_that_fails_at_once_does_not_take_all_tries(pool: Pool, other: str, failure: str) -> None:
    gathered(pool.run(SQUARES, parts(12), {"fail": {other: failure}, "pause": 0.1}), 12)
    (node,) = [node for node in pool._nodes.values() if node.identity == other]
    assert node.state.value == "ready"  # its actor lives
    assert "it failed at what another node did" in node.why_not


def test_what_every_node_refuses_is_the_caller_s_error(pool: Pool, tmp_path: Path) -> None:
    everywhere = dict.fromkeys((node.identity for node in pool.usable()), "refusal")
    with pytest.raises(ArgumentError, match="argument 'values': found these"):
        list(pool.run(SQUARES, parts(2), {"fail": everywhere, "log": str(tmp_path / "log")}))
    assert len(pool.usable()) == 2
    assert len((tmp_path / "log").read_text().splitlines()) <= 4


# What a task may be sent


class Kept(Here):
    """Keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Columns, Options, Columns]] = []

    def run(self, task: str, parts: Iterable[Columns], options: Options) -> Iterator[tuple[int, Columns]]:
        for index, part in enumerate(parts):
            ((_, answer),) = super().run(task, [part], options)
            self.asked.append((part, options, answer))
            yield index, answer


def test_a_replay_writes_no_file_but_those_of_blocks(tmp_path: Path) -> None:
    run, victim = Kept(), tmp_path / "victim"
    replaying.replay(run, BLOCKS[:1])
    (((data, offsets, names), options, _),) = run.asked
    task = TASKS["ethereum.replay"]
    for name in (str(victim), "../../../victim", "block.json/../x", "notes.txt"):
        listed = names.tobytes().replace(b"block.json", name.encode())
        assert listed != names.tobytes()
        with pytest.raises(ArgumentError, match="a file of the name"):
            task.function((data, offsets, np.frombuffer(listed, np.uint8)), options)
    assert not victim.exists()
    with pytest.raises(ArgumentError, match="files"):
        task.function((data, offsets[:-1], names), options)
    with pytest.raises(ArgumentError, match="names that are none"):
        task.function((data, offsets, names[:-1]), options)


def test_blocks_of_two_shares_are_executed_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    executing, calls = threading.Lock(), []

    class Watched:
        def __init__(self, **options: Any) -> None:
            calls.append(options["trace_memory"])

        def __call__(self, *given: Any) -> None:
            assert executing.acquire(blocking=False)
            time.sleep(0.05)
            executing.release()
            calls.append(given[0].block.number)

    monkeypatch.setattr(replaying, "WholeBlocks", Watched)
    run = Kept()
    replaying.replay(run, BLOCKS, part_blocks=2, trace=bytes(32), trace_memory=True)
    with ThreadPoolExecutor(2) as threads:
        again = [
            threads.submit(TASKS["ethereum.replay"].function, part, options) for part, options, _ in run.asked
        ]
        assert [
            same(found.result(), answer) for found, (*_, answer) in zip(again, run.asked, strict=True)
        ] == [True, True]
    assert calls[0] is True
    assert len(calls) == 1 + 2 * len(BLOCKS)


def test_rows_do_not_leave_their_bytes() -> None:
    task = TASKS["verify.rows"]
    assert task.example is not None
    columns, options = task.example(4)
    assert task.function(columns, options)[0].tolist() == [1, 1, 1, 1]
    for place in (2, 4, 6):
        for wrong in (
            columns[place] + 1,
            columns[place] * (1 << 40),
            columns[place][::-1].copy(),
            columns[place][:-1],
            columns[place].astype(np.int32),
            columns[place][:0],
        ):
            changed = (*columns[:place], wrong, *columns[place + 1 :])
            with pytest.raises(ArgumentError):
                task.function(changed, options)
    for short in (columns[:-1], (), (columns[0].astype(np.int64), *columns[1:])):
        with pytest.raises((ArgumentError, ValueError)):
            task.function(short, options)


def test_few_bytes_do_not_ask_for_much_memory() -> None:
    rows = np.zeros((1, 4, 4), np.uint64)
    options = {"curve": "bn254", "inverse": False, "order": "natural", "coset": "1", "root": "1"}
    for columns in ((rows, np.zeros(1 << 20, np.int64)), (rows[0],)):
        with pytest.raises(ArgumentError):
            TASKS["ntt.rows"].function(columns, options)
    for height in (-1, 63, 1 << 40, 0.5, "12"):
        with pytest.raises(ArgumentError, match="depth"):
            TASKS["merkle.subtrees"].function(
                (np.zeros((4, 4), np.uint8),), {"hash": "sha256", "arity": 2, "height": height, "keep": False}
            )
