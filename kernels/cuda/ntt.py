# SPDX-License-Identifier: GPL-3.0-or-later
"""Number-theoretic transforms on a device.

One pass over up to 2^10 numbers, two up to 2^20, three above; each reads and writes every number once. A tile of 1024
numbers, 33 KiB, is in shared memory, so that three blocks of 256 threads share a multiprocessor and registers are the limit.

Bounds for an H100, counted, not measured: 132 multiprocessors at 1.755 GHz multiply 32 pairs of words a cycle each (what the
103·10⁹ products of 75 a second in `docs/gpu.md` come to), so 54·10⁹ Montgomery products of 136 a second.

- 2^20, two passes of 2^10. Of the 5 products a number that 10 levels have, half a product falls away in the first level, a
  quarter in the second, 3/16 with k = 0 in the two that follow: 4.06, and the twist between the passes 2. 10.6·10⁶
  products, 0.20 ms; 128 MB moved, 0.04 ms beside them, less from the cache.
- 2^24, three passes of 2^8: 3 × 3.06 products, twists of 2 and 1: 204·10⁶, 3.8 ms; 3.2 GB, 0.96 ms beside them.

Device memory for one transform of n numbers: 64·n bytes for arrays of the host, 32·n if they are bit-reversed on one side.
An array that lies on the device is joined by its result, 32·n bytes, and, in natural order and more than one pass, by as
much in between. Tables are kept for every direction and length: 32·2^10 bytes, 64·2^⌈log n/2⌉ and up to 2 MiB. A batch
goes in pieces that fit.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from supervm.kernels.array_types import Array
from supervm.kernels.cuda.constants.fields import montgomery_params
from supervm.kernels.cuda.runtime.arrays import DeviceArray, there
from supervm.kernels.cuda.runtime.device import Buffer, Device, Program, Stream
from supervm.kernels.errors import DeviceOutOfMemory
from supervm.kernels.spec import FieldSpec
from supervm.kernels.transform import Transform, words_of

GROUP = 256
"""Threads of a block; `NTT_THREADS` of the source."""

LOG_TILE = 10
"""log₂ of the numbers of a tile; `NTT_TILE` of the source."""

TRANSPOSED, REVERSED_IN, REVERSED_OUT, TWIST, BEFORE, AFTER, SCALE, WHOLE = (1 << bit for bit in range(8))
"""Flags of a pass, as in `ntt.cuh`."""

LOG_WHOLE = 16
"""Twists by a root of order up to 2^16 have all powers in a table of 2 MiB; others multiply two powers."""

NUMBER_BYTES = 32

QUAD_BYTES = 16
"""What kernels read at a time."""

_MOST_OF_FREE = 0.9
_MOST_BLOCKS = 1 << 16
_MOST_LINES = 1 << 31


def program(spec: FieldSpec) -> Program:
    """The kernels for a field of up to 256 bits."""
    params = montgomery_params(spec, "Params")
    return Program("ntt", f"{params}using Field = MontgomeryField<Params>;\n")


@dataclass(frozen=True)
class Pass:
    """A launch of `ntt_pass`: logarithms as in `ntt.cuh`, and that of the order of the root of the twist."""

    log_m: int
    log_s: int
    log_first: int
    log_order: int
    flags: int


def digits(log: int) -> list[int]:
    """log₂ of the digits of an index of `log` bits: as few as tiles allow, of nearly equal sizes."""
    count = max(1, -(-log // LOG_TILE))
    return [(log + place) // count for place in reversed(range(count))]


def passes(what: Transform) -> list[Pass]:
    """The passes of a transform, in order."""
    parts = digits(what.log)
    made = []
    for place, log_m in enumerate(parts):
        before, behind = sum(parts[:place]), sum(parts[place + 1 :])
        last = place == len(parts) - 1
        flags, log_s, log_first = (0 if last else TWIST), behind, 0
        if not last and what.log - before <= LOG_WHOLE:
            flags |= WHOLE
        if what.reversed and what.inverse:
            flags, log_s = flags | REVERSED_IN, before
        elif what.reversed:
            flags |= REVERSED_OUT
        elif last:
            flags, log_first = TRANSPOSED, parts[0] if place else 0
        if place == 0 and not what.inverse and what.shift != 1:
            flags |= BEFORE
        if last and what.inverse:
            flags |= SCALE if what.shift == 1 else AFTER
        made.append(Pass(log_m, log_s, log_first, what.log - before, flags))
    return made


def transform(device: Device, spec: FieldSpec, values: Any, what: Transform, out: Any) -> None:
    """Transform rows of 2^log numbers.

    Args:
        device: where.
        spec: the field.
        values: uint64 (m, 2^log, 4), canonical; a NumPy array, or a `DeviceArray` on that device.
        what: the transform.
        out: the same, written; a `DeviceArray` if and only if `values` is one.

    Raises:
        DeviceOutOfMemory: not even one transform fits.
        DeviceError: it failed; `out` is worthless then.
    """
    if not len(values):
        return
    with device.use():
        work = _Work(device, spec, what)
        size = NUMBER_BYTES << what.log
        resident = isinstance(values, DeviceArray)
        each = size * (work.middles if resident else 2)
        room = int(device.free_bytes() * _MOST_OF_FREE) - work.table_bytes
        piece = min(len(values), _MOST_LINES >> what.log, room // each if each else len(values))
        if piece < 1:
            raise DeviceOutOfMemory(device.name, f"{each} bytes for a transform, {max(0, room)} can be used")
        try:
            for start in range(0, len(values), piece):
                stop = min(start + piece, len(values))
                if resident:
                    work.resident(values[start:stop], out[start:stop])
                else:
                    work.copied(values[start:stop], out[start:stop])
        finally:
            work.stream.wait()


def queue(
    device: Device, stream: Stream, spec: FieldSpec, values: Buffer, count: int, what: Transform
) -> Any:
    """Queue transforms in place.

    Args:
        device, stream: where.
        spec: the field.
        values: `count` rows of 2^log numbers, at most 2^31 numbers in all.
        what: the transform, in bit-reversed order on one side, else it would not be in place.

    Returns:
        What must live until the stream was waited for.
    """
    assert what.reversed
    work = _Work(device, spec, what, stream)
    work.run(values, values, values, count)
    return work


def canonical(device: Device, spec: FieldSpec, values: DeviceArray) -> bool:
    """Whether all numbers are below the modulus."""
    with device.use():
        stream, found = device.stream(), np.zeros(1, np.uint32)
        counter = stream.allocate(4)
        stream.clear(counter)
        count = values.nbytes // NUMBER_BYTES
        stream.launch_items(program_of(spec), "ntt_check", count, values, counter, count)
        stream.download(counter, found)
        stream.wait()
    return not found[0]


program_of = functools.cache(program)


class _Work:
    """A transform on a device: its tables and a stream."""

    def __init__(
        self, device: Device, spec: FieldSpec, what: Transform, stream: Stream | None = None
    ) -> None:
        self.spec, self.what, self.program = spec, what, program_of(spec)
        self.stream = stream or device.stream()
        self.passes = passes(what)
        self.log_low = (what.log + 1) // 2
        self.name = f"{self.program.digest}.{what.inverse:d}"
        self.levels = self._kept(device, "levels", _levels, spec, what.inverse)
        self.twists = [self._twist(device, each) for each in self.passes]
        self.table_bytes = 0
        self._uploaded: tuple[Array, ...] = ()
        self.scale = self._scale(device)
        self.middles = int(not what.reversed and len(self.passes) > 1)

    def _kept(self, device: Device, name: str, make: Callable[..., Array], *arguments: Any) -> Buffer:
        """A table of the device, made at first use."""

        def sent(stream: Stream) -> Buffer:
            table = make(*arguments)
            buffer = stream.allocate(table.nbytes)
            stream.upload(table, buffer)
            stream.wait()
            return buffer

        return device.kept(f"{self.name}.{name}", sent)

    def _twist(self, device: Device, each: Pass) -> tuple[Buffer, Buffer]:
        """Low and high powers of the root; without a twist, what is not read."""
        if not each.flags & TWIST:
            return self.levels, self.levels
        log_low = each.log_order if each.flags & WHOLE else self.log_low
        low, high = (
            self._kept(
                device, f"{each.log_order}.{log_low}.{part}",
                _root_powers, self.spec, self.what.inverse, each.log_order, log_low, part,
            )
            for part in range(2)
        )  # fmt: skip
        return low, high

    def _scale(self, device: Device) -> tuple[Buffer, Buffer]:
        """What numbers are multiplied by on the way in or out: low and high powers, or 1/n; or what is not read."""
        what = self.what
        if what.shift != 1:
            self._uploaded = _shift_powers(
                self.spec, what, self.log_low
            )  # stays until the stream is waited for
            self.table_bytes = sum(table.nbytes + 512 for table in self._uploaded)
            buffers = [self.stream.allocate(table.nbytes) for table in self._uploaded]
            for table, buffer in zip(self._uploaded, buffers, strict=True):
                self.stream.upload(table, buffer)
            return buffers[0], buffers[1]
        if not what.inverse:
            return self.levels, self.levels
        constant = self._kept(device, f"{what.log}.scale", _reciprocal, self.spec, what.log)
        return constant, constant

    def resident(self, source: DeviceArray, target: DeviceArray) -> None:
        """Between arrays of the device, which may be the same only where that is in place."""
        middle: Any = self.stream.allocate(source.nbytes) if self.middles else target
        self.run(there(self.stream, source, QUAD_BYTES), middle, target, len(source))
        self.stream.wait()

    def copied(self, source: Array, target: Array) -> None:
        """From and to host memory."""
        sent = self.stream.allocate(source.nbytes)
        result = sent if self.what.reversed else self.stream.allocate(source.nbytes)
        self.stream.upload(np.ascontiguousarray(source), sent)
        self.run(sent, sent, result, len(source))
        self.stream.download(result, target)
        self.stream.wait()

    def run(self, source: Buffer, middle: Buffer, target: Buffer, count: int) -> None:
        """Through `middle`, in place there, to `target`."""
        what = self.what
        for place, each in enumerate(self.passes):
            lines = count << (what.log - each.log_m)
            log_c = min(LOG_TILE - each.log_m, (lines - 1).bit_length())
            tiles = -(-lines // (1 << log_c))
            self.stream.launch(
                self.program,
                "ntt_pass",
                min(tiles, _MOST_BLOCKS),
                GROUP,
                *(
                    tiles,
                    lines,
                    what.log,
                    each.log_m,
                    log_c,
                    each.log_s,
                    each.log_first,
                    self.log_low,
                    each.flags,
                ),
                source if place == 0 else middle,
                target if place == len(self.passes) - 1 else middle,
                self.levels,
                *self.twists[place],
                *self.scale,
            )


def _powers(spec: FieldSpec, base: int, start: int, count: int) -> Array:
    """start · base^i for i < count in Montgomery form."""
    p, value = spec.modulus, (start << 256) % spec.modulus
    rows = []
    for _ in range(count):
        rows.append(value)
        value = value * base % p
    return words_of(rows)


def _levels(spec: FieldSpec, inverse: bool) -> Array:
    """Rows h … 2h − 1: the powers of a root of unity of order 2h, for all levels of a tile."""
    tables = [_powers(spec, 1, 1, 1)]
    for level in range(LOG_TILE):
        root = spec.root_of_unity(2 << level)
        tables.append(_powers(spec, spec.inverse(root) if inverse else root, 1, 1 << level))
    return np.concatenate(tables)


def _root_powers(spec: FieldSpec, inverse: bool, log_order: int, log_low: int, part: int) -> Array:
    """ω^i for i < 2^log_low, or the same of ω^(2^log_low) as far as ω has powers; ω of order 2^log_order."""
    root = spec.root_of_unity(1 << log_order)
    base = spec.inverse(root) if inverse else root
    if part == 0:
        return _powers(spec, base, 1, 1 << log_low)
    return _powers(spec, pow(base, 1 << log_low, spec.modulus), 1, 1 << (log_order - log_low))


@functools.lru_cache(8)
def _shift_powers(spec: FieldSpec, what: Transform, log_low: int) -> tuple[Array, Array]:
    """Low and high powers of a coset's shift, or of its inverse with 1/n among the low ones."""
    low, high = 1 << log_low, 1 << (what.log - log_low)
    base = spec.inverse(what.shift) if what.inverse else what.shift
    scale = spec.inverse(1 << what.log) if what.inverse else 1
    return _powers(spec, base, scale, low), _powers(spec, pow(base, low, spec.modulus), 1, high)


def _reciprocal(spec: FieldSpec, log: int) -> Array:
    """1/2^log."""
    return _powers(spec, 1, spec.inverse(1 << log), 1)
