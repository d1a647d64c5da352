# SPDX-License-Identifier: GPL-3.0-or-later
"""Proofs of many callers: whose verdict is whose, when a batch is full, and what becomes of errors."""

from __future__ import annotations

import random
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from simulated_groth16 import Setup

from supervm.crypto.errors import CircuitWithoutKey, MalformedInputs, MalformedProof, UnknownCircuit
from supervm.crypto.groth16 import Circuits, Key, Proofs
from supervm.engine.privacy.batch_verifier import BatchVerifier
from supervm.engine.privacy.statistics import RECENT, ProofMeter, ProofStatistics
from supervm.kernels.errors import ArgumentError

NEVER, SOON = 3_600.0, 60.0
"""Seconds: longer than any test waits, and what a verdict that is on its way is given."""

ORDER = 21888242871839275222246405745257275088548364400416034343698204186575808495617


class Watched(Circuits):
    """Circuits that note each batch, and fail where a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[tuple[str, int]] = []
        self.fails: Any = lambda circuit, inputs: False

    def verify(self, circuit: str, proofs: Any, public_inputs: Any, *, backend: str = "auto") -> Any:
        self.batches.append((circuit, len(public_inputs)))
        if self.fails(circuit, public_inputs):
            raise RuntimeError("the device is lost")
        return super().verify(circuit, proofs, public_inputs, backend=backend)


class Made:
    """Two circuits, and items of both: circuit, proof, inputs, and what must come of it."""

    def __init__(self) -> None:
        self.setups = {"first": Setup("bn254", 2, 1), "second": Setup("bn254", 1, 2)}
        self.keys = {name: Key(*setup.key_points()) for name, setup in self.setups.items()}
        self.items: list[tuple[str, Any, list[int], Any]] = []
        for name, setup in self.setups.items():
            stated = [setup.statement() for _ in range(12)]
            rows = [setup.scalars(inputs) for inputs in stated]
            for wrong in (3, 7):
                rows[wrong] = (*rows[wrong][:2], rows[wrong][2] ^ 1)
            encoded = [row.tobytes() for row in setup.encoded(rows)]
            encoded[5] = b"\xff" * 128
            a, b, c = setup.points(rows)
            for n in range(12):
                found: Any = MalformedProof if n == 5 else n not in (3, 7)
                proof = Proofs("bn254", *(x[n : n + 1] for x in (a, b, c))) if n % 4 == 2 else encoded[n]
                self.items.append((name, proof, stated[n], found))

    def circuits(self) -> Watched:
        circuits = Watched()
        for name, key in self.keys.items():
            circuits.register(name, key)
        return circuits

    def of(self, name: str, found: Any = True) -> list[tuple[str, Any, list[int]]]:
        return [each[:3] for each in self.items if each[0] == name and each[3] is found]


@pytest.fixture(scope="module")
def made() -> Made:
    return Made()


def outcome(ask: Any) -> Any:
    try:
        return ask()
    except Exception as error:
        return type(error)


def test_every_one_of_many_callers_gets_its_own_verdict(made: Made):
    circuits = made.circuits()
    verifier = BatchVerifier(circuits, most=5, age=0.02)

    def caller(seed: int) -> int:
        order = random.Random(seed).sample(made.items, len(made.items))
        for n in range(0, len(order), 3):
            futures = [verifier.submit(*item[:3]) for item in order[n : n + 2]]
            alone = [outcome(lambda item=item: verifier.verify(*item[:3])) for item in order[n + 2 : n + 3]]
            found = [outcome(lambda each=each: each.result(SOON)) for each in futures] + alone
            assert found == [item[3] for item in order[n : n + 3]]
        return len(order)

    with ThreadPoolExecutor(12) as pool:
        total = sum(pool.map(caller, range(12)))
    now = verifier.statistics
    assert (now.proofs, now.failed, now.errors) == (total, total * 6 // 24, 0) == (288, 72, 0)
    assert now.batches == len(circuits.batches)
    assert sum(count for _, count in circuits.batches) == total
    assert max(count for _, count in circuits.batches) == 5
    assert now.last_seconds > 0 < now.mean_seconds
    assert now.per_second == pytest.approx(now.proofs / (now.mean_seconds * now.batches))
    assert 0 < now.p50_seconds <= now.p95_seconds


def test_a_full_batch_does_not_wait_and_others_wait_to_be_flushed(made: Made):
    circuits = made.circuits()
    verifier = BatchVerifier(circuits, most=4, age=NEVER)
    first, second = made.of("first"), made.of("second")
    waiting = [verifier.submit(*item) for item in (*first[:3], second[0])]
    last = verifier.submit(*first[3])
    assert last.result(SOON) is True
    assert [future.result(SOON) for future in waiting[:3]] == [True] * 3
    assert circuits.batches == [("first", 4)]
    assert not waiting[3].done()
    also = verifier.submit(*made.of("first", False)[0])
    verifier.flush()
    assert waiting[3].result(SOON) is True
    assert also.result(SOON) is False
    assert sorted(circuits.batches[1:]) == [("first", 1), ("second", 1)]
    verifier.flush()
    assert len(circuits.batches) == 3


def test_a_batch_is_verified_when_its_time_has_come_and_the_thread_ends(made: Made):
    verifier = BatchVerifier(made.circuits(), most=1_000, age=0.01)
    for _ in range(2):
        assert verifier.submit(*made.of("first")[0]).result(SOON) is True
        for thread in threading.enumerate():
            if thread.name == "supervm-proofs":
                thread.join(SOON)
                assert not thread.is_alive()
    assert verifier.statistics.batches == 2


def test_the_usual_limits_are_32_proofs_and_50_milliseconds(made: Made):
    circuits = made.circuits()
    verifier = BatchVerifier(circuits)
    assert verifier._age == 0.05
    verifier._age = NEVER
    futures = [verifier.submit(*made.of("second")[0]) for _ in range(32)]
    assert all(future.result(SOON) for future in futures)
    assert circuits.batches == [("second", 32)]


def test_errors(made: Made):
    circuits = made.circuits()
    verifier = BatchVerifier(circuits, age=0.0)
    name, proof, inputs = made.of("first")[0]
    for ask in (verifier.submit, verifier.verify):
        with pytest.raises(UnknownCircuit, match="third"):
            ask("third", proof, inputs)
        with pytest.raises(CircuitWithoutKey, match="ringct_v1"):
            ask("ringct_v1", proof, inputs)
        for wrong in ([], inputs[:1], [*inputs, 1], [inputs[0], ORDER], [inputs[0], inputs[1] - ORDER]):
            with pytest.raises(MalformedInputs, match="first"):
                ask(name, proof, wrong)
        for wrong_proof in (b"", bytes(127), bytes(192)):
            with pytest.raises(MalformedProof):
                ask(name, wrong_proof, inputs)
        for bad in ("text", None, bytearray(128)):
            with pytest.raises(ArgumentError, match="proof"):
                ask(name, bad, inputs)
        for bad_inputs in (None, [1.0, 2], "12", np.array([1, 2])):
            with pytest.raises(ArgumentError, match="public_inputs"):
                ask(name, proof, bad_inputs)
    points = made.setups["first"].points([(1, 2, 3), (4, 5, 6)])
    with pytest.raises(ArgumentError, match="2 rows"):
        verifier.submit(name, Proofs("bn254", *points), inputs)
    a, b, c = (each[:1].copy() for each in points)
    a[0, 0, 0] ^= 1
    with pytest.raises(MalformedProof):
        verifier.submit(name, Proofs("bn254", a, b, c), inputs)
    assert circuits.batches == []
    for bad_settings in ({"most": 0}, {"most": True}, {"most": 2.5}, {"age": -1.0}, {"age": "soon"}):
        with pytest.raises(ArgumentError, match=next(iter(bad_settings))):
            BatchVerifier(circuits, **bad_settings)
    with pytest.raises(ArgumentError, match="circuits"):
        BatchVerifier({"first": made.keys["first"]})  # type: ignore[arg-type]


def test_without_a_key_nothing_passes(made: Made):
    verifier = BatchVerifier(Circuits())
    for name, proof, inputs, _ in made.items[:1]:
        with pytest.raises(UnknownCircuit):
            verifier.verify(name, proof, inputs)
        with pytest.raises(UnknownCircuit):
            verifier.verify_batch(name, [], [])
    assert verifier.statistics == ProofStatistics(errors=1)


def _five(made: Made) -> list[tuple[str, Any, list[int]]]:
    return [*made.of("first")[:2], *made.of("first", False)[:2], made.of("first")[2]]


def test_a_batch_that_fails_is_verified_proof_by_proof(made: Made, caplog: pytest.LogCaptureFixture):
    circuits = made.circuits()
    circuits.fails = lambda circuit, inputs: len(inputs) > 1
    verifier = BatchVerifier(circuits, most=5, age=NEVER)
    futures = [verifier.submit(*item) for item in _five(made)]
    assert [future.result(SOON) for future in futures] == [True, True, False, False, True]
    assert circuits.batches == [("first", 5)] + [("first", 1)] * 5
    now = verifier.statistics
    assert (now.proofs, now.failed, now.batches, now.errors) == (5, 2, 5, 1)
    assert "the device is lost" in caplog.text


def test_what_fails_alone_too_is_an_error_for_its_caller_only(made: Made):
    circuits = made.circuits()
    items = _five(made)
    circuits.fails = lambda circuit, inputs: items[1][2] in inputs
    verifier = BatchVerifier(circuits, most=5, age=NEVER)
    futures = [verifier.submit(*item) for item in items]
    found = [outcome(lambda each=each: each.result(SOON)) for each in futures]
    assert found == [True, RuntimeError, False, False, True]
    assert verifier.statistics.errors == 2


def test_a_lost_device_gives_everybody_the_error_and_nobody_a_verdict(made: Made):
    circuits = made.circuits()
    circuits.fails = lambda circuit, inputs: True
    verifier = BatchVerifier(circuits, most=5, age=NEVER)
    futures = [verifier.submit(*item) for item in _five(made)]
    for future in futures:
        with pytest.raises(RuntimeError, match="device is lost"):
            future.result(SOON)
    with pytest.raises(RuntimeError, match="device is lost"):
        verifier.verify_batch("first", [made.of("first")[2][1]], [made.of("first")[2][2]])
    assert verifier.statistics == ProofStatistics(errors=7)
    circuits.fails = lambda circuit, inputs: False
    futures = [verifier.submit(*item) for item in _five(made)]
    assert [future.result(SOON) for future in futures] == [True, True, False, False, True]


def test_without_a_thread_a_caller_is_told_and_the_next_one_is_served(
    made: Made, monkeypatch: pytest.MonkeyPatch
):
    verifier = BatchVerifier(made.circuits(), age=0.0)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="new thread"):
            verifier.submit(*made.of("first")[0])
    assert verifier.submit(*made.of("first", False)[0]).result(SOON) is False


def test_what_is_cancelled_in_time_is_not_verified(made: Made):
    circuits = made.circuits()
    verifier = BatchVerifier(circuits, most=3, age=NEVER)
    one, other = (verifier.submit(*made.of("first")[0]) for _ in range(2))
    assert one.cancel()
    verifier.flush()
    assert other.result(SOON) is True
    with pytest.raises(CancelledError):
        one.result()
    assert circuits.batches == [("first", 1)]


def test_a_batch_of_ones_own(made: Made):
    circuits = made.circuits()
    verifier = BatchVerifier(circuits, age=NEVER)
    setup = made.setups["second"]
    stated = [setup.statement() for _ in range(4)]
    encoded = setup.encoded([setup.scalars(row) for row in stated])
    encoded[1, :32] = 0xFF
    inputs = np.frombuffer(b"".join(row[0].to_bytes(32) for row in stated), np.uint8).reshape(4, 1, 32).copy()
    inputs[2, 0, 31] ^= 1
    inputs[3] = 0xFF
    assert verifier.verify_batch("second", encoded, inputs).tolist() == [1, -1, 0, -1]
    now = verifier.statistics
    assert (now.proofs, now.failed, now.batches) == (4, 3, 1)
    assert now.last_seconds == now.mean_seconds
    assert now.p50_seconds == now.p95_seconds == now.last_seconds
    with pytest.raises(ArgumentError):
        verifier.verify_batch("second", encoded[:, :100], inputs)
    assert verifier.statistics.errors == 1


def test_statistics_of_known_batches():
    meter = ProofMeter()
    assert meter.read() == ProofStatistics()
    meter.batch(np.array([1, 0, -1, 1], np.int8), 0.5, np.array([1.0, 2.0, 3.0, 4.0]))
    meter.batch(np.array([1], np.int8), 0.1, np.array([5.0]))
    meter.error()
    expected = ProofStatistics(5, 2, 2, 1, 0.1, 0.3, 5 / 0.6, 3.0, 4.8)
    for name, value in vars(expected).items():
        assert getattr(meter.read(), name) == pytest.approx(value), name
    meter.batch(np.ones(RECENT, np.int8), 1.0, np.full(RECENT, 7.0))
    assert (meter.read().p50_seconds, meter.read().proofs) == (7.0, RECENT + 5)
