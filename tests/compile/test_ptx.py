# SPDX-License-Identifier: GPL-3.0-or-later
"""The inline PTX, which the host twin never runs: compiled by NVRTC, interpreted, and compared with Python integers.

`test_a_planted_fault_is_seen` breaks `ptx.cuh` in one place at a time and asks for wrong results each time.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass

import compiled_programs as programs
import fold_sums
import numpy as np
import ptx_machine
import pytest
from field_programs import FIELDS, OPERATIONS, FieldProgram, Words, bare_product, only
from ptx_machine import PtxError
from ptx_text import Entry, parse

from supervm.crypto.params.hashes import BLAKE2B, SHA256, SHA512
from supervm.kernels.cuda.constants import fields as constants
from supervm.kernels.cuda.constants import hashes as hash_constants
from supervm.kernels.cuda.runtime import nvrtc
from supervm.kernels.cuda.runtime.device import Program

pytestmark = [
    pytest.mark.nvrtc,
    pytest.mark.skipif(bool(nvrtc.unavailable()), reason=nvrtc.unavailable() or "NVRTC is there"),
]

ITEMS = 1536
THREADS = ITEMS // 2  # every thread goes round its loop twice
CHECKED = [
    f"field_{name}" for name in ("multiply", "square", "add", "subtract", "equal", "product", "squaring")
]
fields = pytest.mark.parametrize("field", FIELDS, ids=[field.name for field in FIELDS])


def entries(text: str) -> dict[str, Entry]:
    return parse(programs.ptx(text))


def inputs(field: FieldProgram) -> tuple[list[int], list[int]]:
    """Pairs of edge values, and random ones up to ITEMS."""
    edges = min(len(field.edges), 31)
    return field.pairs(edges, ITEMS - edges * edges)


def wrong(field: FieldProgram, kernel: str, entry: Entry) -> list[tuple[int, int, int]]:
    """(a, b, result) where a kernel's PTX gives another result than Python."""
    a, b = inputs(field)
    if kernel in ("field_product", "field_squaring") and not field.folds:
        a, b = [x % field.modulus for x in a], [y % field.modulus for y in b]
    found = results(field, kernel, entry, a, b)
    return [
        (x, y, value)
        for x, y, value in zip(a, b, found, strict=True)
        if not right(field, kernel, x, y, value)
    ]


def results(field: FieldProgram, kernel: str, entry: Entry, a: list[int], b: list[int]) -> list[int]:
    columns = kernel in ("field_product", "field_squaring")
    words = 1 if kernel == "field_equal" else field.words

    def laid_out(rows: Words) -> Words:
        return np.ascontiguousarray(rows.T) if columns else rows

    out = laid_out(np.full((len(a), words), 0xA5A5A5A5, np.uint32))
    ptx_machine.run(entry, THREADS, laid_out(field.pack(a)), laid_out(field.pack(b)), out, len(a))
    return field.unpack(out.T if columns else out)


def right(field: FieldProgram, kernel: str, a: int, b: int, value: int) -> bool:
    p = field.modulus
    if kernel == "field_equal":
        return value == (3 if (a - b) % p == 0 else 0)
    if kernel in ("field_product", "field_squaring"):
        expected = bare_product(field, a, b if kernel == "field_product" else a)
        return (value % p if field.folds else value) == expected
    return value == OPERATIONS[kernel.removeprefix("field_")](a, b, p)


@fields
def test_operations(field: FieldProgram) -> None:
    found = entries(only(field.program.text, *CHECKED))
    assert sorted(found) == sorted(CHECKED)
    for kernel, entry in found.items():
        assert not wrong(field, kernel, entry), kernel


CALLED, IN_LINE = "static __device__ __noinline__", "static __device__ __forceinline__"


@pytest.mark.parametrize(
    "field", [field for field in FIELDS if field.folds], ids=[field.name for field in FIELDS if field.folds]
)
def test_inverses(field: FieldProgram) -> None:
    """A whole power: chains of products in loops, some forty thousand instructions. The machine knows no calls, so what is
    called otherwise stands in line here."""
    text = only(field.program.text, "field_inverse")
    assert CALLED in text
    entry = entries(text.replace(CALLED, IN_LINE))["field_inverse"]
    values = [*field.edges, *inputs(field)[1]][:128]
    out = np.zeros((len(values), field.words), np.uint32)
    done = ptx_machine.run(entry, len(values), field.pack(values), field.pack(values), out, len(values))
    assert field.unpack(out) == [
        pow(value, -1, field.modulus) if value % field.modulus else 0 for value in values
    ]
    assert done > 30_000


@pytest.mark.parametrize("name", fold_sums.SUMS)
def test_sums_with_one_reduction(name: str) -> None:
    rows = random.Random(7).sample(fold_sums.terms(), ITEMS)
    packed = np.array([[constants.words_of(value, 8) for value in row] for row in rows], np.uint32)
    out = np.zeros((ITEMS, 8), np.uint32)
    entry = entries(only(fold_sums.PROGRAM.text, f"sums_{name}"))[f"sums_{name}"]
    ptx_machine.run(entry, THREADS, packed, out, ITEMS)
    found = [int.from_bytes(row.tobytes(), "little") % fold_sums.P for row in out]
    assert found == [fold_sums.SUMS[name](*row) % fold_sums.P for row in rows]


HASHES = {
    "sha256": (Program("sha2", hash_constants.sha2(SHA256)), hashlib.sha256),
    "sha512": (Program("sha2", hash_constants.sha2(SHA512)), hashlib.sha512),
    "blake2b": (
        Program("blake2b", hash_constants.blake2b(BLAKE2B)),
        hashlib.blake2b,
    ),
}


@pytest.mark.parametrize("name", HASHES)
def test_hashes(name: str) -> None:
    """Whole kernels of funnel shifts, byte permutations and vector loads, one message after the other in one thread."""
    program, digest = HASHES[name]
    generator = random.Random(name)
    messages = [generator.randbytes(length) for length in (0, 1, 3, 55, 56, 64, 111, 112, 120, 128, 130, 257)]
    offsets = np.cumsum([16, *map(len, messages)])  # what they say is counted from the first one
    data = np.frombuffer(b"".join(messages) + bytes(64), np.uint8)
    size = len(digest(b"").digest())
    out = np.zeros((len(messages), size), np.uint8)
    entry = entries(program.text)["hash_messages"]
    ptx_machine.run(entry, 1, data, offsets.astype(np.int64), out, len(messages), block=1)
    assert [bytes(row) for row in out] == [digest(message).digest() for message in messages]


@dataclass(frozen=True)
class Fault:
    """A text of `ptx.cuh`, what stands in its place, and the kernel of a field where that must show.

    `refused`: the flag is then read where nothing has set it, which the machine does not do.
    """

    name: str
    before: str
    after: str
    kernel: str = "field_product"
    field: FieldProgram = FIELDS[0]
    refused: bool = False


MONTGOMERY = FIELDS[3]
SHIFT = "__funnelshift_l(lo, hi, shift)"
LOW, LOW_ALONE = '"madc.lo.cc.u32 %0, %2, %3, %0; ', '"mad.lo.cc.u32 %0, %2, %3, %0; '
FAULTS = [
    Fault("add_cc keeps no carry", '"add.cc.u32', '"add.u32', "field_add", refused=True),
    Fault("addc_cc takes no carry", '"addc.cc.u32', '"add.cc.u32', "field_add"),
    Fault("addc_cc keeps no carry", '"addc.cc.u32', '"addc.u32', "field_add"),
    Fault("addc takes no carry", '"addc.u32', '"add.u32', "field_add"),
    Fault("sub_cc the other way round", '"sub.cc.u32 %0, %1, %2', '"sub.cc.u32 %0, %2, %1', "field_subtract"),
    Fault("sub_cc keeps no borrow", '"sub.cc.u32', '"sub.u32', "field_subtract", refused=True),
    Fault(
        "subc_cc the other way round", '"subc.cc.u32 %0, %1, %2', '"subc.cc.u32 %0, %2, %1', "field_subtract"
    ),
    Fault("subc_cc takes no borrow", '"subc.cc.u32', '"sub.cc.u32', "field_subtract"),
    Fault("subc takes no borrow", '"subc.u32', '"sub.u32', "field_equal", MONTGOMERY),
    Fault("subc takes a carry", '"subc.u32', '"addc.u32', "field_subtract", refused=True),
    Fault("mul_wide without the upper word", "mul.hi.u32 %1, %2, %3", "mul.lo.u32 %1, %2, %3"),
    Fault("mad_wide_cc loses the carry between its words", "%3, %0; madc.hi.cc", "%3, %0; mad.hi.cc"),
    Fault("cmad_wide_cc takes no carry", f"{LOW}madc.hi.cc", f"{LOW_ALONE}madc.hi.cc"),
    Fault("cmad_wide_new takes no carry", f"{LOW}madc.hi.u32", f"{LOW_ALONE}madc.hi.u32"),
    Fault("cmad_wide_new loses the carry between its words", "madc.hi.u32 %1", "mad.hi.u32 %1"),
    Fault("cmad_wide_cc adds to the lower word twice", "%2, %3, %1;", "%2, %3, %0;"),
    Fault("chains of a reduction", "%3, %0; madc.hi.cc", "%3, %0; mad.hi.cc", field=MONTGOMERY),
    Fault("a funnel shift of swapped words", SHIFT, "__funnelshift_l(hi, lo, shift)", "field_squaring"),
    Fault("a funnel shift to the right", SHIFT, "__funnelshift_r(lo, hi, shift)", "field_squaring"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_a_planted_fault_is_seen(fault: Fault) -> None:
    text = only(fault.field.program.text, fault.kernel)
    assert fault.before in text
    assert not wrong(fault.field, fault.kernel, entries(text)[fault.kernel])
    entry = entries(text.replace(fault.before, fault.after))[fault.kernel]
    if fault.refused:
        with pytest.raises(PtxError, match="the flag holds no"):
            wrong(fault.field, fault.kernel, entry)
    else:
        assert wrong(fault.field, fault.kernel, entry)


HEADER = (
    ".visible .entry f(.param .u64 f_param_0, .param .u64 f_param_1) .maxntid 32, 1, 1 { .reg .b32 %r<9>;"
)
LOADED = """
    ld.param.u64 %rd1, [f_param_0]; ld.param.u64 %rd2, [f_param_1]; mov.u32 %r1, %tid.x; mul.wide.u32 %rd3, %r1, 8;
    add.s64 %rd4, %rd1, %rd3; add.s64 %rd5, %rd2, %rd3; ld.global.u32 %r2, [%rd4]; ld.global.u32 %r3, [%rd4+4];
"""


def machine(body: str, pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """What (%r4, %r5) are after `body`, which finds one pair a thread in (%r2, %r3)."""
    entry = parse(f"{HEADER}{LOADED}{body} st.global.u32 [%rd5], %r4; st.global.u32 [%rd5+4], %r5; ret; }}")
    given = np.array(pairs, np.uint32)
    out = np.zeros_like(given)
    ptx_machine.run(entry["f"], len(pairs), given, out, block=len(pairs))
    return [(int(low), int(high)) for low, high in out]


M = 0xFFFFFFFF
WORDS = [0, 1, 2, 31, 33, 0x3210, 0xFEDC, 0x7FFFFFFF, 0x80000000, 0x80000001, 0x12345678, M - 1, M]
PAIRS = [(a, b) for a in WORDS for b in WORDS]


def signed(word: int) -> int:
    return word - (word >> 31 << 32)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("add.cc.u32 %r4, %r2, %r3; addc.u32 %r5, %r2, 0;", lambda a, b: (a + b, a + (a + b >> 32))),
        ("sub.cc.u32 %r4, %r2, %r3; subc.u32 %r5, %r2, 0;", lambda a, b: (a - b, a - (a < b))),
        ("mad.lo.cc.u32 %r4, %r2, %r3, %r2; madc.hi.u32 %r5, %r2, %r3, 7;",
         lambda a, b: (a * b + a, (a * b >> 32) + 7 + ((a * b & M) + a >> 32))),
        ("mul.lo.s32 %r4, %r2, -3; mul.hi.u32 %r5, %r2, %r3;", lambda a, b: (-3 * a, a * b >> 32)),
        ("shf.l.wrap.b32 %r4, %r2, %r3, 5; shf.r.clamp.b32 %r5, %r2, %r3, %r3;",
         lambda a, b: ((b << 32 | a) << 5 >> 32, (b << 32 | a) >> min(b, 32))),
        ("shl.b32 %r4, %r2, %r3; shr.u32 %r5, %r2, %r3;", lambda a, b: (a << b if b < 32 else 0, a >> min(b, 32))),
        ("prmt.b32 %r4, %r2, %r3, 0x0123; prmt.b32 %r5, %r2, %r3, 0x7c41;",
         lambda a, b: (int.from_bytes(a.to_bytes(4, "little"), "big"),
                       a >> 8 & 255 | (b & 255) << 8 | (b >> 7 & 1) * 0xFF0000 | b >> 24 << 24)),
        ("bfi.b32 %r4, %r2, %r3, 4, 8; not.b32 %r5, %r2;", lambda a, b: (b & ~0xFF0 | (a & 255) << 4, ~a)),
        ("setp.lt.s32 %p1, %r2, %r3; selp.b32 %r4, %r2, 9, %p1; setp.ge.u32 %p2, %r2, %r3; xor.pred %p3, %p1, %p2; "
         "selp.u32 %r5, 1, 0, %p3;",
         lambda a, b: (a if signed(a) < signed(b) else 9, (signed(a) < signed(b)) ^ (a >= b))),
        ("shr.s32 %r4, %r2, %r3; bfi.b32 %r5, %r3, %r2, 28, 8;",
         lambda a, b: (signed(a) >> min(b, 31), a & 0xFFFFFFF | b << 28)),
        ("cvt.s64.s32 %rd6, %r2; shr.u64 %rd7, %rd6, 20; cvt.u32.u64 %r4, %rd7; and.b32 %r5, %r2, %r3;",
         lambda a, b: (signed(a) >> 20, a & b)),
        ("mul.wide.s32 %rd6, %r2, %r3; cvt.u32.u64 %r4, %rd6; shr.u64 %rd7, %rd6, 32; cvt.u32.u64 %r5, %rd7;",
         lambda a, b: (signed(a) * signed(b), signed(a) * signed(b) >> 32)),
    ],
)  # fmt: skip
def test_the_machine_itself(body: str, expected) -> None:
    assert machine(body, PAIRS) == [tuple(int(part) & M for part in expected(a, b)) for a, b in PAIRS]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("popc.b32 %r4, %r2;", "unknown instruction popc"),
        ("add.sat.s32 %r4, %r2, %r3;", "unknown instruction: .sat.s32"),
        ("mov.u32 %r4, %r8;", "read before it is written"),
        ("addc.u32 %r4, %r2, %r3;", "the flag holds no carry"),
        ("add.cc.u32 %r4, %r2, %r3; subc.u32 %r5, 0, 0;", "the flag holds no borrow"),
        ("sub.cc.u32 %r4, %r2, %r3; addc.u32 %r5, 0, 0;", "the flag holds no carry"),
        ("add.cc.u32 %r4, %r2, %r3; $L1: addc.u32 %r5, 0, 0;", "the flag holds no carry"),
        ("setp.eq.u32 %p1, %r2, 0; @%p1 bra $L1; mov.u32 %r4, 0; $L1: mov.u32 %r5, 0;", "threads part ways"),
        ("setp.eq.u32 %p1, %r2, 0; @%p1 mov.u32 %r4, 0;", "only branches may be predicated"),
        ("ld.global.u32 %r4, [%rd4+4096];", "beyond its buffer"),
        ("ld.global.u32 %r4, [%rd4+2];", "not aligned"),
        ("ld.global.v2.u32 {%r4, %r5}, [%rd4+4];", "not aligned"),
        ("ld.global.v2.u32 {%r4}, [%rd4];", "for .global.v2"),
        ("ld.global.u32 %r4, [%rd3];", "outside every buffer"),
    ],
)
def test_what_the_machine_refuses(body: str, words: str) -> None:
    with pytest.raises(PtxError, match=words):
        machine(f"{body} mov.u32 %r4, 0; mov.u32 %r5, 0;", PAIRS)
