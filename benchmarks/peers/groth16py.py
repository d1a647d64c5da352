# SPDX-License-Identifier: GPL-3.0-or-later
"""groth16py: arkworks' verifier of BN254, with the key prepared, and its prover."""

from __future__ import annotations

import importlib
import shutil
import tempfile
import weakref
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from supervm.benchmarks.cases import Answers, Peer
from supervm.benchmarks.peers import version
from supervm.benchmarks.workloads.groth16 import ProofItems
from supervm.benchmarks.workloads.prove import Provable
from supervm.crypto import curves
from supervm.crypto.circom_witness import write_witness
from supervm.crypto.groth16 import load_ethereum_proof
from supervm.kernels.arrays import integers

PACKAGE = "groth16py"


def proofs() -> Peer:
    """`Verifier.verify`, which takes the precompile's bytes and integers."""
    released = version(PACKAGE)

    def prepare(workload: ProofItems) -> Callable[[], Answers]:
        module = importlib.import_module(PACKAGE)
        verify = module.Verifier(module.VerifyingKey.from_snarkjs(workload.key_text())).verify
        curve = curves.get(workload.key.curve)
        rows = np.concatenate(
            (
                curve.g1.to_bytes(workload.a, "eip196"),
                curve.g2.to_bytes(workload.b, "eip197"),
                curve.g1.to_bytes(workload.c, "eip196"),
            ),
            axis=1,
        )
        items = [
            (row.tobytes(), [int.from_bytes(each.tobytes(), "big") for each in inputs])
            for row, inputs in zip(rows, workload.inputs, strict=True)
        ]
        return lambda: [verify(*item) for item in items]

    return Peer(f"{PACKAGE} (arkworks)", released, prepare)


def prover() -> Peer:
    """`prove_wtns` with the same key, which it reads once; it verifies nothing."""
    released = version(PACKAGE)

    def prepare(workload: Provable) -> Callable[[], Answers]:
        module, key = importlib.import_module(PACKAGE), _imported(workload.key)
        kept = Path(tempfile.mkdtemp())
        paths = [kept / f"{index}.wtns" for index in range(len(workload.witnesses))]
        for path, witness in zip(paths, workload.witnesses, strict=True):
            path.write_bytes(write_witness(witness))

        def run() -> Answers:
            return [(workload, at, module.prove_wtns(key, str(path))) for at, path in enumerate(paths)]

        weakref.finalize(run, shutil.rmtree, kept, ignore_errors=True)  # files stay as long as the loop
        return run

    def finish(answers: Answers) -> Answers:
        found: Answers = []
        for workload, at, proof in answers:
            stated = integers(workload.witnesses[at].values[1:2])[0]
            found.append((stated, workload.is_valid(load_ethereum_proof(proof), stated)))
        return found

    return Peer(f"{PACKAGE} (arkworks)", released, prepare, finish, whole=True)


@lru_cache(maxsize=2)
def _imported(zkey: bytes) -> Any:
    """A `.zkey` as the library has it; that of a row and that of its check are kept."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "circuit.zkey"
        place.write_bytes(zkey)
        imported = importlib.import_module(PACKAGE).import_zkey(str(place))
    return imported[0] if isinstance(imported, tuple) else imported
