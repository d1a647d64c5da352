# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of attacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from supervm.benchmarks.attack import grpc_attackers as grpc
from supervm.benchmarks.attack import http_attackers as http
from supervm.benchmarks.attack import node_attackers as node
from supervm.benchmarks.attack.unpaid import unpaid_transactions

Run = Callable[[str, float], dict[str, Any]]
"""Attacks HOST:PORT for so many seconds and counts what it did; its docstring begins with what that is."""


class Port(Enum):
    """What is attacked."""

    GRPC = "service, gRPC"
    HTTP = "service, HTTP"
    NODE = "node, gRPC"


@dataclass(frozen=True)
class Attack:
    """An attack.

    Args:
        port: what it is aimed at.
        run: the attacker.
        sent_blocks: whether the node is sent its blocks; else it packs them.
    """

    port: Port
    run: Run
    sent_blocks: bool = False

    @property
    def what(self) -> str:
        """It does, in one line."""
        return (self.run.__doc__ or "").partition("\n")[0]


_RUNS: dict[Port, tuple[Run, ...]] = {
    Port.GRPC: (
        grpc.silent_calls,
        grpc.silent_streams,
        grpc.silent_checks,
        grpc.silent_reflection,
        grpc.silent_connections,
        grpc.watches,
        grpc.unfinished_calls,
        grpc.unfinished_streams,
        grpc.bombs,
        grpc.resets,
    ),
    Port.HTTP: tuple(http.ATTACKERS.values()),
    Port.NODE: (
        unpaid_transactions,
        node.silent_questions,
        node.silent_blocks,
        node.malformed_blocks,
        node.unfinished_blocks,
        node.unread_accounts,
        grpc.watches,
        grpc.resets,
    ),
}

_ON_STREAMS = (node.silent_blocks, node.malformed_blocks, node.unfinished_blocks)

ATTACKS = {
    f"{port.name.lower()}-{run.__name__.replace('_', '-')}": Attack(port, run, run in _ON_STREAMS)
    for port, runs in _RUNS.items()
    for run in runs
}
"""Every attack, by its name on the command line."""
