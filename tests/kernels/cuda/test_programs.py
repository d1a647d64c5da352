# SPDX-License-Identifier: GPL-3.0-or-later
"""Sources and constants as one text, and the folder of compiled programs."""

from __future__ import annotations

import math
import threading
from types import SimpleNamespace

import pytest

from supervm.kernels.cuda.constants import fields
from supervm.kernels.cuda.runtime import cubins, nvrtc, sources
from supervm.kernels.cuda.runtime.device import Program
from supervm.kernels.errors import ArgumentError, DeviceError
from supervm.kernels.spec import FieldSpec

FIELD = FieldSpec("a prime of 255 bits", 2**255 - 19)


def test_every_include_stands_once_in_the_text():
    text = sources.flatten("field_check", "// here\n")
    assert '#include "' not in text
    assert "#pragma once" not in text
    assert text.count("// here\n") == 1
    assert text.count("DEVICE u32 add_words(") == 1
    assert text.index("DEVICE u32 add_words(") < text.index("struct FoldField")


def test_a_source_that_does_not_exist_is_named():
    with pytest.raises(ArgumentError, match=r"'no_such'.*field_check"):
        sources.flatten("no_such")


def test_the_digest_follows_text_and_constants(monkeypatch):
    one, same, other = (
        Program("field_check", "// 1\n"),
        Program("field_check", "// 1\n"),
        Program("field_check", ""),
    )
    assert one.digest == same.digest != other.digest


def test_constants_hold_the_number():
    text = fields.setter("modulus", FIELD.modulus, 8)
    words = [int(part.split("u")[0], 16) for part in text.split("= ")[1:]]
    assert sum(word << 32 * index for index, word in enumerate(words)) == FIELD.modulus
    for value in (-1, 1 << 64):
        with pytest.raises(ArgumentError, match="2 words"):
            fields.words_of(value, 2)


@pytest.mark.parametrize("modulus", [2**256 - 189 * 2**32 - 1, 2**224 - 63, 2**252 + 277])
def test_only_a_field_that_folds_gets_folding(modulus):
    with pytest.raises(ArgumentError, match="spec"):
        fields.fold_params(FieldSpec("other", modulus), "Params")


@pytest.mark.parametrize("value", [FIELD.modulus - 2, (FIELD.modulus - 5) // 8, 1, 2, 3, 0b1011, 2**40 - 1])
def test_a_chain_is_its_power(value):
    """The generated text, read back as Python over exponents: a is 1, a product adds, a squaring doubles."""
    r = 0
    known: dict[str, int] = {"a": 1}
    for line in fields.chain("power", value).splitlines():
        line = line.strip().rstrip(";")
        if line.startswith("const F s"):
            known[line.split()[2]] = r
        elif line.startswith("r = squared_times(r, "):
            r <<= int(line.split(", ")[1].rstrip(")"))
        elif line.startswith("r = product(r, "):
            r += known[line.removeprefix("r = product(r, ").rstrip(")")]
        elif line.startswith(("r = ", "F r = ")):
            r = known[line.split("= ")[1]]
    assert r == value


class Compiler:
    """Stands for NVRTC."""

    def __init__(self, monkeypatch, tmp_path):
        self.calls = []
        monkeypatch.setenv("SUPERVM_CACHE_DIR", str(tmp_path))
        monkeypatch.setattr(nvrtc, "version", lambda: (13, 0))
        monkeypatch.setattr(nvrtc, "compile_cubin", self.compile)

    def compile(self, text, architecture):
        self.calls.append(architecture)
        if "broken" in text:
            raise DeviceError("NVRTC", "error: broken")
        return nvrtc.Cubin(text.encode() + architecture.encode(), "")


def test_a_program_is_compiled_once_and_somebody_is_told(monkeypatch, tmp_path):
    compiler, told = Compiler(monkeypatch, tmp_path), []
    program = Program("field_check", "// one\n")
    with cubins.telling(told.append):
        first = cubins.cubin(program, "sm_90")
        again = cubins.cubin(program, "sm_90")
        other = cubins.cubin(program, "sm_80")
    cubins.cubin(Program("field_check", "// two\n"), "sm_90")
    assert first == again != other
    assert first.read_bytes().endswith(b"sm_90")
    assert compiler.calls == ["sm_90", "sm_80", "sm_90"]
    assert len(told) == 4
    assert "field_check for sm_90" in told[0]
    assert told[1] == ""


def test_a_program_that_fails_to_compile_is_not_kept(monkeypatch, tmp_path):
    Compiler(monkeypatch, tmp_path)
    told = []
    with cubins.telling(told.append), pytest.raises(DeviceError, match="broken"):
        cubins.cubin(Program("field_check", "// broken\n"), "sm_90")
    assert told[-1] == ""
    assert not list(tmp_path.rglob("*.cubin"))


def test_threads_that_want_the_same_program_share_one_compilation(monkeypatch, tmp_path):
    compiler = Compiler(monkeypatch, tmp_path)
    program = Program("field_check", "// shared\n")
    threads = [threading.Thread(target=cubins.cubin, args=(program, "sm_90")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert compiler.calls == ["sm_90"]


@pytest.mark.nvrtc
def test_nvrtc_reports_errors_and_resources():
    assert nvrtc.unavailable() == ""
    assert nvrtc.version() >= (12, 0)
    with pytest.raises(DeviceError, match="undefined"):
        nvrtc.compile_cubin('extern "C" __global__ void k(int *a) { *a = nothing; }', "sm_90")
    made = nvrtc.compile_cubin(
        'extern "C" __global__ void k(int *a, int i) { int t[64] = {0}; for (int j = 0; j < i; ++j)'
        " t[a[j] & 63] += j; a[0] = t[i & 63]; }",
        "sm_80",
    )
    assert made.image[:4] == b"\x7fELF"
    taken = nvrtc.resources(made.log)
    assert taken["k"].stack >= 256
    assert taken["k"].registers > 0
    with pytest.raises(DeviceError, match="not understood"):
        nvrtc.resources("ptxas info : Compiling entry function 'k' for 'sm_80'")
    assert ".visible .entry k" in nvrtc.compile_ptx('extern "C" __global__ void k() {}', "compute_90")


@pytest.mark.parametrize(("driver", "taken"), [(math.inf, [13, 12]), (13, [13, 12]), (12, [12]), (11, [])])
def test_no_compiler_is_newer_than_the_driver(monkeypatch, tmp_path, driver, taken):
    for name in (
        "cuda_nvrtc/lib/libnvrtc.so.12",
        "cu13/lib/libnvrtc.so.13",
        "cu13/lib/libnvrtc-builtins.so.13.5",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    wheels = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(nvrtc.importlib.util, "find_spec", lambda name: wheels)
    monkeypatch.setattr(nvrtc.ctypes.util, "find_library", lambda name: None)
    monkeypatch.setattr(nvrtc, "_driver_major", lambda: driver)
    assert [int(path.rpartition(".")[2]) for path in nvrtc._candidates()] == taken
