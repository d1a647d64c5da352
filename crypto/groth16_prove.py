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

from supervm.crypto import memory
from supervm.crypto.circom_r1cs import ConstraintSystem
from supervm.crypto.circom_witness import Witness, load_witness
from supervm.crypto.errors import UnsatisfiedWitness
from supervm.crypto.groth16_proving_key import ProvingKey, load_zkey
from supervm.crypto.groth16_work import ProofCall, Sums, chosen
from supervm.crypto.groth16_written import Proof
from supervm.crypto.polynomials.arguments import SPECS
from supervm.crypto.polynomials.products import multiply_values
from supervm.kernels.array_types import Words
from supervm.kernels.errors import ArgumentError
from supervm.kernels.progress import Progress, untold
from supervm.kernels.registry import run
from supervm.kernels.transform import words_of

__all__ = ["Proof", "ProvingKey", "check_witness", "load_zkey", "prove", "prove_batch"]

_AT_ONCE = 1 << 18
"""Rows of the domain, of all witnesses that are worked on together."""


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
        backend: `auto`, a name of `kernels.registry.BACKENDS`, or `hybrid`: processor or GPU, whichever the scheduler that
            is installed has measured to be faster for so many witnesses of so many wires. `auto` asks the scheduler too,
            and takes a processor's best backend where none is. A key that was read for one backend of a processor keeps
            its sums there. Proofs are verified on the processor in any case.
        progress: told of what is done.

    Raises:
        UnsatisfiedWitness: a witness is none of the circuit.
        ArgumentError: no `ProvingKey`, a witness on another curve or of another number of wires, another circuit than the
            key's.
        CircomFileError: a file that is no witness.
        MemoryNeeded: what is needed, before the work.
        BackendUnavailable: the named backend cannot run here; or `hybrid`, and no scheduler is installed.
        DeviceError: `cuda` was asked for by name, and the GPU failed or has too little memory. Under a scheduler the
            processor takes its place.
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
    both = [-x * y % order for x, y in zip(r, s, strict=True)]
    blinding = np.stack([words_of(each).reshape(-1, 4) for each in (r, s, both)], axis=1)
    call = ProofCall(key, values, blinding, Sums.empty(key.curve, count), progress)
    run(call, chosen(backend))
    progress("proving: verifying the proof", 0.98)
    proofs, public, said = call.checked(backend)
    wrong = np.flatnonzero(said != 1)
    if wrong.size and satisfied:
        found = f"a circuit that witness {item + int(wrong[0])} satisfies, and no proof under the key"
        raise ArgumentError("r1cs", found, "the circuit that the key is made for")
    if wrong.size:
        raise UnsatisfiedWitness(item + int(wrong[0]), None)
    return [
        Proof(key.curve, proofs.a[row], proofs.b[row], proofs.c[row], tuple(public[row]))
        for row in range(count)
    ]
