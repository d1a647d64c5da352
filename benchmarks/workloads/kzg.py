# SPDX-License-Identifier: GPL-3.0-or-later
"""Blobs and cells with their commitments and proofs, under the setup whose secret is published."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervm.benchmarks.workloads import random_elements
from supervm.crypto import curves, kzg
from supervm.crypto.params.kzg import CELLS, ELEMENTS
from supervm.kernels.array_types import Bytes, Indices

COMMIT, VERIFY = "commit", "verify"


@dataclass(frozen=True)
class BlobItems:
    """n blobs.

    Args:
        what: COMMIT or VERIFY.
        blobs: uint8 (n, 131072).
        commitments, proofs: uint8 (n, 48).
    """

    what: str
    blobs: Bytes
    commitments: Bytes
    proofs: Bytes

    @property
    def items(self) -> int:
        """How many blobs."""
        return len(self.blobs)

    def run(self, backend: str) -> object:
        """The public function on all blobs."""
        setup = kzg.insecure_setup()
        if self.what == COMMIT:
            return kzg.blob_to_commitment(self.blobs, setup, backend=backend)
        return kzg.verify_blob_batch(self.blobs, self.commitments, self.proofs, setup, backend=backend)

    def answers(self, result: Any) -> list[Any]:
        """Each commitment; or whether each proof is right."""
        if self.what == COMMIT:
            return [each.tobytes() for each in result]
        return [bool(verdict == 1) for verdict in result]

    def part(self, start: int, stop: int) -> BlobItems:
        """Blobs start … stop − 1."""
        parts = {name: getattr(self, name)[start:stop] for name in ("blobs", "commitments", "proofs")}
        return replace(self, **parts)

    def moved(self, copy: Callable[[NDArray[Any]], NDArray[Any]]) -> BlobItems:
        """The same blobs in the arrays that `copy` returns."""
        return replace(
            self, blobs=copy(self.blobs), commitments=copy(self.commitments), proofs=copy(self.proofs)
        )

    def damaged(self) -> BlobItems:
        """The same blobs, every third of them with another number in it."""
        blobs = self.blobs.copy()
        blobs[::3, 31] ^= 1
        return replace(self, blobs=blobs)


@dataclass(frozen=True)
class CellItems:
    """n cells, all those of one blob after the other's.

    Args:
        commitments: uint8 (n, 48), of each cell's blob.
        indices: int64 (n,).
        cells: uint8 (n, 2048).
        proofs: uint8 (n, 48).
    """

    commitments: Bytes
    indices: Indices
    cells: Bytes
    proofs: Bytes

    @property
    def items(self) -> int:
        """How many cells."""
        return len(self.cells)

    def run(self, backend: str) -> object:
        """The public function on all cells."""
        setup = kzg.insecure_setup()
        return kzg.verify_cell_batch(
            self.commitments, self.indices, self.cells, self.proofs, setup, backend=backend
        )

    def answers(self, result: Any) -> list[Any]:
        """Whether each proof is right."""
        return [bool(verdict == 1) for verdict in result]

    def part(self, start: int, stop: int) -> CellItems:
        """Cells start … stop − 1."""
        return CellItems(*(column[start:stop] for column in self._columns))

    def moved(self, copy: Callable[[NDArray[Any]], NDArray[Any]]) -> CellItems:
        """The same cells in the arrays that `copy` returns."""
        return CellItems(*map(copy, self._columns))

    def damaged(self) -> CellItems:
        """The same cells, every third of them with another number in it."""
        cells = self.cells.copy()
        cells[::3, 31] ^= 1
        return replace(self, cells=cells)

    @property
    def _columns(self) -> tuple[NDArray[Any], ...]:
        return self.commitments, self.indices, self.cells, self.proofs


def blobs(what: str) -> Callable[[int], BlobItems]:
    """A maker of blobs."""
    return partial(_make, what)


def cells(count: int) -> CellItems:
    """The first cells of as many blobs as there must be."""
    whole = -(-count // CELLS)
    data, setup = _random_blobs(whole), kzg.insecure_setup()
    found, proofs = kzg.compute_cells_and_proofs(data, setup)
    commitments = np.repeat(kzg.blob_to_commitment(data, setup), CELLS, axis=0)
    indices = np.tile(np.arange(CELLS), whole)
    return CellItems(commitments, indices, found.reshape(-1, found.shape[-1]), proofs.reshape(-1, 48)).part(
        0, count
    )


def _random_blobs(count: int) -> Bytes:
    words = random_elements(curves.get("bls12_381").order, count * ELEMENTS, salt=9)
    return np.ascontiguousarray(words[:, ::-1]).byteswap().view(np.uint8).reshape(count, 32 * ELEMENTS)


def _make(what: str, count: int) -> BlobItems:
    data, setup = _random_blobs(count), kzg.insecure_setup()
    commitments = kzg.blob_to_commitment(data, setup)
    proofs = (
        kzg.compute_blob_proof(data, commitments, setup) if what == VERIFY else np.zeros_like(commitments)
    )
    return BlobItems(what, data, commitments, proofs)
