# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a transaction was rejected or failed: the numbers of the execution rules."""

from __future__ import annotations

from enum import IntEnum


class Reason(IntEnum):
    """0 is success, 1 to 12 reject a transaction, 32 and above fail it."""

    NONE = 0
    MALFORMED_SIGNATURE = 1
    BAD_SIGNATURE = 2
    WRONG_SENDER = 3
    WRONG_CHAIN = 4
    NO_VERIFIER = 5
    BAD_PROOF = 6
    GAS_LIMIT_TOO_HIGH = 7
    GAS_LIMIT_TOO_LOW = 8
    UNKNOWN_CONTRACT = 9
    UNKNOWN_ENTRY = 10
    BAD_NONCE = 11
    INSUFFICIENT_BALANCE = 12
    OUT_OF_GAS = 32
    UNREACHABLE = 33
    MEMORY_OUT_OF_BOUNDS = 34
    STACK_OVERFLOW = 35
    INTEGER_OVERFLOW = 36
    DIVISION_BY_ZERO = 37
    BAD_CONVERSION = 38
    INDIRECT_CALL = 39
    BAD_POINTER = 40
    NO_HELD_VALUE = 41
    EVENT_INDEX = 42
    LIMIT_EXCEEDED = 43
    CONTRACT_ERROR = 44
    OBJECT_NOT_OWNED = 45
    OTHER_TRAP = 46
