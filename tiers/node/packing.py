# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks that a node packs from the transactions that were submitted to it. Such a node is the one producer of its chain."""

from __future__ import annotations

import time
from collections.abc import Callable

from supervm.crypto.messages import Messages
from supervm.tiers.node.blocks import pack_block
from supervm.tiers.node.full_node import FullNode
from supervm.tiers.node.inbox import Inbox


class Packer:
    """Packs a block when the node has none to execute; its `idle` is the node's.

    Args:
        node: that executes the blocks.
        inbox: whose transactions are packed, in the order they came.
        most: transactions of a block.
        seconds: how long the first of fewer waits for others.
        clock: the time now, in seconds, which a block states.
    """

    def __init__(
        self,
        node: FullNode,
        inbox: Inbox,
        most: int,
        seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._node, self._inbox, self._most, self._seconds, self._clock = node, inbox, most, seconds, clock
        self._since: float | None = None
        inbox.release(node.number, node.source.holds)

    def idle(self) -> None:
        """Pack a block if there is enough for one, or what there is has waited for long enough."""
        waiting, now = self._inbox.waiting, self._clock()
        if not waiting:
            self._since = None
            return
        self._since = now if self._since is None else min(self._since, now)  # a clock may go back
        tip = self._node.source.tip
        if tip.number != self._node.number or self._node.source.holds(tip.number + 1):
            return  # a block is on its way
        if waiting < self._most and now - self._since < self._seconds:
            return
        encodings = self._inbox.pack(tip.number + 1, self._most)
        timestamp = max(int(now), tip.timestamp)
        block = pack_block(tip.number + 1, tip.hash, timestamp, Messages.of(encodings))
        self._node.source.put(tip.number + 1, block)
        self._since = None
        self._node.wake()
