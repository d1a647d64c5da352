# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks that a node packs from the transactions that were submitted to it. Such a node is the one producer of its chain.

A block is read back before it is handed over, by what reads any block: what a node writes, it and every follower can read.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from supervm.crypto import hashes
from supervm.crypto.messages import Messages
from supervm.tiers.node.blocks import pack_block, unpack_block
from supervm.tiers.node.errors import BlockRefused
from supervm.tiers.node.full_node import FullNode
from supervm.tiers.node.inbox import Inbox

log = logging.getLogger(__name__)


class Packer:
    """Packs a block when the node has none to execute; its `idle` is the node's.

    A file that this node once wrote and nobody can read, since it is too large, is set aside, and what it held waits again.

    Args:
        node: that executes the blocks.
        inbox: whose transactions are packed, and whose limits say how many.
        seconds: how long the first of fewer waits for others.
        clock: the time now, in seconds, which a block states.
    """

    def __init__(
        self, node: FullNode, inbox: Inbox, seconds: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._node, self._inbox, self._seconds, self._clock = node, inbox, seconds, clock
        self._since: float | None = None
        self._most: int | None = None
        self._number = node.number
        aside = node.source.set_aside(node.number + 1) if inbox.holds(node.number + 1) else None
        if aside is not None:
            log.warning(
                "block %d, which this node packed, is too large for any node to read: it is %s now, and its transactions "
                "are packed anew",
                node.number + 1,
                aside,
            )
        inbox.release(node.number, node.source.holds)

    def idle(self) -> None:
        """Pack a block if there is enough for one, or what there is has waited for long enough."""
        if self._number != self._node.number:
            self._number = self._node.number
            self._inbox.reconsider()
        now = self._clock()
        if not self._inbox.hopeful:
            self._since = None
            return
        self._since = now if self._since is None else min(self._since, now)  # a clock may go back
        tip = self._node.source.tip
        if tip.number != self._number or self._node.source.holds(tip.number + 1):
            return  # a block is on its way
        due = now - self._since >= self._seconds
        if due or self._inbox.may_fill:
            self._pack(tip.number + 1, max(int(now), tip.timestamp), full=not due)

    def _pack(self, number: int, timestamp: int, *, full: bool) -> None:
        encodings = self._inbox.pack(number, self._node.engine.accounts, self._most, full=full)
        if not encodings:
            return
        try:
            data = pack_block(number, self._node.source.tip.hash, timestamp, Messages.of(encodings))
            block = unpack_block(data, "this node")
        except BlockRefused as refused:
            self._give_up(number, encodings, refused)
            return
        self._node.source.put(block, data)
        self._since = self._most = None
        self._node.wake()

    def _give_up(self, number: int, encodings: list[bytes], refused: BlockRefused) -> None:
        """Try half as many; one that cannot be read alone is dropped."""
        log.error("a packed block could not be read and is not written: %s", refused)
        self._inbox.unpack(number)
        if len(encodings) == 1:
            self._inbox.drop([hashes.keccak256_batch(Messages.of(encodings))[0].tobytes()])
        self._most = max(1, len(encodings) // 2)
