# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of the compiler as limits of the rules: what is accepted is compiled, what costs too much is refused by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import wasmtime
from wasm_modules import module

from supervm.vm import compile_units, limits
from supervm.vm.binary import decode
from supervm.vm.compile_units import of_operation
from supervm.vm.errors import ContractRejected, RuntimeProblem
from supervm.vm.instructions import walk
from supervm.vm.modules import ModuleCache, check
from supervm.vm.opcodes import PLAIN, PREFIXED
from supervm.vm.validation import inspect

RULES = (Path(__file__).resolve().parents[2] / "docs" / "execution-rules.md").read_text(encoding="utf-8")


def units(body: str, more: str = "", parameters: str = "(param i32)") -> int:
    """Compile units of the instructions of a function, its last `end` and the way to it not counted."""
    text = f'(module {more} (memory (export "memory") 1 1) (func {parameters} {body}))'
    return walk(decode(bytes(wasmtime.wat2wasm(text))), 0).units - compile_units.INSTRUCTION


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("", 0),
        ("nop", 1),
        ("(drop (i32.load (local.get 0)))", 1 + 5 + 1),
        ("(drop (i32.div_u (local.get 0) (local.get 0)))", 2 + 5 + 1),
        ("(drop (f64.sqrt (f64.const 2)))", 1 + 6 + 1),
        ("(drop (f64.neg (f64.const 2)))", 3),
        ("(drop (i32.trunc_sat_f64_s (f64.const 2)))", 1 + 5 + 1),
        ("(drop (f32.demote_f64 (f64.const 2)))", 1 + 6 + 1),
        ("(memory.fill (local.get 0) (local.get 0) (local.get 0))", 3 + 8),
        ("(drop (memory.grow (local.get 0)))", 1 + 80 + 1),
        ("return", 4 + 0),
        # block: 12 and ⌊1 / 4⌋ for a local, ⌊1 / 4⌋ for the function's body; end: 1.
        ("(block)", 12 + 1),
        ("(block (br 0))", 12 + 4 + 1),
        # Two ways to a label with one value, and one local set.
        ("(drop (block (result i32) (local.set 0 (i32.const 1)) (br_if 0 (local.get 0) (i32.const 1))))",
         (12 + 1) + (1 + 1) + (1 + 1 + 4) + 1 + 2 * (1 + 2) + 1),
        # An if without else has two ways out of it, and sets a local.
        ("(if (local.get 0) (then (local.tee 0 (i32.const 1)) (drop)))", 1 + 12 + 3 + 1 + 2 * 2),
        # A loop has the way in and the branch back.
        ("(loop (local.set 0 (i32.const 3)) (br_if 0 (local.get 0)))", 12 + 2 + 1 + 4 + 1 + 2 * 2),
        # Four ways to the inner label, two of them targets besides the default; the outer one: an end.
        ("(block (block (local.set 0 (i32.const 1)) (br_table 0 0 1 0 (local.get 0))))",
         12 + (12 + 2 + 1 + 4 + 3 + 1 + 4 * 2) + 1 + 2 * 2),
    ],
)  # fmt: skip
def test_units_by_hand(body: str, expected: int) -> None:
    assert units(body) == expected


def test_units_of_calls_and_signatures() -> None:
    callee = "(type $t (func (param i32 i64) (result f32)))"
    body = "(drop (call 1 (i32.const 1) (i64.const 2)))"
    text = f'(module {callee} (memory (export "memory") 1 1) (func {body}) (func (type $t) (f32.const 0)))'
    assert walk(decode(bytes(wasmtime.wat2wasm(text))), 0).units == 2 + (8 + 3) + 1 + 1
    indirect = "(drop (call_indirect (type $t) (i32.const 1) (i64.const 2) (i32.const 0)))"
    assert units(indirect, f"{callee} (table 1 1 funcref)") == 3 + (64 + 3) + 1
    plain = inspect(module()).units
    assert (
        inspect(module("(func (param i32 i64) (result f32) (f32.const 0))")).units
        == plain + (40 + 3 * 8) + (60 + 3 * 8) + 2 + 1
    )
    assert inspect(module("(table 1 1 funcref) (elem func 0 0)")).units == plain + 2 * 8


def test_a_block_costs_more_with_locals_with_depth_and_behind_others() -> None:
    many = "(param i32) (local " + "i64 " * 15 + ")"
    assert units("(block)", parameters=many) == 12 + 16 // 4 + 1
    deep = units("(block " * 8 + ")" * 8)
    assert deep == sum(12 + depth // 4 + 1 for depth in range(1, 9))
    assert units("(block)" * 130) == sum(12 + before // 64 + 1 for before in range(130))


def test_units_are_those_of_the_rules() -> None:
    table = RULES.split("| what | units |")[1].split("\n\n")[0]
    prices = {
        what.strip(): price.strip() for what, price in re.findall(r"^\| (.+?) \| (.+?) \|$", table, re.M)
    }
    names = {}
    for what, price in prices.items():
        for name in re.findall(r"`([a-z0-9_.]+)`", what):
            names[name] = price
    for operation in (*PLAIN.values(), *PREFIXED.values()):
        kind, _, rest = operation.name.partition(".")
        stated = names.get(operation.name)
        if kind in ("f32", "f64") and rest.split("_")[0] in names:
            stated = names[rest.split("_")[0]]
        if rest.startswith(("load", "store", "div_", "rem_", "trunc_")):
            stated = prices["load, store, integer division and remainder, float to integer"]
        assert of_operation(operation.name) == int(stated or 1), operation.name
    assert (names["call"], names["call_indirect"], names["block"]) == ("8, 1", "64, 1", "12, 1")
    assert names["br"] == str(compile_units.BRANCH)
    flat = " ".join(RULES.split())
    assert f"at most {limits.FUNCTION_UNITS:,} [compile units](#compile-units) a function" in flat
    assert f"{limits.MODULE_UNITS:,} in all" in flat
    assert f"`br_table` of more than {limits.BRANCH_TARGETS:,} targets" in flat
    assert f"{limits.TYPES:,} function types" in flat
    assert f"{limits.EXPORTS:,} exports" in flat
    assert f"{limits.SEGMENTS:,} data segments, {limits.SEGMENTS:,} element segments" in flat
    assert f"at most {limits.SEGMENT_FUNCTIONS:,} functions in all of them" in flat


# ------------------------------------------------------------------------------------------------- refused

VALUES = "i32 " * 120
REFUSED = {
    # What wasmtime's compiler refuses, or takes seconds and gigabytes for.
    "targets": ("branch targets", "200,000 targets", module(f"(func (block (br_table {'0 ' * 200_001} (i32.const 0))))")),
    "one large function": ("compile units", "function 0 of", module(f"(func {'(drop (f64.sqrt (f64.const 1)))' * 7_000})")),
    "loops in loops": ("compile units", "function 0 of", module("(func " + "loop " * 5_000 + "end " * 5_000 + ")")),
    "many large functions": ("compile units", "a module", module(("(func " + "nop " * 45_000 + ")") * 18)),
    "many wide functions": ("compile units", "a module", module(f"(func (param {VALUES}))" * 2_000)),
    "types": ("types", "1001 function types", module("".join(
        f"(type (func (param {'i32 ' * (n % 40)}) (result {'i64 ' * (n // 40)})))" for n in range(1_000)))),
    "elements": ("segments", "10001 functions in element segments", module(
        f"(table 1 1 funcref) (elem func {'0 ' * 10_001})")),
    "element segments": ("segments", "1001 element segments", module("(table 1 1 funcref)" + "(elem func 0)" * 1_001)),
    "data segments": ("segments", "1001 data segments", module('(data "")' * 1_001)),
    "exports": ("exports", "10002 exports", module("".join(
        f'(export "{n}" (memory 0))' for n in range(10_000)))),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_costs_too_much_is_refused_by_name(name: str) -> None:
    rule, words, code = REFUSED[name]
    with pytest.raises(ContractRejected) as refused:
        inspect(code)
    assert refused.value.rule == rule
    assert words in str(refused.value)
    with pytest.raises(ContractRejected):
        check(code)


# ------------------------------------------------------------------------------------------------- accepted

TYPED = "(type $v (func)) (type $r (func (result " + "i32 " * 200 + ")))"


def _float(n: int) -> str:
    return f"(func (f64.store (i32.const 0) {'(f64.sqrt ' * n}(f64.load (i32.const 0)){')' * n}))"


def _loops(n: int) -> str:
    return "(func (local i32) " + "(loop (br_if 0 (local.get 0)))" * n + ")"


def _nested(n: int) -> str:
    return "(func (local i32) " + ("loop " * 60 + "local.get 0 br_if 0 end " * 60) * n + ")"


def _locals(n: int) -> str:
    steps = "".join(
        f"(br_if 0 (local.get 0)) (local.set {1 + i % 199} (i32.load (i32.const {i})))" for i in range(n)
    )
    stores = "".join(f"(i32.store (i32.const 0) (local.get {i}))" for i in range(200))
    return f"(func (local {'i32 ' * 200}) (block {steps}) {stores})"


def _indirect(n: int) -> str:
    return (
        f"{TYPED} (table 5 5 funcref) (func " + "(call_indirect (type $v) (i32.load (i32.const 0)))" * n + ")"
    )


def _grows(n: int) -> str:
    return "(func " + "(drop (memory.grow (i32.load (i32.const 0))))" * n + ")"


def _inits(n: int) -> str:
    return "(table 5 5 funcref) (elem $e func 0) (func " + (
        "(table.init $e (i32.const 0) (i32.const 0) (i32.load (i32.const 0)))" * n + ")"
    )


def _results(n: int) -> str:
    return (
        f"{TYPED} (func $f (type $r) {'(i32.const 1)' * 200}) (func " + "(block (call $f) (br 0))" * n + ")"
    )


def _tables(n: int) -> str:
    return "(func (local i32) " + f"(block (br_table {'0 ' * 9_000} 0 (local.get 0)))" * n + ")"


SHAPES: dict[str, tuple[Callable[[int], str], int]] = {
    "float": (_float, 20_000),
    "loops": (_loops, 20_000),
    "nested": (_nested, 500),
    "locals": (_locals, 2_000),
    "indirect": (_indirect, 2_000),
    "grows": (_grows, 2_000),
    "inits": (_inits, 2_000),
    "results": (_results, 2_000),
    "tables": (_tables, 50),
}
"""How a function goes on and on, and how often it is certainly too large."""


def _accepted(shape: Callable[[int], str], n: int) -> bool:
    try:
        inspect(module(shape(n)))
    except ContractRejected as error:
        if error.rule == "compile units":
            return False
        raise
    return True


@pytest.mark.parametrize("name", SHAPES)
def test_the_largest_function_that_is_accepted_is_compiled(name: str) -> None:
    shape, most = SHAPES[name]
    low, high = 1, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _accepted(shape, middle) else (low, middle - 1)
    assert low < most, "the limit was met"
    info = check(module(shape(low)))
    assert info.units > limits.FUNCTION_UNITS // 2


def test_as_many_functions_as_there_may_be_are_compiled() -> None:
    assert check(module("(func)" * 9_999)).units > 3 * limits.MODULE_UNITS // 4


def test_what_the_compiler_refuses_all_the_same_is_an_error_of_the_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("supervm.vm.instructions.BRANCH_TARGETS", 1 << 20)
    monkeypatch.setattr("supervm.vm.validation.FUNCTION_UNITS", 1 << 30)
    monkeypatch.setattr("supervm.vm.validation.MODULE_UNITS", 1 << 30)
    cache = ModuleCache(1)
    try:
        with pytest.raises(RuntimeProblem, match="that the rules accept"):
            cache.contract(REFUSED["targets"][2])
        assert len(cache) == 0
    finally:
        cache.close()
