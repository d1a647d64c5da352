# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernels of `double_multiply`, `ecdsa` and `schnorr` on the host twin, in the order in which a GPU runs them."""

from __future__ import annotations

import ctypes
import functools
import hashlib
from typing import Any, NamedTuple

import host_twin
import numpy as np
import numpy.typing as npt

from supervm.crypto.params.hashes import SHA256
from supervm.crypto.params.secp256k1 import SECP256K1
from supervm.kernels.array_types import Bytes, Verdicts
from supervm.kernels.cuda.constants import fixed_base
from supervm.kernels.cuda.constants import weierstrass as constants

PADDING = 64
"""Bytes that may be read after the last one of a buffer."""

GUARD = 64
"""Elements after the last one of a column, which nothing may write."""


class Sources(NamedTuple):
    """The constants of each source."""

    double_multiply: str
    ecdsa: str
    schnorr: str


@functools.cache
def sources() -> Sources:
    curve = constants.curve(SECP256K1)
    tag = constants.tagged_hash(SHA256, hashlib.sha256(b"BIP0340/challenge").digest())
    return Sources(curve, curve, curve + tag)


def library(name: str) -> ctypes.CDLL:
    return host_twin.build(name, getattr(sources(), name))


@functools.cache
def table() -> npt.NDArray[np.uint32]:
    """(windows, multiples, 16) words: what `weierstrass_table` makes."""
    made = aligned(constants.table_words(SECP256K1))
    chunks = len(made) // (fixed_base.GROUP * constants.ENTRY_WORDS)
    host_twin.call(
        library("double_multiply"),
        "weierstrass_table",
        _aligned_copy(constants.window_bases(SECP256K1)),
        made,
        chunks,
    )
    return made.reshape(-1, fixed_base.WINDOW_MULTIPLES, constants.ENTRY_WORDS)


def aligned(words: int) -> npt.NDArray[np.uint32]:
    """Words at a multiple of 64 bytes."""
    room = np.zeros(words + 16, np.uint32)
    start = -room.ctypes.data % 64 // 4
    return room[start : start + words]


def _aligned_copy(values: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    room = aligned(values.size)
    room[:] = values.reshape(-1)
    return room


def padded(values: npt.NDArray[Any]) -> Bytes:
    """The bytes of an array, and what may be read beyond them."""
    flat = np.frombuffer(values.tobytes(), np.uint8)
    return np.concatenate([flat, np.full(PADDING, 0xA5, np.uint8)])


UNTOUCHED = 0xA5A5A5A5


def _column(words: int) -> npt.NDArray[np.uint32]:
    return np.full(words + GUARD, UNTOUCHED, np.uint32)


class Scratch:
    """The columns and verdicts of one batch; `exceptional` says which items went to the complete formulas."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.points = _column(constants.POINT_WORDS * count)
        self.scalars = _column(constants.SCALAR_WORDS * count)
        self.results = _column(constants.RESULT_WORDS * count)
        self.column = np.full(count + GUARD, 99, np.int8)
        self.exceptional = np.zeros(count, np.bool_)

    @property
    def verdicts(self) -> Verdicts:
        """int8 (count,); what lies beyond every column must be as it was.

        Raises:
            AssertionError: a kernel wrote there.
        """
        for column in (self.points, self.scalars, self.results):
            assert (column[-GUARD:] == UNTOUCHED).all()
        assert (self.column[-GUARD:] == 99).all()
        return self.column[: self.count]

    def double_multiply(self) -> None:
        made = library("double_multiply")
        columns = (self.points, self.scalars)
        host_twin.call(made, "double_multiply", *columns, table(), self.results, self.column, self.count)
        self.exceptional = self.verdicts == 2
        host_twin.call(made, "double_multiply_complete", *columns, self.results, self.column, self.count)


def ecdsa_verify(keys: Bytes, digests: Bytes, signatures: Bytes, low_s: bool) -> Scratch:
    work = Scratch(len(keys))
    made, signed = library("ecdsa"), padded(signatures)
    host_twin.call(
        made,
        "ecdsa_prepare",
        signed,
        64,
        padded(digests),
        0,
        int(low_s),
        work.scalars,
        work.column,
        work.count,
    )
    host_twin.call(made, "ecdsa_keys", padded(keys), keys.shape[1], work.points, work.column, work.count)
    work.double_multiply()
    host_twin.call(made, "ecdsa_compare", signed, work.results, work.column, work.count)
    return work


def ecdsa_recover(digests: Bytes, signatures: Bytes) -> tuple[Bytes, Scratch]:
    work = Scratch(len(digests))
    made, signed = library("ecdsa"), padded(signatures)
    host_twin.call(
        made, "ecdsa_prepare", signed, 65, padded(digests), 1, 0, work.scalars, work.column, work.count
    )
    host_twin.call(made, "ecdsa_nonces", signed, work.points, work.column, work.count)
    work.double_multiply()
    keys = np.full((work.count, 64), 0xA5, np.uint8)
    host_twin.call(made, "ecdsa_finish_recover", work.results, keys, work.column, work.count)
    return keys, work


def schnorr_verify(keys: Bytes, messages: list[bytes], signatures: Bytes, before: bytes = b"") -> Scratch:
    """`before` is what the buffer of messages holds before the first one."""
    work = Scratch(len(keys))
    made, signed = library("schnorr"), padded(signatures)
    offsets = np.cumsum([len(before), *map(len, messages)], dtype=np.int64)
    data = padded(np.frombuffer(b"".join(messages), np.uint8))
    columns = (work.points, work.scalars, work.column)
    host_twin.call(made, "schnorr_prepare", padded(keys), data, offsets, signed, *columns, work.count)
    work.double_multiply()
    host_twin.call(made, "schnorr_finish", signed, work.results, work.column, work.count)
    return work
