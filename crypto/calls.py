# SPDX-License-Identifier: GPL-3.0-or-later
"""From checked arguments to results: allocates outputs and dispatches to a backend."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from supervm.kernels.cuda.runtime.arrays import DeviceArray
from supervm.kernels.cuda.runtime.device import Device
from supervm.kernels.errors import ArgumentError
from supervm.kernels.registry import resolve, run
from supervm.kernels.work import Batch, Ragged

Output = tuple[tuple[int, ...], type]
"""Shape of a row and dtype of a result column."""


def compute(
    operation: str,
    inputs: tuple[Any, ...],
    items: int,
    outputs: tuple[Output, ...],
    *,
    options: tuple[Any, ...] = (),
    backend: str,
) -> tuple[Any, ...]:
    """Run an operation over columns; its results are new arrays.

    Args:
        operation: in the registry.
        inputs: columns of `items` rows: arrays, `DeviceArray` or `Ragged`.
        items: how many.
        outputs: of each result.
        options: what is the same for all items.
        backend: as the caller gave it.

    Returns:
        NumPy arrays; if an input is on a GPU, CuPy arrays there, computed without copying the input.

    Raises:
        ArgumentError: an input lies on a GPU and `backend` names a processor's, or inputs lie on different GPUs.
        BackendUnavailable: the named backend cannot run here.
        DeviceError: inputs lie on a GPU, and it failed.
    """
    memories = [column.data if isinstance(column, Ragged) else column for column in inputs]
    device = place_of(memories, backend) if DeviceArray in map(type, memories) else None
    if device is not None:
        return compute_there(resolve(operation, "cuda").function, inputs, items, outputs, options, device)
    results: tuple[Any, ...] = tuple([np.empty((items, *shape), dtype) for shape, dtype in outputs])
    run(Batch(operation, inputs, results, options), backend)
    return results


def place_of(inputs: Iterable[Any], backend: str) -> Device | None:
    """The GPU on which inputs lie, or None if none of them lies on any.

    Args:
        inputs: `DeviceArray`, or anything that lies on no GPU.
        backend: as the caller gave it.

    Raises:
        ArgumentError: an input lies on a GPU and `backend` names a processor's, or inputs lie on different GPUs.
        BackendUnavailable: that GPU cannot be used here.
    """
    found = [each.device() for each in inputs if isinstance(each, DeviceArray)]
    if not found:
        return None
    if backend not in ("auto", "cuda"):
        raise ArgumentError("backend", repr(backend), "'auto' or 'cuda' for arrays that lie on a GPU")
    for other in found[1:]:
        if other is not found[0]:
            came = f"arrays on {found[0].name} and on {other.name}"
            raise ArgumentError("inputs", came, "arrays on one GPU")
    return found[0]


def compute_there(
    function: Callable[..., None],
    inputs: tuple[Any, ...],
    items: int,
    outputs: tuple[Output, ...],
    options: tuple[Any, ...],
    device: Device,
) -> tuple[Any, ...]:
    """`compute` where an input lies on this GPU, by a function of the backend `cuda`."""
    results = tuple(device.empty((items, *shape), dtype) for shape, dtype in outputs)
    views = tuple(map(DeviceArray, results))
    with device.use():
        device.synchronize()  # whatever writes the inputs may be on a stream that nobody named
        function(*inputs, *options, *views)
    return results
