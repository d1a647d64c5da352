# SPDX-License-Identifier: GPL-3.0-or-later
"""Who does what: every task on every tier, chosen by hardware that is made up."""

from __future__ import annotations

import pickle

import pytest

from supervm.engine.work_classes import Work
from supervm.kernels.errors import ArgumentError
from supervm.tiers import Gpu, Hardware
from supervm.tiers.node.errors import TaskRefused
from supervm.tiers.node.running import EDGE, FULL, MOBILE, Places, role_of, run_edge, run_full, run_mobile
from supervm.tiers.node.tasks import TaskRouter, home_of, route, task_named
from supervm.tiers.settings import load
from supervm.tiers.settings_keys import TASKS

GB = 10**9
MACHINES = {
    "L1": Hardware(cores=64, memory=512 * GB, gpus=(Gpu("H100", 80 * GB, "9.0"),)),
    "L2": Hardware(cores=16, memory=64 * GB),
    "L3": Hardware(cores=4, memory=8 * GB),
    "L4": Hardware(cores=1, memory=2 * GB),
}
ROLES = {"L1": FULL, "L2": FULL, "L3": EDGE, "L4": MOBILE}
HOMES = {
    Work.CONSENSUS: ("L1", 90, False),
    Work.ZK_PROOF: ("L1", 95, True),
    Work.TRANSACTION_EXECUTION: ("L2", 60, False),
    Work.QUERY: ("L3", 20, False),
    Work.LOCAL_OPERATION: ("L4", 10, False),
}


def test_tasks_are_those_of_the_settings():
    assert tuple(Work) == TASKS
    with pytest.raises(ArgumentError, match="'mining'"):
        task_named("mining")


@pytest.mark.parametrize("tier", MACHINES)
@pytest.mark.parametrize("task", Work)
def test_a_tier_takes_a_task_on_or_says_where_it_belongs(tier, task):
    settings = load(MACHINES[tier], environment={})
    assert settings.tier.name == tier
    assert role_of(settings) == ROLES[tier]
    router = TaskRouter(settings.tier, settings.work_allowed)
    home, cost, gpu = HOMES[task]
    assert (home_of(task).name, task.cost, task.needs_gpu) == HOMES[task]
    reply = route(router, task.value)
    assert (reply.allowed, reply.cost, reply.tier, reply.needs_gpu) == (tier <= home, cost, home, gpu)
    if tier <= home:
        router.require(task)
        return
    with pytest.raises(TaskRefused) as caught:
        router.require(task)
    error = caught.value
    assert (error.belongs, error.needs_gpu, error.cost, error.tier) == (home, gpu, cost, tier)
    assert f"belongs to {home} or above, {'with a GPU' if gpu else 'no GPU needed'}" in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize("tier", ["L3", "L4"])
def test_lower_tiers_do_not_execute(tmp_path, tier):
    settings = load(MACHINES[tier], environment={})
    places = Places(tmp_path / "genesis.work", tmp_path / "state")
    with pytest.raises(TaskRefused, match="belongs to L2"):
        run_full(settings, MACHINES[tier], places, lambda ready: None)
    assert not list(tmp_path.iterdir())


def test_a_mobile_node_serves_nobody():
    settings = load(MACHINES["L4"], flags={"node.upstream": "127.0.0.1:1"}, environment={})
    with pytest.raises(TaskRefused, match="belongs to L3"):
        run_edge(settings, MACHINES["L4"], lambda ready: None)


def test_what_a_node_cannot_do_without():
    places = Places()
    for tier, words, run in (
        ("L2", "--genesis", lambda *given: run_full(*given, places, print)),
        ("L3", "--upstream", lambda *given: run_edge(*given, print)),
        ("L4", "--wallet", lambda *given: run_mobile(*given, places, "", print)),
    ):
        settings = load(MACHINES[tier], flags={"workers": 1}, environment={})
        with pytest.raises(ArgumentError, match=words):
            run(settings, MACHINES[tier])
