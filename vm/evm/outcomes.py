# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a frame halts."""

from __future__ import annotations

from enum import IntEnum


class HaltReason(IntEnum):
    """Why a frame halted exceptionally: all its gas is lost, and what it did is undone."""

    OUT_OF_GAS = 1
    STACK_UNDERFLOW = 2
    STACK_OVERFLOW = 3
    BAD_JUMP = 4
    INVALID_OPCODE = 5
    STATIC_CHANGE = 6
    RETURN_DATA_BOUNDS = 7
    COLLISION = 8
    CODE_SIZE = 9
    CODE_PREFIX = 10
    INITCODE_SIZE = 11
    PRECOMPILE = 12
    NONCE = 13


MEANINGS: dict[HaltReason, str] = {
    HaltReason.OUT_OF_GAS: "out of gas",
    HaltReason.STACK_UNDERFLOW: "stack underflow",
    HaltReason.STACK_OVERFLOW: "stack overflow",
    HaltReason.BAD_JUMP: "jump to a place that is no JUMPDEST",
    HaltReason.INVALID_OPCODE: "invalid opcode",
    HaltReason.STATIC_CHANGE: "change of state in a static call",
    HaltReason.RETURN_DATA_BOUNDS: "read beyond the return data",
    HaltReason.COLLISION: "contract address collision",
    HaltReason.CODE_SIZE: "code too large",
    HaltReason.CODE_PREFIX: "code begins with 0xEF",
    HaltReason.INITCODE_SIZE: "initcode too large",
    HaltReason.PRECOMPILE: "precompiled contract failed",
    HaltReason.NONCE: "nonce at its limit",
}
"""Reason → in words."""
