# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tasks a node takes on, what they cost, and where the others belong."""

from __future__ import annotations

import functools
from collections.abc import Iterable

from supervm.engine.work_classes import Work
from supervm.kernels.errors import ArgumentError
from supervm.tiers.node.errors import TaskRefused
from supervm.tiers.service.v1 import node_pb2 as pb
from supervm.tiers.settings import profile_of
from supervm.tiers.tier import TIERS, Tier


class TaskRouter:
    """Takes tasks on or says where they belong.

    Args:
        tier: the node's.
        allowed: the setting `work.allowed`.
    """

    def __init__(self, tier: Tier, allowed: Iterable[str]) -> None:
        self.tier = tier
        self.allowed = frozenset(Work(task) for task in allowed)

    def require(self, task: Work) -> None:
        """Return if this node does the task.

        Raises:
            TaskRefused: it does not; the error says who does.
        """
        if task not in self.allowed:
            raise TaskRefused(task, task.cost, self.tier.name, home_of(task).name, task.needs_gpu)


def task_named(name: str) -> Work:
    """The task of this name.

    Raises:
        ArgumentError: there is none.
    """
    try:
        return Work(name)
    except ValueError:
        raise ArgumentError("task", repr(name), f"one of {', '.join(Work)}") from None


@functools.cache
def home_of(task: Work) -> Tier:
    """The lowest tier whose profile takes the task on."""
    return next(tier for tier in reversed(TIERS) if task in profile_of(tier)["work"]["allowed"])


def route(router: TaskRouter, name: str) -> pb.RouteTaskReply:
    """What a node answers about a task.

    Raises:
        ArgumentError: there is no such task.
    """
    task = task_named(name)
    return pb.RouteTaskReply(
        allowed=task in router.allowed, cost=task.cost, tier=home_of(task).name, needs_gpu=task.needs_gpu
    )
