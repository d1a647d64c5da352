# SPDX-License-Identifier: GPL-3.0-or-later
"""Products of sparse matrices with many vectors on a device, over prime fields of up to 256 bits.

A thread takes a piece of a row, `LONGEST` entries at most, so that one long row does not keep a multiprocessor waiting.
Rows of one piece go to the product; parts of longer rows go to slots behind it, which are added up in the same way,
`LONGEST` at a time, until each row is one number. A vector's product takes 32 bytes a row, and 32 for each such slot.

For each vector an entry is one product of 136 multiplications of words and a random read of 32 bytes; the matrix itself, 36
bytes an entry and 8 a row, is read once for all vectors if the cache holds it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from supervm.kernels.array_types import Array, Indices, Words
from supervm.kernels.cuda.constants.fields import montgomery_params
from supervm.kernels.cuda.runtime.device import Buffer, Program, Stream
from supervm.kernels.spec import FieldSpec

LONGEST = 32
"""Entries of a piece."""

NUMBER_BYTES = 32

Numbers = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Level:
    """Pieces that are added up at a time.

    Args:
        starts: uint32 (pieces + 1,), where each begins: among the entries of a matrix in the first level, among slots in
            the others.
        targets: uint32 (pieces,), the slot that each goes to.
    """

    starts: Numbers
    targets: Numbers


def levels(starts: Indices) -> tuple[list[Level], int]:
    """How rows are cut, and how many slots there are for parts of them.

    Args:
        starts: int64 (rows + 1,), where the entries of each row begin.
    """
    rows = len(starts) - 1
    found: list[Level] = []
    owners, slots = np.arange(rows), rows
    while True:
        pieces = np.maximum(1, -(-np.diff(starts) // LONGEST))
        first = np.cumsum(pieces) - pieces
        within = np.arange(pieces.sum()) - np.repeat(first, pieces)
        begin = np.repeat(starts[:-1], pieces) + LONGEST * within
        cut = pieces > 1
        targets = np.repeat(owners, pieces)
        parts = np.repeat(cut, pieces)
        count = int(parts.sum())
        targets[parts] = slots + np.arange(count)
        bounds = np.append(begin, starts[-1])
        found.append(Level(bounds.astype(np.uint32), targets.astype(np.uint32)))
        if not count:
            return found, slots - rows
        owners = owners[cut]
        starts = slots + np.append(0, np.cumsum(pieces[cut]))
        slots += count


@dataclass(frozen=True, eq=False)
class ResidentMatrix:
    """A matrix on a device.

    Args:
        program: of its field.
        rows, columns: how many.
        room: slots for parts of rows.
        entries, places: values in Montgomery form, and their columns.
        levels: (pieces, starts, targets) each.
    """

    program: Program
    rows: int
    columns: int
    room: int
    entries: Buffer
    places: Buffer
    levels: tuple[tuple[int, Buffer, Buffer], ...]

    def multiply(self, stream: Stream, vectors: Buffer, count: int, product: Buffer | np.uint64) -> None:
        """Queue products.

        Args:
            stream: of the device.
            vectors: (count, columns) numbers.
            count: of vectors.
            product: room for (count, rows) numbers.
        """
        parts = stream.allocate(max(1, NUMBER_BYTES * count * self.room))
        for place, (pieces, starts, targets) in enumerate(self.levels):
            shape = (count * pieces, count * pieces, pieces, self.rows, self.room)
            if place == 0:
                stream.launch_items(
                    self.program, "multiply_pieces", *shape, self.columns, starts, targets, self.places,
                    self.entries, vectors, product, parts,
                )  # fmt: skip
            else:
                stream.launch_items(self.program, "sum_pieces", *shape, starts, targets, product, parts)


def program(spec: FieldSpec) -> Program:
    """The kernels for a field."""
    params = montgomery_params(spec, "Params")
    return Program("sparse_products", f"{params}using Field = MontgomeryField<Params>;\n")


program_of = functools.cache(program)


def matrix_bytes(starts: Indices) -> int:
    """Device memory of a matrix."""
    found, _ = levels(starts)
    return int((NUMBER_BYTES + 4) * starts[-1]) + sum(
        each.starts.nbytes + each.targets.nbytes for each in found
    )


def place(
    stream: Stream, spec: FieldSpec, starts: Indices, places: Array, values: Words, columns: int
) -> ResidentMatrix:
    """A matrix to a device. Waits for the stream.

    Args:
        stream: of the device.
        spec: the field.
        starts: int64 (rows + 1,), where the entries of each row begin.
        places: uint32 (entries,), their columns.
        values: uint64 (entries, 4), canonical.
        columns: how many.
    """
    made, (found, room) = program_of(spec), levels(starts)
    kept: list[Array] = []

    def sent(array: Any) -> Buffer:
        kept.append(np.ascontiguousarray(array))
        buffer = stream.allocate(max(1, kept[-1].nbytes))
        stream.upload(kept[-1], buffer)
        return buffer

    entries = sent(values)
    stream.launch_items(made, "to_montgomery", len(values), len(values), entries)
    parts = tuple((len(each.targets), sent(each.starts), sent(each.targets)) for each in found)
    matrix = ResidentMatrix(made, len(starts) - 1, columns, room, entries, sent(places), parts)
    stream.wait()
    return matrix


def montgomery(spec: FieldSpec, value: int) -> Words:
    """A number in Montgomery form, as kernels take a factor."""
    form = (value << 8 * NUMBER_BYTES) % spec.modulus
    return np.frombuffer(form.to_bytes(NUMBER_BYTES, "little"), "<u8").astype(np.uint64)
