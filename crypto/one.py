# SPDX-License-Identifier: GPL-3.0-or-later
"""One item alone: its bytes go to arrays that are kept, and compiled code is called at once.

For one signature columns, slices and threads would take half as long as the check itself; for one hash, ten times as long.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from supervm.kernels import registry
from supervm.kernels.array_types import Bytes
from supervm.kernels.backend_trace import computed
from supervm.kernels.cpu.bound import Bound
from supervm.kernels.errors import ArgumentError

KEPT_BYTES = 4096
"""Messages up to this length are copied to an array that is kept."""


class Desk:
    """Arrays for the inputs and results of one item, those of Python's bytes also as views that take them.

    `key`, `signature`, `digest` and `result` are uint64 (8,), `form` and `verdict` int8 (1,).
    """

    def __init__(self) -> None:
        self.key, self.signature, self.digest, self.result = np.zeros((4, 8), np.uint64)
        self.form, self.verdict = np.zeros((2, 1), np.int8)
        self.message, self.offsets = np.zeros(KEPT_BYTES, np.uint8), np.zeros(2, np.int64)
        self.digest_bytes: Bytes = self.digest.view(np.uint8)
        self.key_view, self.signature_view, self.digest_view, self.result_view = (
            memoryview(array.view(np.uint8))  # type: ignore[arg-type]
            for array in (self.key, self.signature, self.digest, self.result)
        )
        self.message_view, self.verdict_view = memoryview(self.message), memoryview(self.verdict)  # type: ignore[arg-type]

    def hash(self, kernel: Bound, message: bytes, out: Bytes) -> None:
        """The digest of a message, to a flat array.

        Args:
            kernel: of `kernels.cpu.hashes.batch.hasher`.
        """
        self.offsets[1] = len(message)
        if len(message) <= KEPT_BYTES:
            self.message_view[: len(message)] = message
            kernel(self.message, self.offsets, out, 0, 1)
        else:
            kernel(np.frombuffer(message, np.uint8), self.offsets, out, 0, 1)


_desks: list[Desk] = []


def take_desk() -> Desk:
    """Arrays that nobody else uses until they are put back.

    A thread takes others than a thread beside it, and a signal's handler others than the call that it interrupts.
    """
    try:
        return _desks.pop()
    except IndexError:
        return Desk()


def put_back(desk: Desk) -> None:
    """Let others have it."""
    _desks.append(desk)


def backend_of_one(operation: str, backend: str) -> str:
    """The CPU backend that computes one item at once; '' where a scheduler or a GPU is asked.

    Raises: as `registry.resolve`.
    """
    if backend == "auto" and registry.dispatcher() is not None:
        return ""
    name = registry.resolve(operation, backend, 1).name
    if name == "cuda":
        return ""
    computed(operation, name)
    return name


def bytes_of(value: Any, argument: str, *lengths: int) -> bytes:
    """`value` if it is bytes of one of these lengths, any if none is named.

    Raises:
        ArgumentError: anything else.
    """
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise ArgumentError(argument, type(value).__name__, "bytes")
    found = value if type(value) is bytes else bytes(value)
    if lengths and len(found) not in lengths:
        expected = " or ".join(map(str, lengths))
        raise ArgumentError(argument, f"{len(found)} bytes", f"{expected} bytes")
    return found


def row_of(value: bytes | bytearray) -> Bytes:
    """Bytes as an array of one row."""
    return np.frombuffer(value, np.uint8).reshape(1, -1)
