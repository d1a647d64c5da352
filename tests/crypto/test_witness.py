# SPDX-License-Identifier: GPL-3.0-or-later
"""Witnesses by circom's calculators: the files that circom's own script writes, bad inputs, and modules that lie."""

from __future__ import annotations

import functools
import hashlib
import lzma
import pickle
import random
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shielded
from shielded import R

from supervm.crypto import circuits, witness
from supervm.crypto.errors import (
    CalculatorFailed,
    CalculatorRefused,
    LimitReached,
    Unsatisfied,
    WitnessError,
)
from supervm.crypto.params import bls12_381, bn254
from supervm.crypto.witness import Limits, calculate, calculate_many
from supervm.kernels import set_threads
from supervm.kernels.errors import ArgumentError, SupervmError

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
MULTIPLY = circuits.get("multiply_v1").calculator()
INPUTS = {"binding": 5, "product": 6, "left": 2, "right": 3}


def elements(file: bytes) -> list[int]:
    """What a `.wtns` file holds, read by its format."""
    assert file[:12] == b"wtns" + (2).to_bytes(4, "little") * 2
    assert file[12:24] == (1).to_bytes(4, "little") + (40).to_bytes(8, "little")
    assert file[24:28] == (32).to_bytes(4, "little")
    count = int.from_bytes(file[60:64], "little")
    assert file[64:76] == (2).to_bytes(4, "little") + (32 * count).to_bytes(8, "little")
    assert len(file) == 76 + 32 * count
    return [int.from_bytes(file[at : at + 32], "little") for at in range(76, len(file), 32)]


def test_a_file_by_its_format():
    file = calculate(MULTIPLY, INPUTS)
    assert int.from_bytes(file[28:60], "little") == R
    assert elements(file) == [1, 5, 6, 2, 3, 25, 125]


DIGESTS = {
    "ring_signature_v1": "15fdcf70f511b0a4bca18b4833b208ffc758e0c31d3ce1ee0e4500d502d8abd0",
    "ringct_v1": "16c44e3819c62be7983d208696cb818d26d54c47c753c604fd76e841d4fb7b56",
}
"""SHA-256 of the files that circom's own `generate_witness.js` makes of these inputs."""


@pytest.mark.parametrize("name", DIGESTS)
def test_the_files_of_circoms_own_script(name):
    rng = random.Random(name)
    if name == "ringct_v1":
        spent, root = shielded.planted(rng, [50, 70])
        inputs = shielded.transfer(rng, spent, root, [100, 15], fee=5)
    else:
        inputs = shielded.signature(rng)
    circuit = circuits.get(name)
    file = calculate(circuit.calculator(), inputs, shapes=circuit.inputs)
    assert hashlib.sha256(file).hexdigest() == DIGESTS[name]


@pytest.mark.parametrize("value", [7, "7", "007", np.uint64(7), [7], (7,), np.array([7]), np.array(7)])
def test_forms_of_a_value(value):
    assert elements(calculate(MULTIPLY, {**INPUTS, "binding": value}))[1] == 7


def test_the_largest_value():
    assert elements(calculate(MULTIPLY, {**INPUTS, "binding": R - 1}))[1] == R - 1
    assert elements(calculate(MULTIPLY, {**INPUTS, "binding": str(R - 1)}))[1] == R - 1


@pytest.mark.parametrize(
    "value", [R, -1, str(R), "-1", "0x7", "1e3", "", " 7", "٧", 7.0, True, None, b"7", "9" * 5_000, 1 << 300]
)
def test_values_that_are_none(value):
    with pytest.raises(ArgumentError, match=rf"inputs\['left'\].* at 0.*0 … {R - 1}"):
        calculate(MULTIPLY, {**INPUTS, "left": value})


def test_a_value_of_many_digits():
    with pytest.raises(ArgumentError, match=r"inputs\['left'\].*'0x10000"):
        calculate(MULTIPLY, {**INPUTS, "left": 1 << 20_000})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"left": [2, 2]}, r"inputs\['left'\].*2 elements of shape \(2,\).*1 in all"),
        ({"left": []}, r"inputs\['left'\].*0 elements"),
        ({"third": 1}, r"inputs\['third'\].*no such input"),
        ({3: 1}, "no such input"),
        ({"left": [[1], [2, 3]]}, "different lengths"),
        ({"left": functools.reduce(lambda inner, _: [inner], range(600), 1)}, "more than 64 lists"),
        ({"\ud800": 1}, "no such input"),
    ],
)
def test_inputs_of_other_shapes(change, named):
    with pytest.raises(ArgumentError, match=named):
        calculate(MULTIPLY, {**INPUTS, **change})


def test_missing_inputs():
    """By name where the shapes are known; else there are only counts to tell."""
    inputs = {"binding": 5, "product": 6}
    with pytest.raises(ArgumentError, match=r"'inputs'.*2 elements for binding, product.*expected 4"):
        calculate(MULTIPLY, inputs)
    with pytest.raises(ArgumentError, match=r"'inputs'.*nothing for left, right"):
        calculate(MULTIPLY, inputs, shapes=circuits.get("multiply_v1").inputs)
    with pytest.raises(ArgumentError, match=r"'inputs'.*mapping"):
        calculate(MULTIPLY, [("left", 1)])


def test_a_known_shape():
    circuit = circuits.get("ring_signature_v1")
    inputs = shielded.signature(random.Random(1))
    nested = [inputs["path"][:8], inputs["path"][8:]]
    with pytest.raises(ArgumentError, match=r"inputs\['path'\].*shape \(2, 8\).*shape \(16,\)"):
        calculate(circuit.calculator(), inputs | {"path": nested}, shapes=circuit.inputs)
    with pytest.raises(ArgumentError, match=r"inputs\['secret'\].*shape \(1,\).*shape \(\)"):
        calculate(circuit.calculator(), inputs | {"secret": [1]}, shapes=circuit.inputs)


def test_an_assertion_says_where():
    with pytest.raises(Unsatisfied, match=r"^the inputs do not satisfy.*template Multiply_\d+ line: 14$"):
        calculate(MULTIPLY, {**INPUTS, "product": 7})
    assert elements(calculate(MULTIPLY, INPUTS))[0] == 1  # and the next one is not touched by it


@pytest.mark.parametrize("threads", [1, 2])
def test_batches(threads):
    """As one by one, in order, on any number of threads; the row of an error is said."""
    many = [{"binding": i, "product": 3 * i, "left": i, "right": 3} for i in range(40)]
    try:
        set_threads(threads)
        assert calculate_many(MULTIPLY, many) == [calculate(MULTIPLY, inputs) for inputs in many]
        assert calculate_many(MULTIPLY, []) == []
        many[17]["product"] = 1
        with pytest.raises(Unsatisfied, match=r"^row 17: ") as caught:
            calculate_many(MULTIPLY, many)
        assert caught.value.row == 17
        many[17] = {**INPUTS, "left": R}
        with pytest.raises(ArgumentError, match=r"inputs\[17\]\['left'\]"):
            calculate_many(MULTIPLY, many)
    finally:
        set_threads(1)


def test_calls_from_many_threads():
    found: dict[int, bytes] = {}

    def work(i: int) -> None:
        found[i] = calculate(MULTIPLY, {"binding": i, "product": 2 * i, "left": i, "right": 2})

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [elements(found[i])[1:5] for i in range(8)] == [[i, 2 * i, i, 2] for i in range(8)]


# ---------------------------------------------------------------------------------------------------------
# Modules


def module(
    *,
    prime: int = R,
    version: int = 2,
    pages: int = 1,
    shared: int = 64,
    set_input: str = "",
    get_witness: str = "",
    wires: int = 2,
    imports: str = "",
    extra: str = "",
    message: int = 0,
    without: str = "",
) -> bytes:
    """A calculator by hand, with circom's interface: one input, which is signal 1, at byte 96."""
    import wasmtime

    bytes_of_prime = "".join(f"\\{byte:02x}" for byte in prime.to_bytes(32, "little"))

    def copied(source: int, target: int) -> str:
        words = range(0, 32, 8)
        return "".join(
            f"(i64.store (i32.const {target + at}) (i64.load (i32.const {source + at})))" for at in words
        )

    one = "(i64.store (i32.const 64) (i64.const 1))" + "".join(
        f"(i64.store (i32.const {64 + at}) (i64.const 0))" for at in (8, 16, 24)
    )
    functions = {
        "getVersion": f"(result i32) (i32.const {version})",
        "getFieldNumLen32": "(result i32) (i32.const 8)",
        "getRawPrime": copied(0, 64),
        "getSharedRWMemoryStart": f"(result i32) (i32.const {shared})",
        "readSharedRWMemory": "(param i32) (result i32)"
        "(i32.load (i32.add (i32.const 64) (i32.shl (local.get 0) (i32.const 2))))",
        "writeSharedRWMemory": "(param i32 i32)"
        "(i32.store (i32.add (i32.const 64) (i32.shl (local.get 0) (i32.const 2))) (local.get 1))",
        "getMessageChar": f"(result i32) (i32.const {message})",
        "init": "(param i32)",
        "getInputSize": "(result i32) (i32.const 1)",
        "getInputSignalSize": "(param i32 i32) (result i32) (i32.const 1)",
        "setInputSignal": f"(param i32 i32 i32) {set_input or copied(64, 96)}",
        "getWitnessSize": f"(result i32) (i32.const {wires})",
        "getWitness": "(param i32)"
        + (get_witness or f"(if (local.get 0) (then {copied(96, 64)}) (else {one}))"),
    }
    lines = [f'(func (export "{name}") {body})' for name, body in functions.items() if name != without]
    return bytes(
        wasmtime.wat2wasm(
            f"""(module {imports}
            (import "runtime" "exceptionHandler" (func $exception (param i32)))
            (import "runtime" "printErrorMessage" (func $print))
            (memory (export "memory") {pages})
            (data (i32.const 0) "{bytes_of_prime}")
            {" ".join(lines)} {extra})"""
        )
    )


QUAD = """template Q() {
    signal input a; signal input b; signal input c; signal output d; signal e; signal f;
    e <== a * b; f <== e * c; d <== f * f + a;
}
component main {public [a,c]} = Q();"""
"""What the calculator in tests/vectors was compiled from, over the scalars of BLS12-381."""


def test_another_compiler_and_field():
    """The file that circom's own script writes, too."""
    wasm = lzma.decompress((VECTORS / "circom_quad_bls12_381.wasm.xz").read_bytes())
    p = bls12_381.FR.modulus
    a, b, c = 3, 1, 2
    file = calculate(wasm, {"a": a, "b": b, "c": c})
    assert (
        hashlib.sha256(file).hexdigest() == "99aaab5bdeeeb8e1c04fe3c7631c95097c38cbb2c7b6dfc1c4f9af1dcd844e2d"
    )
    e, f = a * b % p, a * b * c % p
    assert elements(file) == [1, (f * f + a) % p, a, c, b, e, f]


def test_both_fields():
    other = bls12_381.FR.modulus
    assert elements(calculate(module(), {"a": 7})) == [1, 7]
    file = calculate(module(prime=other), {"a": R})
    assert elements(file) == [1, R]
    assert int.from_bytes(file[28:60], "little") == other
    with pytest.raises(ArgumentError, match=str(other - 1)):
        calculate(module(prime=other), {"a": other})


@pytest.mark.parametrize(
    ("wasm", "named"),
    [
        (b"", "WebAssembly"),
        (b"\0asm\x01\0\0\0", "getVersion"),
        (MULTIPLY[:-40], "end"),
        (module(imports='(import "env" "now" (func))'), r"imports env\.now"),
        (module(imports='(import "runtime" "now" (func))'), r"imports runtime\.now"),
        (module(imports='(import "runtime" "showSharedRWMemory" (func (param i32)))'), "showSharedRWMemory"),
        (module(imports='(import "wasi_snapshot_preview1" "fd_write" (func))'), "fd_write"),
        (module(imports='(import "runtime" "table" (table 1 funcref))'), "table"),
        (module(without="getWitness"), "getWitness"),
        (module(version=1), "version 1 .*expected 2"),
        (module(prime=bn254.FP.modulus), f"prime {bn254.FP.modulus}"),
        (module(shared=(1 << 16) - 31), "beyond its 65536 bytes"),
        (module(shared=96), "not where it says"),
        (module(extra="(memory 1)"), "memor"),
    ],
)
def test_refused_modules(wasm, named):
    with pytest.raises(CalculatorRefused, match=named):
        calculate(wasm, {"a": 1})


ENDLESS = "(loop (br 0))"


@pytest.mark.parametrize(
    "changed",
    [
        {"set_input": ENDLESS},
        {"get_witness": ENDLESS},
        {"extra": f"(func $at_once {ENDLESS}) (start $at_once)"},
        {"set_input": "(loop (call $print) (br 0))", "message": 65},
    ],
    ids=["circuit", "witness", "start", "messages"],
)
def test_time_ends(changed):
    with pytest.raises(LimitReached, match=r"no end after 0\.1 seconds"):
        calculate(module(**changed), {"a": 1}, limits=Limits(seconds=0.1))
    assert elements(calculate(MULTIPLY, INPUTS))[0] == 1


def test_memory_ends():
    small = Limits(memory_bytes=1 << 20)
    with pytest.raises(LimitReached, match="1,114,112 bytes of memory, 1,048,576 are allowed"):
        calculate(module(pages=17), {"a": 1}, limits=small)
    grow = "(if (i32.eq (memory.grow (i32.const 17)) (i32.const -1)) (then (call $exception (i32.const 5))))"
    with pytest.raises(CalculatorFailed, match="not enough memory"):
        calculate(module(set_input=grow), {"a": 1}, limits=small)
    for wires in (1 << 16, -1, 0):
        with pytest.raises(LimitReached, match=f"{wires:,} elements"):
            calculate(module(wires=wires), {"a": 1}, limits=small)
    with pytest.raises(ArgumentError, match=r"'wasm'.*1,000 at most"):
        calculate(MULTIPLY, INPUTS, limits=Limits(module_bytes=1_000))


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("unreachable", "unreachable"),
        ("(i32.store (i32.const -4) (i32.const 1))", "out of bounds"),
        ("(call $deep)", "stack"),
        ("(call $exception (i32.const 6))", r"an index is beyond.*circom's exception 6"),
        ("(call $exception (i32.const 99))", "exception 99"),
        ("(call $exception (i32.const 0))", "exception -1"),
    ],
)
def test_modules_that_fail(body, named):
    with pytest.raises(CalculatorFailed, match=named):
        calculate(module(set_input=body, extra="(func $deep (call $deep))"), {"a": 1})


def test_messages_are_short():
    with pytest.raises(Unsatisfied) as caught:
        calculate(module(set_input="(call $print) (call $exception (i32.const 4))", message=65), {"a": 1})
    assert caught.value.reason == "A" * 4_096


def test_arguments_and_errors():
    with pytest.raises(ArgumentError, match="'wasm'"):
        calculate("module", INPUTS)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="'limits'"):
        calculate(MULTIPLY, INPUTS, limits=7)  # type: ignore[arg-type]
    assert calculate(MULTIPLY, INPUTS, limits=Limits(memory_bytes=1e9)) == calculate(MULTIPLY, INPUTS)
    for changed in ({"seconds": 0}, {"seconds": float("nan")}, {"memory_bytes": -1}, {"module_bytes": 0}):
        with pytest.raises(ArgumentError, match=next(iter(changed))):
            replace(Limits(), **changed)
    kinds: list[Any] = [CalculatorRefused, Unsatisfied, LimitReached, CalculatorFailed]
    for kind in kinds:
        error = kind("so it is")
        error.row = 3
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again)) == (kind, str(error))
        assert str(error).startswith("row 3: ")
        assert isinstance(error, WitnessError)
        assert isinstance(error, SupervmError)
    assert witness.__all__ == ["Limits", "calculate", "calculate_many"]
