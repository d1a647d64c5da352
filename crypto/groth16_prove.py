# SPDX-License-Identifier: GPL-3.0-or-later
"""Groth16 proofs on BN254 and BLS12-381 from circom's witnesses (eprint 2016/260, section 3.2).

For blinding numbers r and s, which are drawn from the operating system for every proof:

    A = α + Σ wᵢ·Aᵢ + r·δ,   B = β + Σ wᵢ·Bᵢ + s·δ,   C = Σ wᵢ·Cᵢ + Σ hᵢ·Hᵢ + s·A + r·B − rs·δ

Every proof is verified with the key's own verification key before it leaves. Nothing here is constant-time: who can time a
prover on the same machine may learn about its witness.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import numpy as np

from supervm.crypto import curves, memory
from supervm.crypto.circom_r1cs import ConstraintSystem
from supervm.crypto.circom_witness import Witness, load_witness
from supervm.crypto.errors import UnsatisfiedWitness
from supervm.crypto.groth16_batch import verify_batch
from supervm.crypto.groth16_columns import Proofs
from supervm.crypto.groth16_proving_key import ProvingKey, Sum, load_zkey
from supervm.crypto.groth16_quotient import quotient
from supervm.crypto.groth16_written import Proof
from supervm.crypto.polynomials.arguments import SPECS
from supervm.crypto.polynomials.products import multiply_values
from supervm.kernels.array_types import Words
from supervm.kernels.arrays import integers
from supervm.kernels.errors import ArgumentError
from supervm.kernels.progress import Progress, untold
from supervm.kernels.transform import words_of

__all__ = ["Proof", "ProvingKey", "check_witness", "load_zkey", "prove", "prove_batch"]

_AT_ONCE = 1 << 18
"""Rows of the domain, of all witnesses that are worked on together."""

_ONE = np.array([1, 0, 0, 0], np.uint64)


def prove(
    key: ProvingKey,
    witness: Any,
    *,
    r1cs: ConstraintSystem | None = None,
    backend: str = "auto",
    progress: Progress = untold,
) -> Proof:
    """A proof of a witness; arguments and errors as `prove_batch`."""
    (proof,) = prove_batch(key, [witness], r1cs=r1cs, backend=backend, progress=progress)
    return proof


def prove_batch(
    key: ProvingKey,
    witnesses: Sequence[Any],
    *,
    r1cs: ConstraintSystem | None = None,
    backend: str = "auto",
    progress: Progress = untold,
) -> list[Proof]:
    """Proofs of many witnesses of one circuit.

    Args:
        key: of the circuit.
        witnesses: each a `Witness`, or what `load_witness` reads: a path of a `.wtns`, or its bytes.
        r1cs: the circuit; with it every constraint is checked first, and the one that fails is named.
        backend: of the transforms and the last verification; sums are computed where the key's tables are.
        progress: told of what is done.

    Raises:
        UnsatisfiedWitness: a witness is none of the circuit.
        ArgumentError: no `ProvingKey`, a witness on another curve or of another number of wires, another circuit than the
            key's.
        CircomFileError: a file that is no witness.
        MemoryNeeded: what is needed, before the work.
        BackendUnavailable: the named backend cannot run here.
    """
    if not isinstance(key, ProvingKey):
        raise ArgumentError("key", type(key).__name__, "a ProvingKey")
    if not isinstance(witnesses, (list, tuple)):
        raise ArgumentError("witnesses", type(witnesses).__name__, "a list of witnesses")
    if r1cs is not None:
        _require_circuit(key, r1cs)
    at_once = max(1, _AT_ONCE >> key.log)
    memory.require(
        _needed(key, min(at_once, len(witnesses))), f"{min(at_once, len(witnesses))} proofs at a time"
    )
    proofs: list[Proof] = []
    for start in range(0, len(witnesses), at_once):
        given = [
            _witness(key, each, start + index)
            for index, each in enumerate(witnesses[start : start + at_once])
        ]
        if r1cs is not None:
            progress("checking the witness", start / len(witnesses))
            for index, each in enumerate(given):
                _check(r1cs, each, start + index)
        share = len(given) / len(witnesses)
        done = start / len(witnesses)

        def tell(doing: str, part: float | None, done: float = done, share: float = share) -> None:
            progress(doing, None if part is None else done + share * part)

        proofs += _proofs(
            key, np.stack([each.values for each in given]), start, backend, r1cs is not None, tell
        )
    return proofs


def check_witness(r1cs: ConstraintSystem, witness: Any) -> None:
    """Make sure that a witness satisfies a circuit.

    Args:
        r1cs: the circuit.
        witness: as `prove_batch` takes them.

    Raises:
        UnsatisfiedWitness: with the first constraint that fails.
        ArgumentError: no circuit, or a witness on another curve or of another number of wires.
    """
    if not isinstance(r1cs, ConstraintSystem):
        raise ArgumentError("r1cs", type(r1cs).__name__, "a ConstraintSystem")
    _check(r1cs, _taken(witness, r1cs.curve, r1cs.wires, "witness"), 0)


def _check(r1cs: ConstraintSystem, witness: Witness, item: int) -> None:
    a, b, c = (matrix.multiply(r1cs.curve, witness.values) for matrix in (r1cs.a, r1cs.b, r1cs.c))
    failed = np.flatnonzero((multiply_values(r1cs.curve, a, b) != c).any(axis=1))
    if failed.size:
        raise UnsatisfiedWitness(item, int(failed[0]))


def _witness(key: ProvingKey, witness: Any, item: int) -> Witness:
    return _taken(witness, key.curve, key.wires, f"witnesses[{item}]")


def _taken(witness: Any, curve: str, wires: int, argument: str) -> Witness:
    found = witness if isinstance(witness, Witness) else load_witness(witness)
    if found.curve != curve or len(found) != wires:
        came = f"{len(found)} values on {found.curve}"
        raise ArgumentError(argument, came, f"{wires} on {curve}, one for each wire of the circuit")
    return found


def _require_circuit(key: ProvingKey, r1cs: Any) -> None:
    if not isinstance(r1cs, ConstraintSystem):
        raise ArgumentError("r1cs", type(r1cs).__name__, "a ConstraintSystem")
    for what in ("curve", "wires", "public"):
        if getattr(key, what) != getattr(r1cs, what):
            came = f"a circuit with {what} = {getattr(r1cs, what)}"
            raise ArgumentError("r1cs", came, f"the key's circuit, with {getattr(key, what)}")


def _needed(key: ProvingKey, count: int) -> int:
    """Bytes that so many proofs take beside the key: nine arrays over the domain, scalars, and buckets."""
    points = 3 * key.wires + key.domain
    return 32 * count * (9 * key.domain + key.wires + points) + 48 * (key.wires + key.domain)


def _random_scalars(count: int, order: int) -> list[int]:
    """Blinding: fresh numbers below the order from the operating system."""
    return [secrets.randbelow(order) for _ in range(count)]


def _proofs(
    key: ProvingKey, values: Words, item: int, backend: str, satisfied: bool, progress: Progress
) -> list[Proof]:
    """Proofs of values of wires, uint64 (k, wires, 4); the first of them is witness `item`.

    Args:
        satisfied: whether they are known to satisfy the circuit that was given.
    """
    count, order = len(values), SPECS[key.curve].modulus
    r, s = _random_scalars(count, order), _random_scalars(count, order)
    progress("proving: the quotient", 0.0)
    a, b = (np.stack([side.multiply(key.curve, row) for row in values]) for side in (key.a, key.b))
    h = quotient(key.curve, a, b, key.reduction, backend=backend)
    ones = np.broadcast_to(_ONE, (count, 1, 4))
    first, second, both = (
        _rows(each) for each in (r, s, [-x * y % order for x, y in zip(r, s, strict=True)])
    )
    progress("proving: the sum of A", 0.08)
    point_a = _summed(key.sum_a, values, ones, first)
    progress("proving: the sum of B in G1", 0.25)
    point_b1 = _summed(key.sum_b1, values, ones, second)
    progress("proving: the sum of B in G2", 0.4)
    point_b2 = _summed(key.sum_b2, values, ones, second)
    progress("proving: the sum of C", 0.7)
    point_c = _summed(key.sum_c, values, both, after=h)
    group = curves.get(key.curve).g1
    terms = group.multiply(
        np.concatenate((point_a, point_b1)), np.concatenate((second, first)).reshape(-1, 4), backend=backend
    )
    point_c = group.add(group.add(point_c, terms[:count], backend=backend), terms[count:], backend=backend)
    progress("proving: verifying the proof", 0.98)
    proofs = Proofs(key.curve, point_a, point_b2, point_c, backend=backend)
    public = [integers(row[1 : 1 + key.public]) for row in values]
    said = verify_batch(key.verification, proofs, public, backend=backend)
    wrong = np.flatnonzero(said != 1)
    if wrong.size and satisfied:
        found = f"a circuit that witness {item + int(wrong[0])} satisfies, and no proof under the key"
        raise ArgumentError("r1cs", found, "the circuit that the key is made for")
    if wrong.size:
        raise UnsatisfiedWitness(item + int(wrong[0]), None)
    return [
        Proof(key.curve, point_a[row], point_b2[row], point_c[row], tuple(public[row]))
        for row in range(count)
    ]


def _rows(numbers: list[int]) -> Words:
    return words_of(numbers).reshape(-1, 1, 4)


def _summed(of: Sum, values: Words, *before: Words, after: Words | None = None) -> Words:
    """The sum for each row of values."""
    columns = [*before, values[:, of.wires], *([] if after is None else [after])]
    return of.table.msm(np.concatenate(columns, axis=1))
