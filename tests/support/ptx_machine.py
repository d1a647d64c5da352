# SPDX-License-Identifier: GPL-3.0-or-later
"""An interpreter of the PTX that integer kernels compile to: the proof of the inline assembly where there is no GPU.

All threads run together, a register being an array with one value per thread; threads that would part ways are an error,
and so is every instruction, type or modifier that is not here. Source of the semantics: PTX ISA 9.0, section 9.7,
"Instructions", in particular 9.7.2, "Extended-Precision Integer Arithmetic Instructions".

That section has one flag, CC.CF, for carries and borrows, and promises nothing of one read as the other, nor of its value
at a label or where nothing has set it. Here these are errors.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from ptx_text import Entry, PtxError, Statement

Lanes: TypeAlias = npt.NDArray[Any]
"""One value per thread, or one for all: uint64, or bool for a predicate."""

BUFFER_SHIFT = 40  # buffer number k, from 1, is mapped at k·2^40
COMPARISONS: dict[str, Callable[[Lanes, Lanes], Lanes]] = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
}  # fmt: skip
WIDTHS = {f"{kind}{width}": width for kind in "bus" for width in (8, 16, 32, 64)}


def run(entry: Entry, threads: int, *arguments: npt.NDArray[Any] | int, block: int = 32) -> int:
    """Run a kernel on `threads` threads in blocks of `block`; arrays are its global memory and change in place.

    Returns the number of statements that were run.

    Raises:
        PtxError: see the module; also an access outside every array, or one that is not aligned.
    """
    if threads % block or len(arguments) != len(entry.parameters):
        raise PtxError(f"{entry.name}: {threads} threads in blocks of {block}, {len(arguments)} arguments")
    return _Machine(entry, threads, block, arguments).run()


@dataclass
class _Machine:
    entry: Entry
    threads: int
    block: int
    arguments: tuple[npt.NDArray[Any] | int, ...]
    registers: dict[str, Lanes] = field(default_factory=dict)
    carry: Lanes | None = None
    carry_kind: str = ""

    def __post_init__(self) -> None:
        lanes = np.arange(self.threads, dtype=np.uint64)
        special = {"tid": lanes % self.block, "ctaid": lanes // self.block}
        special |= {"ntid": _one(self.block), "nctaid": _one(self.threads // self.block)}
        self.registers |= {f"%{name}.x": value for name, value in special.items()}
        tables = [np.frombuffer(table, np.uint8) for table in self.entry.constants.values()]
        self.memory = {
            number: value.reshape(-1).view(np.uint8)
            for number, value in enumerate([*self.arguments, *tables], 1)
            if isinstance(value, np.ndarray)
        }
        self.parameters = {
            name: _one(number << BUFFER_SHIFT if isinstance(argument, np.ndarray) else argument)
            for number, (name, argument) in enumerate(
                zip(self.entry.parameters, self.arguments, strict=True), 1
            )
        }
        first = len(self.arguments) + 1
        self.symbols = {
            name: _one(first + index << BUFFER_SHIFT) for index, name in enumerate(self.entry.constants)
        }

    def run(self) -> int:
        position, done, starts = 0, 0, set(self.entry.labels.values())
        while position < len(self.entry.statements):
            statement = self.entry.statements[position]
            if position in starts:
                self.carry = None
            done += 1
            opcode, *modifiers = statement.opcode.split(".")
            try:
                if statement.guard and opcode != "bra":
                    raise PtxError("only branches may be predicated")
                if opcode == "ret":
                    break
                if opcode == "bra":
                    position = self._branch(statement, position)
                    continue
                if opcode not in _HANDLERS:
                    raise PtxError(f"unknown instruction {opcode}")
                _HANDLERS[opcode](self, modifiers, statement.operands)
            except (PtxError, KeyError, ValueError) as error:
                raise PtxError(
                    f"{self.entry.name}, statement {position}: {statement.text}: {error}"
                ) from error
            position += 1
        return done

    def _branch(self, statement: Statement, position: int) -> int:
        taken = np.array(True)
        if statement.guard:
            taken = self.registers[statement.guard.lstrip("!")] ^ statement.guard.startswith("!")
        if taken.any() != taken.all():
            raise PtxError("threads part ways")
        self.carry = None
        return self.entry.labels[statement.operands[0]] if taken.all() else position + 1

    def value(self, operand: str, kind: str) -> Lanes:
        """An operand read as a type such as `u32`; a predicate as bool."""
        if operand.startswith("%"):
            if operand not in self.registers:
                raise PtxError(f"{operand} is read before it is written")
            found = self.registers[operand]
            if (found.dtype == np.bool_) != (kind == "pred"):
                raise PtxError(f"{operand} is no {kind}")
            return found
        if operand in self.symbols:
            return self.symbols[operand]
        number = int(operand, 0)
        return np.array([number != 0]) if kind == "pred" else _one(number & (1 << WIDTHS[kind]) - 1)

    def write(self, operand: str, kind: str, value: Lanes) -> None:
        """A result of a type: cut to its width."""
        self.registers[operand] = value if kind == "pred" else value & _one((1 << WIDTHS[kind]) - 1)

    def flag(self, kind: str) -> Lanes:
        """The flag as a carry or as a borrow."""
        if self.carry is None or self.carry_kind != kind:
            raise PtxError(f"the flag holds no {kind}")
        return self.carry

    def address(self, operand: str, width: int, count: int) -> tuple[Lanes, Lanes]:
        """The words of memory of this width, and the index of each thread's first of `count`."""
        shape = re.fullmatch(r"\[(%?\w+)(?:\+(-?\d+))?\]", operand)
        if shape is None:
            raise PtxError(f"address {operand}")
        address = self.value(shape[1], "u64") + _one(int(shape[2] or 0) & (1 << 64) - 1)
        buffers = np.unique(address >> np.uint64(BUFFER_SHIFT))
        if len(buffers) != 1 or int(buffers[0]) not in self.memory:
            raise PtxError("an address outside every buffer")
        size = width // 8
        content = self.memory[int(buffers[0])]
        words = content[: len(content) // size * size].view(f"u{size}")
        offset = address & _one((1 << BUFFER_SHIFT) - 1)
        index = offset // np.uint64(size)
        if (offset % np.uint64(size * count)).any() or (index + np.uint64(count) > len(words)).any():
            raise PtxError("an address that is not aligned or beyond its buffer")
        return words, index


_Handler: TypeAlias = Callable[[_Machine, list[str], tuple[str, ...]], None]


def _one(value: int) -> Lanes:
    return np.array([value], np.uint64)


def _signed(value: Lanes, width: int) -> Lanes:
    """Sign-extended from `width` to 64 bits."""
    sign = _one(1 << width - 1)
    return (value ^ sign) - sign


def _shape(modifiers: list[str], *allowed: str) -> tuple[frozenset[str], str]:
    """(modifiers, type), of which all must be known."""
    *names, kind = modifiers
    if not set(names) <= set(allowed) or (kind not in WIDTHS and kind != "pred"):
        raise PtxError(f"unknown instruction: .{'.'.join(modifiers)}")
    return frozenset(names), kind


def _sum(
    machine: _Machine, names: frozenset[str], kind: str, target: str, parts: list[Lanes], takes: bool
) -> None:
    """target = the sum of parts, with the carry in, and out with `.cc`; the parts are below 2^width."""
    if (takes or "cc" in names) and WIDTHS[kind] != 32:
        raise PtxError("carries of 32-bit words only")
    total = sum([*parts[1:], machine.flag("carry")] if takes else parts[1:], parts[0])
    if "cc" in names:
        machine.carry, machine.carry_kind = total >> np.uint64(32), "carry"
    machine.write(target, kind, total)


def _add(takes: bool) -> _Handler:
    def handler(machine: _Machine, modifiers: list[str], operands: tuple[str, ...]) -> None:
        names, kind = _shape(modifiers, "cc")
        target, a, b = operands
        _sum(machine, names, kind, target, [machine.value(a, kind), machine.value(b, kind)], takes)

    return handler


def _subtract(takes: bool) -> _Handler:
    def handler(machine: _Machine, modifiers: list[str], operands: tuple[str, ...]) -> None:
        names, kind = _shape(modifiers, "cc")
        target, a, b = operands
        if (takes or "cc" in names) and WIDTHS[kind] != 32:
            raise PtxError("borrows of 32-bit words only")
        difference = machine.value(a, kind) - machine.value(b, kind)
        if takes:
            difference = difference - machine.flag("borrow")
        if "cc" in names:
            machine.carry, machine.carry_kind = difference >> np.uint64(63), "borrow"
        machine.write(target, kind, difference)

    return handler


def _product(names: frozenset[str], kind: str, a: Lanes, b: Lanes) -> Lanes:
    """The part of a·b that `.lo`, `.hi` or `.wide` names."""
    if "lo" in names:
        return (a * b) & _one((1 << WIDTHS[kind]) - 1)
    if kind == "s32" and "wide" in names:
        return _signed(a, 32) * _signed(b, 32)
    if kind != "u32" or not names & {"hi", "wide"}:
        raise PtxError(f"a product of {kind} by {sorted(names)}")
    return a * b >> np.uint64(32) if "hi" in names else a * b


def _multiply(machine: _Machine, modifiers: list[str], operands: tuple[str, ...]) -> None:
    names, kind = _shape(modifiers, "lo", "hi", "wide")
    target, a, b = operands
    result = _product(names, kind, machine.value(a, kind), machine.value(b, kind))
    machine.write(target, "u64" if "wide" in names else kind, result)


def _multiply_add(takes: bool) -> _Handler:
    def handler(machine: _Machine, modifiers: list[str], operands: tuple[str, ...]) -> None:
        names, kind = _shape(modifiers, "lo", "hi", "wide", "cc")
        target, a, b, c = operands
        result = "u64" if "wide" in names else kind
        product = _product(names, kind, machine.value(a, kind), machine.value(b, kind))
        _sum(machine, names, result, target, [product, machine.value(c, result)], takes)

    return handler


def _logic(operation: Callable[[Lanes, Lanes], Lanes]) -> _Handler:
    def handler(machine: _Machine, modifiers: list[str], operands: tuple[str, ...]) -> None:
        _, kind = _shape(modifiers)
        target, a, b = operands
        machine.write(target, kind, operation(machine.value(a, kind), machine.value(b, kind)))

    return handler


def _not(machine: _Machine, modifiers: list[str], operands: tuple[str, ...]) -> None:
    _, kind = _shape(modifiers)
    machine.write(operands[0], kind, ~machine.value(operands[1], kind))


def _negate(machine: _Machine, modifiers: list[str], operands: tuple[str, ...]) -> None:
    _, kind = _shape(modifiers)
    machine.write(operands[0], kind, _one(0) - machine.value(operands[1], kind))


def _shift(left: bool) -> _Handler:
    def handler(machine: _Machine, modifiers: list[str], operands: tuple[str, ...]) -> None:
        _, kind = _shape(modifiers)
        target, a, count = operands
        width = WIDTHS[kind]
        value, by = machine.value(a, kind), machine.value(count, "u32")
        kept = np.minimum(by, np.uint64(width - 1))
        if kind.startswith("s"):
            wide = _signed(value, width).view(np.int64)
            machine.write(target, kind, (wide >> kept.astype(np.int64)).view(np.uint64))
            return
        shifted = value << kept if left else value >> kept
        machine.write(target, kind, np.where(by < width, shifted, np.uint64(0)))

    return handler


def _funnel(machine: _Machine, modifiers: list[str], operands: tuple[str, ...]) -> None:
    """`shf`: 32 of the 64 bits of (b, a), shifted left or right by c mod 32 (`.wrap`) or at most 32 (`.clamp`)."""
    names, kind = _shape(modifiers, "l", "r", "wrap", "clamp")
    target, a, b, c = operands
    low, high, by = (machine.value(operand, kind) for operand in (a, b, c))
    by = by % np.uint64(32) if "wrap" in names else np.minimum(by, np.uint64(32))
    both = high << np.uint64(32) | low
    machine.write(target, kind, (both << by) >> np.uint64(32) if "l" in names else both >> by)


def _permute(machine: _Machine, modifiers: list[str], operands: tuple[str, ...]) -> None:
    """`prmt`: four bytes of (b, a), each chosen by four bits of c; bit 3 of a choice spreads the byte's sign."""
    _, kind = _shape(modifiers)
    target, a, b, c = operands
    both = machine.value(b, kind) << np.uint64(32) | machine.value(a, kind)
    choices, result = machine.value(c, kind), _one(0)
    for index in range(4):
        choice = choices >> np.uint64(4 * index)
        byte = both >> (choice % np.uint64(8) * np.uint64(8)) & np.uint64(255)
        spread = (byte >> np.uint64(7)) * np.uint64(255)
        chosen = np.where(choice & np.uint64(8) != 0, spread, byte)
        result = result | chosen << np.uint64(8 * index)
    machine.write(target, kind, result)


def _insert(machine: _Machine, modifiers: list[str], operands: tuple[str, ...]) -> None:
    """`bfi f, a, b, c, d`: b with its d bits from bit c on replaced by a's lowest."""
    _, kind = _shape(modifiers)
    target, a, b, c, d = operands
    start, length = int(c, 0), int(d, 0)
    mask = _one(((1 << length) - 1 << start) & (1 << WIDTHS[kind]) - 1)
    value = machine.value(b, kind) & ~mask | machine.value(a, kind) << np.uint64(start) & mask
    machine.write(target, kind, value)


def _compare(machine: _Machine, modifiers: list[str], operands: tuple[str, ...]) -> None:
    names, kind = _shape(modifiers, *COMPARISONS)
    target, a, b = operands
    (name,) = names
    flip = _one(
        1 << WIDTHS[kind] - 1 if kind.startswith("s") else 0
    )  # signed order is unsigned, the sign flipped
    left, right = machine.value(a, kind) ^ flip, machine.value(b, kind) ^ flip
    machine.write(target, "pred", COMPARISONS[name](left, right))


def _select(machine: _Machine, modifiers: list[str], operands: tuple[str, ...]) -> None:
    _, kind = _shape(modifiers)
    target, a, b, condition = operands
    chosen = np.where(machine.value(condition, "pred"), machine.value(a, kind), machine.value(b, kind))
    machine.write(target, kind, chosen)


def _move(machine: _Machine, modifiers: list[str], operands: tuple[str, ...]) -> None:
    _, kind = _shape(modifiers)
    machine.write(operands[0], kind, machine.value(operands[1], kind))


def _convert(machine: _Machine, modifiers: list[str], operands: tuple[str, ...]) -> None:
    result, kind = modifiers
    value = machine.value(operands[1], kind) & _one((1 << WIDTHS[kind]) - 1)
    machine.write(operands[0], result, _signed(value, WIDTHS[kind]) if kind.startswith("s") else value)


def _convert_address(machine: _Machine, modifiers: list[str], operands: tuple[str, ...]) -> None:
    if "global" not in modifiers:
        raise PtxError("global addresses only")
    machine.write(operands[0], "u64", machine.value(operands[1], "u64"))


def _vector(names: frozenset[str], operand: str) -> list[str]:
    """The registers of an operand, of which `.v2` and `.v4` name several."""
    registers = [register.strip() for register in operand.strip("{}").split(",")]
    if len(registers) != (4 if "v4" in names else 2 if "v2" in names else 1):
        raise PtxError(f"{operand} for .{'.'.join(sorted(names))}")
    return registers


def _load(machine: _Machine, modifiers: list[str], operands: tuple[str, ...]) -> None:
    names, kind = _shape(modifiers, "param", "global", "const", "nc", "v2", "v4")
    target, place = operands
    if "param" in names:
        machine.write(target, kind, machine.parameters[place.strip("[]")])
        return
    targets = _vector(names, target)
    words, index = machine.address(place, WIDTHS[kind], len(targets))
    for step, register in enumerate(targets):
        machine.write(register, kind, words[index + np.uint64(step)].astype(np.uint64))


def _store(machine: _Machine, modifiers: list[str], operands: tuple[str, ...]) -> None:
    names, kind = _shape(modifiers, "global", "v2", "v4")
    place, source = operands
    sources = _vector(names, source)
    words, index = machine.address(place, WIDTHS[kind], len(sources))
    for step, register in enumerate(sources):
        words[index + np.uint64(step)] = machine.value(register, kind).astype(words.dtype)


_HANDLERS: dict[str, _Handler] = {
    "add": _add(takes=False), "addc": _add(takes=True), "sub": _subtract(takes=False), "subc": _subtract(takes=True),
    "mul": _multiply, "mad": _multiply_add(takes=False), "madc": _multiply_add(takes=True),
    "and": _logic(np.bitwise_and), "or": _logic(np.bitwise_or), "xor": _logic(np.bitwise_xor), "not": _not,
    "neg": _negate,
    "shl": _shift(left=True), "shr": _shift(left=False), "shf": _funnel, "prmt": _permute, "bfi": _insert,
    "setp": _compare, "selp": _select, "mov": _move, "cvt": _convert, "cvta": _convert_address,
    "ld": _load, "st": _store,
}  # fmt: skip
