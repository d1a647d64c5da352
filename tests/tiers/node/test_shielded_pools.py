# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes of chains that have a shielded pool."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine_runs import blocks_of, end_of
from node_chains import opened, write_chain

from supervm.engine.engine import Engine
from supervm.engine.workloads import read_workload
from supervm.engine.workloads.private_transfers import benchmark_verifier
from supervm.engine.workloads.run import place_genesis


def test_a_node_executes_blocks_of_a_pool(tmp_path: Path):
    sizes: dict[str, Any] = {"transactions": 60, "accounts": 20, "block_size": 20}
    workload = blocks_of("private", **sizes)
    write_chain(tmp_path / "chain", workload)
    with opened(tmp_path / "node", tmp_path / "chain", config={"verifier": benchmark_verifier()}) as node:
        node.run(until=3)
        assert [node.records.block(number).root for number in (1, 2, 3)] == end_of(workload)
        assert node.engine.pool(workload.genesis.deployments[0].address).notes == 120


def test_a_genesis_has_a_pool_if_asked(tmp_path: Path, run: Any):
    file = tmp_path / "genesis.work"
    result = run("node", "genesis", file, "--credit", f"{'01' * 20}=5", "--pool", "--json")
    told = json.loads(result.stdout)
    with Engine.open() as engine:
        place_genesis(engine, read_workload(file).genesis)
        assert engine.pool(bytes.fromhex(told["pool"])).notes == 0
    result = run("node", "genesis", file, "--credit", f"{'01' * 20}=5", "--json")
    assert "pool" not in json.loads(result.stdout)
