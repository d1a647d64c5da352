# SPDX-License-Identifier: GPL-3.0-or-later
"""A WebAssembly module as plain data: what `supervm.vm.binary` decodes and encodes.

Only what the accepted proposals know is here: number types, tables of functions, 32-bit memories with a page size.
Offsets are bytes of the decoded module; they serve messages and take no part in comparisons.
"""

from __future__ import annotations

from dataclasses import dataclass, field

I32, I64, F32, F64 = 0x7F, 0x7E, 0x7D, 0x7C
VALUE_TYPES = {I32: "i32", I64: "i64", F32: "f32", F64: "f64"}

FUNCTION, TABLE, MEMORY, GLOBAL = 0, 1, 2, 3
KINDS = {FUNCTION: "function", TABLE: "table", MEMORY: "memory", GLOBAL: "global"}
"""Kinds of imports and exports."""

PAGE_BITS = 16
"""log2 of the page size of a memory that names none."""


@dataclass(frozen=True)
class FunctionType:
    """Parameter and result types, one byte each."""

    parameters: bytes
    results: bytes

    def __str__(self) -> str:
        left, right = (
            " ".join(VALUE_TYPES[kind] for kind in types) for types in (self.parameters, self.results)
        )
        return f"({left}) -> ({right})"


ENTRY_TYPE = FunctionType(b"", bytes([I32]))
"""The type of entry points, () -> i32."""


@dataclass(frozen=True)
class TableType:
    """A table of functions; sizes in elements, no maximum as None."""

    minimum: int
    maximum: int | None


@dataclass(frozen=True)
class MemoryType:
    """A memory; sizes in pages of 2^page_bits bytes, no maximum as None."""

    minimum: int
    maximum: int | None
    page_bits: int = PAGE_BITS


@dataclass(frozen=True)
class GlobalType:
    """The type of a global."""

    kind: int
    mutable: bool


@dataclass(frozen=True)
class Import:
    """An import; `description` is the index of a function's type, or the type of another kind."""

    module: str
    name: str
    description: int | TableType | MemoryType | GlobalType
    offset: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Global:
    """A global of the module's own; `initial` is a constant expression with its `end`, as encoded."""

    type: GlobalType
    initial: bytes


@dataclass(frozen=True)
class Export:
    """An export: its kind (`KINDS`) and the index in that kind's space."""

    name: str
    kind: int
    index: int
    offset: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Element:
    """Function indices for a table; `place` is the constant expression of an active segment, None of a passive one.

    `explicit` keeps the form of an active segment that spells out table 0 and the kind of its elements.
    """

    functions: tuple[int, ...]
    place: bytes | None
    explicit: bool = False
    declared: bool = False


@dataclass(frozen=True)
class Data:
    """Bytes for the memory; `place` is the constant expression of an active segment, None of a passive one."""

    content: bytes
    place: bytes | None
    explicit: bool = False


@dataclass(frozen=True)
class Code:
    """A function's locals as (count, type) runs, and its instructions with the last `end`, as encoded."""

    locals: tuple[tuple[int, int], ...]
    body: bytes
    offset: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Module:
    """A module's sections; `functions` holds the type index of each function of its own, `customs` (name, bytes)."""

    types: tuple[FunctionType, ...] = ()
    imports: tuple[Import, ...] = ()
    functions: tuple[int, ...] = ()
    tables: tuple[TableType, ...] = ()
    memories: tuple[MemoryType, ...] = ()
    globals: tuple[Global, ...] = ()
    exports: tuple[Export, ...] = ()
    start: int | None = None
    elements: tuple[Element, ...] = ()
    data_count: int | None = None
    codes: tuple[Code, ...] = ()
    data: tuple[Data, ...] = ()
    customs: tuple[tuple[str, bytes], ...] = ()

    @property
    def imported_functions(self) -> tuple[int, ...]:
        """Type indices of the imported functions, which come first in the index space."""
        return tuple(item.description for item in self.imports if isinstance(item.description, int))

    @property
    def function_types(self) -> tuple[int, ...]:
        """Type index of every function, imported ones first."""
        return self.imported_functions + self.functions

    @property
    def imported_globals(self) -> tuple[GlobalType, ...]:
        """Types of the imported globals, which come first in the index space."""
        return tuple(item.description for item in self.imports if isinstance(item.description, GlobalType))
