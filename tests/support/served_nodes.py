# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes with a server on a free port."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from node_chains import opened, running

from supervm.engine.work_classes import Work
from supervm.tiers.node.full_node import FullNode
from supervm.tiers.node.full_service import FullService
from supervm.tiers.node.inbox import Inbox
from supervm.tiers.node.limits import BlockLimits, InboxLimits
from supervm.tiers.node.packing import Packer
from supervm.tiers.node.server import NodeServer
from supervm.tiers.node.tasks import TaskRouter
from supervm.tiers.node.upstream import Upstream
from supervm.tiers.service.access import Access
from supervm.tiers.service.security import ServerTls
from supervm.tiers.tier import L2, Tier


class Served(NamedTuple):
    """A node, what answers its calls, a connection to it, and its port."""

    node: FullNode
    service: FullService
    inbox: Inbox | None
    upstream: Upstream
    server: NodeServer


def start_node(
    stack: ExitStack,
    folder: Path,
    chain: Path,
    *,
    pack: int = 0,
    limits: Mapping[str, Any] = MappingProxyType({}),
    tier: Tier = L2,
    tasks: Any = tuple(Work),
    tls: ServerTls | None = None,
    access: Access | None = None,
    reached: Mapping[str, Any] = MappingProxyType({}),
    **more: Any,
) -> Served:
    """Run a node, with its own blocks of up to `pack` transactions, until the stack unwinds; `limits` are of its inbox.

    Args:
        tls, access: of its port; `reached` has what its `upstream` needs there.
    """
    node = opened(folder, chain, **more)
    inbox = None
    if pack:
        inbox = Inbox(folder / "inbox.sqlite", InboxLimits(**{"block": BlockLimits(pack), **limits}))
        stack.callback(inbox.close)
        node.idle = Packer(node, inbox, 0.0).idle
    service = FullService(node, TaskRouter(tier, tasks), inbox)
    server = NodeServer(service, "127.0.0.1:0", tls=tls, access=access)
    stack.enter_context(running(node))
    stack.callback(server.stop, 0.2)
    server.start()
    upstream = stack.enter_context(Upstream(server.address, **reached))
    return Served(node, service, inbox, upstream, server)
