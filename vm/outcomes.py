# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a transaction was rejected or failed: the names and numbers of `docs/execution-rules.md`, stable for ever."""

from __future__ import annotations

from enum import IntEnum


class Reason(IntEnum):
    """What a receipt says beside success: 1 to 31 reject a transaction, 32 and above fail it."""

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
    PROOF_REQUIRED = 15
    WRONG_CIRCUIT = 16
    BAD_NOTES = 17
    WRONG_POOL = 18
    OUT_OF_RANGE = 19
    WRONG_VALUE = 20
    NO_EVM = 21
    MALFORMED_ETHEREUM = 22
    EVM_RULE = 23

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
    UNKNOWN_ROOT = 47
    NULLIFIER_SPENT = 48
    POOL_FULL = 49
    POOL_SHORT = 50
    EVM_REVERTED = 51
    EVM_HALTED = 52


REASON_WORDS = {
    Reason.NONE: "The transaction succeeded.",
    Reason.MALFORMED_SIGNATURE: "The signature is not one of its scheme, or the scheme is unknown.",
    Reason.BAD_SIGNATURE: "The signature does not sign this transaction.",
    Reason.WRONG_SENDER: "The signing key is not the sender's.",
    Reason.WRONG_CHAIN: "The transaction is for another chain.",
    Reason.NO_VERIFIER: "The transaction is private and no verifier is configured.",
    Reason.BAD_PROOF: "The proof is not valid for this transaction.",
    Reason.GAS_LIMIT_TOO_HIGH: "The gas limit is above 1,000,000,000.",
    Reason.GAS_LIMIT_TOO_LOW: "The gas limit is below the intrinsic gas.",
    Reason.UNKNOWN_CONTRACT: "No contract is deployed at the address.",
    Reason.UNKNOWN_ENTRY: "The contract has no entry point of this name.",
    Reason.BAD_NONCE: "The nonce is not the sender's next.",
    Reason.INSUFFICIENT_BALANCE: "The sender cannot pay the value and the gas limit at its price.",
    Reason.TOO_LARGE: "The transaction's encoding has more than 1,048,576 bytes.",
    Reason.MALFORMED_PROOF: "The proof is malformed, or of a circuit that is not accepted here.",
    Reason.PROOF_REQUIRED: "A shielded pool takes private calls only.",
    Reason.WRONG_CIRCUIT: "The proof is of another circuit than the pool's.",
    Reason.BAD_NOTES: "The input is not the bytes of two notes.",
    Reason.WRONG_POOL: "The proof is for another pool.",
    Reason.OUT_OF_RANGE: "An amount of the proof is not below 2^64, or the recipient no address.",
    Reason.WRONG_VALUE: "The value is not what the proof brings into the pool.",
    Reason.NO_EVM: "The chain executes no Ethereum transactions.",
    Reason.MALFORMED_ETHEREUM: "The input is not an Ethereum transaction that says what the transaction says.",
    Reason.EVM_RULE: "The Ethereum transaction breaks a rule of the chain's fork.",
    Reason.OUT_OF_GAS: "The gas limit was reached.",
    Reason.UNREACHABLE: "The contract executed `unreachable`.",
    Reason.MEMORY_OUT_OF_BOUNDS: "The contract accessed memory beyond its end.",
    Reason.STACK_OVERFLOW: "Calls were nested too deep.",
    Reason.INTEGER_OVERFLOW: "The smallest integer was divided by -1, or a float was too large for an integer.",
    Reason.DIVISION_BY_ZERO: "An integer was divided by zero.",
    Reason.BAD_CONVERSION: "A float that is not a number was converted to an integer.",
    Reason.INDIRECT_CALL: "An indirect call went to no function, or to one of another type.",
    Reason.BAD_POINTER: "A host function was given bytes beyond the end of memory.",
    Reason.NO_HELD_VALUE: "A stored value was read before any was looked up.",
    Reason.EVENT_INDEX: "No event has this index.",
    Reason.LIMIT_EXCEEDED: "A limit of a transaction was exceeded.",
    Reason.CONTRACT_ERROR: "The contract returned a negative number.",
    Reason.OBJECT_NOT_OWNED: "An object does not exist, or is not the sender's own.",
    Reason.OTHER_TRAP: "wasmtime stopped the contract for another reason.",
    Reason.UNKNOWN_ROOT: "The proof is about a note tree that the pool did not have lately.",
    Reason.NULLIFIER_SPENT: "A note is spent already.",
    Reason.POOL_FULL: "The pool may have no room for two more notes.",
    Reason.POOL_SHORT: "The pool holds less than the transaction takes from it.",
    Reason.EVM_REVERTED: "The EVM's code reverted.",
    Reason.EVM_HALTED: "The EVM halted.",
}
"""One sentence for each reason."""

FIRST_FAILURE = Reason.OUT_OF_GAS
"""Reasons from here on are failures: the nonce and the gas stay spent."""


def is_rejection(reason: int) -> bool:
    """Whether the reason, by number, is one for which a transaction changes nothing and pays nothing."""
    return Reason.NONE < reason < FIRST_FAILURE


def is_failure(reason: int) -> bool:
    """Whether the reason, by number, is one for which a transaction pays its gas and does nothing else."""
    return reason >= FIRST_FAILURE
