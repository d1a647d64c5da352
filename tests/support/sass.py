# SPDX-License-Identifier: GPL-3.0-or-later
"""Machine code as `nvdisasm` shows it, and how many instructions of a kernel's loop make the values that it stores."""

from __future__ import annotations

import functools
import importlib.util
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

KNOWN = frozenset(
    ["CS2R", "HFMA2", "IADD", "IADD3", "IMAD", "ISETP", "LDG", "LEA", "LOP3", "MOV", "P2R", "PLOP3", "PRMT", "R2P", "SEL",
     "SHF", "STG", "UIADD3", "UIMAD", "ULEA", "ULOP3", "UMOV", "USEL", "USHF", "VIADD"]
)  # fmt: skip
"""Opcodes whose operands `_split` reads rightly; another one in a loop is an error, not a guess."""

_REGISTER = re.compile(r"\b(U?[RP])(\d+)\b")
_PREDICATE = re.compile(r"U?P(\d+|T)")


class SassError(Exception):
    """The machine code is not of the form that is counted."""


@dataclass(frozen=True)
class Instruction:
    """One line: `@guard opcode operands` at a label, if one stands before it."""

    label: str
    guard: str
    opcode: str
    operands: tuple[str, ...]


@functools.cache
def disassembler() -> str:
    """Where `nvdisasm` is: in the wheel `nvidia-cuda-nvdisasm`, or on the path; '' if nowhere."""
    spec = importlib.util.find_spec("nvidia")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for path in sorted(Path(folder).glob("*/bin/nvdisasm"), reverse=True):
            return str(path)
    return shutil.which("nvdisasm") or ""


def missing() -> str:
    """Why no machine code can be shown here, or ''."""
    return "" if disassembler() else "no nvdisasm: pip install nvidia-cuda-nvdisasm"


def disassemble(image: bytes) -> dict[str, list[Instruction]]:
    """The instructions of every function of a cubin."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(image)
        file.flush()
        done = subprocess.run([disassembler(), "-c", file.name], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SassError(done.stderr[:1000])
    return parse(done.stdout)


def parse(text: str) -> dict[str, list[Instruction]]:
    """The same from the disassembler's text."""
    found: dict[str, list[Instruction]] = {}
    current: list[Instruction] = []
    label = ""
    for line in text.splitlines():
        if match := re.match(r"\.text\.(\w+):", line):
            current = found.setdefault(match[1], [])
        elif match := re.match(r"(\.L_x_\d+):", line):
            label = match[1]
        elif match := re.match(r"\s*/\*[0-9a-f]+\*/\s+(?:@(!?U?P\w+)\s+)?([\w.]+)\s*(.*?)\s*;", line):
            operands = tuple(part.strip() for part in match[3].split(",") if part.strip())
            current.append(Instruction(label, match[1] or "", match[2], operands))
            label = ""
    return found


def loop(instructions: list[Instruction]) -> list[Instruction]:
    """The body of the one loop that stores, up to its last store.

    Raises:
        SassError: there is none or more than one, or it branches before.
    """
    places = {instruction.label: place for place, instruction in enumerate(instructions) if instruction.label}
    bodies = []
    for place, instruction in enumerate(instructions):
        target = re.search(r"\.L_x_\d+", " ".join(instruction.operands))
        if instruction.opcode.startswith("BRA") and target and places.get(target[0], place) < place:
            body = instructions[places[target[0]] : place]
            stores = [index for index, each in enumerate(body) if each.opcode.startswith("STG")]
            if stores:
                bodies.append(body[: stores[-1] + 1])
    if len(bodies) != 1 or any(each.opcode.startswith(("BRA", "CALL", "BSSY", "EXIT")) for each in bodies[0]):
        raise SassError(f"{len(bodies)} loops that store, or one that branches")
    return bodies[0]


def arithmetic(body: list[Instruction], words: int) -> Counter[str]:
    """Instructions of a straight loop body that the stored words depend on, loads left out, by class of opcode.

    Walking up from the stores: an instruction counts if it writes a register that is needed further down; then what it
    reads is needed, unless it is a load. Addresses and the loop's own counting are never reached.

    Raises:
        SassError: it does not store `words` words, or an opcode is not among `KNOWN`.
    """
    needed: set[str] = set()
    counted: Counter[str] = Counter()
    stores = 0
    for instruction in reversed(body):
        name = instruction.opcode.split(".")[0]
        if name not in KNOWN:
            raise SassError(f"unknown opcode {instruction.opcode} {', '.join(instruction.operands)}")
        if name == "STG":
            wide = {"64": 2, "128": 4}.get(instruction.opcode.split(".")[-1], 1)
            stores += wide
            needed |= _registers(instruction.operands[-1], wide)
            continue
        written, read = _split(instruction)
        if not written & needed:
            continue
        if not instruction.guard:
            needed -= written
        if name != "LDG":
            counted[_class(instruction.opcode)] += 1
            needed |= read | _registers(instruction.guard, 1)
    if stores != words:
        raise SassError(f"{stores} words are stored, not {words}")
    return counted


def _class(opcode: str) -> str:
    """The opcode; of IMAD also what it serves as."""
    name, *modifiers = opcode.split(".")
    served = [modifier for modifier in modifiers[:1] if modifier in ("WIDE", "HI", "MOV", "X", "IADD", "SHL")]
    return ".".join([name, *served]) if name == "IMAD" else name


def _registers(operand: str, count: int) -> set[str]:
    """Registers named in an operand; each stands for the first of `count`."""
    return {
        f"{kind}{int(number) + step}"
        for kind, number in _REGISTER.findall(operand)
        for step in range(count if kind.endswith("R") else 1)
    }


def _split(instruction: Instruction) -> tuple[set[str], set[str]]:
    """(registers written, registers read)."""
    operands, name = instruction.operands, instruction.opcode.split(".")[0]
    if name in ("P2R", "R2P"):  # between a register and the predicates that a mask names
        mask = int(operands[-1], 16)
        masked = {f"P{index}" for index in range(7) if mask >> index & 1}
        register = _registers(operands[0 if name == "P2R" else 1], 1)
        return (register, masked | _registers(operands[2], 1)) if name == "P2R" else (masked, register)
    first = 1
    while first < len(operands) and _PREDICATE.fullmatch(operands[first]) and (name != "PLOP3" or first < 2):
        first += 1
    if name == "LOP3" and _PREDICATE.fullmatch(operands[0]):
        first += 1
    wide = ".WIDE" in instruction.opcode
    paired = wide or ".HI" in instruction.opcode
    width = {"128": 4, "64": 2}.get(instruction.opcode.split(".")[-1], 2 if wide or name == "CS2R" else 1)
    written = set().union(*(_registers(operand, width) for operand in operands[:first]))
    read: set[str] = set()
    for place, operand in enumerate(operands[first:]):
        read |= _registers(operand, 2 if name == "IMAD" and paired and place == 2 else 1)
    return written, read
