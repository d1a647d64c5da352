# SPDX-License-Identifier: GPL-3.0-or-later
"""Merkle trees on a device: leaves in pieces, each a row of subtrees, then the levels above all of them.

Two streams take the pieces in turn, so that one is copied while another is computed. A piece goes up while a level fills the
device; the rows that it ends with stay there, and the levels above, which are few rows and many launches, are computed once
for the whole tree. Levels that are kept are copied back as they are made.

Device memory: for each of two pieces of B = arity^h leaves their bytes and 32 for each row of levels 0 to s − 1; 32 for each
row of the tree from level s on; 512 for each buffer. h and s are chosen so that this fits what is free.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from supervm.kernels.array_types import Array
from supervm.kernels.cuda.runtime.arrays import DeviceArray
from supervm.kernels.cuda.runtime.batch import (
    ALLOCATION_UNIT,
    MOST_OF_FREE,
    PIECE_BYTES,
    STREAMS,
    ItemProgram,
)
from supervm.kernels.cuda.runtime.device import PADDING, Buffer, Device, Program, Stream
from supervm.kernels.errors import DeviceError, DeviceOutOfMemory
from supervm.kernels.merkle_levels import WORDS, Growth, level_sizes, padded

ROW = 8 * WORDS

FRONT = ALLOCATION_UNIT
"""Bytes before the first row of a buffer, of which some may be read: `prefixed_row.cuh`."""

PIECE_LEAVES = 1 << 20
"""Most leaves of a piece: enough of them to overlap, and few launches for each."""

FULL_ROWS = 1 << 15
"""Rows below which a level does not fill a GPU: what takes as long as one of its hashes is left to the end."""

_BUFFER_BYTES = FRONT + PADDING + ALLOCATION_UNIT


class Hasher(Protocol):
    """A hash function as a tree uses it, on a device."""

    @property
    def hashes_leaves(self) -> bool:
        """Whether a leaf's row is a hash; else it is the leaf."""

    def prepare(self, device: Device, arity: int) -> None:
        """Put what the kernels read on the device, before its memory is planned."""

    def leaves(self, stream: Stream, data: np.uint64, width: int, out: np.uint64, count: int) -> None:
        """Queue the rows of leaves of `width` bytes each."""

    def nodes(
        self, device: Device, stream: Stream, level: np.uint64, arity: int, out: np.uint64, count: int
    ) -> None:
        """Queue the rows over groups of a level."""


@dataclass(frozen=True)
class ByteHasher:
    """A hash function over bytes.

    Args:
        program: one with the kernel `hash_rows`.
        leaf, node: the bytes in front of what is hashed.
    """

    program: Program
    leaf: int
    node: int
    hashes_leaves: bool = True

    def prepare(self, device: Device, arity: int) -> None:
        """See `Hasher.prepare`: `hash_rows` reads nothing but rows."""

    def leaves(self, stream: Stream, data: np.uint64, width: int, out: np.uint64, count: int) -> None:
        """See `Hasher.leaves`: the digest of `leaf` ‖ leaf, a thread each."""
        stream.launch_items(self.program, "hash_rows", count, data, width, self.leaf, out, count)

    def nodes(
        self, device: Device, stream: Stream, level: np.uint64, arity: int, out: np.uint64, count: int
    ) -> None:
        """See `Hasher.nodes`: the digest of `node` ‖ the rows of a group, a thread each."""
        stream.launch_items(self.program, "hash_rows", count, level, arity * ROW, self.node, out, count)


@dataclass(frozen=True)
class ItemHasher:
    """A hash function whose leaves are rows as they are.

    Args:
        program: the one whose items are groups of that arity and the rows over them.
    """

    program: Callable[[int], ItemProgram]
    hashes_leaves: bool = False

    def prepare(self, device: Device, arity: int) -> None:
        """See `Hasher.prepare`: the tables of the program for this arity."""
        for table in self.program(arity).tables.values():
            table.on(device)

    def leaves(self, stream: Stream, data: np.uint64, width: int, out: np.uint64, count: int) -> None:
        """Not to be called, as `hashes_leaves` says.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("leaves are rows")

    def nodes(
        self, device: Device, stream: Stream, level: np.uint64, arity: int, out: np.uint64, count: int
    ) -> None:
        """See `Hasher.nodes`: the program's launches, with groups as its input and rows as its output."""
        program = self.program(arity)
        (groups,), (rows,) = program.inputs, program.outputs
        known: dict[str, Buffer | int | np.uint64] = {
            groups: level,
            f"{groups}.width": arity * ROW,
            rows: out,
            **{name: table.on(device) for name, table in program.tables.items()},
        }
        for launch in program.launches:
            passed = (name if isinstance(name, int) else known[name] for name in launch.arguments)
            stream.launch_items(launch.program, launch.kernel, -(-count // launch.share), *passed, count)


def grow(hasher: Hasher, device: Device, growth: Growth) -> None:
    """Compute a growth on a device.

    Raises:
        DeviceError: it failed, or has not enough memory for the smallest pieces; the levels are worthless then.
    """
    growth.pad()
    with device.use():
        hasher.prepare(device, growth.arity)
        if growth.leaves is None or any(growth.starts):
            _Streamed(hasher, device, growth).run()
        else:
            _Pieces(hasher, device, growth).run()
    growth.pad()


@contextmanager
def _settling(streams: list[Stream]) -> Iterator[None]:
    """Wait for streams at the end, also after a failure: what is still being copied must not lose its memory."""
    try:
        yield
    finally:
        first: DeviceError | None = None
        for stream in streams:
            try:
                stream.wait()
            except DeviceError as error:
                first = first or error
        if first is not None:
            raise first


@dataclass(frozen=True)
class _Place:
    """A part of a buffer."""

    address: int
    size: int


class _Room:
    """Device memory for rows, with readable bytes in front of it."""

    def __init__(self, stream: Stream, size: int) -> None:
        self.buffer: Buffer = stream.allocate(FRONT + size)

    def at(self, offset: int = 0) -> np.uint64:
        """The address of a byte."""
        return np.uint64(self.buffer.address + FRONT + offset)

    def upload(self, stream: Stream, rows: Array | DeviceArray, offset: int = 0) -> None:
        """Queue a copy of rows on the host or on the device."""
        if isinstance(rows, DeviceArray):
            stream.copy(rows, _Place(self.buffer.address + FRONT + offset, rows.nbytes))
        elif rows.size:
            stream.upload(np.ascontiguousarray(rows), self.buffer, FRONT + offset)

    def download(self, stream: Stream, host: Array, offset: int = 0) -> None:
        if host.size:
            stream.download(self.buffer, host, FRONT + offset)


class _Streamed:
    """Level by level, each from the host and back, in pieces: for trees that grow, and for groups of their own."""

    def __init__(self, hasher: Hasher, device: Device, growth: Growth) -> None:
        self.hasher, self.device, self.growth = hasher, device, growth

    def run(self) -> None:
        growth, hasher = self.growth, self.hasher
        leaves, arity = growth.leaves, growth.arity
        if leaves is not None:
            target = growth.levels[0][growth.starts[0] : growth.ends[0]]
            if hasher.hashes_leaves:
                width = leaves.shape[1]
                self._level(
                    leaves, target, lambda stream, *part: hasher.leaves(stream, part[0], width, *part[1:])
                )
            else:
                target[...] = leaves
        for step in range(growth.steps):
            groups = padded(growth.ends[step], arity) // arity
            level = growth.levels[step][: groups * arity].reshape(groups, -1)
            target = growth.levels[step + 1][growth.starts[step + 1] :][:groups]
            self._level(
                level,
                target,
                lambda stream, *part: hasher.nodes(self.device, stream, part[0], arity, *part[1:]),
            )

    def _level(self, rows: Array, target: Array, launch: Callable[..., None]) -> None:
        """Hash rows of any width into rows of a level."""
        width = rows.shape[1] * rows.itemsize
        budget = int(self.device.free_bytes() * MOST_OF_FREE) // STREAMS - 2 * _BUFFER_BYTES
        most = min(len(rows), max(1, PIECE_BYTES // (width + ROW)), budget // (width + ROW))
        if len(rows) and most < 1:
            raise DeviceOutOfMemory(self.device.name, f"{width + ROW} bytes for a group of rows")
        streams = [self.device.stream() for _ in range(STREAMS)]
        rooms = [(_Room(stream, most * width), _Room(stream, most * ROW)) for stream in streams]
        with _settling(streams):
            for turn, start in enumerate(range(0, len(rows), max(1, most))):
                stop = min(start + most, len(rows))
                stream, (room, out) = streams[turn % STREAMS], rooms[turn % STREAMS]
                stream.wait()  # so that staging memory is that of two pieces
                room.upload(stream, rows[start:stop])
                launch(stream, room.at(), out.at(), stop - start)
                out.download(stream, target[start:stop])


@dataclass(frozen=True)
class _Plan:
    """How a tree is cut.

    Args:
        leaves: of a piece.
        steps: levels above the leaves that a piece computes by itself.
    """

    leaves: int
    steps: int


class _Pieces:
    """A tree from its leaves."""

    def __init__(self, hasher: Hasher, device: Device, growth: Growth) -> None:
        assert growth.leaves is not None
        self.hasher, self.device, self.growth = hasher, device, growth
        self.leaves: Array | DeviceArray = growth.leaves
        self.arity, self.depth = growth.arity, growth.lowest + growth.steps
        self.sizes = level_sizes(len(self.leaves), self.arity, self.depth)
        self.width = self.leaves.shape[1] * self.leaves.dtype.itemsize
        self._paddings: dict[tuple[int, int], Array] = {}

    def run(self) -> None:
        plan = self._plan(int(self.device.free_bytes() * MOST_OF_FREE))
        streams = [self.device.stream() for _ in range(STREAMS)]
        joint = [_Room(streams[0], ROW * padded(rows, self.arity)) for rows in self.sizes[plan.steps :]]
        streams[0].wait()  # memory that one stream asked for is used by both
        pieces = [_Piece(self, stream, plan) for stream in streams]
        with _settling(streams):
            for turn, first in enumerate(range(0, len(self.leaves), plan.leaves)):
                pieces[turn % STREAMS].send(first, min(first + plan.leaves, len(self.leaves)), joint[0])
        with _settling(streams[:1]):
            self._join(streams[0], joint, plan.steps)

    def _join(self, stream: Stream, joint: list[_Room], lowest: int) -> None:
        """The levels above the pieces."""
        self.keep(stream, joint[0], lowest, 0, self.sizes[lowest])
        for level in range(lowest, self.depth):
            below, above = joint[level - lowest], joint[level - lowest + 1]
            self.raise_level(stream, below, level, self.sizes[level], above.at())
            self.keep(stream, above, level + 1, 0, self.sizes[level + 1])

    def raise_level(self, stream: Stream, room: _Room, level: int, count: int, out: np.uint64) -> int:
        """Queue the parents of `count` rows of a level, padded; how many they are."""
        groups = padded(count, self.arity) // self.arity
        missing = groups * self.arity - count
        if missing:
            room.upload(stream, self.padding(level, missing), ROW * count)
        self.hasher.nodes(self.device, stream, room.at(), self.arity, out, groups)
        return groups

    def padding(self, level: int, count: int) -> Array:
        """Rows of empty subtrees, kept until the copies are done."""
        key = level, count
        if key not in self._paddings:
            self._paddings[key] = np.ascontiguousarray(
                np.repeat(self.growth.empty[level][None], count, axis=0)
            )
        return self._paddings[key]

    def keep(self, stream: Stream, room: _Room, level: int, first: int, count: int) -> None:
        """Queue the copy of rows of a level to the host, if the level is kept there."""
        if level < self.growth.lowest:
            return
        target = self.growth.levels[level - self.growth.lowest][first : first + count]
        if level or self.hasher.hashes_leaves or isinstance(self.leaves, DeviceArray):
            room.download(stream, target)
        else:
            target[...] = self.leaves[first : first + count]

    def _plan(self, budget: int) -> _Plan:
        """The largest pieces that fit."""
        for height in range(self._most_height(), -1, -1):
            leaves = self.arity**height
            for steps in self._steps(height):
                if self._need(leaves, steps) <= budget:
                    return _Plan(leaves, steps)
        need = self._need(self.arity, min(1, self.depth))
        raise DeviceOutOfMemory(
            self.device.name, f"{need} bytes for a tree in small pieces, {budget} can be used"
        )

    def _most_height(self) -> int:
        height = 0
        while self.arity**height < len(self.leaves) and self.arity ** (height + 1) <= PIECE_LEAVES:
            height += 1
        return height

    def _steps(self, height: int) -> Iterator[int]:
        """Levels that a piece may compute: at first those that fill the device."""
        full = sum(self.arity ** (height - step) >= FULL_ROWS for step in range(1, height + 1))
        return iter(range(min(full, self.depth), min(height, self.depth) + 1))

    def _need(self, leaves: int, steps: int) -> int:
        """Device bytes."""
        rows = [-(-leaves // self.arity**level) for level in range(steps)]
        piece = ROW * sum(padded(count, self.arity) for count in rows) + _BUFFER_BYTES * (steps + 1)
        if self.hasher.hashes_leaves:
            piece += leaves * self.width
        above = self.sizes[steps:]
        return STREAMS * piece + sum(ROW * padded(count, self.arity) + _BUFFER_BYTES for count in above)


class _Piece:
    """A stream and the memory that its pieces use one after the other."""

    def __init__(self, tree: _Pieces, stream: Stream, plan: _Plan) -> None:
        self.tree, self.stream, self.plan = tree, stream, plan
        hashed = tree.hasher.hashes_leaves
        self.data = _Room(stream, plan.leaves * tree.width) if hashed else None
        counts = (-(-plan.leaves // tree.arity**level) for level in range(plan.steps))
        self.levels = [_Room(stream, ROW * padded(count, tree.arity)) for count in counts]

    def send(self, first: int, last: int, joint: _Room) -> None:
        """Queue a piece; the rows that it ends with go to their places among those of all pieces."""
        tree, stream, steps = self.tree, self.stream, self.plan.steps
        stream.wait()  # so that staging memory is that of two pieces
        count = last - first
        rooms = [(room, 0) for room in self.levels]
        rooms.append((joint, ROW * (first // tree.arity**steps)))
        lowest, offset = rooms[0]
        if self.data is not None:
            self.data.upload(stream, tree.leaves[first:last])
            tree.hasher.leaves(stream, self.data.at(), tree.width, lowest.at(offset), count)
        else:
            lowest.upload(stream, tree.leaves[first:last], offset)
        for level, room in enumerate(self.levels):
            tree.keep(stream, room, level, first // tree.arity**level, count)
            above, offset = rooms[level + 1]
            count = tree.raise_level(stream, room, level, count, above.at(offset))
