# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of what a node can be asked for: a row for each task."""

from __future__ import annotations

from supervm.tiers.cluster import signature_tasks
from supervm.tiers.cluster.task import Task

TASKS: dict[str, Task] = {task.name: task for task in (*signature_tasks.TASKS,)}
"""Every task by its name."""
