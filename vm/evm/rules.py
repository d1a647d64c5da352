# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules that a transaction must keep to be in a block, each with a number and a name."""

from __future__ import annotations

from enum import IntEnum


class Rule(IntEnum):
    """The rule that a transaction breaks; a transaction that breaks several names the first that is looked at."""

    VALID = 0
    INVALID_SIGNATURE = 1
    WRONG_CHAIN_ID = 2
    TYPE_NOT_SUPPORTED = 3
    NONCE_TOO_LOW = 4
    NONCE_TOO_HIGH = 5
    NONCE_IS_MAX = 6
    SENDER_HAS_CODE = 7
    MAX_FEE_BELOW_BASE_FEE = 8
    PRIORITY_ABOVE_MAX_FEE = 9
    INSUFFICIENT_FUNDS = 10
    INTRINSIC_GAS_TOO_LOW = 11
    FLOOR_GAS_TOO_LOW = 12
    GAS_ABOVE_BLOCK = 13
    GAS_ABOVE_CAP = 14
    INITCODE_TOO_LARGE = 15
    NO_BLOBS = 16
    TOO_MANY_BLOBS = 17
    BLOBS_ABOVE_BLOCK = 18
    BLOB_HASH_VERSION = 19
    BLOB_CREATION = 20
    BLOB_FEE_TOO_LOW = 21
    NO_AUTHORIZATIONS = 22
    SET_CODE_CREATION = 23


MEANINGS: dict[Rule, str] = {
    Rule.VALID: "the transaction is valid",
    Rule.INVALID_SIGNATURE: "the signature yields no sender",
    Rule.WRONG_CHAIN_ID: "the transaction names another chain",
    Rule.TYPE_NOT_SUPPORTED: "the fork does not have this type of transaction (EIP-2718)",
    Rule.NONCE_TOO_LOW: "the nonce is below the sender's",
    Rule.NONCE_TOO_HIGH: "the nonce is above the sender's",
    Rule.NONCE_IS_MAX: "the sender's nonce is 2^64 - 1 (EIP-2681)",
    Rule.SENDER_HAS_CODE: "the sender is a contract (EIP-3607)",
    Rule.MAX_FEE_BELOW_BASE_FEE: "the fee per gas is below the block's base fee (EIP-1559)",
    Rule.PRIORITY_ABOVE_MAX_FEE: "the priority fee is above the maximum fee (EIP-1559)",
    Rule.INSUFFICIENT_FUNDS: "the sender cannot pay gas, blobs and value at most",
    Rule.INTRINSIC_GAS_TOO_LOW: "the gas limit is below the intrinsic gas",
    Rule.FLOOR_GAS_TOO_LOW: "the gas limit is below the floor for the input (EIP-7623)",
    Rule.GAS_ABOVE_BLOCK: "the gas limit is above what the block has left",
    Rule.GAS_ABOVE_CAP: "the gas limit is above that of a transaction (EIP-7825)",
    Rule.INITCODE_TOO_LARGE: "the initcode is too large (EIP-3860)",
    Rule.NO_BLOBS: "a blob transaction has no blobs (EIP-4844)",
    Rule.TOO_MANY_BLOBS: "the transaction has more blobs than it may (EIP-4844, EIP-7594)",
    Rule.BLOBS_ABOVE_BLOCK: "the transaction has more blobs than the block has left (EIP-4844)",
    Rule.BLOB_HASH_VERSION: "a versioned hash of a blob begins with another byte than 1 (EIP-4844)",
    Rule.BLOB_CREATION: "a blob transaction creates a contract (EIP-4844)",
    Rule.BLOB_FEE_TOO_LOW: "the fee per blob gas is below the block's (EIP-4844)",
    Rule.NO_AUTHORIZATIONS: "a set-code transaction has no authorizations (EIP-7702)",
    Rule.SET_CODE_CREATION: "a set-code transaction creates a contract (EIP-7702)",
}
"""What each rule says, in words."""
