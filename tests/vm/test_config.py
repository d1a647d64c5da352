# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration alone: wasmtime's own validator accepts the allowed proposals and refuses the others."""

from __future__ import annotations

import pytest
import wasmtime
from wasm_host import ENGINE
from wasm_modules import module

ALLOWED = {
    "mutable globals": '(global (export "g") (mut i32) (i32.const 1))',
    "sign extension": "(func (param i32) (result i32) (i32.extend8_s (local.get 0)))",
    "non-trapping conversions": "(func (param f32) (result i64) (i64.trunc_sat_f32_u (local.get 0)))",
    "multi-value": "(func (result i32 i64) (i32.const 1) (i64.const 2))",
    "bulk memory": "(func (memory.fill (i32.const 0) (i32.const 0) (i32.const 1)))",
    "tables": "(table 1 1 funcref) (elem func 0) (func (table.copy (i32.const 0) (i32.const 0) (i32.const 1)))",
}
REFUSED = {
    "SIMD": "(func (drop (v128.const i64x2 0 0)))",
    "relaxed SIMD": "(func (param v128) (drop (i8x16.relaxed_swizzle (local.get 0) (local.get 0))))",
    "threads": "(func atomic.fence)",
    "tail calls": "(func return_call 0)",
    "reference types": "(func (drop (ref.null func)))",
    "two tables": "(table 1 1 funcref) (table 1 1 funcref)",
    "function references": "(type $t (func)) (func (param (ref $t)))",
    "GC": "(type (struct))",
    "exceptions": "(tag)",
    "memory64": "(memory i64 1 1)",
    "multiple memories": "(memory 1 1)",
    "wide arithmetic": "(func (param i64) (result i64 i64) (i64.mul_wide_s (local.get 0) (local.get 0)))",
    "stack switching": "(type $f (func)) (type $c (cont $f)) (func (param (ref $c)))",
}


@pytest.mark.parametrize("proposal", ALLOWED)
def test_allowed(proposal):
    wasmtime.Module.validate(ENGINE, module(ALLOWED[proposal]))


@pytest.mark.parametrize(
    "memory", ['(memory (export "memory") 5 9 (pagesize 1))', '(memory (export "memory") 1)']
)
def test_page_sizes_are_allowed(memory):
    wasmtime.Module.validate(ENGINE, module(memory=memory))


@pytest.mark.parametrize("proposal", REFUSED)
def test_refused(proposal):
    code = module(REFUSED[proposal])
    with pytest.raises(wasmtime.WasmtimeError):
        wasmtime.Module.validate(ENGINE, code)


def test_fuel_is_counted_and_data_segments_are_paid_for():
    """Who instantiates must give fuel first: without any, a module with data cannot be instantiated."""
    compiled = wasmtime.Module(
        ENGINE, module('(data (i32.const 0) "abc")', memory='(memory (export "memory") 9 9 (pagesize 1))')
    )
    with wasmtime.Store(ENGINE) as store:
        with pytest.raises(wasmtime.Trap):
            wasmtime.Instance(store, compiled, [])
        store.set_fuel(1_000)
        instance = wasmtime.Instance(store, compiled, [])
        assert 0 < store.get_fuel() < 1_000
        before = store.get_fuel()
        assert instance.exports(store)["run"](store) == 7
        assert store.get_fuel() < before
