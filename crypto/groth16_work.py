# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies between witnesses and proofs as one unit of work, and the backends that do it: `bn254.groth16.prove` and
`bls12_381.groth16.prove`.

A backend's function computes the four sums of each proof. What is left, s·A + r·B₁ in C and the check of the proof, is done
here, on the processor, whoever computed the sums: a proof that verifies is right, so that nothing else of what an
accelerator returns needs to be computed again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from supervm.crypto import cuda_groth16, curves
from supervm.crypto.groth16_batch import verify_batch
from supervm.crypto.groth16_columns import Proofs
from supervm.crypto.groth16_proving_key import ProvingKey, Sum
from supervm.crypto.groth16_quotient import quotient
from supervm.crypto.polynomials.arguments import SPECS
from supervm.kernels import registry
from supervm.kernels.array_types import Verdicts, Words
from supervm.kernels.arrays import integers
from supervm.kernels.cpu.backends import CPU_BACKENDS, best, by_name, register_on_cpu
from supervm.kernels.cuda.runtime import devices
from supervm.kernels.errors import BackendUnavailable
from supervm.kernels.progress import Progress, untold
from supervm.kernels.work import Function, Work

HYBRID = "hybrid"
"""The name under which a caller leaves the choice to a scheduler, and to nobody else."""

_ONE = np.array([1, 0, 0, 0], np.uint64)


class Sums(NamedTuple):
    """Points of k proofs, uint64 (k, …).

    Args:
        a: A, α and r·δ included.
        b1, b2: B in G1 and G2, β and s·δ included.
        c: C without s·A + r·B₁.
    """

    a: Words
    b1: Words
    b2: Words
    c: Words

    @classmethod
    def empty(cls, curve: str, count: int) -> Sums:
        """With unknown contents."""
        groups = curves.get(curve)
        shapes = [groups.g1.generator.shape] * 4
        shapes[2] = groups.g2.generator.shape
        return cls(*(np.empty((count, *shape), np.uint64) for shape in shapes))


class Checked(NamedTuple):
    """Proofs, their statements, and their verdicts under the key."""

    proofs: Proofs
    public: list[list[int]]
    verdicts: Verdicts


@dataclass(eq=False)
class ProofCall(Work):
    """Proofs of k witnesses with one key. Its items are values of wires, which go with the size of the circuit and with the
    number of witnesses.

    Args:
        key: a key.
        values: of wires, uint64 (k, wires, 4), canonical; a NumPy array, or a `DeviceArray` on the device that computes.
        blinding: uint64 (k, 3, 4): r, s and −rs.
        result: written.
        progress: told of what a processor does.
    """

    key: ProvingKey
    values: Any
    blinding: Words
    result: Sums
    progress: Progress = untold
    _checked: Checked | None = field(default=None, repr=False)

    @property
    def operation(self) -> str:  # type: ignore[override]
        """The name in the registry."""
        return f"{self.key.curve}.groth16.prove"

    @property
    def items(self) -> int:  # type: ignore[override]
        """Values of all witnesses."""
        return len(self.values) * self.key.wires

    @property
    def bytes(self) -> int:  # type: ignore[override]
        """What goes to a device that has the key."""
        return int(self.values.nbytes + self.blinding.nbytes)

    def run(self, function: Function) -> None:
        """Call `function(key, values, blinding, sums, progress)`, but for no witness at all."""
        self._checked = None
        if len(self.values):
            function(self.key, self.values, self.blinding, self.result, self.progress)

    def twin(self) -> ProofCall:
        """The same witnesses and blinding, with a result of its own, whose contents are unknown. It tells of nothing."""
        return self._of(self.values, self.blinding)

    def _of(self, values: Any, blinding: Words) -> ProofCall:
        result = Sums.empty(self.key.curve, len(values))
        return replace(self, values=values, blinding=blinding, result=result, progress=untold, _checked=None)

    def publish(self, other: Work) -> None:
        """Copy the sums of a twin over this call's, and take over what was found of its proofs."""
        assert isinstance(other, ProofCall)
        for mine, found in zip(self.result, other.result, strict=True):
            mine[...] = found
        self._checked = other._checked

    def mismatches(self, function: Function, share: float, random: np.random.Generator) -> int:
        """Every proof is verified, whatever the share. One that is not valid is computed again: if it then comes to the same
        points, its witness is none of the circuit.
        """
        wrong = np.flatnonzero(self.checked().verdicts != 1)
        if not wrong.size:
            return 0
        again = self._of(self.values[wrong], self.blinding[wrong])
        again.run(function)
        differ = np.zeros(wrong.size, bool)
        for mine, other in zip(self.result, again.result, strict=True):
            differ |= (mine[wrong] != other).reshape(wrong.size, -1).any(axis=1)
        return int(np.count_nonzero(differ))

    def checked(self, backend: str = "auto") -> Checked:
        """The proofs, verified with the key's own verification key.

        Args:
            backend: of what is computed for that; a processor's in any case.
        """
        if self._checked is None:
            self._checked = self._finished(_processors(backend))
        return self._checked

    def _finished(self, backend: str) -> Checked:
        """C += s·A + r·B₁, and the verdicts. What is no point, as an accelerator may leave it, is taken for infinity."""
        group, count = curves.get(self.key.curve).g1, len(self.values)
        points = np.concatenate((self.result.a, self.result.b1, self.result.c))
        points[group.on_curve(points, backend) != 1] = 0
        scalars = np.concatenate((self.blinding[:, 1], self.blinding[:, 0]))
        terms = group.multiply(points[: 2 * count], scalars, backend=backend)
        c = group.add(points[2 * count :], terms[:count], backend=backend)
        c = group.add(c, terms[count:], backend=backend)
        proofs = Proofs(self.key.curve, self.result.a, self.result.b2, c, backend=backend)
        public = [integers(row[1 : 1 + self.key.public]) for row in self.values]
        return Checked(proofs, public, verify_batch(self.key.verification, proofs, public, backend=backend))


def chosen(backend: str) -> str:
    """The backend that the registry is asked for.

    Raises:
        BackendUnavailable: `hybrid`, and nobody is there who measures.
    """
    if backend != HYBRID:
        return backend
    if registry.dispatcher() is None:
        raise BackendUnavailable(
            HYBRID,
            "no scheduler is installed that measures processor and GPU; prove inside `with Scheduler(...)`",
        )
    return "auto"


def _processors(backend: str) -> str:
    """A processor's backend in the place of any: what a scheduler would make of `auto` could be the GPU that is checked."""
    if backend in (each.name for each in CPU_BACKENDS):
        return backend
    return "auto" if registry.dispatcher() is None else best().name


def _on_cpu(
    backend: str, key: ProvingKey, values: Words, blinding: Words, result: Sums, progress: Progress
) -> None:
    count = len(values)
    progress("proving: the quotient", 0.0)
    a, b = (np.stack([side.multiply(key.curve, row) for row in values]) for side in (key.a, key.b))
    h = quotient(key.curve, a, b, key.reduction, backend=backend)
    ones = np.broadcast_to(_ONE, (count, 1, 4))
    first, second, both = (blinding[:, at : at + 1] for at in range(3))
    summed = partial(_summed, backend, values)
    progress("proving: the sum of A", 0.08)
    result.a[...] = summed(key.sum_a, ones, first)
    progress("proving: the sums of B", 0.25)
    if np.array_equal(key.sum_b1.wires, key.sum_b2.wires):
        of, scalars = key.sum_b1.table, _scalars(values, key.sum_b1, ones, second)
        found = of.msm_beside(key.sum_b2.table, scalars, backend if of.backend == "auto" else of.backend)
        result.b1[...], result.b2[...] = found
    else:
        result.b1[...] = summed(key.sum_b1, ones, second)
        result.b2[...] = summed(key.sum_b2, ones, second)
    progress("proving: the sum of C", 0.7)
    result.c[...] = summed(key.sum_c, both, after=h)


def _summed(backend: str, values: Words, of: Sum, *before: Words, after: Words | None = None) -> Words:
    """The sum for each row of values, on the backend of the table, or on this one if it has none in particular."""
    named = backend if of.table.backend == "auto" else None
    return of.table.msm(_scalars(values, of, *before, after=after), backend=named)


def _scalars(values: Words, of: Sum, *before: Words, after: Words | None = None) -> Words:
    columns = [*before, values[:, of.wires], *([] if after is None else [after])]
    return np.concatenate(columns, axis=1)


def _on_gpu(key: ProvingKey, values: Any, blinding: Words, result: Sums, progress: Progress) -> None:
    progress("proving on a GPU", None)
    cuda_groth16.sums(key, values, blinding, result)


for _curve in SPECS:
    register_on_cpu(f"{_curve}.groth16.prove", by_name(_on_cpu))
    registry.register(f"{_curve}.groth16.prove", "cuda", _on_gpu, devices.unavailable)
