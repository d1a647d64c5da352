# SPDX-License-Identifier: GPL-3.0-or-later
"""How arrays reach compiled code: flat, aligned, and without the read-only mark."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

LINE = 64
"""Bytes of a cache line."""


class _Borrowed:
    """The memory of an array, offered for writing."""

    def __init__(self, array: npt.NDArray[Any]) -> None:
        address, _ = array.__array_interface__["data"]
        self.__array_interface__ = {**array.__array_interface__, "data": (address, False)}
        self.array = array


def borrow(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same memory without the read-only mark, which is part of Numba's array type: no kernel is compiled twice.

    Only for kernels that do not write to it.
    """
    return array if array.flags.writeable else np.asarray(_Borrowed(array))


def words(array: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """Contiguous rows of 8·k bytes as a flat uint64 array, copied only where the memory is not aligned.

    A read-only one stays so.
    """
    flat = array.reshape(-1).view(np.uint64)
    return flat if flat.flags.aligned else flat.copy()


def aligned(count: int) -> npt.NDArray[np.uint64]:
    """uint64 (count,) of unknown contents that begins with a cache line, so that rows of 64 bytes lie in one line each."""
    words = np.empty(count + LINE // 8 - 1, np.uint64)
    first = -words.ctypes.data % LINE // 8
    return words[first : first + count]


def number_words(value: int, count: int) -> npt.NDArray[np.uint64]:
    """A number below 2^(64·count) as uint64 (count,), little end first."""
    return np.array([value >> (64 * index) & (2**64 - 1) for index in range(count)], np.uint64)


def integers(rows: npt.NDArray[np.uint64]) -> list[int]:
    """The numbers whose words, little end first, are the rows (the last axis) of an array, in the order of memory."""
    data = np.ascontiguousarray(rows, "<u8")
    width, raw = 8 * data.shape[-1], data.tobytes()
    return [int.from_bytes(raw[at : at + width], "little") for at in range(0, len(raw), width)]
