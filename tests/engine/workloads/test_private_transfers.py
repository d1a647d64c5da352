# SPDX-License-Identifier: GPL-3.0-or-later
"""Workloads with private transfers: real proofs, wrong ones among them, and a key that nobody takes by accident."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from simulated_groth16 import oracle_key, oracle_proof

from supervm.crypto.groth16 import Circuits, load_proofs
from supervm.crypto.oracle import groth16 as oracle
from supervm.engine.arrays import ragged
from supervm.engine.blocks.authentication import authenticate
from supervm.engine.blocks.receipts import Path as ExecutionPath
from supervm.engine.config import EngineConfig, Mode
from supervm.engine.privacy.batch_verifier import BatchVerifier
from supervm.engine.privacy.transaction_proofs import BENCHMARK_KEYS, TransactionProofs
from supervm.engine.transactions.encoding import proof_bindings
from supervm.engine.workloads import Parameters, Workload, generate, read_workload, write_workload
from supervm.engine.workloads.private_transfers import (
    CIRCUIT,
    benchmark_key,
    benchmark_verifier,
    chosen,
    pool_benchmark_key,
    refused_as_made,
)
from supervm.engine.workloads.run import first_difference, run_workload
from supervm.kernels.errors import ArgumentError
from supervm.vm.outcomes import Reason

PARAMETERS = Parameters(
    transactions=400, accounts=40, block_size=150, seed=3, declared=True, object_share=0.2, private_share=0.2
)


@pytest.fixture(scope="module")
def mixed() -> Workload:
    return generate("mixed", PARAMETERS)


def _reasons(workload: Workload, config: EngineConfig) -> np.ndarray:
    return np.concatenate([each.receipts.reason for each in run_workload(workload, config).results])


def test_as_many_as_asked_are_private_transfers_and_some_are_wrong(mixed: Workload):
    batch = mixed.transactions
    private, wrong = chosen(batch, PARAMETERS)
    assert np.array_equal(batch.private, private)
    assert (private.sum(), wrong.sum()) == (80, 10)
    assert not (wrong & ~private).any()
    assert np.array_equal(ragged.lengths(batch.proof) > 0, private)
    assert not ragged.lengths(batch.entry)[private].any()
    assert mixed.equals(generate("mixed", PARAMETERS))
    assert not mixed.equals(generate("mixed", replace(PARAMETERS, seed=4)))
    plain = generate("mixed", replace(PARAMETERS, private_share=0.0)).transactions
    assert not plain.private.any()
    assert np.array_equal(plain.sender, batch.sender)
    assert np.array_equal(plain.value, batch.value)
    assert plain.nonce.sum() > batch.nonce.sum()


def test_the_proofs_are_what_the_oracle_says(mixed: Workload):
    """The equation of the oracle, in Python integers, for a right proof and for each kind of wrong one."""
    batch = mixed.transactions
    private, wrong = chosen(batch, PARAMETERS)
    key, bindings, at = oracle_key(benchmark_key()), proof_bindings(batch), 4 + len(CIRCUIT)
    rows = [*np.flatnonzero(private & ~wrong)[:1], *np.flatnonzero(wrong)[:4]]
    found = []
    for row in map(int, rows):
        column = np.frombuffer(batch.proof[row], np.uint8)
        proofs = load_proofs(column[None, at : at + 128], "bn254", "arkworks_compressed")
        numbers = np.concatenate((bindings[row], column[at + 128 :])).reshape(-1, 32)
        inputs = [int.from_bytes(number.tobytes()) for number in numbers]
        well_formed = bool(proofs.well_formed[0])
        found.append(oracle.verify(key, oracle_proof(proofs), inputs) if well_formed else -1)
    assert found[0] == 1
    assert sorted(found[1:]) == [-1, 0, 0, 0]


def test_both_modes_refuse_the_wrong_ones_and_no_others(mixed: Workload):
    verifier = benchmark_verifier()
    runs = [run_workload(mixed, EngineConfig(mode=mode, threads=2, verifier=verifier)) for mode in Mode]
    assert first_difference(*runs) is None
    _, wrong = chosen(mixed.transactions, PARAMETERS)
    for run in runs:
        assert run.conserved
        assert (run.committed, run.rejected, run.failed) == (390, 10, 0)
        assert (run.private, run.refused_proofs) == (70, 10)
        receipts = [each.receipts for each in run.results]
        reasons, path = (
            np.concatenate([getattr(each, name) for each in receipts]) for name in ("reason", "path")
        )
        assert refused_as_made(mixed.transactions, PARAMETERS, reasons)
        assert set(reasons[wrong]) == {Reason.BAD_PROOF, Reason.MALFORMED_PROOF}
        assert not reasons[~wrong].any()
        assert np.array_equal(path == ExecutionPath.PRIVACY, mixed.transactions.private)
    for row, reason in (
        (int(np.flatnonzero(wrong)[0]), 0),
        (int(np.flatnonzero(~wrong)[0]), Reason.BAD_PROOF),
    ):
        told = reasons.copy()
        told[row] = reason
        assert not refused_as_made(mixed.transactions, PARAMETERS, told)


def test_without_a_verifier_all_are_refused(mixed: Workload):
    reasons = _reasons(mixed, EngineConfig())
    assert set(reasons[mixed.transactions.private]) == {Reason.NO_VERIFIER}


def test_a_node_refuses_the_key_of_benchmarks():
    assert {key.digest.hex() for key in (benchmark_key(), pool_benchmark_key())} == BENCHMARK_KEYS
    circuits = Circuits()
    circuits.register("ringct_v1", benchmark_key())
    verifier = BatchVerifier(circuits)
    with pytest.raises(ArgumentError, match=r"ringct_v1.*secrets are public"):
        TransactionProofs(verifier, ["ringct_v1"])
    TransactionProofs(verifier, ["ringct_v1"], allow_benchmark_key=True)


@pytest.mark.parametrize(("name", "share"), [("token", 0.01), ("mixed", 0.5), ("transfers", 1.5)])
def test_shares_that_cannot_be(name: str, share: float):
    with pytest.raises(ArgumentError, match="private_share"):
        generate(name, replace(PARAMETERS, private_share=share))


def test_signed_ones_sign_their_proofs_and_files_keep_them(tmp_path: Path):
    made = generate("transfers", replace(PARAMETERS, transactions=60, signed=True, private_share=1.0))
    assert not authenticate(made.transactions).any()
    write_workload(tmp_path / "workload", made)
    again = read_workload(tmp_path / "workload")
    assert again.equals(made)
    config = EngineConfig(signatures=True, verifier=benchmark_verifier())
    assert refused_as_made(again.transactions, again.parameters, _reasons(again, config))
