# SPDX-License-Identifier: GPL-3.0-or-later
"""Groth16 proofs on a real device: the points of the processor's, for circuits of one and of two passes of a transform."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from supervm.crypto.groth16_chain import chain_circuit, chain_values
from supervm.crypto.groth16_prove import load_zkey
from supervm.crypto.groth16_setup import make_test_key
from supervm.crypto.groth16_work import ProofCall, Sums
from supervm.crypto.polynomials.arguments import SPECS
from supervm.kernels import registry

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("curve", list(SPECS))
@pytest.mark.parametrize(("wires", "count"), [(1, 1), (3, 1), (1000, 5), (1000, 1), (4000, 1), (40_000, 2)])
def test_sums_are_those_of_the_processor(curve: str, wires: int, count: int) -> None:
    key = load_zkey(make_test_key(chain_circuit(curve, wires)), allow_test_only=True)
    values = np.stack([chain_values(curve, wires, start) for start in range(count)])
    blinding = np.random.default_rng(wires).integers(0, 1 << 60, (count, 3, 4), np.uint64)
    call = ProofCall(key, values, blinding, Sums.empty(curve, count))
    registry.run(call, "auto")
    for _ in range(2):  # the second finds the key there
        there = replace(call, result=Sums.empty(curve, count))
        registry.run(there, "cuda")
        for found, expected in zip(there.result, call.result, strict=True):
            assert np.array_equal(found, expected)
