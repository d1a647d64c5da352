# SPDX-License-Identifier: GPL-3.0-or-later
"""Sparse matrices over the scalar fields of BN254 and BLS12-381, row by row, and their products with vectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from supervm.crypto.polynomials.arguments import FIELDS, SPECS
from supervm.kernels.array_types import Array, Indices, Words
from supervm.kernels.arrays import borrow, number_words
from supervm.kernels.cpu.backends import best
from supervm.kernels.cpu.ntt.plan import in_all
from supervm.kernels.cpu.ntt.sparse_products import multiply_rows

_LEAST = 1 << 10
"""Rows that a thread takes at least."""


@dataclass(frozen=True, eq=False)
class SparseMatrix:
    """Rows of entries, sorted by row.

    Args:
        starts: int64 (rows + 1,), where each row's entries begin.
        columns: uint32 (entries,), each entry's column.
        values: uint64 (entries, 4), canonical.
    """

    starts: Indices
    columns: Array
    values: Words

    @classmethod
    def of_entries(cls, rows: Array, columns: Array, values: Words, count: int) -> SparseMatrix:
        """From entries in any order.

        Args:
            rows, columns, values: of each entry.
            count: of rows.
        """
        if len(rows) and (np.diff(rows.astype(np.int64)) < 0).any():
            order = np.argsort(rows, kind="stable")
            rows, columns, values = rows[order], columns[order], values[order]
        starts = np.zeros(count + 1, np.int64)
        np.cumsum(np.bincount(rows, minlength=count), out=starts[1:])
        return cls(starts, np.ascontiguousarray(columns, np.uint32), np.ascontiguousarray(values))

    @property
    def rows(self) -> int:
        """How many."""
        return len(self.starts) - 1

    @property
    def row_numbers(self) -> Indices:
        """int64 (entries,): the row of each entry."""
        return np.repeat(np.arange(self.rows), np.diff(self.starts))

    @property
    def bytes(self) -> int:
        """Of memory."""
        return int(self.starts.nbytes + self.columns.nbytes + self.values.nbytes)

    def transposed(self, count: int) -> SparseMatrix:
        """The same with rows and columns exchanged.

        Args:
            count: of columns.
        """
        return self.of_entries(self.columns, self.row_numbers, self.values, count)

    def multiply(self, curve: str, vector: Words, *, backend: str = "auto") -> Words:
        """The product with a vector, uint64 (rows, 4).

        Args:
            curve: whose scalar field.
            vector: uint64 (n, 4), canonical, n above every column.
            backend: `auto`, or one of a processor's.
        """
        field = FIELDS[curve, best().name if backend == "auto" else backend]
        out = np.empty((self.rows, 4), np.uint64)
        modulus = number_words(SPECS[curve].modulus, 4)
        columns, values = borrow(self.columns), borrow(self.values).reshape(-1)
        flat = borrow(np.ascontiguousarray(vector)).reshape(-1)

        def rows(start: int, stop: int) -> None:
            multiply_rows(field, modulus, self.starts, columns, values, flat, out.reshape(-1), start, stop)

        in_all(rows, self.rows, _LEAST)
        return out
