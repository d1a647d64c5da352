# SPDX-License-Identifier: GPL-3.0-or-later
"""The instructions of the accepted proposals: opcode, name, immediates, operands (core specification 2.0, section 5.4).

And the names of those that belong to other proposals, for the message that refuses them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from supervm.vm.compile_units import of_operation

LOADS = (
    "i32.load i64.load f32.load f64.load i32.load8_s i32.load8_u i32.load16_s i32.load16_u i64.load8_s i64.load8_u "
    "i64.load16_s i64.load16_u i64.load32_s i64.load32_u"
)
STORES = "i32.store i64.store f32.store f64.store i32.store8 i32.store16 i64.store8 i64.store16 i64.store32"
INTEGER_COMPARE = "eq ne lt_s lt_u gt_s gt_u le_s le_u ge_s ge_u"
FLOAT_COMPARE = "eq ne lt gt le ge"
INTEGER_UNARY = "clz ctz popcnt"
INTEGER_BINARY = "add sub mul div_s div_u rem_s rem_u and or xor shl shr_s shr_u rotl rotr"
FLOAT_UNARY = "abs neg ceil floor trunc nearest sqrt"
FLOAT_BINARY = "add sub mul div min max copysign"
CONVERSIONS = (
    "i32.wrap_i64 i32.trunc_f32_s i32.trunc_f32_u i32.trunc_f64_s i32.trunc_f64_u i64.extend_i32_s i64.extend_i32_u "
    "i64.trunc_f32_s i64.trunc_f32_u i64.trunc_f64_s i64.trunc_f64_u f32.convert_i32_s f32.convert_i32_u "
    "f32.convert_i64_s f32.convert_i64_u f32.demote_f64 f64.convert_i32_s f64.convert_i32_u f64.convert_i64_s "
    "f64.convert_i64_u f64.promote_f32 i32.reinterpret_f32 i64.reinterpret_f64 f32.reinterpret_i32 "
    "f64.reinterpret_i64 i32.extend8_s i32.extend16_s i64.extend8_s i64.extend16_s i64.extend32_s"
)
SATURATING = (
    "i32.trunc_sat_f32_s i32.trunc_sat_f32_u i32.trunc_sat_f64_s i32.trunc_sat_f64_u i64.trunc_sat_f32_s "
    "i64.trunc_sat_f32_u i64.trunc_sat_f64_s i64.trunc_sat_f64_u"
)


@dataclass(frozen=True)
class Operation:
    """An instruction without effect on control flow.

    Args:
        name: as in the text format.
        pops, pushes: operands and results, in values.
        immediates: one letter each: u index, a alignment and offset, z the byte 0 (memory or table 0), i and l signed
            integers of 32 and 64 bits, f and d floats of 4 and 8 bytes.

    `units` is what it costs to compile.
    """

    name: str
    pops: int
    pushes: int
    immediates: str = ""
    units: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "units", of_operation(self.name))


def _plain() -> dict[int, Operation]:
    table: dict[int, Operation] = {
        0x01: Operation("nop", 0, 0),
        0x1A: Operation("drop", 1, 0),
        0x1B: Operation("select", 3, 1),
        0x20: Operation("local.get", 0, 1, "u"),
        0x21: Operation("local.set", 1, 0, "u"),
        0x22: Operation("local.tee", 1, 1, "u"),
        0x23: Operation("global.get", 0, 1, "u"),
        0x24: Operation("global.set", 1, 0, "u"),
        0x3F: Operation("memory.size", 0, 1, "z"),
        0x40: Operation("memory.grow", 1, 1, "z"),
        0x41: Operation("i32.const", 0, 1, "i"),
        0x42: Operation("i64.const", 0, 1, "l"),
        0x43: Operation("f32.const", 0, 1, "f"),
        0x44: Operation("f64.const", 0, 1, "d"),
    }

    def run(start: int, names: str, pops: int, pushes: int, prefix: str = "", immediates: str = "") -> int:
        for opcode, title in enumerate(names.split(), start):
            table[opcode] = Operation(prefix + title, pops, pushes, immediates)
        return start + len(names.split())

    run(0x28, LOADS, 1, 1, immediates="a")
    run(0x36, STORES, 2, 0, immediates="a")
    at = 0x45
    for prefix in ("i32.", "i64."):
        at = run(at, "eqz", 1, 1, prefix)
        at = run(at, INTEGER_COMPARE, 2, 1, prefix)
    for prefix in ("f32.", "f64."):
        at = run(at, FLOAT_COMPARE, 2, 1, prefix)
    for prefix in ("i32.", "i64."):
        at = run(at, INTEGER_UNARY, 1, 1, prefix)
        at = run(at, INTEGER_BINARY, 2, 1, prefix)
    for prefix in ("f32.", "f64."):
        at = run(at, FLOAT_UNARY, 1, 1, prefix)
        at = run(at, FLOAT_BINARY, 2, 1, prefix)
    run(at, CONVERSIONS, 1, 1)
    return table


PLAIN = _plain()
"""Opcodes of one byte that neither branch nor call."""

PREFIX = 0xFC
PREFIXED = {
    **{number: Operation(title, 1, 1) for number, title in enumerate(SATURATING.split())},
    8: Operation("memory.init", 3, 0, "uz"),
    9: Operation("data.drop", 0, 0, "u"),
    10: Operation("memory.copy", 3, 0, "zz"),
    11: Operation("memory.fill", 3, 0, "z"),
    12: Operation("table.init", 3, 0, "uz"),
    13: Operation("elem.drop", 0, 0, "u"),
    14: Operation("table.copy", 3, 0, "zz"),
}
"""Opcodes after the prefix `0xfc`."""

UNREACHABLE, BLOCK, LOOP, IF, ELSE, END = 0x00, 0x02, 0x03, 0x04, 0x05, 0x0B
BR, BR_IF, BR_TABLE, RETURN, CALL, CALL_INDIRECT = 0x0C, 0x0D, 0x0E, 0x0F, 0x10, 0x11

REFUSED = {
    **dict.fromkeys((0x06, 0x07, 0x08, 0x09, 0x0A, 0x18, 0x19, 0x1F), "exceptions"),
    **dict.fromkeys((0x12, 0x13), "tail calls"),
    **dict.fromkeys((0x14, 0x15, 0xD3, 0xD4, 0xD5, 0xD6), "function references"),
    **dict.fromkeys((0x1C, 0x25, 0x26, 0xD0, 0xD1, 0xD2), "reference types"),
    **dict.fromkeys(range(0xE0, 0xE7), "stack switching"),
    0xFB: "GC",
    0xFD: "SIMD",
    0xFE: "threads",
}
"""The proposals that other opcodes of one byte belong to."""

REFUSED_PREFIXED = {
    **dict.fromkeys((15, 16, 17), "reference types"),
    18: "memory control",
    **dict.fromkeys((19, 20, 21, 22), "wide arithmetic"),
}
"""The proposals that other opcodes after `0xfc` belong to."""
