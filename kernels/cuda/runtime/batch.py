# SPDX-License-Identifier: GPL-3.0-or-later
"""Batches of independent items on a device: columns in, launches, columns out, in pieces that fit.

A batch is cut by a plan made before anything is sent. Two streams take the pieces in turn, so that one piece is copied
while another is computed; results land in the caller's arrays in order.

Device memory of a piece: for each item its input rows, its output rows and the scratch that the program states; the bytes of
its messages and 8 for each offset; 256 for each buffer. Two pieces are in flight. Tables come on top, once a device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from supervm.kernels.array_types import Array
from supervm.kernels.cuda.runtime.arrays import DeviceArray
from supervm.kernels.cuda.runtime.device import PADDING, Buffer, Device, Program, Stream
from supervm.kernels.errors import DeviceError, DeviceOutOfMemory
from supervm.kernels.work import Column, Ragged

PIECE_ITEMS = 1 << 17
"""Items of a piece: about two full loads of the largest GPU, and enough pieces in a large batch to overlap."""

PIECE_BYTES = 64 << 20
"""Message bytes of a piece, beyond its first message."""

STREAMS = 2

MOST_OF_FREE = 0.9
"""The share of free device memory that a plan may use; the rest is left to fragments and to other processes."""

ALLOCATION_UNIT = 256
"""Allocations are multiples of this: CuPy's pool has 512, other allocators 256."""

READ_BEHIND = 8
"""Kernels read at most so many bytes behind a column: whole words that hold its last one, and the next (`message.cuh`)."""

Arguments: TypeAlias = dict[str, Buffer | int]

BUFFER_OVERHEAD = 256 + PADDING


@dataclass(frozen=True)
class Launch:
    """A kernel and what it is given, by name; the number of items follows as the last argument.

    Args:
        program: which it belongs to.
        kernel: its name.
        arguments: numbers, or names of inputs (`x`, or `x.data` and `x.offsets` if ragged, `x.width` the bytes of a
            row), outputs, scratch, tables or options.
        share: items that one thread takes.
    """

    program: Program
    kernel: str
    arguments: tuple[str | int, ...]
    share: int = 1


@dataclass(frozen=True, eq=False)
class Table:
    """Numbers that a kernel computes once for a device.

    Args:
        program, kernel: what makes it; called with the seeds, the table and the number of threads.
        seeds: what it starts from.
        words: 32-bit words of the table.
        threads: how many make it.
    """

    program: Program
    kernel: str
    seeds: Array
    words: int
    threads: int

    def on(self, device: Device) -> Buffer:
        """The table on that device, made if it is not kept there."""
        return device.kept(f"{self.program.digest}.{self.kernel}", self._made)

    def _made(self, stream: Stream) -> Buffer:
        table, seeds = stream.allocate(4 * self.words), stream.allocate(self.seeds.nbytes)
        stream.upload(self.seeds, seeds)
        stream.launch_items(self.program, self.kernel, self.threads, seeds, table, self.threads)
        stream.wait()
        return table


@dataclass(frozen=True, eq=False)
class Constants:
    """Numbers that a kernel reads, made here at first use.

    Args:
        name: of their own, for the device to keep them by.
        make: what makes them, contiguous.
    """

    name: str
    make: Callable[[], Array]

    def on(self, device: Device) -> Buffer:
        """The numbers on that device, sent if they are not kept there."""
        return device.kept(self.name, self._sent)

    def _sent(self, stream: Stream) -> Buffer:
        numbers = self.make()
        buffer = stream.allocate(numbers.nbytes)
        stream.upload(numbers, buffer)
        stream.wait()
        return buffer


@dataclass(frozen=True)
class ItemProgram:
    """An operation on independent items.

    Args:
        inputs: names of the columns, in the order of the backend function's inputs.
        outputs: names of the result columns, likewise.
        launches: in order.
        options: names of the numbers between inputs and outputs.
        scratch: bytes per item by name.
        tables: by name, computed there or sent.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    launches: tuple[Launch, ...]
    options: tuple[str, ...] = ()
    scratch: dict[str, int] = field(default_factory=dict)
    tables: dict[str, Table | Constants] = field(default_factory=dict)

    @property
    def programs(self) -> list[Program]:
        """Everything that must be compiled for it, each once."""
        made_of = [launch.program for launch in self.launches] + [
            table.program for table in self.tables.values() if isinstance(table, Table)
        ]
        return list({program.digest: program for program in made_of}.values())

    def item_bytes(self, inputs: tuple[Any, ...], outputs: tuple[Any, ...]) -> int:
        """Device bytes that one item takes, its message and what lies on the device already aside."""
        columns = [column for column in (*inputs, *outputs) if not isinstance(column, DeviceArray)]
        rows = sum(8 if isinstance(column, Ragged) else _width(column) for column in columns)
        return rows + sum(self.scratch.values())

    def buffers(self) -> int:
        """Buffers of a piece."""
        return 2 * len(self.inputs) + len(self.outputs) + len(self.scratch)


def plan(
    program: ItemProgram, inputs: tuple[Column, ...], outputs: tuple[Array, ...], free: int, device: str
) -> list[int]:
    """Cut a batch so that two pieces fit into the `free` bytes of a device: piece k is items b[k] … b[k + 1] − 1.

    Raises:
        DeviceOutOfMemory: not even one item does.
    """
    items = len(outputs[0])
    budget = int(free * MOST_OF_FREE) // STREAMS - program.buffers() * BUFFER_OVERHEAD
    each = program.item_bytes(inputs, outputs)
    ragged = next((column for column in inputs if isinstance(column, Ragged)), None)
    offsets = None if ragged is None else ragged.offsets
    sending = int(ragged is not None and not isinstance(ragged.data, DeviceArray))
    bounds = [0]
    while bounds[-1] < items:
        start = bounds[-1]
        stop = min(items, start + PIECE_ITEMS, start + max(1, budget // max(1, each)))
        if offsets is not None:
            sent = (offsets[start : stop + 1] - offsets[start]) * sending
            taken = sent + each * np.arange(stop - start + 1)
            fits = min(_reach(sent, PIECE_BYTES), _reach(taken, budget))
            stop = start + max(1, min(stop - start, fits))
            need = int(offsets[stop] - offsets[start]) * sending + each * (stop - start)
        else:
            need = each * (stop - start)
        if need > budget:
            reason = (
                f"{need} bytes for item {start} and its message, {max(0, budget)} of {free} free can be used"
            )
            raise DeviceOutOfMemory(device, reason)
        bounds.append(stop)
    return bounds


def run(program: ItemProgram, device: Device, *arguments: Any) -> None:
    """Compute a batch on one device; called as a backend's function is, with the program and the device first.

    Raises:
        DeviceError: it failed; the outputs are worthless then.
    """
    inputs, options, outputs = _parted(program, arguments)
    if not len(outputs[0]):
        return
    with device.use():
        constants = _constants(program, device, options)
        bounds = plan(program, inputs, outputs, device.free_bytes(), device.name)
        lanes = [_Lane(program, device.stream(), constants) for _ in range(min(STREAMS, len(bounds) - 1))]
        try:
            for piece, (start, stop) in enumerate(pairwise(bounds)):
                lane = lanes[piece % len(lanes)]
                lane.stream.wait()
                lane.send(
                    tuple(c.part(start, stop) if isinstance(c, Ragged) else c[start:stop] for c in inputs),
                    tuple(array[start:stop] for array in outputs),
                )
        finally:
            _settle(lanes)


def _settle(lanes: list[_Lane]) -> None:
    """Wait for every lane, also after a failure: what is still being copied must not lose its memory."""
    first: DeviceError | None = None
    for lane in lanes:
        try:
            lane.stream.wait()
        except DeviceError as error:
            first = first or error
    if first is not None:
        raise first


class Resident:
    """A batch whose columns lie on a device: what measures kernels alone.

    Args:
        program, device, arguments: as for `run`; the batch is one piece, however large.
    """

    def __init__(self, program: ItemProgram, device: Device, *arguments: Any) -> None:
        inputs, options, self._outputs = _parted(program, arguments)
        self._device = device
        with device.use():
            self._lane = _Lane(program, device.stream(), _constants(program, device, options))
            self._known = self._lane.place(inputs, self._outputs)
            self._lane.stream.wait()

    def compute(self, times: int = 1) -> None:
        """Run the kernels so many times and wait for them."""
        with self._device.use():
            for _ in range(times):
                self._lane.launch(self._known, len(self._outputs[0]))
            self._lane.stream.wait()

    def collect(self) -> None:
        """Copy the results to the outputs."""
        with self._device.use():
            for name, array in zip(self._lane.program.outputs, self._outputs, strict=True):
                self._lane.stream.download(self._lane.buffers[name], array)
            self._lane.stream.wait()


def _parted(
    program: ItemProgram, arguments: tuple[Any, ...]
) -> tuple[tuple[Column, ...], tuple[int, ...], tuple[Array, ...]]:
    """(inputs, options, outputs) of a backend function's arguments."""
    first, last = len(program.inputs), len(program.inputs) + len(program.options)
    return arguments[:first], tuple(int(option) for option in arguments[first:last]), arguments[last:]


def _constants(program: ItemProgram, device: Device, options: tuple[int, ...]) -> Arguments:
    """Tables, made if the device has not kept them, and options by name."""
    tables = {name: table.on(device) for name, table in program.tables.items()}
    return tables | dict(zip(program.options, options, strict=True))


class _Lane:
    """A stream and the buffers that its pieces use one after the other."""

    def __init__(self, program: ItemProgram, stream: Stream, constants: Arguments) -> None:
        self.program, self.stream, self.constants = program, stream, constants
        self.buffers: dict[str, Buffer] = {}

    def buffer(self, name: str, size: int) -> Buffer:
        """The buffer of that name, replaced by a larger one where needed."""
        known = self.buffers.get(name)
        if known is None or known.size < size:
            known = self.buffers[name] = self.stream.allocate(max(1, size))
        return known

    def send(self, inputs: tuple[Column, ...], outputs: tuple[Array, ...]) -> None:
        """Queue one piece."""
        known = self.place(inputs, outputs)
        self.launch(known, len(outputs[0]))
        for name, array in zip(self.program.outputs, outputs, strict=True):
            if not isinstance(array, DeviceArray):
                self.stream.download(self.buffers[name], array)

    def place(self, inputs: tuple[Column, ...], outputs: tuple[Array, ...]) -> Arguments:
        """Queue the copies of a piece's inputs; what its kernels may be given, by name."""
        known = dict(self.constants)
        for name, column in zip(self.program.inputs, inputs, strict=True):
            if isinstance(column, Ragged):
                data = column.data[column.offsets[0] : column.offsets[-1]]
                known[f"{name}.data"] = self._uploaded(f"{name}.data", data)
                known[f"{name}.offsets"] = self._uploaded(f"{name}.offsets", column.offsets)
            else:
                known[name] = self._uploaded(name, column)
                known[f"{name}.width"] = _width(column)
        for name, size in self.program.scratch.items():
            known[name] = self.buffer(name, size * len(outputs[0]))
        for name, array in zip(self.program.outputs, outputs, strict=True):
            known[name] = array if isinstance(array, DeviceArray) else self.buffer(name, array.nbytes)
        return known

    def launch(self, known: Arguments, items: int) -> None:
        """Queue the kernels of a piece."""
        for launch in self.program.launches:
            passed = (name if isinstance(name, int) else known[name] for name in launch.arguments)
            threads = -(-items // launch.share)
            self.stream.launch_items(launch.program, launch.kernel, threads, *passed, items)

    def _uploaded(self, name: str, array: Any) -> Buffer:
        if isinstance(array, DeviceArray):
            return self._readable(name, array)
        buffer = self.buffer(name, array.nbytes)
        self.stream.upload(np.ascontiguousarray(array), buffer)
        return buffer

    def _readable(self, name: str, array: DeviceArray) -> Buffer:
        """The array itself, or a copy if it may end where its allocation ends and what lies behind it is not there."""
        if -(array.address + array.nbytes) % ALLOCATION_UNIT >= READ_BEHIND:
            return array
        buffer = self.buffer(name, array.nbytes)
        if array.nbytes:
            self.stream.copy(array, buffer)
        return buffer


def _reach(totals: Array, limit: int) -> int:
    """How many items there are whose total is within the limit: totals[k] is that of k items."""
    return int(np.searchsorted(totals, limit, side="right")) - 1


def _width(column: Any) -> int:
    """Bytes of a row."""
    return int(np.prod(column.shape[1:], dtype=np.int64)) * int(column.dtype.itemsize)
