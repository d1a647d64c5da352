# SPDX-License-Identifier: GPL-3.0-or-later
"""The sums of Groth16 proofs on a GPU: witnesses go there once, and windows of four sums come back.

A key stays on the device under its digest, with multiples of its points so that all windows of a sum share buckets where
memory allows. Keys together take `KEPT_SHARE` of what the device has; the one that was used longest ago makes room for
others.

Three streams. The first takes the witness there, then has A·w and B·w by sparse products, H by six transforms, and the sum
of C and H; the second has the sum of A, the third those of B in G1 and G2, whose scalars are the same and are sorted once.
Witnesses of a batch go through together, as many as fit.

Memory, n rows, m wires, N points of a sum, k witnesses at a time: 32·k·(m + 3·n) bytes and 32·k for each part of a long row
(`kernels.cuda.sparse_products`), and for each sum 32·k·N for scalars and `Plan.working_bytes`. It is asked for before
anything is sent.

What is left to the processor (`groth16_work`) is one chain of operations: joining the windows, and s·A + r·B₁, for which one
thread of a GPU would take milliseconds.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from supervm.crypto.cuda import MSM
from supervm.crypto.groth16_proving_key import ProvingKey, Sum
from supervm.crypto.groth16_quotient import shift_of, vanishing_inverse
from supervm.crypto.polynomials.arguments import SPECS
from supervm.kernels.array_types import Words
from supervm.kernels.cuda import ntt, sparse_products
from supervm.kernels.cuda.msm import GroupProgram, Resident
from supervm.kernels.cuda.msm_plan import MOST_ENTRIES, Plan, choose
from supervm.kernels.cuda.runtime import devices
from supervm.kernels.cuda.runtime.arrays import there
from supervm.kernels.cuda.runtime.batch import MOST_OF_FREE
from supervm.kernels.cuda.runtime.device import Buffer, Device, Stream
from supervm.kernels.cuda.sparse_products import NUMBER_BYTES, ResidentMatrix
from supervm.kernels.errors import ArgumentError, DeviceError, DeviceOutOfMemory
from supervm.kernels.transform import Transform

KEPT_SHARE = 0.5
"""Of the memory that this process may use on a device: what keys may take, the rest is for proofs. A single key may take
more, if it leaves room for a proof."""

_MULTIPLES = (256, 8, 4, 2, 1)
"""Of each point, the first for every window there can be: the most that fit are kept."""

_QUAD_BYTES = 16

_A, _B1, _B2, _C = range(4)


@dataclass(frozen=True)
class KeyPlan:
    """What a key takes on a device, and what proofs with it take.

    Args:
        log, wires: of the circuit.
        plans: of A, B in G1, B in G2, and C with H.
        parts: slots for parts of long rows, of A and of B.
        bytes: of the key.
    """

    log: int
    wires: int
    plans: tuple[Plan, ...]
    parts: tuple[int, int]
    bytes: int

    @property
    def least(self) -> int:
        """Device memory for the key and one proof."""
        return self.bytes + self.working_bytes(1)

    def working_bytes(self, count: int) -> int:
        """Device memory for so many witnesses at a time."""
        vectors = self.wires + (3 << self.log) + sum(self.parts)
        sums = (replace(plan, sums=count) for plan in self.plans)
        scalars = sum(plan.points for plan in self.plans)
        return NUMBER_BYTES * count * (vectors + scalars) + sum(plan.working_bytes() for plan in sums)

    def fits(self, count: int) -> bool:
        """Whether kernels can number everything."""
        most = max(3 << self.log, self.wires, *(plan.points for plan in self.plans))
        return count * most <= MOST_ENTRIES and all(replace(plan, sums=count).fits() for plan in self.plans)


@dataclass(frozen=True, eq=False)
class _ResidentSum:
    """The points of a sum, and whose scalars theirs are."""

    group: GroupProgram
    points: Resident
    wires: Buffer
    chosen: int


@dataclass(frozen=True, eq=False)
class ResidentKey:
    """A key on a device.

    Args:
        key_plan: what it takes.
        a, b: matrices.
        sums: of A, B in G1, B in G2, and C with H.
        alike: whether both sums of B are over the same wires.
    """

    key_plan: KeyPlan
    a: ResidentMatrix
    b: ResidentMatrix
    sums: tuple[_ResidentSum, ...]
    alike: bool


def _sums_of(key: ProvingKey) -> tuple[tuple[GroupProgram, Sum], ...]:
    g1, g2 = (MSM[f"{key.curve}.{group}.msm"] for group in ("g1", "g2"))
    return (g1, key.sum_a), (g1, key.sum_b1), (g2, key.sum_b2), (g1, key.sum_c)


def plan_of(key: ProvingKey, usable: int) -> KeyPlan:
    """How a key is kept where so many bytes can be used for keys and proofs: with most multiples, or where that does not fit
    in any way as small as can be, one proof included."""
    rows = [each.starts for each in (key.a, key.b)]
    parts = sparse_products.levels(rows[0])[1], sparse_products.levels(rows[1])[1]
    fixed = sum(map(sparse_products.matrix_bytes, rows))
    fixed += sum(4 * len(of.wires) for _, of in _sums_of(key))
    found = []
    for multiples in _MULTIPLES:
        plans = tuple(choose(group, len(of.table), multiples) for group, of in _sums_of(key))
        taken = fixed + sum(plan.point_bytes for plan in plans)
        found.append(KeyPlan(key.log, key.wires, plans, parts, taken))
        if taken <= KEPT_SHARE * usable and found[-1].least <= usable:
            return found[-1]
    return min(found, key=lambda each: each.least)


class Keys:
    """The keys of a device, the one that was used longest ago first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, ResidentKey] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        """Device memory of all of them."""
        return sum(each.key_plan.bytes for each in self._kept.values())

    def __len__(self) -> int:
        return len(self._kept)

    def resident(self, device: Device, key: ProvingKey) -> ResidentKey:
        """A key, sent if it is not there, with room for one proof at least beside it.

        Raises:
            DeviceOutOfMemory: key and proof do not fit; what they need.
        """
        with self._lock:
            known = self._kept.get(key.digest)
            free = device.free_bytes()
            usable = int(MOST_OF_FREE * (free + self.bytes))
            planned = plan_of(key, usable) if known is None else known.key_plan
            need = planned.working_bytes(1)
            if planned.least > usable:
                raise DeviceOutOfMemory(
                    device.name,
                    f"{planned.bytes:,} bytes for the key {key.name} and {need:,} for a proof of 2^{key.log} "
                    f"rows are needed, {max(0, usable):,} can be used",
                )
            if known is None:
                need += planned.bytes
            else:
                self._kept.move_to_end(key.digest)
            self._make_room(device, need, 0 if known else planned.bytes, usable)
            if known is None:
                known = self._kept[key.digest] = _place(device, key, planned)
            return known

    def _make_room(self, device: Device, need: int, more: int, usable: int) -> None:
        """Let keys go, but not the one that was used last if nothing is to be added."""
        fewest = 0 if more else 1
        while len(self._kept) > fewest and (
            need > MOST_OF_FREE * device.free_bytes() or (more and self.bytes + more > KEPT_SHARE * usable)
        ):
            self._kept.popitem(last=False)


_keys: weakref.WeakKeyDictionary[Device, Keys] = weakref.WeakKeyDictionary()
_finding = threading.Lock()


def keys_of(device: Device) -> Keys:
    """The keys that a device holds."""
    with _finding:
        return _keys.setdefault(device, Keys())


def _place(device: Device, key: ProvingKey, planned: KeyPlan) -> ResidentKey:
    """A key to a device.

    Raises:
        DeviceError: it failed; or it refuses a point, which were all checked when the key was read.
    """
    stream, spec = device.stream(), SPECS[key.curve]
    a, b = (
        sparse_products.place(stream, spec, each.starts, each.columns, each.values, key.wires)
        for each in (key.a, key.b)
    )
    sums = []
    for (group, of), plan in zip(_sums_of(key), planned.plans, strict=True):
        wires = of.wires.astype(np.uint32)
        buffer = stream.allocate(max(1, wires.nbytes))
        stream.upload(wires, buffer)
        coordinates = np.ascontiguousarray(of.table.coordinates).reshape(len(of.table), group.words)
        try:
            points = group.place(stream, coordinates, plan)
        except ArgumentError as error:
            raise DeviceError(device.name, f"the key {key.name} was checked, and yet: {error}") from error
        sums.append(_ResidentSum(group, points, buffer, len(wires)))
    first, second = (planned.plans[at] for at in (_B1, _B2))
    alike = np.array_equal(key.sum_b1.wires, key.sum_b2.wires) and first.bits == second.bits
    return ResidentKey(planned, a, b, tuple(sums), alike)


def sums(key: ProvingKey, values: Any, blinding: Words, out: Sequence[Words]) -> None:
    """The sums of proofs, on the working device.

    Args:
        key: a key.
        values: of wires, uint64 (k, wires, 4), canonical; a NumPy array or a `DeviceArray` there.
        blinding: uint64 (k, 3, 4), r, s and −rs of each.
        out: A, B in G1, B in G2, and C without s·A + r·B, written.

    Raises:
        DeviceOutOfMemory: not even one proof fits; what it needs.
        DeviceError: it failed; `out` is worthless then.
    """
    device = devices.working_device()
    with device.use():
        resident = keys_of(device).resident(device, key)
        most = int(MOST_OF_FREE * device.free_bytes())
        piece, planned = len(values), resident.key_plan
        while piece > 1 and (planned.working_bytes(piece) > most or not planned.fits(piece)):
            piece = -(-piece // 2)
        for start in range(0, len(values), piece):
            rows = slice(start, min(start + piece, len(values)))
            found = _Piece(device, key, resident, values[rows], blinding[rows]).finish()
            for each, target in zip(found, out, strict=True):
                target[rows] = each.reshape(target[rows].shape)


class _Piece:
    """Witnesses on their way through a device."""

    def __init__(
        self, device: Device, key: ProvingKey, resident: ResidentKey, values: Any, blinding: Words
    ) -> None:
        self._device, self._spec, self._resident = device, SPECS[key.curve], resident
        self._size, self._count = 1 << key.log, len(values)
        self._reduction = key.reduction
        self._streams = [device.stream() for _ in range(3)]
        self._kept: list[Any] = [values]
        try:
            self._pending = self._queue(values, blinding)
        except BaseException:
            self._settle()
            raise

    def finish(self) -> list[Words]:
        """The sums, uint64 (k, words of a point) each."""
        try:
            return [each.finish() for each in self._pending]
        except BaseException:
            self._settle()
            raise

    def _settle(self) -> None:
        """After a failure: what is still being copied must not lose its memory."""
        for stream in self._streams:
            with suppress(DeviceError):
                stream.wait()

    def _queue(self, values: Any, blinding: Words) -> list[Any]:
        main, second, third = self._streams
        given = there(
            main, values if not isinstance(values, np.ndarray) else np.ascontiguousarray(values), _QUAD_BYTES
        )
        ones = np.zeros((self._count, 1, 4), np.uint64)
        ones[..., 0] = 1
        of_a, of_b = (self._sent(np.concatenate((ones, blinding[:, at : at + 1]), axis=1)) for at in (0, 1))
        of_c = self._sent(blinding[:, 2:])
        main.wait()  # the other streams read what it has sent
        sums = self._resident.sums
        scalars = self._scalars(third, sums[_B1], of_b, 2, given, given)
        ordered = sums[_B1].group.sort(third, sums[_B1].points, scalars, self._count)
        pending_b1 = sums[_B1].group.add(third, sums[_B1].points, ordered)
        if not self._resident.alike:
            scalars = self._scalars(third, sums[_B2], of_b, 2, given, given)
            ordered = sums[_B2].group.sort(third, sums[_B2].points, scalars, self._count)
        pending_b2 = sums[_B2].group.add(third, sums[_B2].points, ordered)
        del ordered
        pending_a = self._sum(second, sums[_A], self._scalars(second, sums[_A], of_a, 2, given, given))
        quotient = self._quotient(main, given)
        pending_c = self._sum(main, sums[_C], self._scalars(main, sums[_C], of_c, 1, given, quotient))
        self._kept += [given, of_a, of_b, of_c]
        return [pending_a, pending_b1, pending_b2, pending_c]

    def _sent(self, numbers: Words) -> Buffer:
        """A copy on the device, by the first stream."""
        self._kept.append(np.ascontiguousarray(numbers))
        return there(self._streams[0], self._kept[-1], _QUAD_BYTES)

    def _sum(self, stream: Stream, of: _ResidentSum, scalars: Buffer) -> Any:
        return of.group.add(stream, of.points, of.group.sort(stream, of.points, scalars, self._count))

    def _scalars(
        self, stream: Stream, of: _ResidentSum, own: Buffer, before: int, given: Buffer, more: Any
    ) -> Buffer:
        """Scalars of a sum: `before` own ones, those of its wires, and for the points that are left those of `more`."""
        width = of.points.plan.points
        scalars = stream.allocate(NUMBER_BYTES * self._count * width)
        stream.launch_items(
            self._resident.a.program, "gather_rows", self._count * width, self._count * width, width, before, of.chosen,
            self._resident.a.columns, self._size, own, of.wires, given, more, scalars,
        )  # fmt: skip
        return scalars

    def _quotient(self, stream: Stream, given: Buffer) -> Buffer:
        """Scalars of the H points, rows of as many as the domain has, by `groth16_quotient`'s formulas.

        A·B comes with a factor 1/R as it is multiplied, which the last product takes off.
        """
        spec, count, size = self._spec, self._count, self._size
        program, rows = self._resident.a.program, self._count * self._size
        block = NUMBER_BYTES * rows
        values = stream.allocate(3 * block)
        a, b, c = (np.uint64(values.address + block * at) for at in range(3))
        self._resident.a.multiply(stream, given, count, a)
        self._resident.b.multiply(stream, given, count, b)
        stream.launch_items(program, "multiply_numbers", rows, rows, a, b, c)
        log, shift = size.bit_length() - 1, shift_of(spec, size, self._reduction)
        for what in (Transform(log, True, 1, True), Transform(log, False, shift, True)):
            self._kept.append(ntt.queue(self._device, stream, spec, values, 3 * count, what))
        factor = vanishing_inverse(spec, size, self._reduction) << 8 * NUMBER_BYTES
        factors = sparse_products.montgomery(spec, factor)
        self._kept.append(factors)
        stream.launch_items(
            program, "multiply_subtract", rows, rows, a, b, c, there(stream, factors, _QUAD_BYTES), a
        )
        if self._reduction == "arkworks":
            back = Transform(log, True, shift, True)
            self._kept.append(ntt.queue(self._device, stream, spec, values, count, back))
        return values
