# SPDX-License-Identifier: GPL-3.0-or-later
"""What a pool of n nodes does in a second, and what it costs, from what was measured of one node (docs/scale.md).

A node computes one share while the next one arrives. Four things can be the narrowest: the nodes, each node's link, the link
of the machine that hands work out, and that machine's own work for each share and item.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from supervm.kernels.errors import ArgumentError

DEPTH = 2
"""Shares that a node has at a time (`supervm.tiers.cluster.run.DEPTH`)."""

NEARLY = 0.99
"""Of the most that a pool of any size does: with as many nodes it is saturated."""


@dataclass(frozen=True)
class Pool:
    """A pool and its work, as measured.

    Args:
        rate: items a second that a node computes, with nothing else to do.
        share_items: items of a share.
        item_bytes: bytes of an item on the way to a node.
        answer_bytes: of its answer.
        node_link: bytes a second that a node can receive; as many it can send.
        head_link: the same of the machine that hands work out.
        share_seconds, item_seconds: what that machine does for each share, and for each item: cutting, putting in the
            store, checking answers.
        heads: machines that hand work out, each with a link and a share of the work of its own.
        delay: seconds until a share's first byte is at its node, and back for the answer.
        recheck: share of the items that another node computes again.

    Raises:
        ArgumentError: a number that cannot be.
    """

    rate: float
    share_items: int
    item_bytes: float
    answer_bytes: float
    node_link: float = math.inf
    head_link: float = math.inf
    share_seconds: float = 0.0
    item_seconds: float = 0.0
    heads: int = 1
    delay: float = 0.0
    recheck: float = 0.01

    def __post_init__(self) -> None:
        for name in ("rate", "share_items", "heads", "item_bytes", "node_link", "head_link"):
            if not getattr(self, name) > 0:
                raise ArgumentError(name, repr(getattr(self, name)), "more than 0")
        for name in ("answer_bytes", "share_seconds", "item_seconds", "delay", "recheck"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ArgumentError(name, repr(getattr(self, name)), "0 or more")

    @property
    def node_rate(self) -> float:
        """Items a second that one node brings, its link included."""
        compute = (1 + self.recheck) * self.share_items / self.rate
        arrive = (1 + self.recheck) * self.share_items * self.item_bytes / self.node_link
        leave = self.share_items * self.answer_bytes / self.node_link
        whole = arrive + compute + leave + 2 * self.delay + self.share_seconds
        return self.share_items / max(compute, arrive, leave, whole / DEPTH)

    @property
    def limits(self) -> dict[str, float]:
        """What those that hand work out can do, by reason: items a second."""
        own = self.share_seconds / self.share_items + self.item_seconds
        sent = (1 + self.recheck) * self.item_bytes
        return {
            "the head's own work": self.heads / own if own else math.inf,
            "the head's link": self.heads * self.head_link / max(sent, self.answer_bytes),
        }

    def throughput(self, nodes: int) -> float:
        """Items a second of so many nodes.

        Raises:
            ArgumentError: no nodes.
        """
        if nodes < 1:
            raise ArgumentError("nodes", repr(nodes), "1 or more")
        return min(nodes * self.node_rate, *self.limits.values())

    def narrowest(self, nodes: int) -> str:
        """What holds a pool of so many nodes: 'the nodes', 'the nodes\u2019 links', or what `limits` names."""
        reason, limit = min(self.limits.items(), key=lambda pair: pair[1])
        if limit < nodes * self.node_rate:
            return reason
        sent = (1 + self.recheck) * self.item_bytes
        return "the nodes' links" if self.node_link / sent < self.rate / (1 + self.recheck) else "the nodes"

    @property
    def saturation(self) -> float:
        """Nodes with which the pool does nearly all that it ever will; infinite where nothing but nodes limits it."""
        most = min(self.limits.values())
        return math.inf if math.isinf(most) else max(1, math.ceil(NEARLY * most / self.node_rate))

    def seconds(self, items: int, nodes: int) -> float:
        """How long so many items take, with the first share's way there and the last one's computation."""
        share = min(items, self.share_items)
        first = (
            share * self.item_bytes / min(self.node_link, self.head_link) + self.delay + self.share_seconds
        )
        return first + items / self.throughput(nodes)

    def cost(self, nodes: int, node_hour: float, head_hour: float = 0.0, items: float = 1e9) -> float:
        """What so many items cost, in the currency of an hour of a node and of the head.

        Args:
            nodes: of the pool.
            node_hour, head_hour: prices of an hour, of each.
            items: how many.
        """
        return (nodes * node_hour + self.heads * head_hour) / 3600 * items / self.throughput(nodes)
