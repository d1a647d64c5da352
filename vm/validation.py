# SPDX-License-Identifier: GPL-3.0-or-later
"""Which modules are accepted as contracts, and what the runtime needs to know about them.

The rules are those of `docs/execution-rules.md`, section Contracts. They are checked in this order: size, encoding,
each rule of the project's own, then full validity by wasmtime with exactly the allowed proposals switched on. What is
accepted can be compiled: the limits of wasmtime's compiler lie above these, and compile units bound its time and memory.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache

import wasmtime

from supervm.vm import compile_units
from supervm.vm.binary import decode
from supervm.vm.config import guarded, make_config
from supervm.vm.errors import ContractRejected
from supervm.vm.gas import GLOBAL, MEMORY_BYTES_PER_GAS, instance_gas
from supervm.vm.instructions import Body, walk
from supervm.vm.interface import BY_NAME, MONEY
from supervm.vm.leb128 import Reader
from supervm.vm.limits import (
    CODE_BYTES,
    EXPORTS,
    FRAME_VALUES,
    FUNCTION_UNITS,
    FUNCTIONS,
    GLOBALS,
    MEMORY_BYTES,
    MODULE_UNITS,
    RESTORED_BYTES,
    SEGMENT_FUNCTIONS,
    SEGMENTS,
    TABLE_ELEMENTS,
    TYPES,
)
from supervm.vm.module import ENTRY_TYPE, FUNCTION, MEMORY, FunctionType, GlobalType, Module

MEMORY_NAME = "memory"
RESERVED_PREFIX = "supervm:"
"""Exports of this prefix are added by `supervm.vm.instrument` for the runtime."""

UNRESTORABLE = frozenset({"table.init", "table.copy", "elem.drop", "data.drop"})
"""Instructions that change what neither memory nor globals hold."""


@dataclass(frozen=True)
class ModuleInfo:
    """What is known of an accepted module.

    Args:
        code_hash: SHA-256 of the code.
        entry_points: names of the exported functions of the module's own of type `() -> i32`, in order of export.
        imports: (module, name) of the host functions that it imports.
        mutable_globals: indices of its mutable globals.
        globals_set: indices of those that an instruction writes.
        memory_initial: bytes of memory of a fresh instance.
        memory_maximum: most bytes that it may grow to; the limit if the module names none.
        page_size: bytes of a page.
        grows_memory: `memory.grow` occurs.
        stateful: instructions on tables and segments that occur (`supervm.vm.instructions.STATEFUL`).
        restorable: an instance is again as instantiation left it once the contents of its memory and its mutable
            globals are put back, provided that the memory has not grown.
        uses_balance: `chain_api.balance` or `chain_api.transfer` is imported.
        bodies: what a walk over each function of its own found, in their order.
        units: what it costs to compile (`supervm.vm.compile_units`).
        reused: an instance serves one call after the other, unless its memory grows; else each call gets a new one.
        restore_gas: what every call pays for its globals, which are put back.
        instance_gas: what a call pays for a new instance, besides its memory (`supervm.vm.gas`).
    """

    code_hash: bytes
    entry_points: tuple[str, ...]
    imports: frozenset[tuple[str, str]]
    mutable_globals: tuple[int, ...]
    globals_set: frozenset[int]
    memory_initial: int
    memory_maximum: int
    page_size: int
    grows_memory: bool
    stateful: frozenset[str]
    restorable: bool
    uses_balance: bool
    bodies: tuple[Body, ...]
    units: int
    reused: bool
    restore_gas: int
    instance_gas: int

    def new_instance_gas(self, memory_bytes: int) -> int:
        """What a new instance costs whose memory has so many bytes."""
        return self.instance_gas + -(-memory_bytes // MEMORY_BYTES_PER_GAS)


@cache
def _engine() -> wasmtime.Engine:
    """An engine for validation alone."""
    return guarded(wasmtime.Engine(make_config(instances=1)))


def _check_imports(module: Module) -> frozenset[tuple[str, str]]:
    names = set()
    for item in module.imports:
        found = f"{item.module}.{item.name}"
        function = BY_NAME.get((item.module, item.name))
        if function is None:
            raise ContractRejected("imports", found, "a host function of the rules", item.offset)
        if not isinstance(item.description, int):
            raise ContractRejected("imports", f"{found} that is no function", str(function.type), item.offset)
        kind = _type_at(module, item.description)
        if kind != function.type:
            raise ContractRejected("imports", f"{found} of type {kind}", str(function.type), item.offset)
        names.add((item.module, item.name))
    return frozenset(names)


def _type_at(module: Module, index: int) -> FunctionType:
    if index >= len(module.types):
        raise ContractRejected("binary", f"type {index}", f"one of {len(module.types)} types")
    return module.types[index]


def _check_counts(module: Module) -> None:
    in_segments = sum(len(item.functions) for item in module.elements)
    for rule, count, what, most in (
        ("types", len(module.types), "function types", TYPES),
        ("functions", len(module.function_types), "functions", FUNCTIONS),
        ("globals", len(module.globals), "globals", GLOBALS),
        ("exports", len(module.exports), "exports", EXPORTS),
        ("segments", len(module.data), "data segments", SEGMENTS),
        ("segments", len(module.elements), "element segments", SEGMENTS),
        ("segments", in_segments, "functions in element segments", SEGMENT_FUNCTIONS),
    ):
        if count > most:
            raise ContractRejected(rule, f"{count} {what}", f"at most {most}")
    if module.start is not None:
        raise ContractRejected("start", f"start function {module.start}", "none")
    if len(module.tables) > 1:
        raise ContractRejected("tables", f"{len(module.tables)} tables", "at most one")
    for table in module.tables:
        if table.maximum is None:
            raise ContractRejected("tables", "a table without a maximum", f"a maximum up to {TABLE_ELEMENTS}")
        if max(table.minimum, table.maximum) > TABLE_ELEMENTS:
            sizes = f"{table.minimum} to {table.maximum} elements"
            raise ContractRejected("tables", sizes, f"at most {TABLE_ELEMENTS}")


def _check_memory(module: Module) -> tuple[int, int, int]:
    """Initial and most bytes, and bytes of a page."""
    if len(module.memories) != 1:
        raise ContractRejected("memory", f"{len(module.memories)} memories of its own", "one")
    if not any(item.name == MEMORY_NAME and item.kind == MEMORY for item in module.exports):
        raise ContractRejected("memory", "no export of it", f"one named `{MEMORY_NAME}`")
    memory = module.memories[0]
    size = 1 << memory.page_bits
    initial = memory.minimum * size
    maximum = MEMORY_BYTES if memory.maximum is None else memory.maximum * size
    if max(initial, maximum) > MEMORY_BYTES:
        sizes = f"{initial} bytes, up to {maximum}"
        raise ContractRejected("memory", sizes, f"at most {MEMORY_BYTES} bytes")
    return initial, maximum, size


def _check_exports(module: Module) -> tuple[str, ...]:
    """Names of the entry points."""
    imported = len(module.imported_functions)
    entries = []
    for item in module.exports:
        if item.name.startswith(RESERVED_PREFIX):
            raise ContractRejected(
                "exports", f"`{item.name}`", f"no name that begins with `{RESERVED_PREFIX}`"
            )
        own = item.index - imported
        if item.kind != FUNCTION or not 0 <= own < len(module.functions):
            continue
        if _type_at(module, module.functions[own]) == ENTRY_TYPE:
            entries.append(item.name)
    if not entries:
        raise ContractRejected("entry points", "none", f"an exported function of type {ENTRY_TYPE}")
    return tuple(entries)


def _check_bodies(module: Module) -> tuple[tuple[Body, ...], int]:
    """What a walk over each function found, and the compile units of the module."""
    bodies = []
    units = _units_outside(module)
    for index, code in enumerate(module.codes):
        body = walk(module, index)
        number = index + len(module.imported_functions)
        if body.frame > FRAME_VALUES:
            found = f"function {number} of {body.frame} parameters, locals and operands"
            raise ContractRejected("frames", found, f"at most {FRAME_VALUES}", code.offset)
        if body.units > FUNCTION_UNITS:
            found = f"function {number} of {body.units} units"
            raise ContractRejected(
                "compile units", found, f"at most {FUNCTION_UNITS} a function", code.offset
            )
        units += body.units
        if units > MODULE_UNITS:
            found = f"{units} units up to function {number}"
            raise ContractRejected("compile units", found, f"at most {MODULE_UNITS} a module", code.offset)
        bodies.append(body)
    return tuple(bodies), units


def _units_outside(module: Module) -> int:
    """Compile units of everything but the instructions of functions."""

    def values(index: int) -> int:
        kind = _type_at(module, index)
        return len(kind.parameters) + len(kind.results)

    signatures = [values(index) for index in range(len(module.types))]
    units = sum(compile_units.TYPE + compile_units.SIGNATURE_VALUE * count for count in signatures)
    functions = module.function_types
    for index in module.functions:
        units += compile_units.FUNCTION + compile_units.SIGNATURE_VALUE * values(index)
    entered = {item.index for item in module.exports if item.kind == FUNCTION and item.index < len(functions)}
    entered.update(index for item in module.elements for index in item.functions if index < len(functions))
    for index in entered:
        units += compile_units.TYPE + compile_units.SIGNATURE_VALUE * values(functions[index])
    units += compile_units.EXPORT * len(module.exports)
    return units + compile_units.ELEMENT * sum(len(item.functions) for item in module.elements)


def _check_segments(module: Module, memory_bytes: int) -> None:
    """Active segments of a valid module must fit what a fresh instance has, or it could never be instantiated."""
    elements = module.tables[0].minimum if module.tables else 0
    rooms = [
        ("elements of the table", elements, [(item.place, len(item.functions)) for item in module.elements])
    ]
    rooms.append(("bytes of memory", memory_bytes, [(item.place, len(item.content)) for item in module.data]))
    for what, size, segments in rooms:
        for place, length in segments:
            if place is None:
                continue
            # With no global imported, a valid place is an i32.const, which counts as unsigned.
            start = Reader(place, 1).signed(32) & 0xFFFFFFFF
            if start + length > size:
                found = f"a segment from {start} to {start + length}"
                raise ContractRejected("segments", found, f"the {size} {what} that there are at first")


def _check_validity(code: bytes) -> None:
    try:
        wasmtime.Module.validate(_engine(), code)
    except wasmtime.WasmtimeError as error:
        raise ContractRejected("validity", " ".join(str(error).split()), "valid WebAssembly") from None


def inspect(code: bytes) -> ModuleInfo:
    """Accept a module as a contract, or say which rule it breaks and where.

    Args:
        code: the module's bytes.

    Raises:
        ContractRejected: the first rule that the module breaks.
    """
    if len(code) > CODE_BYTES:
        raise ContractRejected("size", f"{len(code)} bytes", f"at most {CODE_BYTES}")
    module = decode(code)
    imports = _check_imports(module)
    _check_counts(module)
    initial, maximum, page_size = _check_memory(module)
    entries = _check_exports(module)
    bodies, units = _check_bodies(module)
    _check_validity(code)
    _check_segments(module, initial)
    kinds: list[GlobalType] = [item.type for item in module.globals]
    stateful = frozenset().union(*(body.stateful for body in bodies))
    globals_set = frozenset().union(*(body.globals_set for body in bodies))
    restored = sum(kinds[index].mutable for index in globals_set)
    passive = [item for item in module.elements if item.place is None and not item.declared]
    restorable = not stateful & UNRESTORABLE
    return ModuleInfo(
        code_hash=hashlib.sha256(code).digest(),
        entry_points=entries,
        imports=imports,
        mutable_globals=tuple(index for index, kind in enumerate(kinds) if kind.mutable),
        globals_set=globals_set,
        memory_initial=initial,
        memory_maximum=maximum,
        page_size=page_size,
        grows_memory=any(body.grows_memory for body in bodies),
        stateful=stateful,
        restorable=restorable,
        uses_balance=bool(imports & MONEY),
        bodies=bodies,
        units=units,
        reused=restorable and 0 < initial <= RESTORED_BYTES,
        restore_gas=GLOBAL * restored,
        instance_gas=instance_gas(
            len(entries), restored, len(passive), sum(len(item.functions) for item in passive)
        ),
    )
