# SPDX-License-Identifier: GPL-3.0-or-later
"""The numbers of the execution rules: reasons, limits, gas schedule 3."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum


class Reason(IntEnum):
    """Why a transaction was rejected (below 32) or failed."""

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
    TOO_LARGE = 13
    MALFORMED_PROOF = 14
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


MOST_GAS = 10**9
MOST_NONCE = 2**64 - 1
MOST_TRANSACTION_BYTES = 2**20
MOST_MONEY = 2**256 - 1
MOST_KEY_BYTES = 256
MOST_VALUE_BYTES = 65_536
MOST_OUTPUT_BYTES = 65_536
MOST_EVENTS = 1_024
MOST_EVENT_BYTES = 65_536
MOST_STATE_KEYS = 16_384
MOST_DEPTH = 1_024
MOST_MEMORY_BYTES = 16 << 20

ACCOUNT, STORAGE, CODE, OBJECT = b"\x00", b"\x01", b"\x02", b"\x03"
OWNED, SHARED, IMMUTABLE = 0, 1, 2


def intrinsic_gas(
    *strings: bytes, objects: int = 0, declared: Sequence[bytes] = (), signature: bytes = b""
) -> int:
    """What a transaction costs before it does anything; `strings` are entry point, input and proof."""
    data = sum(len(each) for each in strings)
    keys = sum(2 + len(key) for key in declared)
    return 1_000 + 100 * objects + 4 * (data + max(0, len(signature) - 96) + max(0, keys - 1_024))


def proof_gas(proof: bytes) -> int:
    """What a private transaction pays for its proof: by the curve and the public inputs, as far as the field has a form."""
    circuit = proof[1] if len(proof) > 1 else 0
    head = 2 + circuit + 2
    if len(proof) < max(head, 4):
        return PROOF + PROOF_INPUT
    size = int.from_bytes(proof[head - 2 : head], "big")
    inputs = 1 + max(0, len(proof) - head - size) // 32
    return (PROOF_OF_192_BYTES if size >= 192 else PROOF) + PROOF_INPUT * inputs


def growth_gas(key: bytes, before: bytes | None, after: bytes) -> int:
    """What the state's growth by a value costs."""
    if before is None:
        return 16 * (len(key) + len(after))
    return 16 * max(0, len(after) - len(before))


MOST_RESTORED_BYTES = 131_072
"""Memory up to here is put back after a call; above, and for an empty one, each call has a new instance."""

NEVER_RESTORED = {"table.init", "table.copy", "elem.drop", "data.drop"}
"""Instructions of a contract whose calls each have a new instance."""


def restored_gas(globals_set: int) -> int:
    """What every call pays for the mutable globals that the contract sets."""
    return 20 * globals_set


def instance_gas(
    entries: int, globals_set: int, segments: int, segment_functions: int, memory_bytes: int
) -> int:
    """What a new instance costs; segments are the passive ones of elements."""
    fixed = 3_000 + 100 * entries + 50 * globals_set + 100 * segments + 40 * segment_functions
    return fixed + (memory_bytes + 3) // 4


def most_memory(gas: int) -> int:
    """Bytes that a memory grows to at most, with so much gas behind the intrinsic."""
    return min(MOST_MEMORY_BYTES, 4 * gas)


PRICES: dict[str, tuple[int, int]] = {
    "storage_get": (200, 1),
    "storage_has": (150, 1),
    "storage_read_value": (20, 1),
    "storage_set": (500, 4),
    "storage_delete": (300, 1),
    "block_number": (10, 0),
    "timestamp": (10, 0),
    "input_len": (10, 0),
    "events_len": (10, 0),
    "caller": (15, 0),
    "self_address": (15, 0),
    "value": (15, 0),
    "input_read": (10, 1),
    "set_output": (10, 2),
    "balance": (200, 0),
    "transfer": (500, 0),
    "emit_event": (100, 4),
    "read_event": (20, 1),
    "sha256": (60, 1),
    "keccak256": (80, 1),
    "derive_eth_address": (150, 0),
    "verify_ed25519": (20_000, 1),
    "verify_secp256k1": (15_000, 0),
    "recover_secp256k1_pubkey": (18_000, 0),
}
"""Host function: price of the call, price of each byte that the rules name."""

PRECOMPILES: dict[str, tuple[int, int, int]] = {
    "bn254_add": (6_000, 0, 1),
    "bn254_mul": (30_000, 0, 1),
    "bn254_pairing_check": (220_000, 85_000, 192),
    "bls12_g1add": (7_000, 0, 1),
    "bls12_g1msm": (130_000, 36_000, 160),
    "bls12_g2add": (8_000, 0, 1),
    "bls12_g2msm": (230_000, 60_000, 288),
    "bls12_pairing_check": (350_000, 140_000, 384),
    "bls12_map_fp_to_g1": (27_000, 0, 1),
    "bls12_map_fp2_to_g2": (72_000, 0, 1),
    "point_evaluation": (730_000, 0, 1),
}
"""Host function: price of the call, price of each whole part of the input, bytes of one."""

PROOF, PROOF_OF_192_BYTES, PROOF_INPUT = 120_000, 180_000, 2_000
"""What a private transaction pays for its proof, and for each of its public inputs."""
