# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls of `SubmitBlocks` without a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing

from supervm.tiers.node.full_service import FullService
from supervm.tiers.service.v1 import node_pb2 as pb


async def packed(files: Iterable[bytes]) -> AsyncIterator[bytes]:
    """Requests as they come from a caller."""
    for data in files:
        yield pb.SubmitBlocksRequest(block=data).SerializeToString()


def acknowledged(
    service: FullService, files: Iterable[bytes], most: int | None = None
) -> list[pb.BlockAcknowledgement]:
    """What is acknowledged of blocks until their end, or until so many are."""

    async def call() -> list[pb.BlockAcknowledgement]:
        found: list[pb.BlockAcknowledgement] = []
        async with aclosing(
            service.submit_blocks().acknowledgements(packed(files), asyncio.to_thread)
        ) as all_:
            async for each in all_:
                found.append(each)
                if len(found) == most:
                    break
        return found

    return asyncio.run(call())
