# SPDX-License-Identifier: GPL-3.0-or-later
"""The door: hardware detection, node tiers, profiles, settings, composition, and the command line."""

from supervm.tiers.gpus import Gpu
from supervm.tiers.hardware import Hardware, detect
from supervm.tiers.tier import TIERS, Tier, choose

__all__ = ["TIERS", "Gpu", "Hardware", "Tier", "choose", "detect"]
