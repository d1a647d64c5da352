# SPDX-License-Identifier: GPL-3.0-or-later
"""Newcomers among the transactions that wait: what of a submission may join, and what of the sender's own it replaces.

A newcomer takes the place of its sender's that has its nonce if its gas price is a tenth above. The limits of a sender bind
newcomers in the order of their nonces; what waits already stays. A sender must hold what all of its transactions that wait
may cost, up to the newcomer's nonce.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from supervm.engine.arrays import amounts
from supervm.tiers.node.blocks import block_bytes
from supervm.tiers.node.limits import InboxLimits, Refusal
from supervm.tiers.node.waiting import Accounts, Places, Rows, Waiting
from supervm.vm.outcomes import Reason


class Joining:
    """n newcomers; `join` decides.

    Attributes:
        reasons: uint8 (n,), 0 for those that may join.
        replaced: int64, rows of `waiting` whose places they take.

    Args:
        waiting: what waits.
        rows: the newcomers, their senders numbered by `waiting`, in the order they came.
        limits: of the inbox.
        accounts: says what senders have now.
    """

    def __init__(self, waiting: Waiting, rows: Rows, limits: InboxLimits, accounts: Accounts) -> None:
        self._waiting, self._rows, self._limits = waiting, rows, limits
        self._nonces, self._balances = waiting.accounts(rows, accounts)
        self.reasons = np.zeros(len(rows), np.uint8)
        self.replaced: Places = np.zeros(0, np.int64)

    def join(self) -> None:
        """Decide, and set the attributes."""
        self._refuse_alone()
        held = self._waiting.of_senders(np.unique(self._rows["sender"]))
        self._rivals = self._settle_rivals(held)
        self._bind_senders(held)
        accepted = np.flatnonzero(self.reasons == 0).tolist()
        taken = [self._rivals[place] for place in accepted if place in self._rivals]
        self.replaced = np.array(sorted(taken), np.int64)

    def _refuse_alone(self) -> None:
        """What each newcomer is refused for by itself."""
        rows, block = self._rows, self._limits.block
        sizes = block_bytes(1, 0) + rows["bytes"]
        gap = np.uint64(self._limits.sender_gap)
        self.reasons = np.select(
            [
                rows["price"] < np.uint64(self._limits.price),
                (rows["gas"] > block.gas) | (sizes > block.bytes),
                rows["nonce"] < self._nonces,
                rows["nonce"] - self._nonces >= gap,
            ],
            [Refusal.PRICE_TOO_LOW, Refusal.ABOVE_BLOCK, Reason.BAD_NONCE, Refusal.NONCE_TOO_FAR],
            0,
        ).astype(np.uint8)

    def _settle_rivals(self, held: Places) -> dict[int, int]:
        """Refuse newcomers for whose nonce another stands; which row each of the others would replace."""
        live = np.flatnonzero(self.reasons == 0)
        old, new = self._waiting.rows[held], self._rows[live]
        sender = np.concatenate([old["sender"], new["sender"]])
        nonce = np.concatenate([old["nonce"], new["nonce"]])
        by = np.lexsort((nonce, sender))  # those that waited before newcomers, these as they came
        same = (np.diff(sender[by]) == 0) & (np.diff(nonce[by]) == 0)
        replaces: dict[int, int] = {}
        if not same.any():
            return replaces
        prices = np.concatenate([old["price"], new["price"]]).tolist()
        stands = -1
        for before, place, rival in zip(by[:-1].tolist(), by[1:].tolist(), same.tolist(), strict=True):
            if not rival:
                stands = -1
                continue
            stands = before if stands < 0 else stands
            newcomer = int(live[place - held.size])
            if prices[place] < prices[stands] + max(prices[stands] // 10, 1):
                self.reasons[newcomer] = Refusal.NONCE_TAKEN
                continue
            if stands < held.size:
                replaces[newcomer] = int(held[stands])
            else:
                beaten = int(live[stands - held.size])
                self.reasons[beaten] = Refusal.NONCE_TAKEN
                if beaten in replaces:
                    replaces[newcomer] = replaces.pop(beaten)
            stands = place
        return replaces

    def _bind_senders(self, held: Places) -> None:
        """Refuse newcomers beyond what their senders may have waiting, or can pay for."""
        live = np.flatnonzero(self.reasons == 0)
        if not live.size:
            return
        kept = np.setdiff1d(held, [self._rivals[place] for place in live.tolist() if place in self._rivals])
        rows = np.concatenate([self._waiting.rows[kept], self._rows[live]])
        which = np.concatenate([np.full(kept.size, -1), live])
        by = np.lexsort((rows["nonce"], rows["sender"]))
        rows, which = rows[by], which[by]
        new, place = which >= 0, np.arange(by.size)
        begins = np.diff(rows["sender"], prepend=-1) != 0
        first = np.maximum.accumulate(np.where(begins, place, 0))
        beyond = self._beyond(rows, new, begins, first)
        cost, overflows = amounts.running_totals(rows["cost"], first)
        poor = overflows[new] | amounts.below(self._balances[which[new]], cost[new])
        self.reasons[which[new]] = np.select(
            [beyond[new], poor], [Refusal.SENDER_FULL, Reason.INSUFFICIENT_BALANCE], 0
        )

    def _beyond(
        self, rows: Rows, new: NDArray[np.bool_], begins: NDArray[np.bool_], first: Places
    ) -> NDArray[np.bool_]:
        """Which newcomers their senders may not have waiting besides what they have: each group's own counts first."""
        group, limits = np.cumsum(begins) - 1, self._limits
        found = np.zeros(len(rows), np.bool_)
        for sizes, most in (
            (np.ones(len(rows), np.int64), limits.sender_transactions),
            (rows["bytes"], limits.sender_bytes),
        ):
            own = np.bincount(group, np.where(new, 0, sizes)).astype(np.int64)
            sums = np.cumsum(np.where(new, sizes, 0))
            before = (sums - np.where(new, sizes, 0))[first]
            found |= new & (own[group] + sums - before > most)
        return found
