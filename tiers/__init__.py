# SPDX-License-Identifier: GPL-3.0-or-later
"""The door: hardware detection, node tiers, profiles, settings, composition, and the command line.

What it exports is imported at its first use: the program must be able to handle Ctrl-C before anything large is loaded.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from supervm.tiers.gpus import Gpu
    from supervm.tiers.hardware import Hardware, detect
    from supervm.tiers.tier import TIERS, Tier, choose

__all__ = ["TIERS", "Gpu", "Hardware", "Tier", "choose", "detect"]

_HOMES = {"gpus": ("Gpu",), "hardware": ("Hardware", "detect"), "tier": ("TIERS", "Tier", "choose")}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
