# SPDX-License-Identifier: GPL-3.0-or-later
"""Groth16 proofs by witness: nodes keep the proving key under its digest, and each share is a few witnesses.

A witness holds secrets: whoever runs a node that makes proofs can read those that it is sent. A proof is another one each
time it is made, since its blinding is drawn anew; what is checked is that it verifies, and says what the witness says.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from supervm.crypto import groth16
from supervm.crypto.circom_witness import Witness
from supervm.crypto.circom_zkey import Zkey
from supervm.crypto.errors import UnsatisfiedWitness
from supervm.crypto.groth16_prove import Proof, ProvingKey, load_zkey, prove_batch
from supervm.engine.scheduler.tasks import TaskType
from supervm.kernels.arrays import integers
from supervm.kernels.errors import ArgumentError
from supervm.kernels.transform import words_of
from supervm.tiers.cluster.splitting.parts import Held, Runner, cuts, kept
from supervm.tiers.cluster.task import Columns, Options, Task, same

TASK = "groth16.prove"

PART_WITNESSES = 4
"""Witnesses of a share: few, since one proof of a large circuit takes seconds."""


class Prover:
    """Makes proofs of one circuit.

    Args:
        run: has them made.
        key: path of snarkjs' `.zkey`; it travels once.
        allow_test_only, check: as `load_zkey` takes them: each node checks the key that it is sent.

    Raises:
        OSError: the key cannot be read.
    """

    def __init__(
        self, run: Runner, key: Path | str, *, allow_test_only: bool = False, check: str = "curve"
    ) -> None:
        self._run = run
        held = run.hold((np.fromfile(key, np.uint8),))
        self._options: Options = {"key": held, "allow_test_only": allow_test_only, "check": check}

    def prove(self, witnesses: Sequence[Witness], *, part_witnesses: int = PART_WITNESSES) -> list[Proof]:
        """Proofs of many witnesses.

        Args:
            witnesses: of the circuit.
            part_witnesses: of a share.

        Raises:
            UnsatisfiedWitness: a witness is none of the circuit; the first of them is named.
            ArgumentError: witnesses on several curves or of several lengths, or of another circuit than the key's.
            CircomFileError, TestOnlyKey: as `load_zkey`.
        """
        if not witnesses:
            return []
        curve, wires = witnesses[0].curve, len(witnesses[0])
        for place, each in enumerate(witnesses):
            if (each.curve, len(each)) != (curve, wires):
                came = f"{len(each)} values on {each.curve}"
                raise ArgumentError(f"witnesses[{place}]", came, f"{wires} on {curve}, as of the first one")
        parts = (
            (np.stack([each.values for each in witnesses[start:stop]]),)
            for start, stop in cuts(len(witnesses), part_witnesses)
        )
        answers = dict(self._run.run(TASK, parts, {**self._options, "curve": curve}))
        proofs: list[Proof] = []
        for _, answer in sorted(answers.items(), key=lambda pair: pair[0]):
            if len(answer) == 1:
                raise UnsatisfiedWitness(len(proofs) + int(answer[0][0]), None)
            a, b, c, public = answer
            for row, stated in enumerate(public):
                proofs.append(Proof(curve, a[row], b[row], c[row], tuple(integers(stated))))
        return proofs


def _prove(columns: Columns, options: Options) -> Columns:
    def make(data: Columns) -> ProvingKey:
        return load_zkey(
            data[0].tobytes(), check=options["check"], allow_test_only=options["allow_test_only"]
        )

    key = kept(_key(options), make, TASK, options["check"], str(options["allow_test_only"]))
    try:
        proofs = prove_batch(key, [Witness(options["curve"], values) for values in columns[0]])
    except UnsatisfiedWitness as error:
        return (np.array([error.item]),)
    public = [words_of(list(proof.public)).reshape(-1, 4) for proof in proofs]
    points = (np.stack([getattr(proof, side) for proof in proofs]) for side in ("a", "b", "c"))
    return (*points, np.stack(public))


def _right(columns: Columns, options: Options, answer: Columns, random: np.random.Generator) -> bool:
    """Every proof is verified, and compared with its witness; a witness that is said to fail is tried again."""
    values = columns[0]
    if len(answer) == 1:
        failed = answer[0].tolist()
        return (
            len(failed) == 1
            and failed[0] in range(len(values))
            and len(_prove((values[failed[0]][None],), options)) == 1
        )

    def make(data: Columns) -> groth16.Key:
        with Zkey(data[0].tobytes(), options["check"]) as zkey:
            return zkey.verification()

    key = kept(_key(options), make, "verification key")
    stated = values[:, 1 : 1 + key.inputs]
    if len(answer) != 4 or not same(answer[3:], (stated,)):
        return False
    try:
        proofs = groth16.Proofs(options["curve"], *answer[:3])
        verdicts = groth16.verify_batch(key, proofs, [integers(each) for each in stated])
    except ArgumentError:
        return False
    return len(verdicts) == len(values) and bool((verdicts == 1).all())


def _key(options: Options) -> Held:
    found: Held = options["key"]
    return found


PROVE = Task(
    TASK, _prove, items=lambda columns: len(columns[0]), type=TaskType.PROOF_GENERATION, check=_right
)
"""Columns: witnesses, uint64 (k, wires, 4). Options: `curve`, `key`, held, and `allow_test_only` and `check` of `load_zkey`.
Answer: A, B and C of the proofs, and the statements, uint64 (k, inputs, 4); or int64 (1,), the first witness that fails."""
