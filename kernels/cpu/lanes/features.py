# SPDX-License-Identifier: GPL-3.0-or-later
"""What the processor has, and what Numba will compile for.

LLVM aborts the whole process when it meets an IFMA intrinsic for a target without IFMA, and makes a library call of each
lane's fused multiply-add for one without FMA. Two things must hold before a kernel is compiled for lanes: the processor has
the features, and the target that Numba was told to compile for (`NUMBA_CPU_NAME`, `NUMBA_CPU_FEATURES`,
`NUMBA_ENABLE_AVX`) has them too.

`SUPERVM_WITHOUT` switches some of `ifma`, `avx512`, `avx2`, `neon` and `sha` off (`SUPERVM_WITHOUT=ifma,sha`): the engine
then does what it would do on a processor that lacks them, with kernels compiled for the processor that is there.

A target that is no 64-bit processor to LLVM makes it abort too: where the environment names one, another process tries it
first.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from dataclasses import dataclass

import llvmlite.binding as llvm
from numba.core import config
from numba.core.codegen import get_host_cpu_features

from supervm.kernels.errors import ArgumentError

WITHOUT = "SUPERVM_WITHOUT"
SWITCHED = ("ifma", "avx512", "avx2", "neon", "sha")
"""What that variable can switch off."""

AVX512_NEEDS = ("avx512f", "avx512dq", "avx512vl", "avx512bw")
IFMA_NEEDS = (*AVX512_NEEDS, "avx512ifma")
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


BELOW_SHA = ("sse", "sse2")
BELOW_IFMA = (*BELOW_SHA, "sse3", "ssse3", "sse4.1", "sse4.2", "avx", "avx2", "fma", "f16c", "evex512")
"""Features that others stand on: LLVM takes those away with any of these."""

ARM_SHA_NEEDS = ("fp-armv8", "neon", "sha2")
"""ARM's feature with instructions for SHA-256, after those that it stands on."""

SHA_CPUS = ("znver4",)
"""Processors whose own instructions for SHA-256 are faster than sixteen lanes of AVX-512."""

SHA_TARGETS = ("znver1", "znver2", "znver3", "alderlake", "raptorlake", "arrowlake")
"""Names that LLVM gives to processors with AVX2 and instructions for SHA-256: targets that have them by their names."""


@dataclass(frozen=True)
class DoubleLanes:
    """Lanes of doubles with fused multiply-adds.

    Args:
        switch: its name in `SUPERVM_WITHOUT`.
        width: lanes of 64 bits.
        machine: the processors that may have them, by the beginning of LLVM's triple.
        needs: features that the processor must have, by their names in LLVM.
        evidence: what an assembler listing of one multiply-add shows where Numba's target has them too.
    """

    switch: str
    width: int
    machine: str
    needs: tuple[str, ...]
    evidence: tuple[str, str]


DOUBLE_LANES = {
    row.switch: row
    for row in (
        DoubleLanes("avx512", 8, "x86_64", AVX512_NEEDS, ("vfmadd", "zmm")),
        DoubleLanes("avx2", 4, "x86_64", ("avx2", "fma"), ("vfmadd", "ymm")),
        DoubleLanes("neon", 2, "aarch64", ("neon",), ("fmla", ".2d")),
    )
}


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
        """Whether `ifma` can be used: nothing speaks against it."""
        return not self.ifma_reason


_TRY = """
import sys
import llvmlite.binding as llvm
llvm.initialize_native_target()
llvm.initialize_native_asmprinter()
module = llvm.parse_assembly("define i64 @same(i64 %x) { ret i64 %x }")
target = llvm.Target.from_default_triple()
target.create_target_machine(cpu=sys.argv[1], features=sys.argv[2]).emit_object(module)
"""


@functools.cache
def cpu_features() -> CpuFeatures:
    """Read the processor once per process.

    Raises:
        ArgumentError: the environment names a target that LLVM cannot compile for, or something that cannot be switched off.
    """
    _check_target()
    host = {name for name, present in llvm.get_host_cpu_features().items() if present}
    name = llvm.get_host_cpu_name()
    return CpuFeatures(name, frozenset(host), _ifma_reason(host), _has_sha(host))


def _check_target() -> None:
    """Have LLVM compile a line for the target that the environment names, in a process that may abort."""
    if not config.CPU_NAME and not config.CPU_FEATURES:
        return
    name = llvm.get_host_cpu_name() if config.CPU_NAME is None else config.CPU_NAME
    tried = subprocess.run(
        [sys.executable, "-c", _TRY, name, config.CPU_FEATURES or ""], capture_output=True, check=False
    )
    if tried.returncode:
        found = f"'{name}' with '{config.CPU_FEATURES or ''}', for which LLVM cannot compile"
        raise ArgumentError("NUMBA_CPU_NAME, NUMBA_CPU_FEATURES", found, "a 64-bit processor that LLVM knows")


def ifma_unavailable() -> str:
    """Why the `ifma` backend cannot run here, or ''."""
    return cpu_features().ifma_reason


@functools.cache
def double_lanes_unavailable(name: str) -> str:
    """Why the backend of a row of `DOUBLE_LANES` cannot run here, or ''."""
    lanes = DOUBLE_LANES[name]
    machine = llvm.get_process_triple()
    if not machine.startswith(lanes.machine):
        return f"the processor is {machine.split('-')[0]}, not {lanes.machine}"
    host = cpu_features().features
    missing = [feature for feature in lanes.needs if feature not in host]
    if missing:
        return f"the processor has no {', '.join(missing)}"
    if name in _without():
        return f"{WITHOUT} switches it off"
    listing = _multiply_add(lanes.width)
    if not all(word in listing for word in lanes.evidence):
        return f"Numba's target has no fused multiply-add of {lanes.width} doubles"
    return ""


def _multiply_add(width: int) -> str:
    """The assembler listing of a fused multiply-add of so many doubles, for the target that Numba compiles for."""
    name = llvm.get_host_cpu_name() if config.CPU_NAME is None else config.CPU_NAME
    features = get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES
    vector = f"<{width} x double>"
    module = llvm.parse_assembly(
        f"declare {vector} @llvm.fma.v{width}f64({vector}, {vector}, {vector})\n"
        f"define {vector} @f({vector} %a, {vector} %b, {vector} %c) {{\n"
        f"%d = call {vector} @llvm.fma.v{width}f64({vector} %a, {vector} %b, {vector} %c)\n"
        f"ret {vector} %d\n}}"
    )
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple()
    listing: str = target.create_target_machine(cpu=name, features=features).emit_assembly(module)
    return listing


def prefers_sha(backend: str) -> bool:
    """Whether SHA-256 of short messages is faster with the processor's own instructions than with a backend's lanes."""
    if backend == "neon":
        return cpu_features().sha  # a third of the instructions of lanes
    features = cpu_features()
    return features.sha and (
        backend == "scalar" or features.name in SHA_CPUS or (backend == "avx2" and not _wide_registers())
    )


@functools.cache
def _wide_registers() -> bool:
    """Whether LLVM may use AVX-512 registers, whatever the lanes. Beside them the instructions for SHA-256, which have no
    encoding that clears upper halves, take 170 times as long (Sapphire Rapids); in AVX2 code they take two thirds of the
    time of eight lanes."""
    return "zmm" in _multiply_add(8)


def _without() -> set[str]:
    """What is switched off.

    Raises:
        ArgumentError: something that cannot be.
    """
    named = {name.strip() for name in os.environ.get(WITHOUT, "").split(",")} - {""}
    if not named <= set(SWITCHED):
        raise ArgumentError(
            WITHOUT, os.environ[WITHOUT], f"any of {', '.join(SWITCHED)}, separated by commas"
        )
    return named


def _has_sha(host: set[str]) -> bool:
    """Whether the processor has these instructions, and Numba compiles for it as it is or names them itself."""
    if llvm.get_process_triple().startswith("aarch64"):
        return _has_arm_sha(host)
    if "sha" in _without():
        return False
    if "sha" not in host:
        return False
    if config.CPU_NAME in SHA_TARGETS:
        lost = {f"-{feature}" for feature in ("sha", *BELOW_SHA)}
        return not lost & set((config.CPU_FEATURES or "").split(","))
    if config.CPU_NAME not in (None, "", "host", llvm.get_host_cpu_name()):
        return False
    if config.CPU_FEATURES is None:
        return True
    wanted = config.CPU_FEATURES.split(",")
    return "+sha" in wanted and not any(f"-{feature}" in wanted for feature in BELOW_SHA)


def _has_arm_sha(host: set[str]) -> bool:
    if "sha" in _without() or ARM_SHA_NEEDS[-1] not in host:
        return False
    if config.CPU_NAME not in (None, "", "host", llvm.get_host_cpu_name()):
        return False
    if config.CPU_FEATURES is None:
        return True
    wanted = config.CPU_FEATURES.split(",")
    off = {f"-{feature}" for feature in ARM_SHA_NEEDS}
    return f"+{ARM_SHA_NEEDS[-1]}" in wanted and not off & set(wanted)


def _ifma_reason(host: set[str]) -> str:
    missing = [feature for feature in IFMA_NEEDS if feature not in host]
    if missing:
        return f"the processor has no {', '.join(missing)}"
    if "ifma" in _without():
        return f"{WITHOUT} switches it off"
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
        lost += [feature for feature in BELOW_IFMA if feature in off]
        if lost:
            return f"NUMBA_CPU_FEATURES turns off {', '.join(lost)}"
    return ""
