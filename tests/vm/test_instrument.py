# SPDX-License-Identifier: GPL-3.0-or-later
"""The instrumented form: the same results, call depth counted exactly, globals visible, memory bounded."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
import wasmtime
from wasm_host import ENGINE
from wasm_modules import module

from supervm.vm import contracts
from supervm.vm.binary import decode
from supervm.vm.config import MAX_WASM_STACK, THREAD_STACK
from supervm.vm.instrument import DEPTH_EXPORT, call_weight, global_export, instrument
from supervm.vm.limits import CALL_DEPTH, FRAME_VALUES
from supervm.vm.validation import inspect

UNREACHABLE = wasmtime.TrapCode.UNREACHABLE


class Instance:
    """An instance on plenty of fuel, of a module as it is or instrumented."""

    def __init__(self, code: bytes, instrumented: bool = True) -> None:
        self.info = inspect(code)
        self.code = instrument(code, self.info) if instrumented else code
        self.store = wasmtime.Store(ENGINE)
        self.store.set_fuel(10**12)
        self.exports = wasmtime.Instance(self.store, wasmtime.Module(ENGINE, self.code), []).exports(
            self.store
        )

    def call(self, name: str, *arguments: int):
        """What it returns, or the code of its trap."""
        try:
            return self.exports[name](self.store, *arguments)
        except wasmtime.Trap as trap:
            return trap.trap_code

    def value(self, name: str) -> int:
        return self.exports[name].value(self.store)


EVERYTHING = module(
    "(type $binary (func (param i32 i32) (result i32)))",
    "(table 3 3 funcref) (elem (i32.const 0) func $add $sub $three)",
    "(global $sum (mut i64) (i64.const 0))",
    "(func $add (type $binary) (i32.add (local.get 0) (local.get 1)))",
    "(func $sub (type $binary) (i32.sub (local.get 0) (local.get 1)))",
    "(func $three (param i32 i64) (result i64 i32 f64) (local.get 1) (local.get 0) (f64.const 1.5))",
    '(func (export "by_table") (param i32 i32 i32) (result i32)'
    " (call_indirect (type $binary) (local.get 0) (local.get 1) (local.get 2)))",
    '(func (export "many") (param i32 i64) (result i64 i32 f64)'
    " (global.set $sum (i64.add (global.get $sum) (local.get 1))) (call $three (local.get 0) (local.get 1)))",
    '(func $factorial (export "factorial") (param i64) (result i64)'
    " (if (result i64) (i64.eqz (local.get 0)) (then (i64.const 1)) (else"
    " (i64.mul (local.get 0) (call $factorial (i64.sub (local.get 0) (i64.const 1)))))))",
    '(func (export "sink") (param f32 f64 i32))',
    entry='(func (export "run") (result i32) i32.const 7)',
)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("run", ()),
        ("by_table", (5, 3, 0)),
        ("by_table", (5, 3, 1)),
        ("by_table", (5, 3, 2)),
        ("by_table", (5, 3, 9)),
        ("many", (4, 2**40)),
        ("factorial", (12,)),
        ("sink", (1.0, 2.0, 3)),
    ],
)
def test_same_results_as_the_original(name, arguments):
    plain, counted = Instance(EVERYTHING, instrumented=False), Instance(EVERYTHING)
    assert counted.call(name, *arguments) == plain.call(name, *arguments)
    if not isinstance(plain.call(name, *arguments), wasmtime.TrapCode):
        assert counted.value(DEPTH_EXPORT) == 0


RECURSION = module(
    '(func $down (export "down") (param i32) (result i32) (if (result i32) (i32.le_u (local.get 0) (i32.const 1))'
    " (then (i32.const 1)) (else (i32.add (i32.const 1) (call $down (i32.sub (local.get 0) (i32.const 1)))))))",
    '(func (export "stop") unreachable)',
)


def test_depth_is_counted_exactly():
    instance = Instance(RECURSION)
    assert instance.call("down", CALL_DEPTH) == CALL_DEPTH
    assert instance.value(DEPTH_EXPORT) == 0
    assert instance.call("down", CALL_DEPTH + 1) == UNREACHABLE
    assert instance.value(DEPTH_EXPORT) == CALL_DEPTH + 1


def test_depth_trap_is_told_from_unreachable():
    instance = Instance(RECURSION)
    assert instance.call("stop") == UNREACHABLE
    assert instance.value(DEPTH_EXPORT) == 1


def test_calls_through_the_table_are_counted():
    instance = Instance(
        module(
            "(type $f (func (param i32) (result i32))) (table 1 1 funcref) (elem (i32.const 0) func $down)",
            '(func $down (export "down") (param i32) (result i32)'
            " (if (result i32) (i32.le_u (local.get 0) (i32.const 1)) (then (i32.const 0))"
            " (else (call_indirect (type $f) (i32.sub (local.get 0) (i32.const 1)) (i32.const 0)))))",
        )
    )
    assert instance.call("down", CALL_DEPTH) == 0
    assert instance.call("down", CALL_DEPTH + 1) == UNREACHABLE


@pytest.mark.parametrize(
    ("nops", "parameters", "weight"),
    [(0, 0, 1), (126, 0, 1), (127, 0, 2), (125, 1, 1), (125, 2, 2), (639, 0, 6)],
)
def test_large_functions_weigh_more(nops, parameters, weight):
    code = module(f"(func (param {'i64 ' * parameters}) {'nop ' * nops})")
    info = inspect(code)
    loaded = decode(code)
    assert call_weight(loaded.types[loaded.functions[0]], info.bodies[0]) == weight


def test_weight_is_counted_in_the_depth():
    code = module(
        "(func $large " + "nop " * 200 + "call 1)",
        '(func (export "stop") unreachable)',
        '(func (export "both") call $large)',
    )
    instance = Instance(code)
    assert instance.call("both") == UNREACHABLE
    assert instance.value(DEPTH_EXPORT) == 1 + 2 + 1


def test_private_mutable_globals_are_exported():
    code = module(
        "(global $fixed i32 (i32.const 1)) (global $a (mut i32) (i32.const 2)) (global $b (mut f64) (f64.const 3))",
        '(func (export "set") (global.set $a (i32.const 9)))',
    )
    instance = Instance(code)
    assert instance.info.mutable_globals == (1, 2)
    assert instance.value(global_export(1)) == 2
    assert instance.value(global_export(2)) == 3.0
    instance.call("set")
    assert instance.value("supervm:global:1") == 9
    names = {item.name for item in decode(instance.code).exports if item.name.startswith("supervm:")}
    assert names == {"supervm:global:1", "supervm:global:2", "supervm:depth"}


@pytest.mark.parametrize(
    ("memory", "pages"), [("1", 256), ("1 4", 4), ("100 (pagesize 1)", 2**24), ("100 200 (pagesize 1)", 200)]
)
def test_memory_gets_a_maximum(memory, pages):
    code = module(memory=f'(memory (export "memory") {memory})')
    assert decode(instrument(code, inspect(code))).memories[0].maximum == pages


def test_growth_stops_at_the_maximum():
    code = module(
        '(func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))',
        memory='(memory (export "memory") 1)',
    )
    instance = Instance(code)
    assert instance.call("grow", 255) == 1
    assert instance.call("grow", 1) == -1


@pytest.mark.parametrize("name", contracts.names())
def test_bodies_and_indices_stay(name):
    code = contracts.load(name)
    before, after = decode(code), decode(instrument(code, inspect(code)))
    count = len(before.functions)
    assert [item.body for item in after.codes[count:]] == [item.body for item in before.codes]
    assert after.functions == before.functions * 2
    assert after.exports[: len(before.exports)] == before.exports
    assert after.imports == before.imports
    assert after.customs == ()
    assert before.customs != ()
    wasmtime.Module.validate(ENGINE, instrument(code, inspect(code)))


def test_the_largest_modules_can_be_instantiated():
    functions = 9_998
    code = module(
        "(table 10000 10000 funcref) (elem (i32.const 0) func " + "1 " * functions + ")",
        "(global (mut i64) (i64.const 1))" * 1_000,
        "(func)" * functions,
        memory='(memory (export "memory") 256 256)',
    )
    assert Instance(code).call("run") == 7


# Frames. What is alive across a call is loaded before it and needed after it.


def _types(count: int) -> str:
    return "i64 " * count


def _make(count: int) -> str:
    loads = "".join(f"(i64.load (i32.const {8 * k}))" for k in range(count))
    return f"(func $make (result {_types(count)}) {loads})"


def _eat(count: int) -> str:
    stores = "".join(f"(i64.store (i32.const {8 * k}) (local.get {k}))" for k in range(count))
    return f"(func $eat (param {_types(count)}) {stores})"


def _live(count: int) -> list[str]:
    """A recursive function with this many values on its stack across the call, in five instructions."""
    return [
        _make(count),
        _eat(count // 2),
        "(func $r call $make call $r call $eat call $eat)",
        '(func (export "deep") call $r)',
    ]


def _reused(count: int) -> list[str]:
    """One that needs this many products again after the call, which the compiler keeps rather than repeats."""
    products = "".join(
        f"(i64.store (i32.const {8 * k}) (i64.mul (local.get $y) (i64.const {2 * k + 3})))"
        for k in range(count)
    )
    return [
        f"(func $r (local $y i64) (local.set $y (i64.load (i32.const 65000))) {products} call $r {products})",
        '(func (export "deep") call $r)',
    ]


def _passed(parameters: int, results: int) -> list[str]:
    """One whose arguments and results go over the stack."""
    return [
        _make(parameters),
        f"(func $r (param {_types(parameters)}) (result {_types(results)}) call $make call $r)",
        f'(func (export "deep") call $make call $r {"drop " * results})',
    ]


def _returned(results: int) -> list[str]:
    """One that ends, returning results, once a counter has run out."""
    return [
        "(global $n (mut i32) (i32.const 1000000))",
        f"(func $base (result {_types(results)}) {'(i64.const 3)' * results})",
        f"(func $r (result {_types(results)}) (if (i32.eqz (global.get $n)) (then call $base return))"
        " (global.set $n (i32.sub (global.get $n) (i32.const 1))) call $r)",
        f'(func (export "deep") call $r {"drop " * results})',
    ]


DEEP = {
    "256 values on the stack": _live(FRAME_VALUES),
    "200 values and products": [*_live(200)[:2], *_reused(10)],
    "1000 products": _reused(1_000),
    "127 parameters and results": _passed(127, 127),
    "60 parameters and results": _passed(60, 60),
    "128 parameters": _passed(128, 0),
    "254 results": _returned(254),
    "115 results": _returned(115),
}


def _on_a_thread(action) -> None:
    """Run on a thread with the stack that threads of contracts have; what it raises is raised here."""
    problems = []

    def run() -> None:
        try:
            action()
        except BaseException as error:
            problems.append(error)

    before = threading.stack_size(THREAD_STACK)
    try:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    if problems:
        raise problems[0]


@pytest.mark.parametrize("name", DEEP)
def test_depth_ends_before_the_native_stack(name):
    def check() -> None:
        instance = Instance(module(*DEEP[name]))
        assert instance.call("deep") == UNREACHABLE
        assert instance.value(DEPTH_EXPORT) > CALL_DEPTH

    assert THREAD_STACK - MAX_WASM_STACK == 2 << 20
    _on_a_thread(check)


def test_a_function_that_counts_too_little_would_exhaust_the_native_stack():
    """The weight is needed: with depth 1 a call, the products of one function overrun 6 MiB."""

    def check() -> None:
        code = module(*DEEP["1000 products"])
        info = inspect(code)
        light = replace(info, bodies=tuple(replace(body, instructions=0) for body in info.bodies))
        store = wasmtime.Store(ENGINE)
        store.set_fuel(10**12)
        compiled = wasmtime.Module(ENGINE, instrument(code, light))
        exports = wasmtime.Instance(store, compiled, []).exports(store)
        with pytest.raises(wasmtime.Trap) as caught:
            exports["deep"](store)
        assert caught.value.trap_code == wasmtime.TrapCode.STACK_OVERFLOW

    _on_a_thread(check)


def test_floats_have_one_nan():
    instance = Instance(
        module(
            '(func (export "nan") (param f64 f64) (result i64) (i64.reinterpret_f64 (f64.div (local.get 0) (local.get 1))))'
        )
    )
    assert instance.call("nan", 0.0, 0.0) & (2**64 - 1) == 0x7FF8000000000000
