# SPDX-License-Identifier: GPL-3.0-or-later
"""The hybrid scheduler: one interface for every executor, measured choice among them, and fallbacks that alter no result."""

from supervm.engine.scheduler.scheduler import Scheduler
from supervm.engine.scheduler.settings import SchedulerSettings, Strategy

__all__ = ["Scheduler", "SchedulerSettings", "Strategy"]
