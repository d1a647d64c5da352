# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a node's blocks come from: a directory of files, or calls that submit them. Both check what follows what."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from enum import Enum
from pathlib import Path
from typing import Protocol

from supervm.tiers.node.blocks import MOST_BYTES, SUFFIX, Block, BlockReader, file_name, write_block
from supervm.tiers.node.errors import BlockRefused

log = logging.getLogger(__name__)

LISTING_SECONDS = 10.0
"""How often a directory is listed to find out whether the next block is the one that is missing."""


class Tip:
    """The last block that was taken, executed or about to be.

    Args:
        number, hash, timestamp: its; number 0 stands for the genesis.
    """

    def __init__(self, number: int, hash: bytes, timestamp: int) -> None:
        self.number, self.hash, self.timestamp = number, hash, timestamp

    def advance(self, block: Block, source: str) -> None:
        """Take the next block.

        Raises:
            BlockRefused: it is not the next one; nothing changed.
        """
        if block.number != self.number + 1:
            raise BlockRefused(source, block.number, f"number {block.number}", f"number {self.number + 1}")
        if block.parent != self.hash:
            found = f"parent {block.parent.hex()}"
            raise BlockRefused(source, block.number, found, f"{self.hash.hex()}, the block before")
        if block.timestamp < self.timestamp:
            found = f"timestamp {block.timestamp}"
            raise BlockRefused(source, block.number, found, f"at least {self.timestamp}, as the block before")
        self.number, self.hash, self.timestamp = block.number, block.hash, block.timestamp


class Source(Protocol):
    """Where blocks come from. One thread takes them."""

    tip: Tip

    def take(self) -> Block | None:
        """The next block; None if it is not there yet.

        Raises:
            BlockRefused: what is there cannot follow.
        """

    def holds(self, number: int) -> bool:
        """Whether a block after the tip is there for good, so that it will be taken."""

    def put(self, block: Block, data: bytes) -> None:
        """Add a block that this node has made, and its file."""

    def set_aside(self, number: int) -> Path | None:
        """Give the file of a block another name if it has more bytes than any node reads; the name, None if not."""


class DirectorySource:
    """Blocks in files that are renamed into a directory under their names (`blocks.file_name`).

    Args:
        folder: the directory.
        tip: the block that the first one follows.
    """

    def __init__(self, folder: Path, tip: Tip) -> None:
        self.folder, self.tip = folder, tip
        self._reader = BlockReader()
        self._told = 0
        self._gone = False
        self._listed = -LISTING_SECONDS

    def take(self) -> Block | None:
        """See `Source`; a file that is refused stays where it is."""
        path = self.folder / file_name(self.tip.number + 1)
        try:
            block = self._reader.read(path)
        except FileNotFoundError:
            self._tell_what_is_missing()
            return None
        self.tip.advance(block, str(path))
        return block

    def holds(self, number: int) -> bool:
        """See `Source`."""
        return (self.folder / file_name(number)).exists()

    def put(self, block: Block, data: bytes) -> None:
        """See `Source`."""
        write_block(self.folder, block.number, data)

    def set_aside(self, number: int) -> Path | None:
        """See `Source`."""
        path = self.folder / file_name(number)
        try:
            if path.stat().st_size <= MOST_BYTES:
                return None
        except FileNotFoundError:
            return None
        return path.rename(path.with_name(f"{path.name}.too-large"))

    def _tell_what_is_missing(self) -> None:
        """Say once that a block is missing before others that are there, or that the directory is."""
        missing, gone = self.tip.number + 1, not self.folder.is_dir()
        if gone and not self._gone:
            log.warning("the directory %s is gone; waiting for it", self.folder)
        self._gone = gone
        if not gone and self._told != missing and self._has_after(missing):
            self._told = missing
            log.warning("block %d is missing before others that are there; waiting for it", missing)

    def _has_after(self, number: int) -> bool:
        """Whether a block behind this one is there: the next is looked for always, all of them now and then."""
        if self.holds(number + 1):
            return True
        now = time.monotonic()
        if now - self._listed < LISTING_SECONDS:
            return False
        self._listed = now
        names = (each.name for each in self.folder.glob(f"*{SUFFIX}"))
        return any(name > file_name(number) for name in names)


class Offered(Enum):
    """What became of a block that was offered."""

    TAKEN = 0
    KNOWN = 1
    """The same block was taken before."""
    NO_ROOM = 2


REMEMBERED = 64
"""Blocks besides those in the queue whose hashes are at hand; until then the records have them."""


class SubmittedBlocks:
    """Blocks that calls submit, in a queue of `depth`.

    Args:
        tip: the block that the first one follows.
        depth: blocks that wait, at most.
    """

    def __init__(self, tip: Tip, depth: int) -> None:
        self.tip, self._depth = tip, depth
        self._waiting: deque[Block] = deque()
        self._hashes: dict[int, bytes] = {}
        self._room = threading.Condition()

    def take(self) -> Block | None:
        """See `Source`."""
        with self._room:
            block = self._waiting.popleft() if self._waiting else None
            self._room.notify_all()
            return block

    def offer(self, block: Block, source: str, patience: float) -> Offered:
        """Put the next block in the queue, waiting for room `patience` seconds at most.

        Raises:
            BlockRefused: it cannot follow; nothing changed.
        """
        with self._room:
            # Who waits for room may find that another call had the same block.
            room = self._room.wait_for(lambda: self._has(block) or len(self._waiting) < self._depth, patience)
            if self._has(block):
                return Offered.KNOWN
            if not room:
                return Offered.NO_ROOM
            self._append(block, source)
            return Offered.TAKEN

    def _has(self, block: Block) -> bool:
        return self._hashes.get(block.number) == block.hash

    def _append(self, block: Block, source: str) -> None:
        self.tip.advance(block, source)
        self._waiting.append(block)
        self._hashes[block.number] = block.hash
        self._hashes.pop(block.number - self._depth - REMEMBERED, None)

    def holds(self, number: int) -> bool:
        """See `Source`: what waits here is gone with the process."""
        return False

    def put(self, block: Block, data: bytes) -> None:
        """See `Source`; there is always room for it."""
        with self._room:
            self._append(block, "this node")

    def set_aside(self, number: int) -> Path | None:
        """See `Source`: there are no files."""
        return None

    @property
    def waiting(self) -> int:
        """Blocks in the queue."""
        return len(self._waiting)
