# SPDX-License-Identifier: GPL-3.0-or-later
"""Sequential balance transfers, in block order: the reference for parallel execution."""

from __future__ import annotations

import numpy as np
from numba import njit

from supervm.engine.arrays.amounts import add_to, assign, less, subtract_from, to_int
from supervm.engine.ethereum.replay.transfers import TRANSFER_GAS, Executed, Outcome, Transfers

_GAS = np.uint64(TRANSFER_GAS)
_TRANSFERRED = Outcome.TRANSFERRED.value
_CALL = Outcome.CALL.value
_CALL_WRONG_NONCE = Outcome.CALL_WRONG_NONCE.value
_NO_SENDER = Outcome.NO_SENDER.value
_FEE_BELOW_BASE = Outcome.FEE_BELOW_BASE.value
_WRONG_NONCE = Outcome.WRONG_NONCE.value
_INSUFFICIENT = Outcome.INSUFFICIENT.value
_OVERFLOW = Outcome.OVERFLOW.value


def execute_sequential(block: Transfers) -> Executed:
    """Execute `block` by the rules of `supervm.engine.ethereum.replay.transfers`, each transaction seeing all before it."""
    balances, nonces = block.balances.copy(), block.nonces.copy()
    outcome = np.zeros(len(block), np.uint8)
    sums = np.zeros((2, 4), np.uint64)
    _execute(
        balances,
        nonces,
        block.sender,
        block.recipient,
        (block.transfer, block.signed),
        block.nonce,
        block.value,
        block.gas_price,
        block.base_fee,
        outcome,
        sums,
        np.zeros((4, 4), np.uint64),
    )
    add_to(balances[block.fee_recipient], sums[1])
    return Executed(balances, nonces, outcome, to_int(sums[0]), to_int(sums[1]))


@njit(nogil=True, cache=True)
def _execute(  # type: ignore[no-untyped-def]
    balances, nonces, senders, recipients, flags, nonce, values, gas_prices, base_fee, outcome, sums, scratch
):
    transfer, signed = flags
    fee, burned, left, before = scratch[0], scratch[1], scratch[2], scratch[3]
    _multiply(base_fee, _GAS, burned)
    for i in range(len(senders)):
        sender, recipient = senders[i], recipients[i]
        if not signed[i]:
            outcome[i] = _NO_SENDER
            continue
        if not transfer[i]:
            outcome[i] = _CALL if nonces[sender] == nonce[i] else _CALL_WRONG_NONCE
            nonces[sender] += np.uint64(1)
            continue
        if less(gas_prices[i], base_fee):
            outcome[i] = _FEE_BELOW_BASE
            continue
        if nonces[sender] != nonce[i]:
            outcome[i] = _WRONG_NONCE
            continue
        fee_overflows = _multiply(gas_prices[i], _GAS, fee)
        assign(left, balances[sender])
        if fee_overflows or subtract_from(left, fee) or subtract_from(left, values[i]):
            outcome[i] = _INSUFFICIENT
            continue
        assign(before, balances[sender])
        assign(balances[sender], left)
        if add_to(balances[recipient], values[i]):
            subtract_from(balances[recipient], values[i])
            assign(balances[sender], before)
            outcome[i] = _OVERFLOW
            continue
        nonces[sender] += np.uint64(1)
        add_to(sums[0], burned)
        subtract_from(fee, burned)
        add_to(sums[1], fee)
        outcome[i] = _TRANSFERRED


@njit(nogil=True, cache=True)
def _multiply(a, factor, out):  # type: ignore[no-untyped-def]
    """out = a · factor modulo 2^256; whether it reached 2^256. The factor is below 2^32."""
    carry = np.uint64(0)
    for k in range(4):
        low = (a[k] & np.uint64(0xFFFFFFFF)) * factor + carry
        high = (a[k] >> np.uint64(32)) * factor + (low >> np.uint64(32))
        out[k] = (high << np.uint64(32)) | (low & np.uint64(0xFFFFFFFF))
        carry = high >> np.uint64(32)
    return carry != 0
