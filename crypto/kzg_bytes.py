# SPDX-License-Identifier: GPL-3.0-or-later
"""Blobs, cells and points as bytes, and the field elements in them.

Items come as an array uint8 (n, bytes), as a list of bytes, or one as bytes, which the answer then is too. An array on a GPU
is fetched.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from supervm.crypto.arguments import rows
from supervm.crypto.one import bytes_of
from supervm.crypto.params.bls12_381 import FR
from supervm.crypto.params.kzg import CELL_ELEMENTS, ELEMENTS
from supervm.crypto.polynomials.arguments import first_not_canonical
from supervm.kernels.array_types import Bytes, Words
from supervm.kernels.cuda.runtime.arrays import DeviceArray
from supervm.kernels.errors import ArgumentError

BLOB_BYTES, CELL_BYTES, POINT_BYTES = 32 * ELEMENTS, 32 * CELL_ELEMENTS, 48

AT_ONCE = 64
"""Blobs that are hashed and transformed together: some 25 MB of scratch."""


def columns(data: Any, argument: str, length: int) -> Bytes:
    """Items of `length` bytes each as uint8 (n, length): from an array, a list of bytes, or bytes.

    Raises:
        ArgumentError: anything else, or an item of another length, by its row.
    """
    found, sound = lenient_columns(data, argument, length)
    if not sound.all():
        row = int(np.argmin(sound))
        raise ArgumentError(argument, f"item {row} of another length", f"{length} bytes")
    return found


def lenient_columns(data: Any, argument: str, length: int) -> tuple[Bytes, npt.NDArray[np.bool_]]:
    """As `columns`, with zeros for an item of another length, and which items have the right one."""
    if isinstance(data, (bytes, bytearray, memoryview)):
        data = [data]
    if not isinstance(data, (list, tuple)):
        found = rows(data, argument, length)
        found = found.fetched() if isinstance(found, DeviceArray) else found
        return found, np.ones(len(found), bool)
    items = [bytes_of(item, argument) for item in data]
    sound = np.array([len(item) == length for item in items], bool)
    joined = b"".join(item if len(item) == length else bytes(length) for item in items)
    return np.frombuffer(joined, np.uint8).reshape(len(items), length), sound


def answered(result: Bytes, asked: Any) -> Any:
    """Rows of bytes, or bytes where bytes were asked about."""
    return result[0].tobytes() if isinstance(asked, (bytes, bytearray, memoryview)) else result


def words_of_bytes(data: Bytes) -> Words:
    """Big-endian numbers uint8 (…, 32·k) as words, uint64 (…, k, 4)."""
    numbers = np.ascontiguousarray(data).view(">u8").reshape(*data.shape[:-1], data.shape[-1] // 32, 4)
    return numbers[..., ::-1].astype(np.uint64, order="C")


def bytes_of_elements(words: Words) -> Bytes:
    """The inverse for each number: uint64 (…, 4) as uint8 (…, 32)."""
    return np.ascontiguousarray(words[..., ::-1].astype(">u8", order="C")).view(np.uint8)


def elements_of(data: Bytes, argument: str) -> Words:
    """Field elements of blobs or cells.

    Raises:
        ArgumentError: one is not below the order, by the row of its blob or cell.
    """
    words = words_of_bytes(data)
    row = first_not_canonical(FR, words)
    if row >= 0:
        found = f"an element of item {row // words.shape[-2]} that is not below the order"
        raise ArgumentError(argument, found, "field elements, canonical")
    return words


def lenient_elements(data: Bytes) -> tuple[Words, npt.NDArray[np.bool_]]:
    """As `elements_of`, with zeros for an item that has an element of the order or more, and which items have none."""
    words = words_of_bytes(data)
    sound = np.ones(len(words), bool)
    if first_not_canonical(FR, words) >= 0:
        sound[:] = [first_not_canonical(FR, item) < 0 for item in words]
        words[~sound] = 0
    return words, sound


def pieces(blobs: Bytes) -> list[Bytes]:
    """Blobs in parts that are worked on together."""
    return [blobs[start : start + AT_ONCE] for start in range(0, len(blobs), AT_ONCE)]
