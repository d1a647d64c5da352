# SPDX-License-Identifier: GPL-3.0-or-later
"""One call of `SubmitBlocks`: blocks in, and an acknowledgement of each, in order, once it is on disk.

A call that waits for its caller holds no thread. One that waits for the node has a thread for a moment, again and again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Protocol, TypeVar

from supervm.tiers.node.blocks import Block, unpack_block
from supervm.tiers.node.errors import NodeError
from supervm.tiers.node.full_node import FullNode
from supervm.tiers.node.records import BlockRecord
from supervm.tiers.node.sources import Offered, SubmittedBlocks
from supervm.tiers.service.v1 import node_pb2 as pb

READ_AHEAD = 2
"""Blocks of a call that are read before the first of them is acknowledged."""

STOPS = "the node stops; submit the block again when it runs"

_PATIENCE = 0.1
"""Seconds for which a thread waits for the node."""

T = TypeVar("T")


class Run(Protocol):
    """Calls a function on a thread."""

    def __call__(self, function: Callable[..., T], *arguments: object) -> Awaitable[T]: ...


class BlockStream:
    """A call, on one event loop.

    Args:
        node: that takes the blocks.
        source: the node's.
    """

    def __init__(self, node: FullNode, source: SubmittedBlocks) -> None:
        self._node, self._source = node, source
        self._taken: asyncio.Queue[tuple[int, bool] | BaseException | None] = asyncio.Queue()
        self._room = asyncio.Semaphore(READ_AHEAD)
        self._reader: asyncio.Future[None] | None = None
        self._open = 0

    def busy(self) -> bool:
        """Whether a block has come that is not acknowledged yet."""
        return self._open > 0

    def stop(self) -> None:
        """Read no more; what was taken is acknowledged if it gets to the disk, and the call then ends."""
        if self._reader is not None:
            self._reader.cancel()

    async def acknowledgements(
        self, requests: AsyncIterator[bytes], run: Run
    ) -> AsyncGenerator[pb.BlockAcknowledgement, None]:
        """Take blocks and acknowledge them.

        Args:
            requests: packed messages, `SubmitBlocksRequest`.
            run: has threads for what waits or computes.

        Raises:
            BlockRefused: a block that cannot follow; those before it were taken.
            DecodeError: bytes that are no message; likewise.
            NodeError: the node stops.
        """
        self._reader = asyncio.ensure_future(self._read(requests, run))
        try:
            while (item := await self._taken.get()) is not None:
                self._room.release()
                if isinstance(item, BaseException):
                    raise item
                number, known = item
                while not await run(self._node.wait_persisted, number, _PATIENCE):
                    if self._node.stopping and not self._node.wait_persisted(number, 0):
                        raise NodeError(self._node.problem or STOPS)
                acknowledgement = _acknowledgement(await run(self._node.records.block, number), known)
                self._open -= 1
                yield acknowledgement
        finally:
            self._reader.cancel()
            await asyncio.wait({self._reader})

    async def _read(self, requests: AsyncIterator[bytes], run: Run) -> None:
        """Take blocks as they come; what goes wrong is told behind those that were taken."""
        last: BaseException | None = None
        try:
            async for packed in requests:
                self._open += 1
                item = await self._take(await run(_unpacked, packed), run)
                await self._room.acquire()
                self._taken.put_nowait(item)
        except asyncio.CancelledError:
            last = NodeError(STOPS)
        except Exception as error:
            last = error
        finally:
            self._taken.put_nowait(last)

    async def _take(self, block: Block, run: Run) -> tuple[int, bool]:
        """The number of a block that was taken, and whether it was before."""
        if block.number <= self._source.tip.number and await run(self._is_known, block):
            return block.number, True
        while (offered := await run(self._source.offer, block, "call", _PATIENCE)) is Offered.NO_ROOM:
            if self._node.stopping:
                raise NodeError(STOPS)
        self._node.wake()
        return block.number, offered is Offered.KNOWN

    def _is_known(self, block: Block) -> bool:
        return self._node.records.hash_of(block.number) == block.hash


def _unpacked(packed: bytes) -> Block:
    return unpack_block(pb.SubmitBlocksRequest.FromString(packed).block, "call")


def _acknowledgement(record: BlockRecord, known: bool) -> pb.BlockAcknowledgement:
    return pb.BlockAcknowledgement(
        number=record.number,
        hash=record.hash,
        state_root=record.root,
        transactions=record.transactions,
        committed=record.committed,
        failed=record.failed,
        rejected=record.rejected,
        known=known,
    )
