# SPDX-License-Identifier: GPL-3.0-or-later
"""Words of the machine for whoever executes transactions."""

from __future__ import annotations

from supervm.vm.evm.machine import TRANSACTION_WORDS, VALUE_WORDS

(
    # Set by the block.
    BLOCK_GAS_LEFT,  # gas that the block has left
    BLOCK_BLOBS_LEFT,  # blobs that it has left
    # Of the transaction at work.
    INTRINSIC,  # its intrinsic gas
    FLOOR,  # the least gas that it costs
) = range(TRANSACTION_WORDS, TRANSACTION_WORDS + 4)

(
    TARGET,  # whom it calls, or what it creates
    MOST,  # what the sender must have
    PART,  # a summand
    FEE,  # the fee recipient's part
    DIGEST,  # the hash of a code
    ADDRESS_AT_WORK,  # an account of an access list or an authorization
    KEY_AT_WORK,  # a slot of an access list
) = range(TRANSACTION_WORDS + 8, TRANSACTION_WORDS + 8 + 7 * VALUE_WORDS, VALUE_WORDS)
"""Values."""
