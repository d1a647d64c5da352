# SPDX-License-Identifier: GPL-3.0-or-later
"""Operations that are cut into shares: the library's own result, whatever the sizes, the cuts and the order of answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from circom_circuits import drawn

from supervm.crypto import curves, merkle, msm, ntt
from supervm.crypto.circom_r1cs import load_r1cs
from supervm.crypto.circom_witness import Witness, load_witness
from supervm.crypto.errors import UnsatisfiedWitness
from supervm.crypto.groth16_setup import make_test_key
from supervm.engine.errors import InputFileError
from supervm.engine.ethereum.replay.replay import replay
from supervm.kernels.errors import ArgumentError
from supervm.tiers.cluster.splitting import merkle as split_merkle
from supervm.tiers.cluster.splitting import msm as split_msm
from supervm.tiers.cluster.splitting import ntt as split_ntt
from supervm.tiers.cluster.splitting import proving, replaying
from supervm.tiers.cluster.splitting.parts import Held, Here
from supervm.tiers.cluster.task import Columns, Options, same
from supervm.tiers.cluster.tasks import TASKS

BLOCKS = sorted(
    (Path(__file__).resolve().parents[3] / "benchmarks" / "data" / "ethereum").iterdir(),
    key=lambda path: int(path.name),
)
CIRCUIT = drawn("bn254", 6)


class Backwards(Here):
    """Answers in reverse order, the first one of all twice: once wrong, and again at the end. Keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Columns, Options, Columns]] = []
        self.held = 0

    def run(self, task: str, parts: Iterable[Columns], options: Options) -> Iterator[tuple[int, Columns]]:
        listed = list(parts)
        answers = [answer for _, answer in super().run(task, listed, options)]
        self.asked += [(task, part, options, answer) for part, answer in zip(listed, answers, strict=True)]
        if answers and len(answers[0][0]) > 1:
            yield 0, tuple(np.zeros_like(column) for column in answers[0])
        yield from reversed(list(enumerate(answers)))

    def hold(self, columns: Columns) -> Held:
        self.held += 1
        return super().hold(columns)


@pytest.fixture
def run() -> Backwards:
    return Backwards()


@pytest.mark.parametrize("hash", ["sha256", "poseidon_bn254"])
@pytest.mark.parametrize(("count", "arity"), [(0, 2), (1, 2), (3, 2), (4097, 2), (10_000, 3), (600, 16)])
def test_merkle_trees_of_odd_sizes(run: Backwards, hash: str, count: int, arity: int) -> None:
    random = np.random.default_rng(count)
    if hash == "sha256":
        leaves = random.integers(0, 256, (count, 7), np.uint8)
    else:
        leaves = random.integers(0, 1 << 60, (min(count, 300), 4), np.uint64)
    expected = merkle.build(leaves, hash, arity)
    assert split_merkle.root(run, leaves, hash, arity, part_leaves=1) == expected.root
    found = split_merkle.build(run, leaves, hash, arity, part_leaves=5_000)
    assert found.root == expected.root
    for level in range(expected.depth + 1):
        assert (found.level(level) == expected.level(level)).all()
    if len(leaves):
        places = [len(leaves) - 1, 0]
        proofs = found.prove_batch(places)
        assert merkle.verify_batch(expected.root, leaves[places], proofs).tolist() == [1, 1]
    found.append(leaves[:1])
    expected.append(leaves[:1])
    assert found.root == expected.root


def test_a_tree_of_a_given_depth(run: Backwards) -> None:
    leaves = np.zeros((5000, 1), np.uint8)
    expected = merkle.root(leaves, "keccak256", depth=40)
    assert split_merkle.root(run, leaves, "keccak256", depth=40) == expected
    with pytest.raises(ArgumentError, match="depth"):
        split_merkle.root(run, leaves, "keccak256", depth=12)


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("order", ["natural", "bit_reversed"])
@pytest.mark.parametrize(
    ("size", "coset", "parts"), [(1, 3, 1), (8, None, 4), (64, 12345, 64), (2048, True, 4)]
)
def test_transforms_in_four_steps(
    run: Backwards, size: int, coset: int | None, parts: int, order: str, inverse: bool
) -> None:
    values = np.random.default_rng(size).integers(0, 1 << 60, (size, 4), np.uint64)
    how = {"inverse": inverse, "order": order, "coset": coset}
    found = split_ntt.transform(run, "bn254", values, parts=parts, **how)  # type: ignore[arg-type]
    assert (found == ntt.ntt("bn254", values, **how)).all()  # type: ignore[arg-type]


def test_transforms_that_are_refused(run: Backwards) -> None:
    values = np.zeros((8, 4), np.uint64)
    with pytest.raises(ArgumentError, match="one polynomial"):
        split_ntt.transform(run, "bn254", values.reshape(2, 4, 4))
    with pytest.raises(ArgumentError, match="power of two"):
        split_ntt.transform(run, "bn254", values[:6])
    with pytest.raises(ArgumentError, match="parts"):
        split_ntt.transform(run, "bn254", values, parts=3)


def test_sums_by_ranges_of_points_that_travel_once(run: Backwards) -> None:
    random = np.random.default_rng(5)
    group = curves.get("bn254").g1
    scalars = random.integers(0, 1 << 60, (3, 100, 4), np.uint64)
    points = group.multiply(np.repeat(group.generator[None], 100, 0), scalars[0])
    points[7] = 0
    bases = split_msm.Bases(run, "bn254", points, range_points=33)
    assert (len(bases), run.held) == (100, 4)
    assert (bases.msm(scalars) == msm.msm("bn254", points, scalars)).all()
    assert (bases.msm(scalars[1]) == msm.msm("bn254", points, scalars[1])).all()
    assert run.held == 4
    assert not split_msm.Bases(run, "bn254", points[:0]).msm(scalars[0, :0]).any()
    with pytest.raises(ArgumentError, match="99 items"):
        bases.msm(scalars[0, :99])
    points[40, 0, 0] ^= 1
    with pytest.raises(ArgumentError, match="row 7"):  # of the second range
        split_msm.Bases(run, "bn254", points, range_points=33).msm(scalars[0])


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "c.zkey"
    path.write_bytes(make_test_key(load_r1cs(CIRCUIT.r1cs())))
    return path


def test_proofs_by_witness(run: Backwards, key: Path) -> None:
    witness = load_witness(CIRCUIT.wtns())
    prover = proving.Prover(run, key, allow_test_only=True)
    proofs = prover.prove([witness] * 5, part_witnesses=2)
    assert [len(part[0]) for _, part, _, _ in run.asked] == [2, 2, 1]
    assert {proof.public for proof in proofs} == {tuple(CIRCUIT.witness[1:3])}
    assert len({proof.a.tobytes() for proof in proofs}) == 5
    bad = witness.values.copy()
    bad[1, 0] ^= 1
    with pytest.raises(UnsatisfiedWitness, match="witness 3 "):
        prover.prove([witness, witness, witness, Witness("bn254", bad)], part_witnesses=2)
    with pytest.raises(ArgumentError, match=r"witnesses\[1\]"):
        prover.prove([witness, Witness("bn254", bad[:3])])
    assert prover.prove([]) == []


def test_replay_by_ranges_joins_parents(run: Backwards, tmp_path: Path) -> None:
    places = [BLOCKS[1], BLOCKS[0], *BLOCKS[2:5]]
    whole = replay(places)
    told: list[int] = []
    found = replaying.replay(run, places, part_blocks=2, progress=lambda what, done, total: told.append(done))
    assert (found.blocks, found.notes, found.links) == (whole.blocks, whole.notes, whole.links)
    assert (found.problems, found.signatures) == (whole.problems, whole.signatures)
    assert (told[0], told[-1]) == (0, 5)
    ranges = replaying._Ranges(places, 2)
    for index, columns in enumerate(list(ranges)):
        assert same(ranges.again(index), columns)
    broken = tmp_path / "block"
    broken.mkdir()
    (broken / "pre_state.json").write_text("{}")
    (broken / "block.json").write_text("{}")
    with pytest.raises(InputFileError, match=str(broken / "block.json")):
        replaying.replay(run, [*places[:1], broken])


def test_every_task_finds_a_wrong_answer(run: Backwards, key: Path) -> None:
    random = np.random.default_rng(3)
    split_merkle.root(run, np.zeros((5000, 8), np.uint8), "sha256")
    split_merkle.build(run, np.zeros((5000, 8), np.uint8), "sha256")
    split_ntt.transform(run, "bn254", np.ones((64, 4), np.uint64), parts=1)
    proving.Prover(run, key, allow_test_only=True).prove([load_witness(CIRCUIT.wtns())])
    assert {name for name, *_ in run.asked} == {"merkle.subtrees", "ntt.rows", "groth16.prove"}
    for name, part, options, answer in run.asked:
        task = TASKS[name]
        if task.check is None:
            assert task.take is not None
            rows = np.array([1, 2, 5])
            again = task.function(task.take(part, rows), options)
            assert same(again, tuple(column[rows] for column in answer))
            continue
        assert task.check(part, options, answer, random)
        for place in range(len(answer)):
            wrong = [column.copy() for column in answer]
            wrong[place] ^= wrong[place].dtype.type(1)
            assert not task.check(part, options, tuple(wrong), random)
            assert not task.check(part, options, answer[:place], random)


def test_a_proof_that_says_something_else_is_found(run: Backwards, key: Path) -> None:
    witness = load_witness(CIRCUIT.wtns())
    proving.Prover(run, key, allow_test_only=True).prove([witness, witness])
    ((_, part, options, answer),) = run.asked
    assert TASKS["groth16.prove"].check is not None
    for lie in ((np.array([0]),), (np.array([7]),), (*answer[:3], answer[3][:1])):
        assert not TASKS["groth16.prove"].check(part, options, lie, np.random.default_rng(0))
