# SPDX-License-Identifier: GPL-3.0-or-later
"""Shares of tasks as messages of `supervm.v1.Node`: columns, options, and columns that are held."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervm.kernels.errors import ArgumentError
from supervm.tiers.cluster.splitting.parts import Held
from supervm.tiers.cluster.task import Columns, Options
from supervm.tiers.service.v1 import node_pb2 as pb

DTYPES = {dtype.str: dtype for dtype in map(np.dtype, "?bhiqBHIQ")}
"""That columns may have: integers, and truth values."""

MOST_DIMENSIONS, MOST_SIDES = 8, 1 << 24
"""Of a column, and the product of the sides of one without bytes: they say how much an operation prepares."""


def column_message(column: NDArray[Any]) -> pb.Column:
    """A column as a message."""
    whole = np.ascontiguousarray(column)
    return pb.Column(dtype=whole.dtype.str, shape=whole.shape, data=whole.tobytes())


def columns_of(messages: Iterable[pb.Column], argument: str) -> Columns:
    """Columns of messages; read-only.

    Raises:
        ArgumentError: a dtype or a shape that none has, or another number of bytes than its shape says.
    """
    return tuple(_column(message, f"{argument}[{place}]") for place, message in enumerate(messages))


def _column(message: pb.Column, argument: str) -> NDArray[Any]:
    dtype = DTYPES.get(message.dtype)
    if dtype is None:
        expected = f"integers or truth values: {', '.join(DTYPES)}"
        raise ArgumentError(argument, f"the dtype {message.dtype[:16]!r}", expected)
    shape = tuple(message.shape)
    if not 1 <= len(shape) <= MOST_DIMENSIONS or (
        0 in shape and math.prod(side or 1 for side in shape) > MOST_SIDES
    ):
        came = f"the shape {shape[: MOST_DIMENSIONS + 1]}"
        raise ArgumentError(
            argument, came, f"1 … {MOST_DIMENSIONS} sides, of at most {MOST_SIDES} without a 0"
        )
    size = math.prod(shape) * dtype.itemsize
    if len(message.data) != size:
        came = f"{len(message.data)} bytes"
        raise ArgumentError(argument, came, f"{size}, as {dtype.str} of shape {shape} has")
    found: NDArray[Any] = np.frombuffer(message.data, dtype).reshape(shape)
    return found


def options_text(options: Options) -> tuple[str, list[Held]]:
    """Options as JSON, and the columns that are held in them."""
    held: list[Held] = []

    def plain(value: object) -> object:
        if isinstance(value, Held):
            held.append(value)
            return {"held": value.digest}
        raise TypeError(f"a {type(value).__name__} in the options of a task")

    return json.dumps(dict(options), default=plain), held


def options_of(text: str, find: Callable[[str], Held]) -> Options:
    """Options of JSON.

    Args:
        find: gives what is held under a digest.

    Raises:
        ArgumentError: no JSON object.
    """

    def whole(pairs: dict[str, Any]) -> Any:
        return find(pairs["held"]) if pairs.keys() == {"held"} and isinstance(pairs["held"], str) else pairs

    try:
        found = json.loads(text or "{}", object_hook=whole)
    except (ValueError, RecursionError) as error:
        raise ArgumentError("options", f"no JSON: {error}", "a JSON object") from None
    if not isinstance(found, dict):
        raise ArgumentError("options", type(found).__name__, "a JSON object")
    return found
