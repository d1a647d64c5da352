# SPDX-License-Identifier: GPL-3.0-or-later
"""Points as snarkjs writes them in JSON: [x, y, z] of decimal strings, in G2 of pairs [c₀, c₁] of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from supervm.crypto.point_encodings import base_field
from supervm.kernels.array_types import Words
from supervm.kernels.errors import ArgumentError
from supervm.kernels.point_checks import INFINITE, MALFORMED
from supervm.kernels.spec import GroupSpec

Flags = npt.NDArray[np.int8]


def read(spec: GroupSpec, points: Sequence[Any]) -> tuple[Words, Flags]:
    """(words, flags) as `point_encodings.read` makes them from bytes.

    Raises:
        ArgumentError: `points` is no list or tuple.
    """
    if not isinstance(points, (list, tuple)):
        raise ArgumentError("points", type(points).__name__, "a list of points [x, y, z]")
    words = np.zeros((len(points), 2 * spec.field.words), np.uint64)
    flags = np.zeros(len(points), np.int8)
    for index, point in enumerate(points):
        parts = _parts(spec, point)
        if parts is None:
            flags[index] = MALFORMED
            continue
        degree = len(parts) // 3
        third = parts[2 * degree :]
        one, zero = [1, *[0] * (degree - 1)], [0] * degree
        words[index] = _words(spec, parts[: 2 * degree])
        if third == zero:
            flags[index] = INFINITE
        elif third != one or not any(parts[: 2 * degree]):
            flags[index] = MALFORMED
    return words, flags


def write(spec: GroupSpec, words: Words) -> list[Any]:
    """The inverse: words of affine points, infinity all zero, as [x, y, z]."""
    size = 8 * base_field(spec).words
    degree = spec.field.words // base_field(spec).words
    points = []
    for row in np.ascontiguousarray(words):
        data = row.tobytes()
        parts = [int.from_bytes(data[at : at + size], "little") for at in range(0, len(data), size)]
        finite = any(parts)
        if not finite:
            parts[degree] = 1
        parts += [int(finite), *[0] * (degree - 1)]
        texts = [str(part) for part in parts]
        points.append(texts if degree == 1 else [texts[at : at + 2] for at in (0, 2, 4)])
    return points


def to_words(spec: GroupSpec, point: Sequence[Any]) -> Words:
    """Words of the integers x and y (in G2 pairs of them) of [x, y, z]."""
    degree = spec.field.words // base_field(spec).words
    x, y = point[:2]
    return _words(spec, [x, y] if degree == 1 else [*x, *y])


def _words(spec: GroupSpec, parts: Sequence[int]) -> Words:
    size = 8 * base_field(spec).words
    return np.frombuffer(b"".join(part.to_bytes(size, "little") for part in parts), "<u8").astype(np.uint64)


def _parts(spec: GroupSpec, point: Any) -> list[int] | None:
    """The integers of a point, or None if it is malformed; those that do not fit their words cannot be below p."""
    degree = spec.field.words // base_field(spec).words
    if not isinstance(point, (list, tuple)) or len(point) != 3:
        return None
    texts: list[Any] = []
    for coordinate in point:
        if degree == 1:
            texts.append(coordinate)
        elif isinstance(coordinate, (list, tuple)) and len(coordinate) == 2:
            texts += coordinate
        else:
            return None
    longest = len(str(base_field(spec).modulus))
    if not all(
        isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= longest for text in texts
    ):
        return None
    parts = [int(text) for text in texts]
    return parts if all(part < base_field(spec).modulus for part in parts) else None
