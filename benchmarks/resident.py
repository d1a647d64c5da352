# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls whose inputs lie on a device and whose results stay there: what rows of kernels alone measure.

What a sum, a transform or a tree needs of the processor is part of them: to queue kernels and to join the windows of a sum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from supervm.crypto.cuda import PROGRAMS
from supervm.crypto.groth16_work import ProofCall, Sums
from supervm.crypto.merkle_work import Build
from supervm.crypto.msm_work import MsmCall, Points
from supervm.crypto.polynomials.transforms import Transformation
from supervm.engine.conflicts import Detection
from supervm.kernels import registry
from supervm.kernels.array_types import Array
from supervm.kernels.cuda.conflicts import detect
from supervm.kernels.cuda.runtime import batch
from supervm.kernels.cuda.runtime.arrays import DeviceArray, there
from supervm.kernels.cuda.runtime.device import Buffer, Device
from supervm.kernels.merkle_levels import fresh
from supervm.kernels.work import Batch, Work

ALIGNMENT = 16


class OnDevice(Protocol):
    """A call whose inputs lie on the device."""

    def compute(self, times: int) -> object:
        """Run its kernels so many times and wait for them."""

    def results(self) -> list[Array]:
        """Run them and bring back what they found, one array a result."""


def placed(work: Work, device: Device) -> OnDevice:
    """A call with its inputs on a device."""
    if isinstance(work, Detection):
        return _Block(work, device)
    if isinstance(work, Batch):
        return _Items(work, device)
    return _Whole(work, device)


def results_of(work: Work) -> list[Array]:
    """What a call has written; of a tree the root."""
    if isinstance(work, Detection):
        return [work.result.wave]
    if isinstance(work, MsmCall):
        return [work.result]
    if isinstance(work, Transformation):
        return [work.out]
    if isinstance(work, Build):
        return [work.growth.levels[-1]]
    if isinstance(work, ProofCall):
        return list(work.result)
    assert isinstance(work, Batch)
    return list(work.outputs)


class _Items:
    """A batch of independent items."""

    def __init__(self, work: Batch, device: Device) -> None:
        self._work = work
        arguments = (*work.inputs, *work.options, *work.outputs)
        self._resident = batch.Resident(PROGRAMS[work.operation], device, *arguments)
        self.compute = self._resident.compute

    def results(self) -> list[Array]:
        for array in self._work.outputs:
            array.view(np.uint8).fill(0xA5)  # what the public function left there must not pass for a result
        self.compute(2)  # twice, as a round does: the first must leave to the second what that needs
        self._resident.collect()
        return results_of(self._work)


class _Block:
    """A block of transactions: sorting, links and waves, the tail of them on the CPU; no heat counts, no edges."""

    def __init__(self, work: Detection, device: Device) -> None:
        self._work, self._device = work, device
        with device.use():
            self._stream = device.stream()
            self._block = detect.place(self._stream, work.accesses)
            self._stream.wait()

    def compute(self, times: int) -> object:
        with self._device.use():
            for _ in range(times):
                waves, _count = detect.waves_on(self._stream, self._block, self._work.locking)
            return waves

    def results(self) -> list[Array]:
        found: Any = self.compute(1)
        waves = np.empty(self._work.items, np.int32)
        with self._device.use():
            self._stream.download(found, waves)
            self._stream.wait()
        return [waves]


class _Whole:
    """A call whose items make one result, with results of its own: the backend's function over arrays of the device."""

    def __init__(self, work: Work, device: Device) -> None:
        self._device = device
        self._function = registry.resolve(work.operation, "cuda").function
        with device.use():
            self._call = _MOVED[type(work)](work, device)

    def compute(self, times: int) -> None:
        with self._device.use():
            for _ in range(times):
                self._call.run(self._function)

    def results(self) -> list[Array]:
        self.compute(2)
        with self._device.use():
            found: list[Any] = results_of(self._call)
            return [each.fetched() if isinstance(each, DeviceArray) else each for each in found]


@dataclass(frozen=True, eq=False)
class _Copy:
    """A copy of an array in device memory, as others see it."""

    buffer: Buffer
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        address = self.buffer.address
        return {"shape": self.shape, "typestr": self.dtype.str, "data": (address, False), "version": 3}


def _sent(device: Device, array: Array) -> Any:
    """A `DeviceArray` with the contents of an array."""
    stream, source = device.stream(), np.ascontiguousarray(array)
    buffer = there(stream, source, ALIGNMENT)
    stream.wait()
    return DeviceArray(_Copy(buffer, array.shape, array.dtype))


def _sum(work: MsmCall, device: Device) -> Work:
    """Over a table of its points, which the first run makes."""
    points = Points(work.points.coordinates, kept=True)
    return replace(
        work, points=points, scalars=_sent(device, work.scalars), result=np.zeros_like(work.result)
    )


def _transform(work: Transformation, device: Device) -> Work:
    call: Any = work.twin()
    call.values, call.out = _sent(device, work.values), DeviceArray(device.empty(work.out.shape, np.uint64))
    return call  # type: ignore[no-any-return]


def _tree(work: Build, device: Device) -> Work:
    """All levels are computed, and the root alone leaves the device."""
    growth = work.growth
    depth = growth.lowest + growth.steps
    leaves = _sent(device, np.asarray(growth.leaves))
    return Build(work.operation, fresh(leaves, growth.arity, depth, growth.empty, depth, growth.dedicated))


def _proofs(work: ProofCall, device: Device) -> Work:
    """With a key that the first run sends."""
    result = Sums(*(np.zeros_like(each) for each in work.result))
    return replace(work, values=_sent(device, work.values), result=result)


_MOVED: dict[type[Work], Callable[[Any, Device], Work]] = {
    MsmCall: _sum,
    Transformation: _transform,
    Build: _tree,
    ProofCall: _proofs,
}
"""Type of call → the same call with its arrays on a device, and results of its own."""
