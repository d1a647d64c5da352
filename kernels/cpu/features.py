# SPDX-License-Identifier: GPL-3.0-or-later
"""What the processor has, and what Numba will compile for.

LLVM aborts the whole process when it meets an IFMA intrinsic for a target without IFMA. Two things must hold
before such a kernel is compiled: the processor has the feature, and the target that Numba was told to compile
for (`NUMBA_CPU_NAME`, `NUMBA_CPU_FEATURES`, `NUMBA_ENABLE_AVX`) has it too.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import llvmlite.binding as llvm
from numba.core import config

IFMA_NEEDS = ("avx512f", "avx512dq", "avx512vl", "avx512bw", "avx512ifma")
IFMA_CPUS = (
    "icelake",
    "tigerlake",
    "rocketlake",
    "sapphirerapids",
    "emeraldrapids",
    "graniterapids",
    "znver4",
    "znver5",
)
"""Names that LLVM gives to processors with AVX-512 IFMA; anything else named by hand counts as without."""


SHA_CPUS = ("znver4",)
"""Processors whose own instructions for SHA-256 are faster than sixteen lanes of AVX-512."""


@dataclass(frozen=True)
class CpuFeatures:
    """What is known of the processor.

    Args:
        name: its name in LLVM.
        features: those that it has.
        ifma_reason: why `ifma` cannot be used, '' if it can.
        sha: whether its instructions for SHA-256 can be used.
    """

    name: str
    features: frozenset[str]
    ifma_reason: str
    sha: bool

    @property
    def ifma(self) -> bool:
        return not self.ifma_reason


@functools.cache
def cpu_features() -> CpuFeatures:
    """Read the processor once per process."""
    host = {name for name, present in llvm.get_host_cpu_features().items() if present}
    name = llvm.get_host_cpu_name()
    return CpuFeatures(name, frozenset(host), _ifma_reason(host), _has_sha(host))


def ifma_unavailable() -> str:
    """Why the `ifma` backend cannot run here, or ''."""
    return cpu_features().ifma_reason


def prefers_sha(backend: str) -> bool:
    """Whether SHA-256 of short messages is faster with the processor's own instructions than with a backend's lanes."""
    features = cpu_features()
    return features.sha and (backend == "scalar" or features.name in SHA_CPUS)


def _has_sha(host: set[str]) -> bool:
    """Whether the processor has these instructions, and Numba compiles for it as it is or names them itself."""
    if "sha" not in host or config.CPU_NAME not in (None, "", "host", llvm.get_host_cpu_name()):
        return False
    wanted = config.CPU_FEATURES
    return wanted is None or "+sha" in wanted.split(",")


def _ifma_reason(host: set[str]) -> str:
    missing = [feature for feature in IFMA_NEEDS if feature not in host]
    if missing:
        return f"the processor has no {', '.join(missing)}"
    if not config.ENABLE_AVX:
        return "NUMBA_ENABLE_AVX turns off every AVX feature"
    target = config.CPU_NAME
    if target and target not in ("host", llvm.get_host_cpu_name()) and not target.startswith(IFMA_CPUS):
        return f"Numba compiles for '{target}' (NUMBA_CPU_NAME), which has no AVX-512 IFMA"
    wanted = config.CPU_FEATURES
    if wanted is not None:
        on = {item[1:] for item in wanted.split(",") if item.startswith("+")}
        off = {item[1:] for item in wanted.split(",") if item.startswith("-")}
        named = bool(target) and target not in ("host",)
        lost = [feature for feature in IFMA_NEEDS if feature in off or (feature not in on and not named)]
        if lost:
            return f"NUMBA_CPU_FEATURES turns off {', '.join(lost)}"
    return ""
