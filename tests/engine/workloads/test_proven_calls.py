# SPDX-License-Identifier: GPL-3.0-or-later
"""The workload of a shielded pool whose proofs the prover makes: every call succeeds under the true verifier."""

from __future__ import annotations

import numpy as np
import pytest
from ringct_keys import proving_key

from supervm.crypto import circuits
from supervm.crypto.circom_r1cs import load_r1cs
from supervm.crypto.groth16_prove import load_zkey
from supervm.crypto.groth16_setup import make_test_key
from supervm.engine.blocks.pool_events import new_notes
from supervm.engine.blocks.receipts import Path
from supervm.engine.config import EngineConfig, Mode
from supervm.engine.workloads import PRIVATE, Parameters, generate, proven_calls
from supervm.engine.workloads.private_transfers import pool_verifier
from supervm.engine.workloads.run import first_difference, run_workload
from supervm.kernels.errors import ArgumentError
from supervm.vm.outcomes import Reason

PARAMETERS = Parameters(transactions=9, accounts=5, block_size=3, seed=3)


def test_a_pools_calls_with_real_proofs(monkeypatch):
    monkeypatch.setattr(proven_calls, "AT_ONCE", 5)
    told: list[tuple[int, int]] = []
    workload = generate(PRIVATE, PARAMETERS, lambda *done: told.append(done), key=proving_key())
    assert told == [(5, 9), (9, 9)]
    verifier = pool_verifier(proving_key().verification)
    runs = [run_workload(workload, EngineConfig(mode=mode, threads=2, verifier=verifier)) for mode in Mode]
    assert first_difference(*runs) is None
    for run in runs:
        assert run.conserved
        assert (run.committed, run.failed, run.private) == (9, 0, 9)
    pool = workload.genesis.deployments[0].address
    receipts = [each.receipts for each in runs[0].results]
    assert all((each.path == Path.POOL).all() for each in receipts)
    assert [len(new_notes(each, pool)) for each in receipts] == [6, 6, 6]
    values = workload.transactions.value.any(axis=1)
    assert values[:3].all()
    assert not values[3:].all(), "later blocks spend notes"


def test_simulated_proofs_are_none():
    simulated = generate(PRIVATE, PARAMETERS)
    verifier = pool_verifier(proving_key().verification)
    run = run_workload(simulated, EngineConfig(mode=Mode.SEQUENTIAL, verifier=verifier))
    reasons = np.concatenate([result.receipts.reason for result in run.results])
    assert (reasons == Reason.BAD_PROOF).all()


def test_what_does_not_go_with_a_key():
    with pytest.raises(ArgumentError, match=r"'key'.*only private"):
        generate("token", PARAMETERS, key=proving_key())
    other = load_zkey(make_test_key(load_r1cs(circuits.get("multiply_v1").r1cs())), allow_test_only=True)
    with pytest.raises(ArgumentError, match="a key of ringct_v1"):
        generate(PRIVATE, PARAMETERS, key=other)
