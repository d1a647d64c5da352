# SPDX-License-Identifier: GPL-3.0-or-later
"""groth16py: arkworks' verifier of BN254, with the key prepared."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import numpy as np

from supervm.benchmarks.cases import Answers, Peer
from supervm.benchmarks.peers import version
from supervm.benchmarks.workloads.groth16 import ProofItems
from supervm.crypto import curves

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
