# SPDX-License-Identifier: GPL-3.0-or-later
"""The WebAssembly binary format, both ways (core specification 2.0, chapter 5; custom page sizes proposal).

`decode` reads every section strictly: section order, sizes and counts that fit, LEB128 within bounds, no byte left
over. What belongs to a proposal that the rules do not allow is refused by its name. Function bodies stay bytes, which
`supervm.vm.instructions` walks; types of operands are left to wasmtime's validator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from supervm.vm.leb128 import Reader
from supervm.vm.module import (
    FUNCTION,
    GLOBAL,
    KINDS,
    MEMORY,
    PAGE_BITS,
    TABLE,
    VALUE_TYPES,
    Code,
    Data,
    Element,
    Export,
    FunctionType,
    Global,
    GlobalType,
    Import,
    MemoryType,
    Module,
    TableType,
)

HEADER = b"\0asm\1\0\0\0"
TYPE, IMPORT, FUNC, TAB, MEM, GLOB, EXPORT, START, ELEM, CODE, DATA, DATA_COUNT = range(1, 13)
ORDER = (TYPE, IMPORT, FUNC, TAB, MEM, GLOB, EXPORT, START, ELEM, DATA_COUNT, CODE, DATA)
"""The order of sections; the count of data segments stands before the code that refers to it."""

FUNCREF = 0x70
OTHER_TYPES = {0x7B: "v128 (SIMD)", 0x70: "funcref (reference types)", 0x6F: "externref (reference types)"}
CONSTANTS = {0x41: "i32.const", 0x42: "i64.const", 0x43: "f32.const", 0x44: "f64.const", 0x23: "global.get"}
OTHER_CONSTANTS = {
    0x6A: "i32.add (extended constant expressions)",
    0x6B: "i32.sub (extended constant expressions)",
    0x6C: "i32.mul (extended constant expressions)",
    0x7C: "i64.add (extended constant expressions)",
    0x7D: "i64.sub (extended constant expressions)",
    0x7E: "i64.mul (extended constant expressions)",
    0xD0: "ref.null (reference types)",
    0xD2: "ref.func (reference types)",
    0xFB: "an instruction of GC",
    0xFD: "an instruction of SIMD",
}
END = 0x0B

Item = TypeVar("Item")


def _vector(reader: Reader, item: Callable[[Reader], Item]) -> tuple[Item, ...]:
    count = reader.unsigned()
    if count > reader.end - reader.at:  # an item takes a byte at least: no list of 2^32 items is begun
        raise reader.fail(f"a count of {count}", f"at most the {reader.end - reader.at} bytes left")
    return tuple(item(reader) for _ in range(count))


def _value_type(reader: Reader) -> int:
    at = reader.at
    kind = reader.byte()
    if kind not in VALUE_TYPES:
        raise reader.fail(OTHER_TYPES.get(kind, f"type {kind:#04x}"), "i32, i64, f32 or f64", at)
    return kind


def _function_type(reader: Reader) -> FunctionType:
    at = reader.at
    form = reader.byte()
    if form != 0x60:
        raise reader.fail(f"a type of form {form:#04x} (GC or another proposal)", "a function type", at)
    return FunctionType(bytes(_vector(reader, _value_type)), bytes(_vector(reader, _value_type)))


def _limits(reader: Reader, flags: int) -> tuple[int, int | None]:
    minimum = reader.unsigned()
    return minimum, reader.unsigned() if flags & 1 else None


def _table_type(reader: Reader) -> TableType:
    at = reader.at
    kind = reader.byte()
    if kind != FUNCREF:
        name = (
            "a table with an initial value (function references)"
            if kind == 0x40
            else f"elements of {kind:#04x}"
        )
        raise reader.fail(OTHER_TYPES.get(kind, name), "a table of funcref", at)
    at = reader.at
    flags = reader.byte()
    if flags > 1:
        raise reader.fail(f"table flags {flags:#04x} (threads or memory64)", "0 or 1", at)
    return TableType(*_limits(reader, flags))


def _memory_type(reader: Reader) -> MemoryType:
    at = reader.at
    flags = reader.byte()
    if flags & ~0x09:
        which = "threads: a shared memory" if flags & 2 else "memory64" if flags & 4 else "unknown"
        raise reader.fail(
            f"memory flags {flags:#04x} ({which})", "a maximum (1) and a page size (8) alone", at
        )
    minimum, maximum = _limits(reader, flags)
    bits = PAGE_BITS
    if flags & 8:
        at = reader.at
        bits = reader.unsigned()
        if bits not in (0, PAGE_BITS):
            raise reader.fail(f"pages of 2^{bits} bytes", "pages of 1 or 65,536 bytes", at)
    return MemoryType(minimum, maximum, bits)


def _global_type(reader: Reader) -> GlobalType:
    kind = _value_type(reader)
    at = reader.at
    mutable = reader.byte()
    if mutable > 1:
        raise reader.fail(f"global flags {mutable:#04x}", "0 or 1", at)
    return GlobalType(kind, bool(mutable))


def _constant(reader: Reader) -> bytes:
    """One constant instruction and `end`; the bytes of both."""
    start = reader.at
    opcode = reader.byte()
    if opcode == 0x41:
        reader.signed(32)
    elif opcode == 0x42:
        reader.signed(64)
    elif opcode in (0x43, 0x44):
        reader.take(4 if opcode == 0x43 else 8)
    elif opcode == 0x23:
        reader.unsigned()
    else:
        found = OTHER_CONSTANTS.get(opcode, f"opcode {opcode:#04x}")
        raise reader.fail(found, f"a constant expression of {', '.join(CONSTANTS.values())}", start)
    at = reader.at
    opcode = reader.byte()
    if opcode != END:
        found = OTHER_CONSTANTS.get(opcode, CONSTANTS.get(opcode, f"opcode {opcode:#04x}"))
        raise reader.fail(found, "the end of a constant expression (no extended constant expressions)", at)
    return reader.data[start : reader.at]


def _import(reader: Reader) -> Import:
    start = reader.at
    module, name = reader.name(), reader.name()
    at = reader.at
    kind = reader.byte()
    description: int | TableType | MemoryType | GlobalType
    if kind == FUNCTION:
        description = reader.unsigned()
    elif kind == TABLE:
        description = _table_type(reader)
    elif kind == MEMORY:
        description = _memory_type(reader)
    elif kind == GLOBAL:
        description = _global_type(reader)
    else:
        raise reader.fail(f"kind {kind:#04x} (exceptions or another proposal)", "a kind from 0 to 3", at)
    return Import(module, name, description, start)


def _export(reader: Reader) -> Export:
    start = reader.at
    name = reader.name()
    at = reader.at
    kind = reader.byte()
    if kind not in KINDS:
        raise reader.fail(f"kind {kind:#04x} (exceptions or another proposal)", "a kind from 0 to 3", at)
    return Export(name, kind, reader.unsigned(), start)


def _global(reader: Reader) -> Global:
    return Global(_global_type(reader), _constant(reader))


def _element(reader: Reader) -> Element:
    at = reader.at
    flags = reader.unsigned()
    if flags > 3:
        raise reader.fail(f"element flags {flags} (reference types)", "0 to 3: function indices", at)
    place = None
    if not flags & 1:
        at = reader.at
        if flags & 2 and (table := reader.unsigned()):
            raise reader.fail(f"elements of table {table}", "table 0", at)
        place = _constant(reader)
    if flags:
        at = reader.at
        if kind := reader.byte():
            raise reader.fail(f"elements of kind {kind:#04x}", "kind 0: functions", at)
    return Element(_vector(reader, Reader.unsigned), place, flags == 2, flags == 3)


def _data(reader: Reader) -> Data:
    at = reader.at
    flags = reader.unsigned()
    if flags > 2:
        raise reader.fail(f"data flags {flags}", "0, 1 or 2", at)
    at = reader.at
    if flags == 2 and (memory := reader.unsigned()):
        raise reader.fail(f"data of memory {memory} (multiple memories)", "memory 0", at)
    place = None if flags == 1 else _constant(reader)
    return Data(reader.take(reader.unsigned()), place, flags == 2)


def _code(reader: Reader) -> Code:
    size = reader.unsigned()
    if size > reader.end - reader.at:
        raise reader.fail(f"{reader.end - reader.at} bytes left", f"a function of {size} bytes")
    body = Reader(reader.data, reader.at, reader.at + size)
    runs = _vector(body, lambda inner: (inner.unsigned(), _value_type(inner)))
    start = body.at
    reader.at += size
    return Code(runs, reader.data[start : reader.at], start)


_FIELDS: dict[int, tuple[str, Callable[[Reader], object]]] = {
    TYPE: ("types", _function_type),
    IMPORT: ("imports", _import),
    FUNC: ("functions", Reader.unsigned),
    TAB: ("tables", _table_type),
    MEM: ("memories", _memory_type),
    GLOB: ("globals", _global),
    EXPORT: ("exports", _export),
    ELEM: ("elements", _element),
    CODE: ("codes", _code),
    DATA: ("data", _data),
}


def decode(code: bytes) -> Module:
    """The module that these bytes encode.

    Raises:
        ContractRejected: rule `binary`, with the byte at which the encoding breaks.
    """
    reader = Reader(code)
    if code[:8] != HEADER:
        raise reader.fail(
            f"{code[:8].hex(' ') or 'nothing'}", "00 61 73 6d 01 00 00 00, a module's first bytes", 0
        )
    reader.at = 8
    found: dict[str, object] = {}
    customs: list[tuple[str, bytes]] = []
    last = -1
    while reader.at < reader.end:
        at = reader.at
        section = reader.byte()
        size = reader.unsigned()
        inner = Reader(code, reader.at, reader.at + size)
        reader.take(size)
        if section == 0:
            name = inner.name()
            customs.append((name, code[inner.at : inner.end]))
            continue
        if section not in ORDER:
            raise reader.fail(f"section {section} (exceptions or another proposal)", "sections 0 to 12", at)
        if ORDER.index(section) <= last:
            raise reader.fail(f"section {section}", "each section once and in order", at)
        last = ORDER.index(section)
        if section == START:
            found["start"] = inner.unsigned()
        elif section == DATA_COUNT:
            found["data_count"] = inner.unsigned()
        else:
            field, item = _FIELDS[section]
            found[field] = _vector(inner, item)
        inner.done(f"section {section}")
    module = Module(**found, customs=tuple(customs))  # type: ignore[arg-type]
    if len(module.functions) != len(module.codes):
        counts = f"{len(module.functions)} functions and {len(module.codes)} bodies"
        raise reader.fail(counts, "a body for each function", len(code))
    if module.data_count not in (None, len(module.data)):
        counts = f"a data count of {module.data_count} and {len(module.data)} segments"
        raise reader.fail(counts, "equal numbers", len(code))
    return module
