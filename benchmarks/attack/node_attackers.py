# SPDX-License-Identifier: GPL-3.0-or-later
"""Attackers of a node's gRPC port, besides those of any gRPC port: streams of blocks, and answers that nobody reads.

Called as those of `grpc_attackers`, and with the same answer.
"""

from __future__ import annotations

from typing import Any

from h2.settings import SettingCodes

from supervm.benchmarks.attack.grpc_attackers import PREFIX, Attacker, attack, silent
from supervm.tiers.service.v1 import node_pb2 as pb

BLOCKS = "/supervm.v1.Node/SubmitBlocks"
ACCOUNTS = "/supervm.v1.Node/GetAccounts"

CONNECTIONS, STREAMS = 4, 64
BLOCK_BYTES, SENT_BYTES = 60 << 20, 59 << 20
"""What is announced of a block, less than `node.message.bytes`, and what is sent of it."""

MOST_ACCOUNTS = 100_000
"""Of one question; the answer has 50 bytes for each."""


class Unreading(Attacker):
    """Lets nothing of an answer come but its headers."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._http.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 0})


def silent_questions(address: str, seconds: float) -> dict[str, Any]:
    """1,100 questions that send headers and never a message."""
    return silent(ACCOUNTS, address, seconds)


def silent_blocks(address: str, seconds: float) -> dict[str, Any]:
    """1,100 streams of blocks that send none."""
    return silent(BLOCKS, address, seconds)


def malformed_blocks(address: str, seconds: float) -> dict[str, Any]:
    """Streams of bytes that are no messages, as many as can be made."""
    message = PREFIX.pack(0, 10) + b"\xff" * 10
    return attack(
        lambda tally: Attacker(address, BLOCKS, STREAMS, tally, message=message, whole=True),
        CONNECTIONS,
        seconds,
    )


def unfinished_blocks(address: str, seconds: float) -> dict[str, Any]:
    """Blocks of 60 MiB that stop after 59, 256 at a time."""
    message = PREFIX.pack(0, BLOCK_BYTES) + bytes(SENT_BYTES)
    return attack(
        lambda tally: Attacker(address, BLOCKS, STREAMS, tally, message=message), CONNECTIONS, seconds
    )


def unread_accounts(address: str, seconds: float) -> dict[str, Any]:
    """Questions about 100,000 accounts whose answers of 5 MB are not read, 256 at a time."""
    request = pb.GetAccountsRequest(addresses=bytes(20 * MOST_ACCOUNTS)).SerializeToString()
    message = PREFIX.pack(0, len(request)) + request
    return attack(
        lambda tally: Unreading(address, ACCOUNTS, STREAMS, tally, message=message, whole=True),
        CONNECTIONS,
        seconds,
    )
