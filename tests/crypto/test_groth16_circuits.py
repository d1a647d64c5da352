# SPDX-License-Identifier: GPL-3.0-or-later
"""Circuits by their ids: what has no key passes nothing."""

from __future__ import annotations

import pickle

import pytest
from simulated_groth16 import Setup

from supervm.crypto.errors import (
    CircuitError,
    CircuitWithoutKey,
    MalformedInputs,
    MalformedProof,
    UnknownCircuit,
)
from supervm.crypto.groth16 import Circuits, Key, Proofs
from supervm.kernels.errors import ArgumentError, SupervmError

KNOWN = ["multiply_v1", "range_proof_v1", "ring_signature_v1", "ringct_v1"]


@pytest.fixture(scope="module")
def made():
    """A setup with its key, two proofs, one of them with another C, and their inputs."""
    setup = Setup("bn254", 1)
    inputs = [setup.statement() for _ in range(2)]
    rows = [setup.scalars(row) for row in inputs]
    rows[1] = rows[1][0], rows[1][1], 5
    return setup, Key(*setup.key_points()), Proofs("bn254", *setup.points(rows)), inputs


def test_nothing_passes_without_a_key(made):
    _, _, proofs, inputs = made
    circuits = Circuits()
    assert circuits.names() == KNOWN
    for name in KNOWN:
        for ask in (lambda n: circuits.verify(n, proofs, inputs), circuits.key):
            with pytest.raises(CircuitWithoutKey, match=name):
                ask(name)
    with pytest.raises(CircuitWithoutKey):
        circuits.verify("ringct_v1", [], [])
    with pytest.raises(UnknownCircuit, match="mine") as caught:
        circuits.verify("mine", proofs, inputs)
    assert isinstance(caught.value, LookupError)
    with pytest.raises(UnknownCircuit):
        circuits.verify_one("ringct_v2", proofs, inputs[0])


def test_verdicts(made):
    setup, key, proofs, inputs = made
    circuits = Circuits()
    circuits.register("multiply_v1", key)
    circuits.register("mine", key)
    circuits.register("mine", Key(*setup.key_points()))
    assert circuits.names() == [*KNOWN, "mine"]
    assert circuits.key("mine").digest == key.digest
    for name in ("multiply_v1", "mine"):
        assert circuits.verify(name, proofs, inputs).tolist() == [1, 0]
        assert circuits.verify(name, proofs, [inputs[0], []]).tolist() == [1, -1]
    with pytest.raises(CircuitWithoutKey):
        circuits.verify("ringct_v1", proofs, inputs)


def test_one_proof(made):
    setup, key, _, inputs = made
    circuits = Circuits()
    circuits.register("multiply_v1", key)
    a, b, c = setup.points([setup.scalars(inputs[0])])
    proof = Proofs("bn254", a, b, c)
    assert circuits.verify_one("multiply_v1", proof, inputs[0]) is True
    assert circuits.verify_one("multiply_v1", proof, [inputs[0][0] ^ 1]) is False
    for wrong in ([], [setup.order], [-1], [1, 2]):
        with pytest.raises(MalformedInputs, match="multiply_v1"):
            circuits.verify_one("multiply_v1", proof, wrong)
    off = Proofs("bn254", a ^ a.dtype.type(1), b, c)
    for numbers in (inputs[0], []):
        with pytest.raises(MalformedProof, match="multiply_v1"):
            circuits.verify_one("multiply_v1", off, numbers)
    for wrong in ([proof], None, Proofs("bn254", *(each.repeat(2, axis=0) for each in (a, b, c)))):
        with pytest.raises(ArgumentError, match="'proof'"):
            circuits.verify_one("multiply_v1", wrong, inputs[0])


def test_a_key_is_not_replaced(made):
    _, key, proofs, inputs = made
    circuits = Circuits()
    circuits.register("multiply_v1", key)
    with pytest.raises(ArgumentError, match=r"'circuit'.*another key"):
        circuits.register("multiply_v1", Key(*Setup("bn254", 1, seed=2).key_points()))
    assert circuits.verify("multiply_v1", proofs, inputs).tolist() == [1, 0]
    for circuit, given, argument in (("", key, "circuit"), (None, key, "circuit"), ("x", None, "key")):
        with pytest.raises(ArgumentError, match=f"'{argument}'"):
            circuits.register(circuit, given)


@pytest.mark.parametrize("kind", [UnknownCircuit, CircuitWithoutKey, MalformedProof, MalformedInputs])
def test_errors_are_kept_whole_between_processes(kind):
    error = pickle.loads(pickle.dumps(kind("ringct_v1")))
    assert type(error) is kind
    assert error.circuit == "ringct_v1"
    assert isinstance(error, CircuitError)
    assert isinstance(error, SupervmError)
