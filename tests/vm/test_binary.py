# SPDX-License-Identifier: GPL-3.0-or-later
"""The binary format: round trips, against wasmtime's assembler, and what is malformed."""

from __future__ import annotations

import pickle

import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st
from wasm_modules import section

from supervm.vm import contracts, leb128
from supervm.vm.binary import HEADER, decode
from supervm.vm.encoding import encode
from supervm.vm.errors import ContractRejected
from supervm.vm.leb128 import Reader
from supervm.vm.module import GlobalType, MemoryType, TableType

RICH = """(module
  (type (func (param i32 i64) (result f32 f64)))
  (import "a" "f" (func (param i32) (result i64)))
  (import "a" "t" (table 1 2 funcref))
  (import "a" "m" (memory 1 2))
  (import "a" "g" (global (mut i64)))
  (table 3 funcref)
  (global i32 (i32.const -5))
  (global (mut f64) (f64.const 1.5))
  (global f32 (f32.const 2))
  (global i64 (i64.const -9223372036854775808))
  (export "f" (func 0)) (export "m" (memory 0)) (export "t" (table 0)) (export "g" (global 1))
  (elem (i32.const 0) func 0 1) (elem func 1) (elem declare func 1) (elem (table 0) (i32.const 1) func 0)
  (start 1)
  (func (local i32 i32 f64) (memory.init 0 (i32.const 0) (i32.const 0) (i32.const 0)))
  (data "passive") (data (i32.const 3) "active"))"""


def test_rich_module_is_read_as_written():
    module = decode(wasmtime.wat2wasm(RICH))
    assert str(module.types[0]) == "(i32 i64) -> (f32 f64)"
    assert [item.description for item in module.imports] == [
        1,
        TableType(1, 2),
        MemoryType(1, 2),
        GlobalType(0x7E, True),
    ]
    assert module.tables == (TableType(3, None),)
    assert module.globals[0].initial.hex() == "417b0b"
    assert [(item.name, item.kind, item.index) for item in module.exports] == [
        ("f", 0, 0),
        ("m", 2, 0),
        ("t", 1, 0),
        ("g", 3, 1),
    ]
    assert [item.functions for item in module.elements] == [(0, 1), (1,), (1,), (0,)]
    assert [item.place is None for item in module.elements] == [False, True, True, False]
    assert module.start == 1
    assert module.data_count == 2
    assert module.codes[0].locals == ((2, 0x7F), (1, 0x7C))
    assert [item.content for item in module.data] == [b"passive", b"active"]


@pytest.mark.parametrize("name", contracts.names())
def test_contracts_round_trip_to_the_byte(name):
    code = contracts.load(name)
    assert encode(decode(code)) == code


@pytest.mark.parametrize(
    "text",
    [
        RICH,
        '(module (memory (export "m") 100 200 (pagesize 1)))',
        "(module (memory 1 (pagesize 65536)))",
        "(module)",
    ],
)
def test_round_trip_keeps_the_module(text):
    code = wasmtime.wat2wasm(text)
    module = decode(code)
    assert decode(encode(module)) == module
    assert encode(decode(encode(module))) == encode(module)


def test_custom_sections_are_kept_and_stand_last():
    code = HEADER + section(0, b"\x02hi!!") + section(1, b"\0")
    module = decode(code)
    assert module.customs == (("hi", b"!!"),)
    assert encode(module) == HEADER + section(0, b"\x02hi!!")


@given(st.integers(0, 2**64 - 1))
def test_unsigned_integers(value):
    encoded = leb128.unsigned(value)
    assert Reader(encoded).unsigned(64) == value
    assert len(encoded) == max(1, -(-value.bit_length() // 7))


@given(st.integers(-(2**63), 2**63 - 1))
def test_signed_integers(value):
    assert Reader(leb128.signed(value)).signed(64) == value


@pytest.mark.parametrize(
    ("raw", "bits", "value"),
    [
        ("8000", 32, 0),
        ("ffffffff0f", 32, 2**32 - 1),
        ("808080808000", 32, None),
        ("ffffffff1f", 32, None),
        ("80808080808080808001", 64, 2**63),
        ("80808080808080808002", 64, None),
        ("80", 32, None),
    ],
)
def test_bounds_of_unsigned_integers(raw, bits, value):
    reader = Reader(bytes.fromhex(raw))
    if value is None:
        with pytest.raises(ContractRejected):
            reader.unsigned(bits)
    else:
        assert reader.unsigned(bits) == value


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("7f", -1),
        ("ff7f", -1),
        ("8080808078", -(2**31)),
        ("ffffffff07", 2**31 - 1),
        ("8080808070", None),
        ("ffffffff0f", None),
        ("ffffffffff7f", None),
    ],
)
def test_bounds_of_signed_integers(raw, value):
    reader = Reader(bytes.fromhex(raw))
    if value is None:
        with pytest.raises(ContractRejected):
            reader.signed(32)
    else:
        assert reader.signed(32) == value


@pytest.mark.parametrize(
    ("code", "offset", "words"),
    [
        (b"", 0, "nothing"),
        (b"\0asm\2\0\0\0", 0, "00 61 73 6d 02"),
        (HEADER + b"\x01\x05\x00", 10, "1 bytes left"),
        (HEADER + section(1, b"\0\0"), 11, "1 bytes after it"),
        (HEADER + section(1, b"\1\x5f"), 11, "GC"),
        (HEADER + section(1, b"\1\x60\1\x7b\0"), 13, "SIMD"),
        (HEADER + section(1, b"\1\x60\1\x6f\0"), 13, "reference types"),
        (HEADER + section(1, b"\x7f"), 11, "a count of 127"),
        (HEADER + section(13, b"\0"), 8, "exceptions"),
        (HEADER + section(3, b"\0") + section(1, b"\0"), 11, "section 1"),
        (HEADER + section(1, b"\0") + section(1, b"\0"), 11, "section 1"),
        (HEADER + section(2, b"\1\1\xff\1b\0\0"), 11, "UTF-8"),
        (HEADER + section(2, b"\1\1a\1b\4\0\0"), 15, "exceptions"),
        (HEADER + section(4, b"\1\x6f\0\1"), 11, "externref"),
        (HEADER + section(4, b"\1\x70\5\1"), 12, "memory64"),
        (HEADER + section(5, b"\1\3\1\1"), 11, "threads"),
        (HEADER + section(5, b"\1\4\1"), 11, "memory64"),
        (HEADER + section(5, b"\1\x08\1\3"), 13, "2^3"),
        (HEADER + section(6, b"\1\x7f\2\x41\0\x0b"), 12, "global flags"),
        (HEADER + section(6, b"\1\x7f\0\x41\0\x41\0\x6a\x0b"), 15, "extended"),
        (HEADER + section(6, b"\1\x7f\0\xd2\0\x0b"), 13, "ref.func"),
        (HEADER + section(9, b"\1\4\x41\0\x0b\0"), 11, "reference types"),
        (HEADER + section(9, b"\1\1\1\0"), 12, "kind"),
        (HEADER + section(11, b"\1\2\1\x41\0\x0b\0"), 12, "multiple memories"),
        (HEADER + section(3, b"\1\0"), 12, "1 functions and 0 bodies"),
        (HEADER + section(12, b"\1"), 11, "data count of 1"),
    ],
)
def test_malformed_modules_name_the_byte(code, offset, words):
    with pytest.raises(ContractRejected) as caught:
        decode(code)
    assert caught.value.rule == "binary"
    assert caught.value.offset == offset
    assert words in str(caught.value)


def test_truncations_of_a_contract_are_refused():
    code = contracts.load("counter")
    whole = [length for length in range(len(code)) if _decodes(code[:length])]
    # Left alone, a prefix is a module only where a section ends and every function has its body.
    assert whole[0] == 8
    assert len(whole) < 8


def _decodes(code: bytes) -> bool:
    try:
        decode(code)
    except ContractRejected:
        return False
    return True


def test_the_error_survives_pickling():
    error = ContractRejected("memory", "two", "one", 12)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert "at byte 12" in str(error)
