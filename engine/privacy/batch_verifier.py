# SPDX-License-Identifier: GPL-3.0-or-later
"""Groth16 proofs of many callers, gathered by circuit and verified in batches; each caller gets its own verdict.

A proof waits until its circuit has `most` of them, for `age` seconds, or until somebody flushes. Verification takes place on
one thread, which lives as long as proofs wait. Nothing passes by an error: a caller gets a verdict or an exception.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervm.crypto import curves
from supervm.crypto.errors import MalformedInputs, MalformedProof
from supervm.crypto.groth16 import Circuits, Key, Proofs, load_proofs
from supervm.crypto.groth16_columns import statements
from supervm.engine.privacy.proof_form import PROOF_BYTES
from supervm.engine.privacy.statistics import ProofMeter, ProofStatistics
from supervm.kernels.array_types import Verdicts
from supervm.kernels.errors import ArgumentError

MOST, AGE = 32, 0.05
"""Proofs of a batch, and seconds that the first of them waits for others."""

FORMAT = "arkworks_compressed"
"""How proofs are encoded: the points A, B and C compressed, those of BLS12-381 as ZCash has them."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class _Waiting:
    """A proof that waits for its verdict."""

    proof: bytes | Proofs
    inputs: list[int]
    began: float
    verdict: Future[bool] = field(default_factory=Future)


@dataclass(frozen=True, eq=False)
class _Batch:
    """Proofs of one circuit, and when they are verified at the latest."""

    circuit: str
    due: float
    waiting: list[_Waiting] = field(default_factory=list)


class BatchVerifier:
    """Verifies the proofs of many callers in batches; every method may be called from any thread.

    Args:
        circuits: with the keys that proofs are checked with. What has no key there passes nothing.
        most: proofs of a batch, 1 or more.
        age: seconds that the first proof of a batch waits for others, 0 or more.
        backend: `auto`, or a name of `kernels.registry.BACKENDS`.

    Raises:
        ArgumentError: another type, or a number out of range.
    """

    def __init__(
        self, circuits: Circuits, *, most: int = MOST, age: float = AGE, backend: str = "auto"
    ) -> None:
        if not isinstance(circuits, Circuits):
            raise ArgumentError("circuits", type(circuits).__name__, "Circuits")
        if not isinstance(most, int) or isinstance(most, bool) or most < 1:
            raise ArgumentError("most", repr(most), "a whole number of 1 or more")
        if not isinstance(age, int | float) or not 0 <= age <= threading.TIMEOUT_MAX:
            raise ArgumentError("age", repr(age), "seconds, 0 or more")
        self.circuits = circuits
        self._most, self._age, self._backend = most, age, backend
        self._meter = ProofMeter()
        self._changed = threading.Condition()
        self._open: dict[str, _Batch] = {}
        self._due: deque[_Batch] = deque()
        self._thread: threading.Thread | None = None

    @property
    def statistics(self) -> ProofStatistics:
        """What was verified so far."""
        return self._meter.read()

    def submit(self, circuit: str, proof: bytes | Proofs, public_inputs: Sequence[int]) -> Future[bool]:
        """Hand a proof in; its verdict comes as the future's result.

        Args:
            circuit: its id.
            proof: `PROOF_BYTES` bytes in `FORMAT`, or `Proofs` of one row.
            public_inputs: integers, as many as the circuit has.

        Returns:
            A future with True for a valid proof and False for an invalid one; or with `MalformedProof`, or with the error
            that kept this very proof from being verified, twice where it stood in a batch with others. One that is
            cancelled in time is not verified. Its callbacks run on the verifier's thread and must not wait for it.

        Raises:
            UnknownCircuit, CircuitWithoutKey: as `Circuits.key`.
            MalformedProof: of another length, or `Proofs` with a malformed point.
            MalformedInputs: another number of them, or one that is not below r.
            ArgumentError: another type, or `Proofs` of several rows or on another curve.
        """
        key = self.circuits.key(circuit)
        stated = list(public_inputs) if isinstance(public_inputs, tuple) else public_inputs
        _check_proof(circuit, key, proof)
        order = curves.get(key.curve).order
        if not statements([stated], np.array([key.inputs + 1]), order).good[0]:
            raise MalformedInputs(circuit)
        waiting = _Waiting(proof, list(stated), perf_counter())
        with self._changed:
            batch = self._open.setdefault(circuit, _Batch(circuit, waiting.began + self._age))
            batch.waiting.append(waiting)
            if len(batch.waiting) == self._most:
                self._due.append(self._open.pop(circuit))
            if self._thread is None:
                thread = threading.Thread(target=self._work, name="supervm-proofs", daemon=True)
                thread.start()  # if there is none to be had, nobody believes that there is
                self._thread = thread
            self._changed.notify()
        return waiting.verdict

    def verify(self, circuit: str, proof: bytes | Proofs, public_inputs: Sequence[int]) -> bool:
        """Whether a proof is valid; waits for its batch. Arguments and errors as those of `submit` and of its future."""
        return self.submit(circuit, proof, public_inputs).result()

    def verify_batch(self, circuit: str, proofs: Any, public_inputs: Any) -> Verdicts:
        """Verdicts of proofs that are a batch already: at once, on the caller's thread, and in the statistics.

        Args:
            circuit: its id.
            proofs: uint8 (n, `PROOF_BYTES`) in `FORMAT`, `Proofs`, or a list of them.
            public_inputs: as `groth16.verify_batch` takes them.

        Returns:
            int8 (n,): 1 valid, 0 invalid, −1 malformed.

        Raises:
            UnknownCircuit, CircuitWithoutKey: as `Circuits.key`.
            ArgumentError, BackendUnavailable: as `groth16.verify_batch`.
        """
        try:
            return self._verdicts(circuit, proofs, public_inputs, None)
        except BaseException:
            self._meter.error()
            raise

    def flush(self) -> None:
        """Have everything verified that waits, without waiting for more. Returns at once."""
        with self._changed:
            self._due.extend(self._open.values())
            self._open.clear()
            self._changed.notify()

    # ------------------------------------------------------------------------------------------------- inside

    def _work(self) -> None:
        """Verify batches, in the order in which they came due, as long as anything waits."""
        while (batch := self._next()) is not None:
            running = [each for each in batch.waiting if each.verdict.set_running_or_notify_cancel()]
            running.sort(key=lambda each: isinstance(each.proof, Proofs))
            for each, outcome in zip(running, self._outcomes(batch.circuit, running), strict=True):
                if isinstance(outcome, BaseException):
                    each.verdict.set_exception(outcome)
                else:
                    each.verdict.set_result(outcome)

    def _next(self) -> _Batch | None:
        """The next batch that is due; None, and the thread is to end, if nothing waits."""
        with self._changed:
            while True:
                now = perf_counter()
                for circuit in [name for name, batch in self._open.items() if batch.due <= now]:
                    self._due.append(self._open.pop(circuit))
                if self._due:
                    return self._due.popleft()
                if not self._open:
                    self._thread = None
                    return None
                self._changed.wait(min(batch.due for batch in self._open.values()) - now)

    def _outcomes(self, circuit: str, waiting: list[_Waiting]) -> list[bool | BaseException]:
        """The verdict or the error of each proof, of which those in bytes come first.

        Where a batch ends in an error, each of its proofs is verified alone.
        """
        if not waiting:
            return []
        try:
            proofs: list[Any] = [each.proof for each in waiting if isinstance(each.proof, Proofs)]
            encoded = [each.proof for each in waiting if isinstance(each.proof, bytes)]
            if encoded:
                proofs.insert(0, np.frombuffer(b"".join(encoded), np.uint8).reshape(len(encoded), -1))
            began = np.array([each.began for each in waiting])
            verdicts = self._verdicts(circuit, proofs, [each.inputs for each in waiting], began)
            return [MalformedProof(circuit) if said < 0 else said == 1 for said in verdicts.tolist()]
        except BaseException as error:
            self._meter.error()
            _log.warning("a batch of %d proofs of circuit %r: %r", len(waiting), circuit, error)
            if len(waiting) == 1:
                return [error]
            return [outcome for each in waiting for outcome in self._outcomes(circuit, [each])]

    def _verdicts(
        self, circuit: str, proofs: Any, public_inputs: Any, handed_in: NDArray[np.float64] | None
    ) -> Verdicts:
        """Decode and verify a batch, and count it; `handed_in`: times, float64 (n,), None for now."""
        began = perf_counter()
        curve = self.circuits.key(circuit).curve
        parts = proofs if isinstance(proofs, list) else [proofs]
        columns = [
            load_proofs(each, curve, FORMAT) if isinstance(each, np.ndarray) else each for each in parts
        ]
        verdicts = self.circuits.verify(circuit, columns, public_inputs, backend=self._backend)
        ended = perf_counter()
        latencies = np.full(len(verdicts), ended - began) if handed_in is None else ended - handed_in
        self._meter.batch(verdicts, ended - began, latencies)
        return verdicts


def _check_proof(circuit: str, key: Key, proof: Any) -> None:
    if isinstance(proof, Proofs):
        if len(proof) != 1 or proof.curve != key.curve:
            found = f"Proofs of {len(proof)} rows on {proof.curve}"
            raise ArgumentError("proof", found, f"one on {key.curve}, the curve of circuit {circuit!r}")
        if not proof.well_formed[0]:
            raise MalformedProof(circuit)
    elif not isinstance(proof, bytes):
        raise ArgumentError("proof", type(proof).__name__, "bytes, or Proofs of one row")
    elif len(proof) != PROOF_BYTES[key.curve]:
        raise MalformedProof(circuit)
