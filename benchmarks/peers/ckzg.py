# SPDX-License-Identifier: GPL-3.0-or-later
"""ckzg: c-kzg-4844 over blst, which Ethereum's clients use, under the setup of the workload."""

from __future__ import annotations

import functools
import importlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from supervm.benchmarks.cases import Answers, Peer
from supervm.benchmarks.peers import version
from supervm.benchmarks.workloads.kzg import BlobItems, CellItems
from supervm.crypto import curves, kzg
from supervm.crypto.params.kzg import ELEMENTS, G2_POINTS, PUBLIC_SECRET
from supervm.kernels.cpu.ntt.plan import orders
from supervm.kernels.transform import words_of

PACKAGE = "ckzg"
PRECOMPUTE = 0
"""What its commitments and blob proofs take no tables for."""


def commitments() -> Peer:
    """`blob_to_kzg_commitment`."""
    released = version(PACKAGE)

    def prepare(workload: BlobItems) -> Callable[[], Answers]:
        module, setup = importlib.import_module(PACKAGE), _setup()
        blobs = [blob.tobytes() for blob in workload.blobs]
        return lambda: [module.blob_to_kzg_commitment(blob, setup) for blob in blobs]

    return Peer(PACKAGE, released, prepare)


def blob_proofs() -> Peer:
    """`verify_blob_kzg_proof`, blob by blob: its batch has one verdict for all."""
    released = version(PACKAGE)

    def prepare(workload: BlobItems) -> Callable[[], Answers]:
        module, setup = importlib.import_module(PACKAGE), _setup()
        items = _items(workload)
        return lambda: [module.verify_blob_kzg_proof(*item, setup) for item in items]

    return Peer(f"{PACKAGE}, one by one", released, prepare)


def blob_batches() -> Peer:
    """`verify_blob_kzg_proof_batch`, one verdict for all; where it fails they are checked one by one."""
    released = version(PACKAGE)

    def prepare(workload: BlobItems) -> Callable[[], Answers]:
        module, setup = importlib.import_module(PACKAGE), _setup()
        items = _items(workload)
        blobs, committed, proved = (b"".join(item[place] for item in items) for place in range(3))

        def run() -> Answers:
            if module.verify_blob_kzg_proof_batch(blobs, committed, proved, setup):
                return [True] * len(items)
            return [module.verify_blob_kzg_proof(*item, setup) for item in items]

        return run

    return Peer(f"{PACKAGE}, in a batch", released, prepare, whole=True)


def cell_batches() -> Peer:
    """`verify_cell_kzg_proof_batch`, one verdict for all; where it fails, for each cell."""
    released = version(PACKAGE)

    def prepare(workload: CellItems) -> Callable[[], Answers]:
        module, setup = importlib.import_module(PACKAGE), _setup()
        check, indices = module.verify_cell_kzg_proof_batch, workload.indices.tolist()
        committed, cells, proved = (
            [row.tobytes() for row in column]
            for column in (workload.commitments, workload.cells, workload.proofs)
        )

        def run() -> Answers:
            if check(committed, indices, cells, proved, setup):
                return [True] * len(cells)
            items = zip(committed, indices, cells, proved, strict=True)
            return [check(*([each] for each in item), setup) for item in items]

        return run

    return Peer(f"{PACKAGE}, in a batch", released, prepare, whole=True)


def _items(workload: BlobItems) -> list[tuple[bytes, bytes, bytes]]:
    columns = workload.blobs, workload.commitments, workload.proofs
    return [
        (blob.tobytes(), committed.tobytes(), proof.tobytes())
        for blob, committed, proof in zip(*columns, strict=True)
    ]


@functools.cache
def _setup() -> Any:
    """The workload's setup as the library has it."""
    ours, curve = kzg.insecure_setup(), curves.get("bls12_381")
    lagrange = ours.lagrange[orders(ELEMENTS.bit_length() - 1)[1]]
    powers = words_of([pow(PUBLIC_SECRET, index, curve.order) for index in range(G2_POINTS)]).reshape(-1, 4)
    second = curve.g2.multiply(np.repeat(curve.g2.generator[None], G2_POINTS, 0), powers)
    lines = [str(ELEMENTS), str(G2_POINTS)]
    for group, points in ((curve.g1, lagrange), (curve.g2, second), (curve.g1, ours.monomial)):
        lines += [point.tobytes().hex() for point in group.to_bytes(points, "zcash_compressed")]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "setup.txt"
        path.write_text("\n".join(lines) + "\n", encoding="ascii")
        return importlib.import_module(PACKAGE).load_trusted_setup(str(path), PRECOMPUTE)
