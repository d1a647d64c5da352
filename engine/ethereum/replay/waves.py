# SPDX-License-Identifier: GPL-3.0-or-later
"""Balance transfers in parallel, wave by wave.

Why waves are enough. A transaction reads and writes the balances and nonces of its sender and its recipient
and nothing else: fees are not paid while the block runs, they are summed afterwards from the outcomes. With
these accounts as both reads and writes, the `locking` rule gives every transaction an edge to the last
earlier one that touches each of its accounts. So two transactions of one wave share no account, they commute
and can run at the same time; all that touch one account lie in different waves, in block order.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from supervm.engine.arrays.amounts import (
    Limbs,
    add,
    add_to,
    below,
    from_int,
    less,
    multiply,
    subtract_from,
    to_int,
    total,
)
from supervm.engine.ethereum.replay.transfers import TRANSFER_GAS, Executed, Outcome, Transfers
from supervm.kernels.threads import run_slices

GRAIN = 64
"""Transactions that one thread takes at a time; waves shorter than two grains run on the caller's thread."""

_TRANSFERRED = Outcome.TRANSFERRED.value
_CALL = Outcome.CALL.value
_CALL_WRONG_NONCE = Outcome.CALL_WRONG_NONCE.value
_WRONG_NONCE = Outcome.WRONG_NONCE.value
_INSUFFICIENT = Outcome.INSUFFICIENT.value
_OVERFLOW = Outcome.OVERFLOW.value
_READY = 255


def execute_waves(block: Transfers, wave: NDArray[np.int32], *, grain: int = GRAIN) -> Executed:
    """Execute `block` by the rules of `supervm.engine.ethereum.replay.transfers`, the members of a wave in parallel.

    Args:
        block: the transactions and accounts.
        wave: int32 (n,), of `detect` over `block.keys()` as reads and as writes, rule `locking`.
        grain: see `GRAIN`.
    """
    balances, nonces = block.balances.copy(), block.nonces.copy()
    fee, cost, outcome = _costs(block)
    order = np.argsort(wave, kind="stable")

    def members(start: int, stop: int) -> None:
        _execute_members(
            order[start:stop],
            balances,
            nonces,
            block.sender,
            block.recipient,
            block.transfer,
            block.nonce,
            block.value,
            cost,
            outcome,
        )

    for first, last, parallel in _stages(wave, grain):
        if parallel:
            run_slices(lambda a, b, at=first: members(at + a, at + b), last - first, grain)  # type: ignore[misc]
        else:
            members(first, last)
    done = outcome == Outcome.TRANSFERRED
    burned = int(done.sum()) * TRANSFER_GAS * to_int(block.base_fee)
    fees = total(fee[done]) - burned
    owner = block.fee_recipient
    balances[owner] = from_int((to_int(balances[owner]) + fees) % 2**256)
    return Executed(balances, nonces, outcome, burned, fees)


def _costs(block: Transfers) -> tuple[Limbs, Limbs, NDArray[np.uint8]]:
    """The fee of each transaction, what its sender pays in all, and its outcome if that is known already."""
    fee, fee_overflows = multiply(block.gas_price, TRANSFER_GAS)
    cost, cost_overflows = add(block.value, fee)
    outcome = np.full(len(block), _READY, np.uint8)
    # Beyond 2^256 nobody can pay; the nonce is looked at first all the same, so that the reason is the same.
    cost[fee_overflows | cost_overflows] = np.iinfo(np.uint64).max
    outcome[(fee_overflows | cost_overflows) & block.transfer] = _INSUFFICIENT
    outcome[block.transfer & below(block.gas_price, block.base_fee[None])] = Outcome.FEE_BELOW_BASE
    outcome[~block.signed] = Outcome.NO_SENDER
    return fee, cost, outcome


def _stages(wave: NDArray[np.int32], grain: int) -> list[tuple[int, int, bool]]:
    """The wave order cut into stages (first, last, in parallel): a long wave is one, and so is a run of short
    ones, which one thread executes in a single call."""
    ends = np.cumsum(np.bincount(wave))
    starts = np.append(0, ends[:-1])
    long = ends - starts >= 2 * grain
    head = np.append(True, long[1:] | long[:-1])[: len(ends)]
    first = starts[head]
    last = np.append(first[1:], ends[-1:])
    return list(zip(first.tolist(), last.tolist(), long[head].tolist(), strict=True))


@njit(nogil=True, cache=True)
def _execute_members(  # type: ignore[no-untyped-def]
    order, balances, nonces, senders, recipients, transfer, nonce, values, costs, outcome
):
    for i in order:
        sender, recipient = senders[i], recipients[i]
        known = outcome[i]
        if known != _READY and known != _INSUFFICIENT:
            continue
        right = nonces[sender] == nonce[i]
        if not transfer[i]:
            nonces[sender] += np.uint64(1)
            outcome[i] = _CALL if right else _CALL_WRONG_NONCE
        elif not right:
            outcome[i] = _WRONG_NONCE
        elif known == _INSUFFICIENT or less(balances[sender], costs[i]):
            outcome[i] = _INSUFFICIENT
        elif recipient != sender and _overflows(balances[recipient], values[i]):
            outcome[i] = _OVERFLOW
        else:
            subtract_from(balances[sender], costs[i])
            add_to(balances[recipient], values[i])
            nonces[sender] += np.uint64(1)
            outcome[i] = _TRANSFERRED


@njit(nogil=True, cache=True)
def _overflows(a, b):  # type: ignore[no-untyped-def]
    """Whether a + b ≥ 2^256, that is, whether 2^256 − 1 − a < b."""
    for k in range(3, -1, -1):
        room = ~a[k]
        if room != b[k]:
            return room < b[k]
    return False
