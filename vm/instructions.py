# SPDX-License-Identifier: GPL-3.0-or-later
"""Walking a function's instructions: what they may change, how much stack they need, what they cost to compile.

Heights follow the validation algorithm of the core specification (2.0, appendix "Validation Algorithm"), counting
values instead of checking their types: after an unconditional branch the height falls to that of the block and may not
fall further. They are exact for a valid module; whether it is valid is for wasmtime to say.
"""

from __future__ import annotations

from dataclasses import dataclass

from supervm.vm import compile_units
from supervm.vm.errors import ContractRejected
from supervm.vm.leb128 import Reader
from supervm.vm.limits import BRANCH_TARGETS, FRAME_VALUES
from supervm.vm.module import Code, FunctionType, Module
from supervm.vm.opcodes import (
    BLOCK,
    BR,
    BR_IF,
    BR_TABLE,
    CALL,
    CALL_INDIRECT,
    ELSE,
    END,
    IF,
    LOOP,
    PLAIN,
    PREFIX,
    PREFIXED,
    REFUSED,
    REFUSED_PREFIXED,
    RETURN,
    UNREACHABLE,
    Operation,
)

EMPTY_BLOCK = 0x40
STATEFUL = ("table.init", "table.copy", "elem.drop", "memory.init", "data.drop")
"""Instructions that touch tables or segments: what memory and globals alone do not restore, and `memory.init`."""


@dataclass(frozen=True)
class Body:
    """What a walk finds.

    Args:
        instructions: how many there are, every `else` and `end` counted.
        height: the deepest operand stack, in values.
        frame: parameters + locals + height.
        grows_memory: `memory.grow` occurs.
        globals_set: indices of the globals that `global.set` names.
        stateful: those of `STATEFUL` that occur.
        units: what it costs to compile (`supervm.vm.compile_units`), the function itself not counted.
    """

    instructions: int
    height: int
    frame: int
    grows_memory: bool
    globals_set: frozenset[int]
    stateful: frozenset[str]
    units: int


@dataclass
class _Block:
    base: int
    """Height below the block's parameters."""
    parameters: int
    results: int
    label: int
    """Values that a branch to it carries."""
    conditional: bool = False
    edges: int = 1
    """Ways to its label: into a loop, else out of the block."""
    locals_set: int = 0
    """The locals that its instructions set, one bit each."""


class _Walk:
    """One pass over one body. Pops never go below the block that they are in."""

    def __init__(self, module: Module, kind: FunctionType, code: Code, variables: int) -> None:
        self.types = module.types
        self.function_types = module.function_types
        # A reader over the body alone: messages add where the body begins.
        self.reader = Reader(code.body)
        self.height = 0
        self.deepest = 0
        self.instructions = 0
        self.units = 0
        self.opened = 0
        # More of them are refused afterwards, by the frame's limit.
        self.variables = min(variables, FRAME_VALUES)
        self.blocks = [_Block(0, 0, len(kind.results), len(kind.results))]
        self.names: set[str] = set()
        self.globals_set: set[int] = set()

    def run(self) -> None:
        """Walk to the `end` of the function, which must be the last byte."""
        reader = self.reader
        while self.blocks:
            at = reader.at
            opcode = reader.byte()
            self.instructions += 1
            operation = PLAIN.get(opcode)
            if operation is not None:
                self.plain(operation)
            elif opcode == PREFIX:
                self.prefixed(at)
            elif opcode in (BLOCK, LOOP, IF):
                self.open(opcode)
            elif opcode in (ELSE, END):
                self.close(opcode, at)
            elif opcode in (BR, BR_IF, BR_TABLE, RETURN, UNREACHABLE):
                self.branch(opcode)
            elif opcode in (CALL, CALL_INDIRECT):
                self.call(opcode)
            else:
                self.refuse(f"opcode {opcode:#04x}", REFUSED.get(opcode), at)
        reader.done("the function")

    def refuse(self, found: str, proposal: str | None, at: int) -> None:
        if proposal is not None:
            found = f"{found} ({proposal})"
        raise self.reader.fail(found, "an instruction of the accepted proposals", at)

    def move(self, pops: int, pushes: int) -> None:
        base = self.blocks[-1].base
        self.height = max(self.height - pops, base) + pushes
        self.deepest = max(self.deepest, self.height)

    def plain(self, operation: Operation) -> None:
        self.units += operation.units
        if operation.immediates:
            index = self.immediates(operation.immediates)
            if operation.name in ("local.set", "local.tee") and index < self.variables:
                self.blocks[-1].locals_set |= 1 << index
            elif operation.name == "global.set":
                self.globals_set.add(index)
            elif operation.name == "memory.grow":
                self.names.add(operation.name)
        self.move(operation.pops, operation.pushes)

    def immediates(self, kinds: str) -> int:
        """Read past them; the value of the last index among them."""
        reader, index = self.reader, 0
        for kind in kinds:
            if kind == "u":
                index = reader.unsigned()
            elif kind == "a":
                alignment = reader.unsigned()
                if alignment >= 64:
                    raise reader.fail(f"memory flags {alignment:#x} (multiple memories)", "an alignment")
                reader.unsigned()
            elif kind == "z":
                if reader.byte():
                    raise reader.fail("another memory or table", "index 0 in one byte", reader.at - 1)
            elif kind in "il":
                reader.signed(32 if kind == "i" else 64)
            else:
                reader.take(4 if kind == "f" else 8)
        return index

    def prefixed(self, at: int) -> None:
        number = self.reader.unsigned()
        operation = PREFIXED.get(number)
        if operation is None:
            self.refuse(f"opcode 0xfc {number}", REFUSED_PREFIXED.get(number), at)
            return
        self.immediates(operation.immediates)
        self.units += operation.units
        self.names.add(operation.name)
        self.move(operation.pops, operation.pushes)

    def open(self, opcode: int) -> None:
        parameters, results = self.block_type()
        self.units += (
            compile_units.BLOCK
            + self.variables // compile_units.LOCALS_PER_UNIT
            + len(self.blocks) // compile_units.DEPTH_PER_UNIT
            + self.opened // compile_units.BLOCKS_PER_UNIT
            + (parameters + results) * compile_units.VALUE
        )
        self.opened += 1
        if opcode == IF:
            self.move(1, 0)
        self.move(parameters, 0)
        label = parameters if opcode == LOOP else results
        self.blocks.append(_Block(self.height, parameters, results, label, opcode == IF))
        if opcode == IF:
            self.blocks[-1].edges = 2
        self.move(0, parameters)

    def block_type(self) -> tuple[int, int]:
        """Parameters and results of a block, in values."""
        at = self.reader.at
        number = self.reader.signed(33)
        if number >= 0:
            kind = self.type_at(number, at)
            return len(kind.parameters), len(kind.results)
        byte = number & 0x7F
        if byte == EMPTY_BLOCK:
            return 0, 0
        if number < -4:
            raise self.reader.fail(f"a block of type {byte:#04x}", "a number type or none", at)
        return 0, 1

    def type_at(self, index: int, at: int) -> FunctionType:
        if index >= len(self.types):
            raise self.reader.fail(f"type {index}", f"one of {len(self.types)} types", at)
        return self.types[index]

    def close(self, opcode: int, at: int) -> None:
        self.units += compile_units.INSTRUCTION
        block = self.blocks[-1]
        self.height = block.base
        if opcode == END:
            self.blocks.pop()
            entering = block.label * compile_units.VALUE
            if self.blocks:
                self.move(0, block.results)
                self.blocks[-1].locals_set |= block.locals_set
                entering += block.locals_set.bit_count() * compile_units.LOCAL
            self.units += block.edges * entering
            return
        if not block.conditional:
            raise self.reader.fail("else", "an if before it", at)
        block.conditional = False
        self.move(0, block.parameters)

    def branch(self, opcode: int) -> None:
        self.units += compile_units.BRANCH
        if opcode == BR_TABLE:
            self.branch_table()
        elif opcode in (BR, BR_IF):
            self.edge()
        elif opcode == RETURN:
            self.blocks[0].edges += 1
        if opcode == BR_IF:
            self.move(1, 0)
        else:
            self.height = self.blocks[-1].base

    def branch_table(self) -> None:
        at = self.reader.at
        targets = self.reader.unsigned()
        if targets > BRANCH_TARGETS:
            expected = f"at most {BRANCH_TARGETS:,} besides the default"
            raise ContractRejected("branch targets", f"a br_table of {targets:,} targets", expected, at)
        self.units += targets * compile_units.VALUE
        for _ in range(targets + 1):
            self.edge()

    def edge(self) -> None:
        """Read a label and count the way to it; what is no label is for wasmtime to refuse."""
        depth = self.reader.unsigned()
        if depth < len(self.blocks):
            self.blocks[-1 - depth].edges += 1

    def call(self, opcode: int) -> None:
        at = self.reader.at
        index = self.reader.unsigned()
        if opcode == CALL_INDIRECT:
            if self.reader.byte():
                raise self.reader.fail(
                    "another table (reference types)", "table 0 in one byte", self.reader.at - 1
                )
            self.move(1, 0)
            self.units += compile_units.INDIRECT_CALL
        elif index < len(self.function_types):
            index = self.function_types[index]
            self.units += compile_units.CALL
        else:
            raise self.reader.fail(f"function {index}", f"one of {len(self.function_types)} functions", at)
        kind = self.type_at(index, at)
        self.units += (len(kind.parameters) + len(kind.results)) * compile_units.VALUE
        self.move(len(kind.parameters), len(kind.results))


def walk(module: Module, index: int) -> Body:
    """Walk the body of the module's own function `index`, counted from 0 without the imported ones.

    Raises:
        ContractRejected: rule `binary`: an instruction that is malformed or not of the accepted proposals, and the
            byte of the module where it stands; rule `branch targets`: a `br_table` of too many.
    """
    code = module.codes[index]
    try:
        kind = module.types[module.functions[index]]
    except IndexError:
        raise ContractRejected(
            "binary", f"type {module.functions[index]}", f"one of {len(module.types)} types"
        ) from None
    values = len(kind.parameters) + sum(count for count, _ in code.locals)
    steps = _Walk(module, kind, code, values)
    try:
        steps.run()
    except ContractRejected as error:
        place = None if error.offset is None else error.offset + code.offset
        raise ContractRejected(error.rule, error.found, error.expected, place) from None
    return Body(
        steps.instructions,
        steps.deepest,
        values + steps.deepest,
        "memory.grow" in steps.names,
        frozenset(steps.globals_set),
        frozenset(steps.names.intersection(STATEFUL)),
        steps.units,
    )
