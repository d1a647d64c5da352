# SPDX-License-Identifier: GPL-3.0-or-later
"""The four tiers of the network and the choice between them.

A tier decides defaults (threads, batch sizes, memory) and what a *node* may do. It never changes a result and
never binds the library or the other commands.
"""

from __future__ import annotations

from dataclasses import dataclass

from supervm.kernels.errors import ArgumentError
from supervm.tiers.hardware import Hardware

GIGABYTE = 10**9
"""Decimal: a machine sold with 8 GB reports a little less than 8 GiB, and must count as one of 8 GB."""


@dataclass(frozen=True)
class Tier:
    """A tier: its name, title, profile file, and the least hardware that `choose` asks for.

    Args:
        minimum_memory: bytes.
    """

    name: str
    title: str
    profile: str
    minimum_cores: int
    minimum_memory: int
    needs_gpu: bool = False

    def shortfalls(self, hardware: Hardware) -> list[str]:
        """What `hardware` lacks for this tier, in words; empty if it lacks nothing."""
        lacks = []
        if hardware.cores < self.minimum_cores:
            lacks.append(f"{self.minimum_cores} cores (found {hardware.cores})")
        if hardware.memory < self.minimum_memory:
            found = hardware.memory / GIGABYTE
            lacks.append(f"{self.minimum_memory // GIGABYTE} GB of memory (found {found:.1f} GB)")
        if self.needs_gpu and not hardware.gpus:
            lacks.append(f"a GPU ({hardware.gpu_reason or 'found none'})")
        return lacks


L1 = Tier("L1", "supercomputing", "l1_supernode.toml", 64, 512 * GIGABYTE, needs_gpu=True)
L2 = Tier("L2", "miner", "l2_miner.toml", 16, 64 * GIGABYTE)
L3 = Tier("L3", "edge", "l3_edge.toml", 4, 8 * GIGABYTE)
L4 = Tier("L4", "mobile", "l4_mobile.toml", 1, 0)
TIERS = (L1, L2, L3, L4)
"""Highest first."""


def choose(hardware: Hardware) -> Tier:
    """The highest tier whose minimum cores and memory are met (L1 also wants a GPU), else L4."""
    for tier in TIERS:
        if not tier.shortfalls(hardware):
            return tier
    return L4


def tier_named(name: str) -> Tier:
    """The tier called `name`, in either case.

    Raises:
        ArgumentError: there is none.
    """
    for tier in TIERS:
        if name.strip().upper() == tier.name:
            return tier
    raise ArgumentError("tier", repr(name), f"one of {', '.join(tier.name for tier in TIERS)}")


def reason_for(tier: Tier, hardware: Hardware) -> str:
    """Why `choose` gives this tier: what the next higher one wants in vain, in one sentence."""
    position = TIERS.index(tier)
    if position == 0:
        return "meets every requirement"
    above = TIERS[position - 1]
    return f"{above.name} wants {' and '.join(above.shortfalls(hardware)) or 'nothing more'}"
