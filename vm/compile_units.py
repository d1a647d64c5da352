# SPDX-License-Identifier: GPL-3.0-or-later
"""What it costs to compile a module, as a number that is the same on every node: compile units.

A unit stands for 2 or 3 µs and a few hundred bytes, at worst. What time and memory a compilation takes differs
from machine to machine, so no rule may depend on them; the limits on units keep both within bounds
(`docs/execution-rules.md`, Compile units). The numbers were found by compiling modules of like instructions, and of
like blocks, with wasmtime 50. What grows faster than a function does has its own count: values that a label
takes, and locals that may differ there, for each way to it.
"""

from __future__ import annotations

TYPE = 40
"""A function type, and a function that can be entered from outside: exported, or in an element segment."""

FUNCTION = 60
"""A function, whose wrapper is compiled with it."""

SIGNATURE_VALUE = 8
"""A parameter or result of what counts a `TYPE` or a `FUNCTION`: each is loaded or stored several times."""

EXPORT = 8
"""An export, whatever it is."""

ELEMENT = 8
"""A function in an element segment."""

INSTRUCTION = 1
"""An instruction that is not named here, every `else` and `end` included."""

ACCESS = 5
"""A load, a store, an integer division or remainder, a float to an integer."""

FLOAT = 6
"""Float arithmetic, whose NaNs are made canonical."""

BULK = 8
"""`memory.fill`, `memory.copy`, `elem.drop`, `data.drop`."""

CALL = 8
"""A call; parameters and results are `VALUE`s."""

RUNTIME = 80
"""`memory.grow`, `memory.init`, `table.init`, `table.copy`."""

INDIRECT_CALL = 64
"""An indirect call; parameters and results are `VALUE`s."""

BLOCK = 12
"""A `block`, `loop` or `if`; parameters and results are `VALUE`s."""

LOCALS_PER_UNIT = 4
"""A block costs a unit more for each so many parameters and locals of its function."""

DEPTH_PER_UNIT = 4
"""A block costs a unit more for each so many blocks that it lies in."""

BLOCKS_PER_UNIT = 64
"""A block costs a unit more for each so many blocks of its function before it."""

BRANCH = 4
"""A branch or return."""

VALUE = 1
"""A parameter or result of a call or block, a target of `br_table`, and for each way to a label a value that it takes."""

LOCAL = 2
"""For each way to a label, a local that is set inside of its block."""

_BY_NAME = {
    **dict.fromkeys(("memory.fill", "memory.copy", "elem.drop", "data.drop"), BULK),
    **dict.fromkeys(("memory.grow", "memory.init", "table.init", "table.copy"), RUNTIME),
    **dict.fromkeys(("f32.demote_f64", "f64.promote_f32"), FLOAT),
}
_FLOAT = frozenset(
    {"ceil", "floor", "trunc", "nearest", "sqrt", "add", "sub", "mul", "div", "min", "max", "copysign"}
)
_ACCESS = ("load", "store", "div_", "rem_", "trunc_")


def of_operation(name: str) -> int:
    """Units of an instruction without effect on control flow, by its name in the text format."""
    kind, _, rest = name.partition(".")
    if name in _BY_NAME:
        return _BY_NAME[name]
    if kind in ("f32", "f64") and rest in _FLOAT:
        return FLOAT
    return ACCESS if rest.startswith(_ACCESS) else INSTRUCTION
