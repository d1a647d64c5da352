# SPDX-License-Identifier: GPL-3.0-or-later
"""Blobs and their commitments and proofs, under the setup whose secret is published."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervm.benchmarks.workloads import random_elements
from supervm.crypto import curves, kzg
from supervm.crypto.params.kzg import ELEMENTS
from supervm.kernels.array_types import Bytes

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


def blobs(what: str) -> Callable[[int], BlobItems]:
    """A maker of blobs."""
    return partial(_make, what)


def _make(what: str, count: int) -> BlobItems:
    words = random_elements(curves.get("bls12_381").order, count * ELEMENTS, salt=9)
    data = np.ascontiguousarray(words[:, ::-1]).byteswap().view(np.uint8).reshape(count, 32 * ELEMENTS)
    setup = kzg.insecure_setup()
    commitments = kzg.blob_to_commitment(data, setup)
    proofs = (
        kzg.compute_blob_proof(data, commitments, setup) if what == VERIFY else np.zeros_like(commitments)
    )
    return BlobItems(what, data, commitments, proofs)
