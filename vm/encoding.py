# SPDX-License-Identifier: GPL-3.0-or-later
"""A module back to bytes: the other half of `supervm.vm.binary`, with every integer in its shortest form."""

from __future__ import annotations

from collections.abc import Sequence

from supervm.vm.binary import (
    CODE,
    DATA,
    DATA_COUNT,
    ELEM,
    EXPORT,
    FUNC,
    FUNCREF,
    GLOB,
    HEADER,
    IMPORT,
    MEM,
    START,
    TAB,
    TYPE,
)
from supervm.vm.leb128 import name, unsigned
from supervm.vm.module import (
    FUNCTION,
    GLOBAL,
    MEMORY,
    PAGE_BITS,
    TABLE,
    Code,
    Data,
    Element,
    Export,
    FunctionType,
    GlobalType,
    Import,
    MemoryType,
    Module,
    TableType,
)


def _vector(items: Sequence[bytes]) -> bytes:
    return unsigned(len(items)) + b"".join(items)


def _sized(content: bytes) -> bytes:
    return unsigned(len(content)) + content


def _function_type(item: FunctionType) -> bytes:
    return b"\x60" + _sized(item.parameters) + _sized(item.results)


def _limits(minimum: int, maximum: int | None) -> bytes:
    return unsigned(minimum) + (b"" if maximum is None else unsigned(maximum))


def _table_type(item: TableType) -> bytes:
    return bytes([FUNCREF, item.maximum is not None]) + _limits(item.minimum, item.maximum)


def _memory_type(item: MemoryType) -> bytes:
    custom = item.page_bits != PAGE_BITS
    flags = (item.maximum is not None) | custom << 3
    pages = unsigned(item.page_bits) if custom else b""
    return bytes([flags]) + _limits(item.minimum, item.maximum) + pages


def _global_type(item: GlobalType) -> bytes:
    return bytes([item.kind, item.mutable])


def _import(item: Import) -> bytes:
    what = item.description
    if isinstance(what, int):
        described = bytes([FUNCTION]) + unsigned(what)
    elif isinstance(what, TableType):
        described = bytes([TABLE]) + _table_type(what)
    elif isinstance(what, MemoryType):
        described = bytes([MEMORY]) + _memory_type(what)
    else:
        described = bytes([GLOBAL]) + _global_type(what)
    return name(item.module) + name(item.name) + described


def _export(item: Export) -> bytes:
    return name(item.name) + bytes([item.kind]) + unsigned(item.index)


def _element(item: Element) -> bytes:
    functions = _vector([unsigned(index) for index in item.functions])
    if item.place is None:
        return bytes([3 if item.declared else 1, 0]) + functions
    if item.explicit:
        return bytes([2, 0]) + item.place + b"\0" + functions
    return b"\0" + item.place + functions


def _data(item: Data) -> bytes:
    if item.place is None:
        return b"\1" + _sized(item.content)
    return (b"\2\0" if item.explicit else b"\0") + item.place + _sized(item.content)


def _code(item: Code) -> bytes:
    runs = _vector([unsigned(count) + bytes([kind]) for count, kind in item.locals])
    return _sized(runs + item.body)


def encode(module: Module) -> bytes:
    """The module's bytes; custom sections stand last, empty sections are left out."""
    vectors: list[tuple[int, list[bytes]]] = [
        (TYPE, [_function_type(item) for item in module.types]),
        (IMPORT, [_import(item) for item in module.imports]),
        (FUNC, [unsigned(index) for index in module.functions]),
        (TAB, [_table_type(item) for item in module.tables]),
        (MEM, [_memory_type(item) for item in module.memories]),
        (GLOB, [_global_type(item.type) + item.initial for item in module.globals]),
        (EXPORT, [_export(item) for item in module.exports]),
        (START, []),
        (ELEM, [_element(item) for item in module.elements]),
        (DATA_COUNT, []),
        (CODE, [_code(item) for item in module.codes]),
        (DATA, [_data(item) for item in module.data]),
    ]
    single = {START: module.start, DATA_COUNT: module.data_count}
    out = [HEADER]
    for section, items in vectors:
        number = single.get(section)
        if items:
            out.append(bytes([section]) + _sized(_vector(items)))
        elif number is not None:
            out.append(bytes([section]) + _sized(unsigned(number)))
    out += [b"\0" + _sized(name(title) + content) for title, content in module.customs]
    return b"".join(out)
