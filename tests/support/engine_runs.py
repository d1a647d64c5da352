# SPDX-License-Identifier: GPL-3.0-or-later
"""Workloads on engines: made once, begun, and the roots that they lead to one by one in memory."""

from __future__ import annotations

import functools
from typing import Any

from supervm.engine.config import EngineConfig
from supervm.engine.engine import Engine
from supervm.engine.workloads.generate import generate
from supervm.engine.workloads.pool_calls import CONTRACT as POOL
from supervm.engine.workloads.private_transfers import benchmark_verifier
from supervm.engine.workloads.workload import Parameters, Workload
from supervm.vm.contracts import load


@functools.cache
def blocks_of(name: str, **parameters: Any) -> Workload:
    return generate(name, Parameters(**parameters))


def config_of(workload: Workload, **settings: Any) -> EngineConfig:
    """Settings, and the verifier of a workload's proofs if it has any."""
    return EngineConfig(verifier=benchmark_verifier() if workload.private else None, **settings)


def begin(engine: Engine, workload: Workload) -> None:
    """Give an engine a workload's genesis, if it has none yet; each part is a commit."""
    genesis = workload.genesis
    steps = [lambda: engine.credit(genesis.addresses, genesis.balances)]
    if len(genesis.object_ids):
        objects = (genesis.object_ids, genesis.object_owners, genesis.object_kinds)
        steps.append(lambda: engine.create_objects(*objects))
    for deployment in genesis.deployments:
        if deployment.contract == POOL:
            steps.append(functools.partial(engine.create_pool, deployment.salt))
        else:
            steps.append(functools.partial(engine.deploy, load(deployment.contract), deployment.salt))
    if len(genesis.keys):
        steps.append(lambda: engine.preset(genesis.keys, genesis.values))
    for step in steps[engine.height :]:
        step()


def genesis_commits(workload: Workload) -> int:
    """How many commits `begin` makes."""
    genesis = workload.genesis
    return 1 + bool(len(genesis.object_ids)) + len(genesis.deployments) + bool(len(genesis.keys))


@functools.cache
def end_of(workload: Workload) -> list[bytes]:
    """The root after each block, executed one by one in memory."""
    with Engine.open(None, config_of(workload, mode="sequential")) as engine:
        begin(engine, workload)
        return [engine.execute(block).state_root for block in workload.blocks]


@functools.cache
def all_roots(workload: Workload) -> list[bytes]:
    """The root at each height, the genesis included."""
    roots = [bytes(32)]

    class Noting(Engine):
        def _commit(self, *arguments: Any, **named: Any) -> bytes:
            root = super()._commit(*arguments, **named)
            roots.append(root)
            return root

    with Noting.open(None, config_of(workload, mode="sequential")) as engine:
        begin(engine, workload)
        return roots + end_of(workload)
