# SPDX-License-Identifier: GPL-3.0-or-later
"""Multi-scalar multiplication on a device by Pippenger's buckets with signed windows.

1. *Points* are checked and brought into Montgomery form, once for resident ones, with multiples 2^(bits·shared·k)·P.
2. *Keys*: the bucket of every point in every window; a stable radix sort brings equal ones together. What has no bucket goes
   with the first, marked by a bit that is not sorted by, which may save a pass.
3. *Rounds* (`run_sums.cuh`): every thread adds up a stretch of the sorted entries, whatever buckets they are of; what a
   stretch has of a bucket that goes on in the next is an entry of the next, far shorter round. So a bucket that holds all
   points costs what many small ones do.
4. *Segments* of buckets give Σ (b + 1)·S_b by running sums; their rounds give the windows, which the CPU joins.

Products, n points, w windows, B = 2^(bits − 1) buckets: 10·n·w for the sums, and for segments of SEGMENT buckets
(28 + 23·bits/SEGMENT)·B·w for the reduction; on Edwards curves 7, 18 and 17 in the place of 10, 28 and 23, so that the plans
are the same. At 60 and 27 G/s of products of eight and of twelve words on an H100 (`docs/gpu.md`) 2^20 points take 3.3 and
7.7 ms for 198 and 207 M products, 2^24 take 43 and 98 ms for 2.6 G. Sorting moves 40 bytes a pair for each of three digits:
0.7 ms for 2^20 points and 12 ms for 2^24. Bounds, not measurements.

Points and scalars that lie on the device are read where they are; others are sent.

Several sums over the same points are queued together (`GroupProgram.sort`): a bucket's number then says of which sum it is,
so that many small sums cost the launches of one. Two groups whose points belong to the same scalars share the sort.

Device memory for n points at a time of c-word (32 bits) coordinates, which stand in rows of r = 2·c words, 24 on Edwards
curves: 4·r·n·levels + 33·n for points and scalars, 24·n·w for sorting, 16·c·B·w for sums, (16·c + 4)·4·n·w/length for
slots and twice (16·c + 4)·2·B·w/SEGMENT for segments (`Plan.bytes`). Two pieces are in flight, unless one is all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from supervm.kernels.array_types import Words
from supervm.kernels.cpu.curves.curve import Curve
from supervm.kernels.cpu.lanes.lanes import LANES_64
from supervm.kernels.cpu.msm import msm as cpu
from supervm.kernels.cuda.constants import groups
from supervm.kernels.cuda.constants.edwards import AFFINE_WORDS
from supervm.kernels.cuda.constants.fields import words_of
from supervm.kernels.cuda.msm_plan import MOST_ENTRIES, SCALAR_BYTES, SEGMENT, Plan, choose
from supervm.kernels.cuda.runtime.arrays import DeviceArray, there
from supervm.kernels.cuda.runtime.batch import MOST_OF_FREE
from supervm.kernels.cuda.runtime.device import Buffer, Device, Program, Stream
from supervm.kernels.cuda.runtime.radix_sort import Sorting, digits
from supervm.kernels.errors import ArgumentError, DeviceOutOfMemory
from supervm.kernels.point_checks import NOT_CANONICAL
from supervm.kernels.signed_windows import offset
from supervm.kernels.spec import EdwardsSpec, GroupSpec

Rows: TypeAlias = "Words | DeviceArray"
"""Rows of words on the host or on the device that computes."""

WORD_BYTES = 4

NEXT = 16
"""Slots of a stretch in the rounds after the first."""

NOTHING = 0xFFFFFFFF
"""Where kernels refuse no item: they lower it with `atomic_min`."""


@dataclass(frozen=True, eq=False)
class Resident:
    """Points on a device, checked."""

    plan: Plan
    rows: Buffer
    infinite: Buffer


class GroupProgram:
    """A group on devices."""

    def __init__(self, spec: GroupSpec | EdwardsSpec) -> None:
        self.spec = spec
        self.program = Program("msm", groups.sums(spec))
        self.words = 2 * spec.field.words  # 32-bit words of a coordinate
        self.row_words = AFFINE_WORDS if isinstance(spec, EdwardsSpec) else 2 * self.words
        self.curve = Curve(spec, LANES_64)

    @property
    def order(self) -> int:
        """The order of the subgroup, a prime: scalars are below it."""
        return self.spec.scalar_field.modulus

    def neutral(self, count: int) -> Words:
        """uint64 (count, words of an affine point): the neutral point, what cleared memory says."""
        return np.tile(groups.affine(self.spec, np.zeros(4 * self.words, np.uint32)), (count, 1))

    def place(self, stream: Stream, coordinates: Rows, plan: Plan, first: int = 0) -> Resident:
        """Points, rows of canonical words, as sums take them. Waits for the stream.

        Raises:
            ArgumentError: naming the first point that is not canonical or not on the curve.
        """
        count, row = plan.points, 4 * self.row_words
        rows = stream.allocate(max(16, count * row * plan.levels))
        given, infinite = there(stream, coordinates, WORD_BYTES), stream.allocate(max(16, count))
        refused = Refused(stream)
        stream.launch_items(self.program, "msm_points", count, count, 0, given, rows, infinite, refused.least)
        for level in range(1, plan.levels):
            source, target = (np.uint64(rows.address + (level - back) * count * row) for back in (1, 0))
            doublings = plan.bits * plan.shared
            stream.launch_items(self.program, "msm_multiples", count, count, doublings, source, target)
        found = refused.found()
        if found >= 0:
            index, reason = divmod(found, 2)
            what = "a coordinate ≥ p" if reason == NOT_CANONICAL else "a point that is not on the curve"
            raise ArgumentError(
                "points", f"{what} in row {first + index}", "canonical coordinates of points on the curve"
            )
        return Resident(plan, rows, infinite)

    def first_not_below(self, stream: Stream, scalars: DeviceArray) -> int:
        """The first scalar, leading axes flattened, that is not below the order; −1 if all are. Waits for the stream."""
        order, count = np.array(words_of(self.order, 8), np.uint32), scalars.nbytes // SCALAR_BYTES
        refused, bound = Refused(stream), there(stream, order, WORD_BYTES)
        stream.launch_items(
            self.program,
            "msm_scalars",
            count,
            count,
            there(stream, scalars, WORD_BYTES),
            bound,
            refused.least,
        )
        return refused.found()

    def queue(self, stream: Stream, resident: Resident, scalars: Rows) -> _Pending:
        """Queue the sums of all windows for (n, 4) scalars, which must not change before the stream was waited for."""
        return self.add(stream, resident, self.sort(stream, resident, there(stream, scalars, WORD_BYTES)))

    def sort(self, stream: Stream, resident: Resident, scalars: Buffer, sums: int = 1) -> Sorted:
        """Queue the sort of points by bucket.

        Args:
            resident: points.
            scalars: (sums, n, 4) on the device, below the order.
            sums: over these points, so many that their plan fits.
        """
        plan = replace(resident.plan, sums=sums)
        shift = np.array(words_of(offset(plan.bits, plan.windows), 12), np.uint32)
        count = sums * plan.points
        offsets = there(stream, shift, WORD_BYTES)
        keys, entries = ([stream.allocate(size * plan.entries) for _ in range(2)] for size in (8, 4))
        stream.launch_items(
            self.program, "msm_keys", count, count, plan.points, plan.bits, plan.windows, plan.shared,
            scalars, offsets, resident.infinite, keys[0], entries[0],
        )  # fmt: skip
        sorting = Sorting(*keys, *entries)
        bits = (plan.results * plan.buckets - 1).bit_length()
        sorting.sort(stream, plan.entries, digits((1 << bits) - 1))
        return Sorted(plan, sorting.keys, sorting.payload, (scalars, shift))

    def add(self, stream: Stream, resident: Resident, ordered: Sorted) -> _Pending:
        """Queue the sums of all windows.

        Args:
            resident: points, as many as were sorted and with the same windows; which are at infinity too.
            ordered: from `sort`, of this group or another.
        """
        plan = replace(resident.plan, sums=ordered.plan.sums)
        sums = self._sums(stream, plan.results * plan.buckets)
        stretches, slots = self._slots(stream, plan.entries, plan.length)
        stream.launch_items(
            self.program, "msm_first", stretches, stretches, plan.length, plan.entries,
            ordered.keys, ordered.entries, resident.rows, sums, *slots,
        )  # fmt: skip
        self._rounds(stream, 2 * stretches, slots, sums)
        segments = -(-plan.buckets // SEGMENT)
        count = plan.results * segments
        parts = stream.allocate(4 * count), stream.allocate(self._point_bytes * count)
        stream.launch_items(
            self.program, "msm_segments", count, count, segments, plan.buckets, SEGMENT, sums, *parts
        )
        windows = self._sums(stream, plan.results)
        self._rounds(stream, count, parts, windows)
        result = np.empty(plan.results * 4 * self.words, np.uint32)
        stream.download(windows, result)
        return _Pending(self, stream, plan, result, ordered.kept)

    @property
    def _point_bytes(self) -> int:
        return 16 * self.words

    def _sums(self, stream: Stream, count: int) -> Buffer:
        """Sums that are infinite until they are written."""
        sums = stream.allocate(self._point_bytes * count)
        stream.clear(sums)
        return sums

    def _slots(self, stream: Stream, count: int, length: int) -> tuple[int, tuple[Buffer, Buffer]]:
        """(stretches, keys and points of their slots)."""
        stretches = -(-count // length)
        keys = stream.allocate(8 * stretches)
        return stretches, (keys, stream.allocate(2 * self._point_bytes * stretches))

    def _rounds(self, stream: Stream, count: int, entries: tuple[Buffer, Buffer], sums: Buffer) -> None:
        """Rounds over slots until one stretch takes them all, and leaves nothing open."""
        stretches = 2
        while stretches > 1:
            stretches, slots = self._slots(stream, count, NEXT)
            stream.launch_items(
                self.program, "msm_next", stretches, stretches, NEXT, count, *entries, sums, *slots
            )
            count, entries = 2 * stretches, slots


@dataclass(frozen=True, eq=False)
class Sorted:
    """Points of all windows and sums in the order of their buckets. `kept` must live until the stream was waited for."""

    plan: Plan
    keys: Buffer
    entries: Buffer
    kept: tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class _Pending:
    """Sums that were queued. `kept` must live until they are done."""

    group: GroupProgram
    stream: Stream
    plan: Plan
    result: npt.NDArray[np.uint32]
    kept: tuple[Any, ...]

    def finish(self) -> Words:
        """Every sum as canonical words, uint64 (sums, words of a point); waits for the stream."""
        self.stream.wait()
        affine = groups.affine(self.group.spec, self.result).reshape(self.plan.sums, -1)
        return np.stack([cpu.join(self.group.curve, row, self.plan.bits) for row in affine])


def prepare(group: GroupProgram, device: Device, coordinates: Rows, precompute: int) -> Resident:
    """Points, as `multiply` takes them, to stay on a device with multiples.

    Raises:
        ArgumentError: as `GroupProgram.place`, or more points than entries can number.
        DeviceOutOfMemory: they do not fit beside one sum.
    """
    rows = _rows(group, coordinates)
    count = len(rows)
    plan = choose(group, count, precompute)
    if not plan.fits():
        raise ArgumentError(
            "points", f"{count} points", f"{MOST_ENTRIES // plan.windows} on a device at most"
        )
    with device.use():
        _require(device, plan.bytes())
        return group.place(device.stream(), rows, plan)


def _require(device: Device, need: int) -> None:
    if need > device.free_bytes():
        raise DeviceOutOfMemory(device.name, f"{need} bytes are needed, {device.free_bytes()} are free")


def multiply_resident(group: GroupProgram, device: Device, resident: Resident, scalars: Rows) -> Words:
    """Σ sᵢ·Pᵢ for each row of scalars, uint64 (k, n, 4) here or on the device, over points that were prepared there."""
    sums = group.neutral(len(scalars))
    if not resident.plan.points:
        return sums
    with device.use():
        for row, each in zip(sums, _each(scalars), strict=True):
            row[:] = group.queue(device.stream(), resident, each).finish()[0]
    return sums


def multiply(
    group: GroupProgram, device: Device, coordinates: Rows, scalars: Rows, limit: int | None
) -> Words:
    """Σ sᵢ·Pᵢ for each row of scalars, in pieces that fit the device.

    Args:
        coordinates: n points, uint64 (n, …) in host memory, flat or not, or on the device.
        scalars: uint64 (k, n, 4), likewise.
        limit: bytes of device memory to stay within, or None.

    Raises:
        ArgumentError: as `GroupProgram.place`, or too low a limit.
        DeviceOutOfMemory: not even a few points fit.
    """
    count = scalars.shape[1]
    sums = group.neutral(len(scalars))
    if not count:
        return sums
    with device.use():
        plan = _piece(group, device, count, limit)
        partial: list[list[Words]] = [[] for _ in sums]
        for index, found in _pieces(group, device, _rows(group, coordinates), _each(scalars), plan.points):
            partial[index].append(found)
    for row, parts in zip(sums, partial, strict=True):
        row[:] = cpu.join(group.curve, np.concatenate(parts))
    return sums


def _rows(group: GroupProgram, coordinates: Rows) -> Rows:
    """Points as (n, words)."""
    if isinstance(coordinates, DeviceArray):
        return coordinates.reshaped((len(coordinates), group.words))
    return np.ascontiguousarray(coordinates).reshape(-1, group.words)


def _each(scalars: Rows) -> list[Rows]:
    """The (n, 4) scalars of every sum."""
    if not isinstance(scalars, DeviceArray):
        return list(np.ascontiguousarray(scalars))
    sums, count, _ = scalars.shape
    flat = scalars.reshaped((sums * count, 4))
    return [flat[start : start + count] for start in range(0, sums * count, count)]


def _piece(group: GroupProgram, device: Device, count: int, limit: int | None) -> Plan:
    """The plan for as many points at a time as fit."""
    free = int(device.free_bytes() * MOST_OF_FREE)
    budget = free if limit is None else min(free, limit)
    points, least = count, 0
    while True:
        plan = choose(group, points)
        need = plan.bytes() if points == count else 2 * plan.bytes()
        least = min(least or need, need)
        if need <= budget and plan.fits():
            return plan
        if points == 1:
            if limit is not None and budget == limit:
                raise ArgumentError("memory_limit", f"{limit} bytes", f"{least} bytes or more")
            raise DeviceOutOfMemory(device.name, f"{least} bytes are needed, {free} are free")
        points = -(-points // 2)


def _pieces(
    group: GroupProgram, device: Device, coordinates: Rows, scalars: list[Rows], points: int
) -> Iterator[tuple[int, Words]]:
    """(row of scalars, sum) for every piece and row; a piece is copied while the one before is computed."""
    count = len(coordinates)
    waiting: tuple[int, _Pending] | None = None
    for start in range(0, count, points):
        stop = min(start + points, count)
        stream = device.stream()
        plan = choose(group, stop - start)
        resident = group.place(stream, coordinates[start:stop], plan, start)
        for index, each in enumerate(scalars):
            queued = index, group.queue(stream, resident, each[start:stop])
            if waiting:
                yield waiting[0], waiting[1].finish()[0]
            waiting = queued
    if waiting:
        yield waiting[0], waiting[1].finish()[0]


class Refused:
    """Where the kernels of a stream leave the least number of an item that they refuse; `least` is its buffer."""

    def __init__(self, stream: Stream) -> None:
        self._stream, self._number = stream, np.full(1, NOTHING, np.uint32)
        self.least = stream.allocate(self._number.nbytes)
        stream.upload(self._number, self.least)

    def found(self) -> int:
        """That number, or −1 if they refuse nothing; waits for the stream."""
        self._stream.download(self.least, self._number)
        self._stream.wait()
        return -1 if self._number[0] == NOTHING else int(self._number[0])
