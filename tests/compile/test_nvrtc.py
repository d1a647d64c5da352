# SPDX-License-Identifier: GPL-3.0-or-later
"""Every CUDA program to cubins: registers, stack, spills, shared memory and instruction counts against the record.

A program whose text, options and compiler are those that the record was made of is what the record says, and is not compiled
again: most of them take NVRTC 5 to 20 seconds. Those of `ALWAYS` are, whatever they were made of, and so is what differs.
Programs take turns at the architectures, since what grows on one grows on the other; with `SUPERVM_TEST_ARCHITECTURES=all`
each is compiled for both, as the record was.
"""

from __future__ import annotations

import os
from dataclasses import replace

import compiled_programs as programs
import gpu_page
import pytest
import sass
from compiled_programs import Counts, Instructions, Taken, part
from field_programs import FIELDS, FieldProgram

from supervm.kernels.cuda.runtime import nvrtc
from supervm.kernels.cuda.runtime.nvrtc import Resources
from supervm.kernels.errors import DeviceError

pytestmark = [
    pytest.mark.nvrtc,
    pytest.mark.skipif(bool(nvrtc.unavailable()), reason=nvrtc.unavailable() or "NVRTC is there"),
]
architectures = pytest.mark.parametrize("architecture", programs.ARCHITECTURES)
EVERY = os.environ.get("SUPERVM_TEST_ARCHITECTURES") == "all"
IN_TURN = [
    (name, architecture)
    for place, name in enumerate(programs.programs())
    for turn, architecture in enumerate(programs.ARCHITECTURES)
    if EVERY or place % len(programs.ARCHITECTURES) == turn
]
ALWAYS = ("field_check.", "fold_sums_check", "sha256", "sha512", "ntt.", "conflicts")
"""How the names of programs begin that every run compiles: the arithmetic that the others consist of, and quick ones."""
needs_disassembler = pytest.mark.skipif(bool(sass.missing()), reason=sass.missing() or "nvdisasm is there")


def conclude(problems: list[str], recorded_with: str) -> None:
    """Fail with the problems; where another compiler left the growth unchecked, skip and say so."""
    listed = "\n".join(problems)
    assert not problems, f"{listed}\nIf that is meant: {programs.RENEW}"
    if recorded_with != programs.version():
        pytest.skip(
            f"recorded with NVRTC {recorded_with}, this is {programs.version()}: limits hold, growth unknown"
        )


@pytest.mark.parametrize(("name", "architecture"), IN_TURN)
def test_resources_are_those_of_the_record(name: str, architecture: str) -> None:
    recorded_with, recorded = programs.read_resources()
    expected = part(recorded, name, architecture)
    as_recorded = is_recorded(name, programs.programs()[name].text, programs.read_digests()) and not EVERY
    measured = expected if as_recorded else programs.taken(name, architecture)
    assert measured[name][architecture]
    same = recorded_with == programs.version()
    conclude(programs.resource_problems(expected, measured, same), recorded_with)


def is_recorded(name: str, text: str, digests: dict[str, str]) -> bool:
    """Whether compiling this text again could only give what is recorded."""
    return not name.startswith(ALWAYS) and digests.get(name) == programs.digest(text)


def test_what_is_not_what_was_recorded_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another text, another compiler, another option, a name that is not in the record."""
    name, text = "ecdsa", programs.programs()["ecdsa"].text
    digests = {name: programs.digest(text), "ntt.bn254": programs.digest(text)}
    assert is_recorded(name, text, digests)
    assert not is_recorded("ntt.bn254", text, digests)
    assert not is_recorded("eddsa", text, digests)
    assert not is_recorded(name, text + " ", digests)
    for change in (
        lambda patch: patch.setattr(nvrtc, "OPTIONS", (*nvrtc.OPTIONS, "-G")),
        lambda patch: patch.setattr(programs, "version", lambda: "1.0"),
    ):
        with monkeypatch.context() as patch:
            change(patch)
            assert not is_recorded(name, text, digests)
    assert is_recorded(name, text, digests)


@needs_disassembler
@architectures
@pytest.mark.parametrize("field", FIELDS, ids=[field.name for field in FIELDS])
def test_instructions_are_those_of_the_record(field: FieldProgram, architecture: str) -> None:
    recorded_with, recorded = programs.read_instructions()
    measured = programs.counted(field, architecture)
    same = recorded_with == programs.version()
    conclude(
        programs.instruction_problems(part(recorded, field.name, architecture), measured, same), recorded_with
    )


def test_records_are_of_what_there_is() -> None:
    """No program, field or architecture is recorded that is no more, and kernels are the same on every architecture."""
    for record, names in (
        (programs.read_resources()[1], set(programs.programs())),
        (programs.read_instructions()[1], {field.name for field in FIELDS}),
    ):
        assert set(record) == names, f"renew: {programs.RENEW}"
        for name, by_architecture in record.items():
            assert set(by_architecture) == set(programs.ARCHITECTURES), name
            assert len({tuple(kernels) for kernels in by_architecture.values()}) == 1, name
    assert set(programs.read_digests()) == set(programs.programs()), f"renew: {programs.RENEW}"


def test_the_page_says_what_is_recorded() -> None:
    page = gpu_page.PAGE.read_text(encoding="utf-8")
    assert gpu_page.rewritten(page) == page, f"renew: {programs.RENEW}"


def test_a_source_that_does_not_compile_is_an_error_with_its_log() -> None:
    with pytest.raises(DeviceError, match="undefined_name"):
        nvrtc.compile_cubin('extern "C" __global__ void f(int *a) { a[0] = undefined_name; }', "sm_90")


def test_spills_are_seen() -> None:
    """A kernel with more live values than registers: what ptxas reports is read rightly."""
    lines = "".join(f"float x{i} = a[{i}] * a[0]; " for i in range(64))
    uses = "".join(f"a[{i}] = x{i} + sum; " for i in range(64))
    total = " + ".join(f"x{i}" for i in range(64))
    source = (
        f'extern "C" __global__ void __launch_bounds__(1024, 2) f(volatile float *a) '
        f"{{ __shared__ float s[32]; {lines} float sum = {total}; s[threadIdx.x % 32] = sum; __syncthreads(); "
        f"sum += s[3]; {uses} }}"
    )
    found = nvrtc.resources(nvrtc.compile_cubin(source, "sm_90").log)["f"]
    assert found.registers <= 32
    assert found.spill_stores > 0
    assert found.spill_loads > 0
    assert found.stack > 0
    assert found.shared >= 128


def test_another_compiler_is_a_reason_to_skip() -> None:
    conclude([], programs.version())
    with pytest.raises(pytest.skip.Exception, match="limits hold, growth unknown"):
        conclude([], "1.0")
    for recorded_with in ("1.0", programs.version()):
        with pytest.raises(AssertionError, match=r"record\.py"):
            conclude(["a kernel grew"], recorded_with)


PLAIN = Resources(registers=100, stack=32, spill_stores=8, spill_loads=8, shared=512, constant=0)


def one(resources: Resources) -> Taken:
    return {"program": {"sm_90": {"kernel": resources}}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"registers": 105}, "registers grew from 100 to 105"),
        ({"stack": 40}, "stack grew from 32 to 40"),
        ({"spill_stores": 12}, "spill_stores grew from 8 to 12"),
        ({"spill_loads": 12}, "spill_loads grew from 8 to 12"),
        ({"shared": 513}, "shared grew from 512 to 513"),
    ],
)
def test_growth_is_detected(change: dict[str, int], words: str) -> None:
    grown = one(replace(PLAIN, **change))
    assert programs.resource_problems(one(PLAIN), grown, True) == [f"program kernel on sm_90: {words}"]
    assert not programs.resource_problems(one(PLAIN), grown, False)
    assert not programs.resource_problems(grown, one(PLAIN), True)


def test_limits_hold_for_every_compiler() -> None:
    much = one(replace(PLAIN, spill_stores=68, spill_loads=4))
    for same in (True, False):
        assert "spills 68 + 4 bytes" in programs.resource_problems(much, much, same)[0]
        assert "not in the record" in programs.resource_problems({}, one(PLAIN), same)[0]
        assert "is no more" in programs.resource_problems(one(PLAIN), {}, same)[0]
    assert not programs.resource_problems(one(PLAIN), one(replace(PLAIN, registers=104)), True)


def counts(total: int, wide: int) -> Instructions:
    return {"field": {"sm_90": {"kernel": Counts(100, total, {"IMAD.WIDE": wide})}}}


def test_more_instructions_are_detected() -> None:
    assert not programs.instruction_problems(counts(200, 100), counts(204, 102), True)
    assert "instructions grew" in programs.instruction_problems(counts(200, 100), counts(205, 100), True)[0]
    assert "IMAD.WIDE grew" in programs.instruction_problems(counts(200, 100), counts(200, 103), True)[0]
    assert "multiplies 105" in programs.instruction_problems(counts(200, 105), counts(200, 105), False)[0]
    assert "not in the record" in programs.instruction_problems({}, counts(200, 100), True)[0]


SHOWN = """
.text.f:
.L_x_1:
        /*0010*/                   IMAD.WIDE.U32 R4, R0, 0x4, R2 ;
        /*0020*/                   LDG.E R6, desc[UR4][R4.64] ;
        /*0030*/                   MOV R9, RZ ;
        /*0040*/                   MOV R8, R6 ;
        /*0050*/                   IMAD.WIDE.U32 R10, P0, R6, R6, R8 ;
        /*0060*/                   SEL R7, RZ, 0x1, !P0 ;
        /*0070*/               @P1 IADD3 R7, R7, R11, RZ ;
        /*0080*/                   MOV R20, R7 ;
        /*0090*/                   STG.E desc[UR4][R4.64], R10 ;
        /*00a0*/                   STG.E desc[UR4][R4.64+0x4], R7 ;
        /*00b0*/                   IADD3 R0, R0, 0x1, RZ ;
        /*00c0*/                   ISETP.GE.U32.AND P0, PT, R0, UR6, PT ;
        /*00d0*/              @!P0 BRA `(.L_x_1) ;
        /*00e0*/                   EXIT ;
"""


def test_what_is_counted_of_machine_code() -> None:
    """Both halves of a pair, predicates and guards are followed; addresses, loads and unused values are left out."""
    body = sass.loop(sass.parse(SHOWN)["f"])
    assert sass.arithmetic(body, 2) == {"MOV": 2, "IMAD.WIDE": 1, "SEL": 1, "IADD3": 1}
    with pytest.raises(sass.SassError, match="2 words are stored"):
        sass.arithmetic(body, 3)
    with pytest.raises(sass.SassError, match="unknown opcode FROB"):
        sass.arithmetic(sass.loop(sass.parse(SHOWN.replace("SEL", "FROB"))["f"]), 2)
    with pytest.raises(sass.SassError, match="loops that store"):
        sass.loop(sass.parse(SHOWN.replace("@!P0 BRA", "@!P0 CALL"))["f"])
