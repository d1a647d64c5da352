# SPDX-License-Identifier: GPL-3.0-or-later
"""From checked arguments to results: where outputs are made, and who computes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from supervm.kernels.cuda.arrays import DeviceArray
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
        NumPy arrays; or, if an input lies on a GPU, arrays there (CuPy's), computed without a copy of what lies there.

    Raises:
        ArgumentError: an input lies on a GPU and `backend` names a processor's, or inputs lie on different GPUs.
        BackendUnavailable: the named backend cannot run here.
        DeviceError: inputs lie on a GPU, and it failed.
    """
    resident = [column for column in map(_memory, inputs) if isinstance(column, DeviceArray)]
    if resident:
        function = resolve(operation, "cuda").function
        return compute_there(function, inputs, items, outputs, options=options, backend=backend)
    results: tuple[Any, ...] = tuple(np.empty((items, *shape), dtype) for shape, dtype in outputs)
    run(Batch(operation, inputs, results, options), backend)
    return results


def _memory(column: Any) -> Any:
    """What holds a column's bytes."""
    return column.data if isinstance(column, Ragged) else column


def compute_there(
    function: Callable[..., None],
    inputs: tuple[Any, ...],
    items: int,
    outputs: tuple[Output, ...],
    *,
    options: tuple[Any, ...] = (),
    backend: str,
) -> tuple[Any, ...]:
    """`compute` where an input lies on a GPU, by a function of the backend `cuda`."""
    if backend not in ("auto", "cuda"):
        raise ArgumentError("backend", repr(backend), "'auto' or 'cuda' for arrays that lie on a GPU")
    resident = [column for column in map(_memory, inputs) if isinstance(column, DeviceArray)]
    device = resident[0].device()
    for column in resident:
        if column.device() is not device:
            found = f"arrays on {device.name} and on {column.device().name}"
            raise ArgumentError("inputs", found, "arrays on one GPU")
    results = tuple(device.empty((items, *shape), dtype) for shape, dtype in outputs)
    views = tuple(map(DeviceArray, results))
    with device.use():
        device.synchronize()  # whatever writes the inputs may be on a stream that nobody named
        function(*inputs, *options, *views)
    return results
