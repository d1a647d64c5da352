# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances of contracts at workers: put back after anything, thrown away where that cannot be done, few or many."""

from __future__ import annotations

import ctypes
import itertools
import random

import pytest
import wasmtime
from contract_runs import Runs
from contracts_for_tests import OBSERVERS, compiled, imports, misbehaving, misdeed
from wasmtime import _bindings as bindings

from supervm.vm import call, context, guest, instances
from supervm.vm.errors import RuntimeProblem
from supervm.vm.instrument import DEPTH_EXPORT
from supervm.vm.limits import RESTORED_BYTES
from supervm.vm.modules import ModuleCache
from supervm.vm.outcomes import Reason


def stateful(pages: int = 1, more: str = "") -> bytes:
    """A contract with every kind of state that can be put back. `observe` outputs a digest of all of its memory, its
    globals and the memory's size."""
    dirt = """
        (i32.store8 (i32.const 0) (i32.const 77)) (i64.store (i32.const 40000) (i64.const -1))
        (i32.store8 (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 1)) (i32.const 9))
        (memory.fill (i32.const 300) (i32.const 3) (i32.const 5000))
        (global.set $a (i32.const 5)) (global.set $b (i64.const 6)) (global.set $c (f32.const 7))
        (global.set $d (f64.const 8)) (global.set $shown (i32.const 9))"""
    return compiled(f"""(module {imports()}
        (memory (export "memory") {pages} {pages + 2})
        (data (i32.const 100) "what is there at first")
        (table 2 2 funcref) (elem (i32.const 0) $seven $deep)
        (type $number (func (result i32)))
        (global $a (mut i32) (i32.const -1))
        (global $b (mut i64) (i64.const -2))
        (global $c (mut f32) (f32.const -3.5))
        (global $d (mut f64) (f64.const nan))
        (global $shown (export "shown") (mut i32) (i32.const -5))
        (global $never_written (mut i32) (i32.const 1))
        {more}
        (func $seven (result i32) (i32.const 7))
        (func $dirty {dirt})
        (func $deep (result i32) (global.set $a (i32.add (global.get $a) (i32.const 1))) (call $deep))
        (func (export "dirty") (result i32) (call $dirty) (i32.const 0))
        (func (export "dirty_error") (result i32) (call $dirty) (i32.const -1))
        (func (export "dirty_unreachable") (result i32) (call $dirty) (unreachable))
        (func (export "dirty_loop") (result i32) (call $dirty) (loop $again (br $again)) (unreachable))
        (func (export "dirty_out_of_bounds") (result i32) (call $dirty) (i32.load (i32.const -4)))
        (func (export "dirty_bad_pointer") (result i32) (call $dirty) (call $caller (i32.const -1)))
        (func (export "dirty_recursion") (result i32) (call $dirty) (call $deep))
        (func (export "dirty_indirect") (result i32) (call $dirty) (call_indirect (type $number) (i32.const 9)))
        (func (export "grow") (result i32)
          (drop (memory.grow (i32.const 1))) (call $dirty) (call $caller (i32.const {65536 * pages})))
        (func (export "grow_twice_unreachable") (result i32)
          (drop (memory.grow (i32.const 1))) (drop (memory.grow (i32.const 1))) (call $dirty) (unreachable))
        (func (export "grow_nothing") (result i32) (call $dirty) (drop (memory.grow (i32.const 0))) (i32.const 0))
        (func (export "grow_too_far") (result i32) (call $dirty) (drop (memory.grow (i32.const 99))) (i32.const 0))
        (func (export "observe") (result i32)
          (drop (call $sha256 (i32.const 0) (i32.mul (memory.size) (i32.const 65536)) (i32.const 0)))
          (i32.store (i32.const 32) (global.get $a)) (i64.store (i32.const 36) (global.get $b))
          (f32.store (i32.const 44) (global.get $c)) (f64.store (i32.const 48) (global.get $d))
          (i32.store (i32.const 56) (global.get $shown)) (i32.store (i32.const 60) (memory.size))
          (i32.store (i32.const 64) (call_indirect (type $number) (i32.const 0)))
          (call $set_output (i32.const 0) (i32.const 68))))""")


DEEDS = {
    "dirty": Reason.NONE,
    "dirty_error": Reason.CONTRACT_ERROR,
    "dirty_unreachable": Reason.UNREACHABLE,
    "dirty_loop": Reason.OUT_OF_GAS,
    "dirty_out_of_bounds": Reason.MEMORY_OUT_OF_BOUNDS,
    "dirty_bad_pointer": Reason.BAD_POINTER,
    "dirty_recursion": Reason.STACK_OVERFLOW,
    "dirty_indirect": Reason.INDIRECT_CALL,
    "grow": Reason.NONE,
    "grow_twice_unreachable": Reason.UNREACHABLE,
    "grow_nothing": Reason.NONE,
    "grow_too_far": Reason.NONE,
}
GROWING = ("grow", "grow_twice_unreachable")
TABLES = """(func (export "copy_table") (result i32)
    (table.copy (i32.const 0) (i32.const 1) (i32.const 1)) (call $dirty) (i32.const 0))"""


def store_of(runs: Runs, contract: int = 0, worker: int = 0) -> int:
    """The address of the store that an instance lives in."""
    return int(runs.slot(contract, worker)[context.SLOT_STORE])


def test_structures_are_as_large_as_the_bindings_say():
    assert bindings.wasmtime_extern_t.of.offset == instances.EXTERN_OBJECT
    assert bindings.wasmtime_val_t.of.offset == call.GLOBAL_VALUE
    for kind in ("func", "memory", "global", "table", "instance", "val"):
        assert ctypes.sizeof(getattr(bindings, f"wasmtime_{kind}_t")) <= context.OBJECT_BYTES
    assert ctypes.sizeof(bindings.wasmtime_extern_t) <= instances.EXTERN_OBJECT + context.OBJECT_BYTES
    assert ctypes.sizeof(bindings.wasmtime_val_raw_t) == guest.VALUE_SLOT
    assert ctypes.sizeof(bindings.wasmtime_instance_t) <= 16, "what the scratch has room for before the trap"
    assert ctypes.sizeof(ctypes.c_void_p) == ctypes.sizeof(ctypes.c_size_t) == 8
    end = context.SCRATCH_ENGINE - context.SCRATCH_CALL
    assert end >= 32 + instances.EXTERN_OBJECT + context.OBJECT_BYTES


def test_codes_of_traps_are_those_of_the_bindings():
    names = {name: getattr(call, name) for name in dir(call) if name.startswith("TRAP_") and name.isupper()}
    for word in ("TRAP_NEW", "TRAP_CODE", "TRAP_DELETE"):
        names.pop(word, None)
    others = {"DIVISION_BY_ZERO": "INTEGER_DIVISION_BY_ZERO", "BAD_CONVERSION": "BAD_CONVERSION_TO_INTEGER"}
    assert len(names) == 10
    for name, code in names.items():
        short = name.removeprefix("TRAP_")
        assert wasmtime.TrapCode[others.get(short, short)].value == code


@pytest.mark.parametrize("pages", [1, 2])
def test_everything_is_put_back(pages):
    """After every deed and pair of deeds, on this worker and on another one that shares the store."""
    with Runs(stateful(pages), workers=2) as runs:
        assert runs.contracts[0].info.restorable
        expected = runs.call("observe")
        assert expected.reason == Reason.NONE
        assert expected.output[60:68] == pages.to_bytes(4, "little") + b"\7\0\0\0"
        for deeds in [*itertools.product(DEEDS), *itertools.permutations(DEEDS, 2)]:
            worker = len(deeds) - 1
            for deed in deeds:
                assert runs.call(deed, worker=worker, gas=300_000).reason == DEEDS[deed]
                used_up = runs.slot(0, worker)[context.SLOT_STATE] == context.USED_UP
                assert used_up == (deed in GROWING)
            for observer in range(2):
                assert runs.call("observe", worker=observer) == expected, deeds


def test_an_instance_is_used_again():
    with Runs(stateful()) as runs:
        runs.call("observe")
        store = store_of(runs)
        for deed in [deed for deed in DEEDS if deed not in GROWING] * 3:
            runs.call(deed, gas=300_000)
            assert store_of(runs) == store
            assert runs.slot()[context.SLOT_STATE] == context.FRESH


@pytest.mark.parametrize(
    ("code", "deed"),
    [(stateful(1, TABLES), "copy_table"), (stateful(RESTORED_BYTES // 65_536 + 1), "dirty_unreachable")],
)
def test_what_cannot_be_put_back_is_made_anew(code, deed):
    with Runs(code) as runs:
        assert runs.slot()[context.SLOT_IMAGE_BYTES] == 0
        expected = runs.call("observe")
        for name in (deed, "dirty", "grow"):
            runs.call(name)
            assert runs.slot()[context.SLOT_STATE] == context.USED_UP
            assert runs.call("observe") == expected


@pytest.mark.parametrize("observer", OBSERVERS)
def test_observers_of_the_contract_that_misbehaves(observer):
    with Runs(misbehaving(), workers=2) as runs:
        _, *deeds = OBSERVERS[observer]
        for deed, worker in itertools.product(deeds, range(2)):
            entry, data = misdeed(deed)
            runs.call(entry.decode(), data, worker=worker)
            for place in range(2):
                outcome = runs.call(observer, misdeed(observer)[1], worker=place)
                assert (outcome.reason, outcome.returned) == (Reason.NONE, 0)


def test_a_module_without_memory_pages():
    code = compiled(f"""(module {imports()} (memory (export "memory") 0 1) (global $g (mut i32) (i32.const 3))
        (func (export "run") (result i32) (global.set $g (i32.add (global.get $g) (i32.const 1)))
          (i32.add (global.get $g) (i32.mul (i32.const 100) (memory.grow (i32.const 1))))))""")
    with Runs(code) as runs:
        assert [runs.call("run").returned for _ in range(4)] == [4] * 4


def test_the_depth_begins_at_nothing_after_an_overflow():
    """Had the counter not been put back, calls as deep as before would overflow now."""
    code = compiled(f"""(module {imports()} (memory (export "memory") 1 1)
        (func $deeper (param $left i32) (result i32)
          (if (result i32) (i32.eqz (local.get $left)) (then (i32.const 0))
            (else (call $deeper (i32.sub (local.get $left) (i32.const 1))))))
        (func (export "thousand") (result i32) (call $deeper (i32.const 1000)))
        (func (export "endless") (result i32) (call $deeper (i32.const -1)))
        (func (export "unreachable") (result i32) (unreachable)))""")
    with Runs(code) as runs:
        assert DEPTH_EXPORT in runs.contracts[0].exports
        for _ in range(3):
            assert runs.call("thousand").reason == Reason.NONE
            assert runs.call("endless").reason == Reason.STACK_OVERFLOW
            assert runs.call("unreachable").reason == Reason.UNREACHABLE


@pytest.mark.parametrize(("workers", "pool"), [(1, 1), (2, 1), (2, 2), (3, 2)])
def test_fewer_instances_than_contracts_and_workers(workers, pool):
    codes = [
        stateful(1, f'(func (export "more{number}") (result i32) (i32.const {number}))')
        for number in range(4)
    ]
    moments = random.Random(workers * 10 + pool)
    with Runs(*codes, workers=workers, instances=pool) as runs:
        expected = runs.call("observe")
        for _ in range(150):
            contract, worker = moments.randrange(4), moments.randrange(workers)
            deed = moments.choice(list(DEEDS))
            assert runs.call(deed, contract=contract, worker=worker, gas=300_000).reason == DEEDS[deed]
            contract = moments.randrange(4)
            assert runs.call("observe", contract=contract, worker=worker) == expected
            assert runs.call(f"more{contract}", contract=contract, worker=worker).returned == contract
            alive = sum(store_of(runs, c, w) != 0 for c in range(4) for w in range(workers))
            assert alive <= pool


def test_a_full_pool_leaves_a_slot_empty():
    with Runs(stateful(), workers=2, instances=1) as runs:
        runs.call("observe")
        words = runs.workers[1].words
        assert store_of(runs, worker=1) == 0
        runs.call("observe", worker=1)
        assert words[context.GAS_CHARGED] > 0
        assert (store_of(runs, worker=0), store_of(runs, worker=1) != 0) == (0, True)


def test_code_is_compiled_once(monkeypatch):
    compiled_codes: list[bytes] = []

    class Counted(wasmtime.Module):
        def __init__(self, engine, code):
            compiled_codes.append(code)
            super().__init__(engine, code)

    monkeypatch.setattr(wasmtime, "Module", Counted)
    cache = ModuleCache(4)
    one, other = stateful(), stateful(2)
    assert cache.contract(one) is cache.contract(bytes(bytearray(one)))
    assert cache.contract(other) is not cache.contract(one)
    assert cache.contract(one).info.code_hash != cache.contract(other).info.code_hash
    assert (len(cache), len(compiled_codes)) == (2, 2)
    cache.close()
    cache.close()


@pytest.mark.parametrize("found", ["49.0.0", "51.0.1", "5.0.0"])
def test_another_version_of_wasmtime_is_refused(monkeypatch, found):
    monkeypatch.setattr("supervm.vm.modules.version", lambda package: found)
    with pytest.raises(RuntimeProblem, match=f"version {found} is installed, expected wasmtime 50"):
        ModuleCache(1)
