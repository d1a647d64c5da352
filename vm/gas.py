# SPDX-License-Identifier: GPL-3.0-or-later
"""Gas schedule 3: what a transaction costs beside the fuel of its wasm code, one gas each (`docs/execution-rules.md`).

Fuel is counted by wasmtime in the code that `supervm.vm.instrument` makes; the schedule is pinned to both.
"""

from __future__ import annotations

from dataclasses import dataclass

SCHEDULE = 3
"""Number of this schedule."""

WASMTIME_MAJOR = 50
"""The major version of wasmtime whose fuel the schedule counts."""

BASE = 1_000
OBJECT = 100
DATA_BYTE = 4
"""Intrinsic gas of a transaction: the base, so much for each object that it lists, and so much for each byte of its data.

Data are entry point, input, proof, what a signature has beyond `FREE_SIGNATURE_BYTES`, and what the declared keys, with 2
bytes of length each, have beyond `FREE_DECLARED_BYTES`."""

FREE_SIGNATURE_BYTES = 96
"""Bytes of a signature that the base pays for: the longest that a scheme has."""

FREE_DECLARED_BYTES = 1_024
"""Bytes of declared keys that the base pays for: who says what a transaction touches helps all, and pays no more for it."""

PROOF, PROOF_LONG = 120_000, 180_000
PROOF_INPUT = 2_000
"""Intrinsic gas of a private transaction besides, for the verification of its proof: of one that is shorter than
`PROOF_LONG_BYTES`, or not (those on BN254 have 128 bytes, those on BLS12-381 192); and for each of its public inputs. It is
what one of 32 proofs of a circuit takes on one core without lanes, at 400 a microsecond. What the first one of a circuit in
a block takes besides, a few milliseconds, is not charged: it grows with the circuits of a chain, not with what is sent."""

PROOF_LONG_BYTES = 192

GROWTH_BYTE = 16
"""Price of a byte by which the state grows: of a new key and its value, or by which a value gets longer."""

NEW_ACCOUNT = GROWTH_BYTE * (1 + 20 + 40)
"""Price of an account that was not there: its key and its value."""

GLOBAL = 20
"""Price of a mutable global that a contract sets: it is put back after every call."""

INSTANCE_BASE = 3_000
INSTANCE_EXPORT = 100
INSTANCE_GLOBAL = 50
INSTANCE_SEGMENT = 100
INSTANCE_SEGMENT_FUNCTION = 40
"""Price of a new instance: the base, and so much for each entry point, each mutable global that is set, each passive
element segment and each function in one."""

MEMORY_BYTES_PER_GAS = 4
"""Bytes of the memory of a new instance that a gas pays for: the system hands them out anew, a page at a touch."""

SHIELDED_NOTE = 4_000
"""Intrinsic gas of a call of a shielded pool besides, for each of the two notes that it spends and makes."""


@dataclass(frozen=True)
class Price:
    """Price of a host function: `base`, and `each` for every `unit` bytes of what `of` names (nothing if it is empty).

    Bytes that do not make up a unit are free.
    """

    base: int
    each: int = 0
    of: str = ""
    unit: int = 1


PRICES = {
    "storage_get": Price(200, 1, "key and value"),
    "storage_has": Price(150, 1, "key"),
    "storage_read_value": Price(20, 1, "bytes copied"),
    "storage_set": Price(500, 4, "key and value"),
    "storage_delete": Price(300, 1, "key"),
    "block_number": Price(10),
    "timestamp": Price(10),
    "caller": Price(15),
    "self_address": Price(15),
    "value": Price(15),
    "input_len": Price(10),
    "input_read": Price(10, 1, "bytes copied"),
    "set_output": Price(10, 2, "output"),
    "balance": Price(200),
    "transfer": Price(500),
    "emit_event": Price(100, 4, "event"),
    "events_len": Price(10),
    "read_event": Price(20, 1, "bytes copied"),
    "sha256": Price(60, 1, "message"),
    "keccak256": Price(80, 1, "message"),
    "derive_eth_address": Price(150),
    "verify_ed25519": Price(20_000, 1, "message"),
    "verify_secp256k1": Price(15_000),
    "recover_secp256k1_pubkey": Price(18_000),
    "bn254_add": Price(6_000),
    "bn254_mul": Price(30_000),
    "bn254_pairing_check": Price(220_000, 85_000, "pair", 192),
    "bls12_g1add": Price(7_000),
    "bls12_g1msm": Price(130_000, 36_000, "term", 160),
    "bls12_g2add": Price(8_000),
    "bls12_g2msm": Price(230_000, 60_000, "term", 288),
    "bls12_pairing_check": Price(350_000, 140_000, "pair", 384),
    "bls12_map_fp_to_g1": Price(27_000),
    "bls12_map_fp2_to_g2": Price(72_000),
    "point_evaluation": Price(730_000),
}
"""By name of the host function. The prices of precompiled contracts are what they take on one core without lanes, at 400 a
microsecond, which is about that of `verify_secp256k1`: never less, and at most twice as much."""


def intrinsic_gas(data_bytes: int, objects: int = 0) -> int:
    """Intrinsic gas of a transaction with so many bytes of data (`DATA_BYTE`) that lists so many objects."""
    return BASE + OBJECT * objects + DATA_BYTE * data_bytes


def instance_gas(entry_points: int, globals_set: int, segments: int, segment_functions: int) -> int:
    """Price of a new instance of a contract, its memory not counted."""
    return (
        INSTANCE_BASE
        + INSTANCE_EXPORT * entry_points
        + INSTANCE_GLOBAL * globals_set
        + INSTANCE_SEGMENT * segments
        + INSTANCE_SEGMENT_FUNCTION * segment_functions
    )
