# SPDX-License-Identifier: GPL-3.0-or-later
"""What calls pay for the instance that they run on, computed by hand."""

from __future__ import annotations

import pytest
from contract_runs import Outcome, Runs
from contracts_for_tests import compiled

from supervm.vm import context, gas
from supervm.vm.outcomes import Reason

CODE = 16
"""Fuel of `run` with an empty body, its wrapper included."""

PAGE = 65_536
BASE = 3_000
ENTRY = 100


def contract(body: str = "", memory: str = "1 1", more: str = "") -> bytes:
    return compiled(
        f'(module (memory (export "memory") {memory}) {more} (func (export "run") (result i32) {body} (i32.const 0)))'
    )


def outcome(code: bytes, **options: int) -> Outcome:
    """Of the second call: what the first one left behind costs the second nothing."""
    with Runs(code) as runs:
        first = runs.call("run", **options)
        assert runs.call("run", **options) == first
        return first


PASSIVE = "(table 9 9 funcref) (func $f) (elem $p func $f $f $f) (elem func $f) (elem declare func $f)"
PRICED = {
    "used again": (contract(), 0),
    "two pages": (contract(memory="2 2"), 0),
    "a global that is set": (
        contract("(global.set 0 (i32.const 1))", more="(global (mut i32) (i32.const 0))"),
        20 + 2,
    ),
    "one that is not": (contract(more="(global (mut i32) (i32.const 0))"), 0),
    "bulk on memory": (contract("(memory.fill (i32.const 0) (i32.const 1) (i32.const 100))"), 104),
    "memory.init": (
        contract("(memory.init 0 (i32.const 0) (i32.const 0) (i32.const 3))", more='(data "abc")'),
        7,
    ),
    "large": (contract(memory="3 3"), BASE + ENTRY + 3 * PAGE // 4),
    "a byte more than is copied": (contract(memory="131073 131073 (pagesize 1)"), BASE + ENTRY + 32_769),
    "empty": (contract(memory="0 1"), BASE + ENTRY),
    "table.init": (
        contract("(table.init $p (i32.const 0) (i32.const 0) (i32.const 3))", more=PASSIVE),
        BASE + ENTRY + 2 * 100 + 4 * 40 + PAGE // 4 + 4 + 3,
    ),
    "never executed": (
        contract("(if (i32.const 0) (then (elem.drop $p)))", more=PASSIVE),
        BASE + ENTRY + 2 * 100 + 4 * 40 + PAGE // 4 + 2,
    ),
    "data.drop, with a global": (
        contract(
            "(global.set 0 (i32.const 1)) (data.drop 0)", more='(data "abc") (global (mut i32) (i32.const 0))'
        ),
        20 + BASE + ENTRY + 50 + PAGE // 4 + 3,
    ),
    "grown": (contract("(drop (memory.grow (i32.const 2)))", memory="1 9"), BASE + ENTRY + 3 * PAGE // 4 + 4),
    "grown by nothing": (contract("(drop (memory.grow (i32.const 0)))", memory="1 9"), 2),
    "grown in vain": (contract("(drop (memory.grow (i32.const 9)))", memory="1 9"), 2 + 9),
    "large and grown": (
        contract("(drop (memory.grow (i32.const 2)))", memory="3 9"),
        BASE + ENTRY + 5 * PAGE // 4 + 4,
    ),
}


@pytest.mark.parametrize("name", PRICED)
def test_prices_by_hand(name: str) -> None:
    code, price = PRICED[name]
    found = outcome(code)
    assert found.reason == Reason.NONE
    assert found.gas == CODE + price


def test_constants_are_those_of_the_schedule() -> None:
    assert (gas.GLOBAL, gas.INSTANCE_BASE, gas.INSTANCE_EXPORT) == (20, BASE, ENTRY)
    assert (gas.INSTANCE_GLOBAL, gas.INSTANCE_SEGMENT, gas.INSTANCE_SEGMENT_FUNCTION) == (50, 100, 40)
    assert gas.MEMORY_BYTES_PER_GAS == 4


def test_an_instance_that_cannot_be_paid_for_does_not_run() -> None:
    code, price = PRICED["large"]
    with Runs(code) as runs:
        for limit in (0, 1, price - 1):
            found = runs.call("run", gas=limit)
            assert (found.reason, found.gas, found.returned) == (Reason.OUT_OF_GAS, limit, 0)
        assert runs.slot()[context.SLOT_STATE] == context.FRESH
        assert runs.call("run", gas=price).reason == Reason.OUT_OF_GAS
        assert runs.call("run", gas=price + CODE).reason == Reason.NONE


def test_growth_that_cannot_be_paid_for_uses_the_gas_up() -> None:
    code, price = PRICED["grown"]
    with Runs(code) as runs:
        assert runs.call("run", gas=price + CODE).reason == Reason.NONE
        found = runs.call("run", gas=price + CODE - 1)
        assert (found.reason, found.gas) == (Reason.OUT_OF_GAS, price + CODE - 1)


GROWS = compiled("""(module (memory (export "memory") 1 256) (func (export "run") (result i32)
    (memory.grow (i32.const 1)) (memory.grow (i32.const 15)) (memory.grow (i32.const 239)) (drop) (drop) (drop)
    (memory.size)))""")


@pytest.mark.parametrize(
    ("limit", "pages"), [(32_767, 1), (32_768, 2), (278_527, 2), (278_528, 17), (10**9, 256)]
)
def test_memory_grows_no_further_than_the_gas_limit_pays_for(limit: int, pages: int) -> None:
    """The second number is what the code sees, if it can pay for it."""
    with Runs(GROWS) as runs:
        for _ in range(2):
            found = runs.call("run", gas=limit)
            whole = BASE + ENTRY + pages * PAGE // 4 if pages > 1 else 0
            if whole + CODE + 10 > limit:
                assert (found.reason, found.gas) == (Reason.OUT_OF_GAS, limit)
            else:
                assert (found.reason, found.returned) == (Reason.NONE, pages)
