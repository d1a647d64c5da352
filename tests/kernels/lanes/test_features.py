# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a backend with lanes may not run, for every way in which the compiler's target can lack what it needs."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from functools import partial

import llvmlite.binding as llvm
import pytest
from lanes_here import HERE
from numba.core import config

from supervm.kernels.cpu.lanes import features
from supervm.kernels.cpu.lanes.features import (
    DOUBLE_LANES,
    IFMA_NEEDS,
    SHA_CPUS,
    CpuFeatures,
    _has_sha,
    _ifma_reason,
    ifma_unavailable,
    prefers_sha,
)
from supervm.kernels.errors import ArgumentError

HOST = set(IFMA_NEEDS)
ALREADY = os.environ.get(features.WITHOUT, "")
"""What the tests themselves run without, which `HERE` leaves out."""


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """No wish of the environment, on a processor with IFMA."""
    monkeypatch.delenv(features.WITHOUT, raising=False)
    monkeypatch.setattr(config, "CPU_NAME", None)
    monkeypatch.setattr(config, "CPU_FEATURES", None)
    monkeypatch.setattr(llvm, "get_host_cpu_name", lambda: "znver4")
    monkeypatch.setattr(llvm, "get_process_triple", lambda: "x86_64-unknown-linux-gnu")


def test_a_processor_with_everything():
    assert _ifma_reason(HOST) == ""


@pytest.mark.parametrize("feature", IFMA_NEEDS)
def test_a_missing_feature_is_named(feature):
    assert feature in _ifma_reason(HOST - {feature})


@pytest.mark.parametrize(
    ("name", "wanted", "usable"),
    [
        ("generic", None, False),
        ("generic", "", False),
        ("haswell", None, False),
        ("host", None, True),
        ("znver4", None, True),
        ("icelake-server", None, True),
        ("icelake-server", "", True),
        ("icelake-server", "-avx512ifma", False),
        (None, "", False),
        (None, "+avx2", False),
        (None, ",".join(f"+{feature}" for feature in IFMA_NEEDS), True),
        (None, ",".join(f"+{feature}" for feature in IFMA_NEEDS[:-1]), False),
        ("host", "", False),
        ("icelake-server", "-avx2", False),
        ("icelake-server", "+avx512ifma,-fma", False),
        ("icelake-server", "-sse4a,-avx512bitalg", True),
    ],
)
def test_the_target_of_the_compiler_counts(monkeypatch, name, wanted, usable):
    monkeypatch.setattr(config, "CPU_NAME", name)
    monkeypatch.setattr(config, "CPU_FEATURES", wanted)
    assert (_ifma_reason(HOST) == "") == usable


@pytest.mark.parametrize(
    ("name", "wanted", "usable"),
    [
        (None, None, True),
        ("host", None, True),
        ("znver4", None, True),
        ("generic", None, False),
        ("haswell", None, False),
        (None, "", False),
        (None, "+avx2,+sha", True),
        (None, "+avx2,-sha", False),
        ("generic", "+sha", False),
        (None, "+sha,-sse2", False),
        (None, "+sha,-sse4.1", True),
        ("alderlake", "+avx2,+fma", True),
        ("znver2", None, True),
        ("alderlake", "+avx2,-sha", False),
        ("znver3", "-sse2", False),
    ],
)
def test_instructions_for_sha256(monkeypatch, name, wanted, usable):
    """LLVM aborts on them too, where its target lacks them."""
    monkeypatch.setattr(config, "CPU_NAME", name)
    monkeypatch.setattr(config, "CPU_FEATURES", wanted)
    assert _has_sha({"sha"}) == usable
    assert not _has_sha(set())


def test_where_the_instructions_are_preferred(monkeypatch):
    """To plain integers everywhere, to eight lanes where LLVM uses no AVX-512, to AVX-512 where that was measured."""
    for name, sha, lanes in (
        (SHA_CPUS[0], True, True),
        ("sapphirerapids", True, False),
        ("znver4", False, False),
    ):
        monkeypatch.setattr(
            features, "cpu_features", lambda name=name, sha=sha: CpuFeatures(name, frozenset(), "", sha)
        )
        assert prefers_sha("ifma") == lanes
        assert prefers_sha("scalar") == sha
        for wide in (False, True):
            monkeypatch.setattr(features, "_wide_registers", lambda wide=wide: wide)
            assert prefers_sha("avx2") == (sha and (lanes or not wide))


@pytest.mark.parametrize(
    ("name", "wanted", "usable"),
    [
        (None, None, True),
        ("neoverse-n1", None, True),
        ("cortex-a72", None, False),
        (None, "+neon,+sha2", True),
        (None, "+neon,+aes", False),
        (None, "+sha", False),
        (None, "+sha2,-sha2", False),
        (None, "+sha2,-neon", False),
        (None, "+sha2,-fp-armv8", False),
        (None, "+sha2,-lse", True),
    ],
)
def test_instructions_for_sha256_on_arm(monkeypatch, name, wanted, usable):
    """Where there are some, they are preferred to two lanes."""
    monkeypatch.setattr(llvm, "get_process_triple", lambda: "aarch64-unknown-linux-gnu")
    monkeypatch.setattr(llvm, "get_host_cpu_name", lambda: "neoverse-n1")
    monkeypatch.setattr(config, "CPU_NAME", name)
    monkeypatch.setattr(config, "CPU_FEATURES", wanted)
    sha = _has_sha({"neon", "sha2"})
    assert sha == usable
    assert not _has_sha({"neon", "sha"})
    monkeypatch.setattr(features, "cpu_features", lambda: CpuFeatures("some", frozenset(), "", sha))
    assert prefers_sha("neon") == prefers_sha("scalar") == usable
    monkeypatch.setenv(features.WITHOUT, "sha")
    assert not _has_sha({"neon", "sha2"})


def test_the_reason_is_read_once():
    assert features.cpu_features() is features.cpu_features()
    assert features.cpu_features().ifma == (ifma_unavailable() == "")


@pytest.mark.skipif(bool(ifma_unavailable()), reason=ifma_unavailable() or "ifma runs")
def test_avx_turned_off():
    """Numba leaves every AVX feature out then; an IFMA kernel would abort the process."""
    script = "from supervm.kernels.cpu.lanes.features import ifma_unavailable; print(ifma_unavailable())"
    environment = os.environ | {"NUMBA_ENABLE_AVX": "0"}
    ran = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip()


@pytest.mark.parametrize(
    ("without", "ifma", "sha"),
    [
        ("", True, True),
        ("ifma", False, True),
        (" sha , ifma", False, False),
        ("sha,", True, False),
        ("avx2,avx512,neon", True, True),
    ],
)
def test_what_can_be_switched_off(monkeypatch, without, ifma, sha):
    monkeypatch.setenv(features.WITHOUT, without)
    assert (_ifma_reason(HOST) == "") == ifma
    assert ifma or "SUPERVM_WITHOUT" in _ifma_reason(HOST)
    assert _has_sha({"sha"}) == sha


def test_nothing_else_can_be_switched_off(monkeypatch):
    monkeypatch.setenv(features.WITHOUT, "ifma,sse2")
    for ask in (partial(_ifma_reason, HOST), partial(_has_sha, HOST)):
        with pytest.raises(
            ArgumentError, match=r"SUPERVM_WITHOUT.*'?ifma,sse2.*ifma, avx512, avx2, neon, sha,"
        ):
            ask()


# Lanes of doubles

X86 = llvm.get_process_triple().startswith("x86_64")
here = pytest.mark.skipif(not X86, reason="the compiler's targets here are no x86-64 processors")


def reason_of(name: str) -> str:
    """As if it were asked for the first time."""
    return features.double_lanes_unavailable.__wrapped__(name)


@pytest.fixture
def machine(monkeypatch):
    """A processor of some kind with some features, and a target that has everything."""

    def machine(triple: str, has: set[str]) -> None:
        monkeypatch.setattr(llvm, "get_process_triple", lambda: triple)
        monkeypatch.setattr(features, "cpu_features", lambda: CpuFeatures("some", frozenset(has), "", False))
        evidence = " ".join(word for row in DOUBLE_LANES.values() for word in row.evidence)
        monkeypatch.setattr(features, "_multiply_add", lambda width: evidence)

    return machine


@pytest.mark.parametrize("name", DOUBLE_LANES)
def test_lanes_of_doubles_need_their_features(machine, name):
    row = DOUBLE_LANES[name]
    machine(f"{row.machine}-unknown-linux-gnu", set(row.needs))
    assert reason_of(name) == ""
    for feature in row.needs:
        machine(f"{row.machine}-unknown-linux-gnu", set(row.needs) - {feature})
        assert reason_of(name) == f"the processor has no {feature}"
    machine("riscv64-unknown-linux-gnu", set(row.needs))
    assert reason_of(name) == f"the processor is riscv64, not {row.machine}"


@pytest.mark.parametrize("without", ["ifma,avx512,avx2,neon", "avx2", "neon,sha", "sha", ""])
def test_lanes_of_doubles_can_be_switched_off(machine, monkeypatch, without):
    monkeypatch.setenv(features.WITHOUT, without)
    for name, row in DOUBLE_LANES.items():
        machine(f"{row.machine}-apple-darwin", set(row.needs))
        assert reason_of(name) == ("SUPERVM_WITHOUT switches it off" if name in without.split(",") else "")


@here
@pytest.mark.parametrize(
    ("target", "wanted", "usable"),
    [
        ("generic", "", set()),
        ("generic", "+fma", {"avx2"}),
        ("nehalem", "", set()),
        ("sandybridge", "", set()),
        ("haswell", "", {"avx2"}),
        ("haswell", "-fma", set()),
        ("haswell", "+avx512f", {"avx2", "avx512"}),
        ("znver2", "", {"avx2"}),
        ("x86-64-v3", "", {"avx2"}),
        ("x86-64-v4", "", {"avx2", "avx512"}),
        ("icelake-server", "-avx512f", {"avx2"}),
        ("icelake-server", "-fma", set()),
    ],
)
def test_the_target_of_the_compiler_counts_for_doubles_too(monkeypatch, target, wanted, usable):
    """Where it has no fused multiply-add of a register, LLVM would call the C library for every lane."""
    monkeypatch.setattr(config, "CPU_NAME", target)
    monkeypatch.setattr(config, "CPU_FEATURES", wanted)
    needs = {feature for row in DOUBLE_LANES.values() for feature in row.needs}
    monkeypatch.setattr(features, "cpu_features", lambda: CpuFeatures("some", frozenset(needs), "", False))
    reasons = {name: reason_of(name) for name in ("avx512", "avx2")}
    assert {name for name, reason in reasons.items() if not reason} == usable
    for name, reason in reasons.items():
        lanes = DOUBLE_LANES[name].width
        assert reason in ("", f"Numba's target has no fused multiply-add of {lanes} doubles")


LISTING = """
from supervm.kernels.cpu.backends import CPU_BACKENDS
print({each.name: each.unavailable() for each in CPU_BACKENDS})
"""


def reasons_in_a_process(**environment: str) -> dict[str, str]:
    """Backend → why it cannot run, in a process with this environment."""
    ran = subprocess.run(
        [sys.executable, "-c", LISTING],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return ast.literal_eval(ran.stdout)


@pytest.mark.parametrize("without", ["ifma", "ifma,avx512", "ifma,avx512,avx2,neon"])
def test_a_process_without_lanes(without):
    """What is switched off cannot run, with a reason; nothing else changes, and `scalar` always runs."""
    reasons = reasons_in_a_process(SUPERVM_WITHOUT=f"{without},{ALREADY}")
    assert all(reasons[name] for name in without.split(","))
    others = set(HERE) - set(without.split(","))
    assert {name for name, reason in reasons.items() if not reason} == others
    assert "scalar" in others


@here
def test_a_target_without_fused_multiply_adds():
    """The processor's own name with a list of features that leaves them out."""
    reasons = reasons_in_a_process(NUMBA_CPU_FEATURES="+avx2,-fma", SUPERVM_WITHOUT="")
    assert reasons.pop("scalar") == ""
    assert all(reasons.values())
    if "avx2" in HERE:
        assert reasons["avx2"] == "Numba's target has no fused multiply-add of 4 doubles"


@pytest.mark.parametrize(
    ("name", "wanted"), [("pentium4", ""), ("znver4", "-64bit"), ("none such", ""), ("host", "+avx2")]
)
def test_a_target_at_which_llvm_aborts_is_refused(name, wanted):
    """The process is the test: LLVM would end it, with nothing that a caller could catch."""
    script = (
        "from supervm.crypto import hashes\n"
        "from supervm.kernels.errors import ArgumentError\n"
        "try:\n    hashes.sha256_batch([b''])\n"
        "except ArgumentError as error:\n    print(error)"
    )
    environment = os.environ | {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": wanted}
    ran = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert f"'{name}' with '{wanted}', for which LLVM cannot compile" in ran.stdout
