# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules for contract modules, one by one, each with a module that breaks that rule alone; and hostile bytes."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st
from wasm_modules import module, section

from supervm.vm import contracts
from supervm.vm.binary import decode
from supervm.vm.encoding import encode
from supervm.vm.errors import ContractRejected
from supervm.vm.instructions import walk
from supervm.vm.interface import HOST_FUNCTIONS
from supervm.vm.module import I64
from supervm.vm.validation import inspect

ACCEPTED = {
    "plain": module(),
    "exact memory": module(memory='(memory (export "memory") 256 256)'),
    "bytes": module(memory='(memory (export "memory") 16777216 16777216 (pagesize 1))'),
    "no maximum": module(memory='(memory (export "memory") 1)'),
    "empty memory": module(memory='(memory (export "memory") 0)'),
    "table": module("(table 1 10000 funcref)", "(elem (i32.const 0) func 0)"),
    "segments to the end": module(
        '(table 2 9 funcref) (elem (i32.const 1) func 0) (data (i32.const 65535) "a") (data (i32.const 65536) "")'
    ),
    "private": module('(func (export "helper") (param i32))'),
    "thousand globals": module("(global i32 (i32.const 1))" * 1_000),
    "ten thousand functions": module("(func)" * 9_999),
    "frame": module("(func (param i64) (local " + "i64 " * 254 + ") local.get 0 drop)"),
    "sign extension": module("(func (param i32) (result i32) (i32.extend8_s (local.get 0)))"),
    "saturating": module("(func (param f32) (result i64) (i64.trunc_sat_f32_u (local.get 0)))"),
    "many results": module("(func (result i32 i64) (i32.const 1) (i64.const 2))"),
    "block with parameters": module(
        "(func (param i32) (result i32) local.get 0 (block (param i32) (result i32)) )"
    ),
    "mutable global exported": module('(global (export "g") (mut i32) (i32.const 1))'),
    "bulk": module(
        '(table 2 2 funcref) (elem func 0) (data "x") (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 1))'
        " (memory.copy (i32.const 0) (i32.const 0) (i32.const 1)) (memory.init 0 (i32.const 0) (i32.const 0)"
        " (i32.const 1)) (data.drop 0) (table.init 0 (i32.const 0) (i32.const 0) (i32.const 1)) (elem.drop 0)"
        " (table.copy (i32.const 0) (i32.const 1) (i32.const 1)))"
    ),
}


def _with_locals(count: int) -> bytes:
    """A module with a function of that many locals, which no assembler would write down."""
    first, *others = (plain := decode(module("(func)"))).codes
    return encode(replace(plain, codes=(replace(first, locals=((count, I64),)), *others)))


STORAGE_GET = '(import "storage_api" "storage_get" (func (param i32 i32) (result i64)))'
REFUSED = {
    # name: (rule, words of the message, code)
    "too long": ("size", "1048577 bytes", module() + b"\0" * (1_048_577 - len(module()))),
    "no wasm": ("binary", "7f 45 4c 46", b"\x7fELF" + bytes(60)),
    "unknown function": ("imports", "storage_api.list", module('(import "storage_api" "list" (func))')),
    "unknown module": ("imports", "env.storage_get", module(STORAGE_GET.replace("storage_api", "env"))),
    "wasi": ("imports", "wasi", module('(import "wasi_snapshot_preview1" "fd_write" (func))')),
    "wrong result": ("imports", "(i32 i32) -> (i32)", module(STORAGE_GET.replace("i64", "i32"))),
    "wrong parameters": ("imports", "(i32) -> (i64)", module(STORAGE_GET.replace("i32 i32", "i32"))),
    "imported global": ("imports", "no function", module('(import "chain_api" "value" (global i32))')),
    "imported memory": (
        "imports",
        "env.memory",
        module('(import "env" "memory" (memory 1 1))', '(export "memory" (memory 0))', memory=""),
    ),
    "imported table": ("imports", "env.t", module('(import "env" "t" (table 1 1 funcref))')),
    "start": ("start", "start function 0", module("(func) (start 0)")),
    "no memory": ("memory", "0 memories", module(memory="")),
    "two memories": ("memory", "2 memories", module("(memory 1 1)")),
    "memory not exported": ("memory", "no export", module(memory="(memory 1 1)")),
    "memory under another name": ("memory", "no export", module(memory='(memory (export "mem") 1 1)')),
    "a function named memory": (
        "memory",
        "no export",
        module('(func (export "memory") (result i32) i32.const 0)', memory="(memory 1 1)"),
    ),
    "large memory": ("memory", "16842752", module(memory='(memory (export "memory") 257)')),
    "large maximum": ("memory", "16842752", module(memory='(memory (export "memory") 1 257)')),
    "large bytes": (
        "memory",
        "16777217",
        module(memory='(memory (export "memory") 1 16777217 (pagesize 1))'),
    ),
    "two tables": ("tables", "2 tables", module("(table 1 1 funcref)" * 2)),
    "table without maximum": ("tables", "without a maximum", module("(table 1 funcref)")),
    "large table": ("tables", "10001", module("(table 1 10001 funcref)")),
    "reserved export": (
        "exports",
        "supervm:x",
        module('(func (export "supervm:x") (result i32) i32.const 0)'),
    ),
    "data beyond memory": ("segments", "65535 to 65537", module('(data (i32.const 65535) "ab")')),
    "data far beyond": ("segments", "4294967295", module('(data (i32.const -1) "")')),
    "elements beyond the table": (
        "segments",
        "1 to 3",
        module("(table 2 9 funcref) (elem (i32.const 1) func 0 0)"),
    ),
    "no entry": ("entry points", "none", module(entry="")),
    "entry of another type": (
        "entry points",
        "none",
        module(entry='(func (export "run") (result i64) i64.const 0)'),
    ),
    "only a host function exported": (
        "entry points",
        "none",
        module('(import "chain_api" "input_len" (func (result i32)))', '(export "run" (func 0))', entry=""),
    ),
    "many functions": ("functions", "10001", module("(func)" * 10_000)),
    "many globals": ("globals", "1001", module("(global i32 (i32.const 1))" * 1_001)),
    "many locals": ("frames", "257", module("(func (local " + "i64 " * 257 + "))")),
    "four billion locals": (
        "frames",
        "4294967295",
        _with_locals(2**32 - 1),
    ),
    "deep stack": ("frames", "257", module("(func " + "i64.const 1 " * 257 + "drop " * 257 + ")")),
    "parameters and stack": (
        "frames",
        "257",
        module("(func (param " + "i64 " * 128 + ")" + "local.get 0 " * 129 + "drop " * 129 + ")"),
    ),
    "invalid types": ("validity", "type mismatch", module("(func (result i64) i32.const 1)")),
    "simd": ("binary", "SIMD", module("(func (drop (v128.const i64x2 0 0)))")),
    "simd local": ("binary", "SIMD", module("(func (local v128))")),
    "shared memory": ("binary", "threads", module(memory='(memory (export "memory") 1 1 shared)')),
    "atomic": ("binary", "threads", module("(func (drop (i32.atomic.load (i32.const 0))))")),
    "fence": ("binary", "threads", module("(func atomic.fence)")),
    "tail call": ("binary", "tail calls", module("(func return_call 0)")),
    "indirect tail call": (
        "binary",
        "tail calls",
        module("(table 1 1 funcref) (func (return_call_indirect (i32.const 0)))"),
    ),
    "ref.null": ("binary", "reference types", module("(func (drop (ref.null func)))")),
    "ref.func": ("binary", "reference types", module("(elem declare func 0) (func (drop (ref.func 0)))")),
    "table.get": (
        "binary",
        "reference types",
        module("(table 1 1 funcref) (func (drop (table.get 0 (i32.const 0))))"),
    ),
    "table.grow": ("binary", "reference types", module("(table 1 1 funcref) (func (drop (table.size 0)))")),
    "typed select": (
        "binary",
        "reference types",
        module("(func (drop (select (result i32) (i32.const 1) (i32.const 1) (i32.const 1))))"),
    ),
    "externref": ("binary", "reference types", module("(table 1 1 externref)")),
    "funcref global": ("binary", "reference types", module("(global funcref (ref.null func))")),
    "element expressions": (
        "binary",
        "reference types",
        module("(table 1 1 funcref) (elem (i32.const 0) funcref (ref.null func))"),
    ),
    "exceptions": ("binary", "exceptions", module("(tag) (func (throw 0))")),
    "memory64": ("binary", "memory64", module(memory='(memory (export "memory") i64 1 1)')),
    "gc": ("binary", "GC", module("(type (struct))")),
    "recursive types": ("binary", "GC", module("(rec (type (func)) (type (func)))")),
    "function references": (
        "binary",
        "function references",
        module("(type $t (func)) (func (param i32) (call_ref $t (unreachable)))"),
    ),
    "wide arithmetic": (
        "binary",
        "wide arithmetic",
        module("(func (param i64) (result i64 i64) (i64.mul_wide_s (local.get 0) (local.get 0)))"),
    ),
    "extended constants": (
        "binary",
        "extended",
        module("(global i32 (i32.add (i32.const 1) (i32.const 2)))"),
    ),
    "page size": (
        "binary",
        "2^3",
        module().replace(b"\x05\x04\x01\x01\x01\x02", b"\x05\x05\x01\x09\x01\x02\x03"),
    ),
    "unknown opcode": (
        "binary",
        "opcode 0x27",
        module("(func nop)").replace(b"\x00\x01\x0b", b"\x00\x27\x0b"),
    ),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(name):
    info = inspect(ACCEPTED[name])
    assert info.entry_points == ("run",)
    assert info.code_hash == hashlib.sha256(ACCEPTED[name]).digest()


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    rule, words, code = REFUSED[name]
    with pytest.raises(ContractRejected) as caught:
        inspect(code)
    assert caught.value.rule == rule
    assert words in str(caught.value)


def test_refused_instructions_name_their_byte():
    code = module("(func nop nop return_call 0)")
    with pytest.raises(ContractRejected) as caught:
        inspect(code)
    assert code[caught.value.offset : caught.value.offset + 2] == b"\x12\x00"


def test_every_host_function_may_be_imported():
    imports = [
        f'(import "{item.module}" "{item.name}" (func (param {"i32 " * len(item.parameters)})'
        f" (result {'i64' if item.result == I64 else 'i32'})))"
        for item in HOST_FUNCTIONS
    ]
    info = inspect(module(*imports))
    assert info.imports == {(item.module, item.name) for item in HOST_FUNCTIONS}
    assert info.uses_balance
    assert not inspect(
        module(*[line for line in imports if '"balance"' not in line and '"transfer"' not in line])
    ).uses_balance


def test_what_is_known_of_a_module():
    info = inspect(
        module(
            "(global $a i32 (i32.const 1)) (global $b (mut i64) (i64.const 1)) (global $c (mut i32) (i32.const 1))",
            '(func (export "second") (result i32) (global.set $c (i32.const 1)) (memory.grow (i32.const 1)))',
            '(func (export "third") (param i32) (result i32) (local.get 0))',
            memory='(memory (export "memory") 2 3)',
        )
    )
    assert info.entry_points == ("second", "run")
    assert info.mutable_globals == (1, 2)
    assert info.globals_set == {2}
    assert (info.memory_initial, info.memory_maximum, info.page_size) == (131_072, 196_608, 65_536)
    assert info.grows_memory
    assert info.restorable
    assert not info.uses_balance
    plain = inspect(module(memory='(memory (export "memory") 5 (pagesize 1))'))
    assert (plain.memory_initial, plain.memory_maximum, plain.page_size) == (5, 16_777_216, 1)
    assert not plain.grows_memory


@pytest.mark.parametrize(
    ("instructions", "restorable"),
    [
        ("(memory.init 0 (i32.const 0) (i32.const 0) (i32.const 1))", True),
        ("(memory.fill (i32.const 0) (i32.const 0) (i32.const 1))", True),
        ("(data.drop 0)", False),
        ("(elem.drop 0)", False),
        ("(table.init 0 (i32.const 0) (i32.const 0) (i32.const 1))", False),
        ("(table.copy (i32.const 0) (i32.const 0) (i32.const 1))", False),
    ],
)
def test_restorable(instructions, restorable):
    info = inspect(module('(table 1 1 funcref) (elem func 0) (data "x")', f"(func {instructions})"))
    assert info.restorable is restorable


@pytest.mark.parametrize(
    ("body", "height"),
    [
        ("", 0),
        ("(drop (i32.add (i32.const 1) (i32.const 2)))", 2),
        ("(drop (i32.add (i32.const 1) (i32.add (i32.const 1) (i32.const 2))))", 3),
        ("i32.const 1 (block i32.const 2 drop) drop", 2),
        ("i32.const 1 (block i32.const 2 i32.const 3 br 0 ) drop", 3),
        ("(block i32.const 2 i32.const 3 br 0 i32.const 4 drop)", 2),
        ("unreachable i32.add drop", 1),
        ("(if (i32.const 1) (then i32.const 2 i32.const 2 drop drop) (else i32.const 1 drop))", 2),
        ("(drop (if (result i32) (i32.const 1) (then (i32.const 2)) (else (i32.const 1))))", 1),
        ("call 1 drop drop drop", 3),
        ("(call 2 (i32.const 1) (i64.const 2)) drop", 2),
        ("i32.const 5 i32.const 6 (block (param i32 i32) (result i32) i32.add) drop", 2),
        ("i32.const 1 (loop (param i32) drop i32.const 3 i32.const 4 br_if 0 drop)", 2),
        ("(drop (call_indirect (type 1) (i32.const 1) (i64.const 1) (i32.const 0)))", 3),
        ("(block (block (br_table 0 1 0 (i32.const 3))))", 1),
        ("(i64.store (i32.const 0) (i64.const 9))", 2),
        ("(drop (select (i32.const 1) (i32.const 2) (i32.const 3)))", 3),
    ],
)
def test_heights(body, height):
    code = wasmtime.wat2wasm(
        f"""(module (type (func (result i32 i32 i32))) (type (func (param i32 i64) (result i32)))
        (memory 1) (table 1 1 funcref) (func {body}) (func (type 0) unreachable) (func (type 1) unreachable))"""
    )
    wasmtime.Module.validate(wasmtime.Engine(), code)
    assert walk(decode(code), 0).height == height


BYTES = st.binary(min_size=1, max_size=4)


@settings(max_examples=150)
@given(st.data())
def test_mutations_are_accepted_or_refused(data):
    code = bytearray(contracts.load(data.draw(st.sampled_from(("counter", "game", "token")))))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(8, len(code) - 1))
        code[at : at + data.draw(st.integers(0, 3))] = data.draw(BYTES)
    _judge(bytes(code))


@settings(max_examples=50)
@given(st.binary(max_size=64))
def test_noise_is_refused(noise):
    _judge(noise)
    _judge(b"\0asm\1\0\0\0" + noise)
    _judge(module() + noise)


def test_truncations_are_accepted_or_refused():
    code = module("(table 1 1 funcref) (elem (i32.const 0) func 0)")
    for length in range(len(code)):
        _judge(code[:length])


def _judge(code: bytes) -> None:
    try:
        info = inspect(code)
    except ContractRejected:
        return
    assert info.entry_points
    assert encode(decode(code))


def test_deeply_nested_blocks_are_walked():
    depth = 20_000
    body = b"\0" + b"\x02\x40" * depth + b"\x0b" * depth + b"\x0b"
    size = len(body)
    assert 0x4000 <= size < 0x200000
    leb = bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14])
    total = len(leb) + size + 1
    code = (
        b"\0asm\1\0\0\0"
        + section(1, b"\1\x60\0\0")
        + section(3, b"\1\0")
        + b"\x0a"
        + bytes([total & 0x7F | 0x80, total >> 7 & 0x7F | 0x80, total >> 14])
        + b"\1"
        + leb
        + body
    )
    assert walk(decode(code), 0).height == 0
