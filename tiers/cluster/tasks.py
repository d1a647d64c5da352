# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of what a node can be asked for: a row for each task."""

from __future__ import annotations

from supervm.tiers.cluster import signature_tasks
from supervm.tiers.cluster.splitting import merkle, msm, ntt, proving, replaying
from supervm.tiers.cluster.task import Task

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        *signature_tasks.TASKS,
        merkle.SUBTREES,
        msm.RANGE,
        ntt.ROWS,
        proving.PROVE,
        replaying.REPLAY,
    )
}
"""Every task by its name."""
