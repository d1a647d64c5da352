# SPDX-License-Identifier: GPL-3.0-or-later
"""The hybrid scheduler: one interface for every executor, measured choice among them, and fallbacks that alter no result.

The policy can be imported without Numba; `Scheduler` is loaded when it is first asked for.
"""

from typing import TYPE_CHECKING, Any

from supervm.engine.scheduler.settings import SchedulerSettings, Strategy

if TYPE_CHECKING:
    from supervm.engine.scheduler.scheduler import Scheduler

__all__ = ["Scheduler", "SchedulerSettings", "Strategy"]


def __getattr__(name: str) -> Any:
    if name == "Scheduler":
        from supervm.engine.scheduler.scheduler import Scheduler

        return Scheduler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
