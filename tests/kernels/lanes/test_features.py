# SPDX-License-Identifier: GPL-3.0-or-later
"""Why the `ifma` backend may not run, for every way in which the compiler's target can lack it."""

from __future__ import annotations

import os
import subprocess
import sys

import llvmlite.binding as llvm
import pytest
from numba.core import config

from supervm.kernels.cpu.lanes import features
from supervm.kernels.cpu.lanes.features import (
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


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """No wish of the environment, on a processor with IFMA."""
    monkeypatch.delenv(features.WITHOUT, raising=False)
    monkeypatch.setattr(config, "CPU_NAME", None)
    monkeypatch.setattr(config, "CPU_FEATURES", None)
    monkeypatch.setattr(llvm, "get_host_cpu_name", lambda: "znver4")


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
    ],
)
def test_instructions_for_sha256(monkeypatch, name, wanted, usable):
    """LLVM aborts on them too, where its target lacks them."""
    monkeypatch.setattr(config, "CPU_NAME", name)
    monkeypatch.setattr(config, "CPU_FEATURES", wanted)
    assert _has_sha({"sha"}) == usable
    assert not _has_sha(set())


def test_where_the_instructions_are_preferred(monkeypatch):
    """To plain integers everywhere, to AVX-512 where they were measured to be faster."""
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
    [("", True, True), ("ifma", False, True), (" sha , ifma", False, False), ("sha,", True, False)],
)
def test_what_can_be_switched_off(monkeypatch, without, ifma, sha):
    monkeypatch.setenv(features.WITHOUT, without)
    assert (_ifma_reason(HOST) == "") == ifma
    assert ifma or "SUPERVM_WITHOUT" in _ifma_reason(HOST)
    assert _has_sha({"sha"}) == sha


def test_nothing_else_can_be_switched_off(monkeypatch):
    monkeypatch.setenv(features.WITHOUT, "ifma,avx2")
    with pytest.raises(ArgumentError, match=r"SUPERVM_WITHOUT.*'?ifma,avx2.*ifma, sha"):
        _ifma_reason(HOST)


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
