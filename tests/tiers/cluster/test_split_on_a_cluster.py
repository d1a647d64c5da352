# SPDX-License-Identifier: GPL-3.0-or-later
"""Split operations and commands on the nodes of a cluster: what one machine would have said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from circom_circuits import drawn

from supervm.benchmarks import cluster as suite
from supervm.crypto import curves, merkle, msm, ntt
from supervm.crypto.circom_r1cs import load_r1cs
from supervm.crypto.groth16_setup import make_test_key
from supervm.tiers.cluster.pool import Pool
from supervm.tiers.cluster.splitting import merkle as split_merkle
from supervm.tiers.cluster.splitting import msm as split_msm
from supervm.tiers.cluster.splitting import ntt as split_ntt
from supervm.tiers.cluster.splitting.parts import OnPool

BLOCKS = Path(__file__).resolve().parents[3] / "benchmarks" / "data" / "ethereum"
CIRCUIT = drawn("bn254", 6)


def test_trees_transforms_and_sums(pool: Pool) -> None:
    run, random = OnPool(pool), np.random.default_rng(2)
    leaves = random.integers(0, 256, (30_001, 4), np.uint8)
    assert split_merkle.root(run, leaves, "sha256", part_leaves=4096) == merkle.root(leaves, "sha256")
    values = random.integers(0, 1 << 60, (1 << 12, 4), np.uint64)
    found = split_ntt.transform(run, "bn254", values, inverse=True, coset=True)
    assert (found == ntt.ntt("bn254", values, inverse=True, coset=True)).all()
    group, scalars = curves.get("bn254").g1, values[:90]
    points = group.multiply(np.repeat(group.generator[None], 90, 0), scalars)
    bases = split_msm.Bases(run, "bn254", points, range_points=30)
    for each in (scalars, scalars[::-1].copy()):
        assert (bases.msm(each) == msm.msm("bn254", points, each)).all()


def test_commands(cluster: Any, run: Callable[..., Any], tmp_path: Path) -> None:
    blocks = sorted(BLOCKS.iterdir(), key=lambda path: int(path.name))[:4]
    alone, together = (
        run("replay", *blocks, "--json", *more) for more in ((), ("--cluster", cluster.address))
    )
    assert (alone.exit_code, together.exit_code) == (0, 0), together.output
    one, other = (json.loads(result.stdout) for result in (alone, together))
    assert (one["blocks"], one["checked"]) == (other["blocks"], other["checked"])
    (tmp_path / "c.zkey").write_bytes(make_test_key(load_r1cs(CIRCUIT.r1cs())))
    (tmp_path / "c.wtns").write_bytes(CIRCUIT.wtns())
    files = ("--proof", tmp_path / "p.json", "--public", tmp_path / "s.json")
    made = ("prove", "--key", tmp_path / "c.zkey", "--witness", tmp_path / "c.wtns", *files)
    result = run(*made, "--allow-test-key", "--cluster", cluster.address)
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "s.json").read_text()) == [str(value) for value in CIRCUIT.witness[1:3]]
    refused = run(*made, "--cluster", cluster.address)
    assert refused.exit_code == 2
    assert "for tests" in refused.stderr
    nobody = run(*made, "--allow-test-key", "--upstream", "127.0.0.1:1")
    assert nobody.exit_code == 3
    assert "upstream 127.0.0.1:1, RunTask: UNAVAILABLE" in nobody.stderr


def test_the_bench_suite(cluster: Any, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    result = run("bench", "cluster", "--batch", 2_000, "--cluster", cluster.address, "--json")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["rows"]
    assert [row["operation"] for row in rows] == [
        "cluster.ed25519.verify [2 nodes]",
        "cluster.merkle.sha256 [2 nodes]",
        "cluster.bn254.g1.msm [2 nodes]",
    ]
    assert {peer["name"] for row in rows for peer in row["peers"]} == {"the library alone"}
    honest = suite._verdicts
    monkeypatch.setattr(suite, "_verdicts", lambda *given: honest(*given) ^ 1)
    wrong = run("bench", "cluster", "--batch", 100, "--cluster", cluster.address)
    assert wrong.exit_code == 1
    assert "other verdicts through the pool" in wrong.stderr
    assert run("bench", "hashes", "--cluster", cluster.address).exit_code == 2
