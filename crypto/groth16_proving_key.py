# SPDX-License-Identifier: GPL-3.0-or-later
"""Proving keys of Groth16 on BN254 and BLS12-381, with tables of their points that are made once and kept.

A proof takes four sums: A, B in G1, B in G2, and C and H in one. The points of the header that every proof adds, α, β and δ,
stand before a table's own; points at infinity, those of wires that a polynomial lacks, are left out.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from supervm.crypto import memory, msm
from supervm.crypto.circom_files import Source
from supervm.crypto.circom_zkey import B1, B2, A, C, H, Zkey
from supervm.crypto.errors import TestOnlyKey
from supervm.crypto.groth16_columns import Key
from supervm.crypto.groth16_quotient import places, require_reduction
from supervm.crypto.sparse_matrices import SparseMatrix
from supervm.kernels.array_types import Indices, Words
from supervm.kernels.progress import Progress, untold
from supervm.kernels.registry import resolve

_MOST_MULTIPLES = 10
_FEW_ROWS, _MOST_OF_FEW = 6 << 14, 16
_TABLE_ROWS = 1 << 20
"""Multiples of each point that still gain, and rows of a table that it is worth: they save a tenth of a sum over 2^16 points
in eight lanes and a sixth in four, more than misses of the cache cost. Small tables may have more. For 2^10 to 2^17 points
the windows that are left are of an even number, which two threads share evenly."""


@dataclass(frozen=True, eq=False)
class Sum:
    """Σ of a key's points times scalars of a proof.

    Args:
        table: of points, those of the header first.
        wires: int64, the wire of each of the others, before those of H.
    """

    table: msm.Table
    wires: Indices


@dataclass(frozen=True, eq=False)
class ProvingKey:
    """A key, checked, in memory. `load_zkey` reads one.

    Args:
        name: of the file that it is from.
        curve: `bn254` or `bls12_381`.
        wires: of the circuit, the one among them.
        log: the domain has 2^log rows.
        reduction: how H is taken, `circom` or `arkworks`.
        a, b: matrices, rows in the places of `groth16_quotient.places`.
        sum_a: α, δ and the points of A.
        sum_b1, sum_b2: β, δ and the points of B, in G1 and G2.
        sum_c: δ, the points of C and those of H.
        verification: the key that proofs are verified with.
        test_only: whether it is marked as made for tests, or shows that its secrets are known
            (`groth16_columns.secrets_known`).
    """

    name: str
    curve: str
    wires: int
    log: int
    reduction: str
    a: SparseMatrix
    b: SparseMatrix
    sum_a: Sum
    sum_b1: Sum
    sum_b2: Sum
    sum_c: Sum
    verification: Key
    test_only: bool

    @property
    def public(self) -> int:
        """Numbers of a statement."""
        return self.verification.inputs

    @property
    def domain(self) -> int:
        """Rows."""
        return 1 << self.log

    @cached_property
    def digest(self) -> str:
        """What names it where it is kept: BLAKE2b of all that proofs are made of, counted once."""
        parts = [part for each in (self.a, self.b) for part in (each.starts, each.columns, each.values)]
        for each in (self.sum_a, self.sum_b1, self.sum_b2, self.sum_c):
            parts += [each.wires, each.table.coordinates]
        head = (self.curve, self.reduction, self.wires, self.log, *(part.shape for part in parts))
        content = hashlib.blake2b(repr(head).encode(), digest_size=32)
        for part in parts:
            content.update(np.ascontiguousarray(part).data)
        return content.hexdigest()


def load_zkey(
    source: Source,
    *,
    check: str = "curve",
    multiples: int | None = None,
    allow_test_only: bool = False,
    backend: str = "auto",
    progress: Progress = untold,
) -> ProvingKey:
    """A key from snarkjs' `.zkey`.

    Args:
        source: a path, or the file's bytes.
        check: `curve`, or `subgroup`, which takes longer: a key from elsewhere may hold points of small order, which cannot
            make a proof that verifies wrongly and could make one that says something about the witness.
        multiples: of each point that tables hold, itself included. More of them take memory, and time when the key is read,
            as much as several proofs: 1 for who makes one proof. None for as many as make proofs faster.
        allow_test_only: take a key that is marked as made for tests, or that nobody contributed to.
        backend: of the sums: `auto`, `hybrid`, or a name of `kernels.registry.BACKENDS`. For `cuda` and `hybrid` tables are
            those of the best processor's backend: a GPU gets the key with the first proof that it makes (`cuda_groth16`).
        progress: told of what is done.

    Raises:
        CircomFileError: what is wrong, in which section, at which byte.
        TestOnlyKey: it is one of these, and that is not allowed.
        MemoryNeeded: what is needed, before anything is read.
        ArgumentError: another check or number.
        BackendUnavailable: the named backend cannot run here.
        OSError: it cannot be read.
    """
    with Zkey(source, check) as zkey:
        of = zkey.header
        if of.test_only and not allow_test_only:
            raise TestOnlyKey(of.name)
        most = 2 + (multiples or most_multiples(max(of.wires, of.domain)))
        memory.require(most * zkey.size, f"the key {of.name}")
        reduction = require_reduction("circom")
        rows, turned = places(of.curve, of.log, reduction)
        progress("reading the key's matrices", 0.0)
        a, b = zkey.matrices(rows)
        sides = of.sides
        verification = zkey.verification()
        made = partial(key_sum, of.curve, multiples, backend)
        progress("reading the key's points", 0.1)
        sum_a = made("g1", (sides["alpha"], sides["delta"]), zkey.points(A))
        progress("reading the key's points", 0.3)
        sum_b1 = made("g1", (sides["beta"], sides["delta"]), zkey.points(B1))
        progress("reading the key's points", 0.4)
        sum_b2 = made("g2", (sides["beta_2"], sides["delta_2"]), zkey.points(B2))
        progress("reading the key's points", 0.7)
        points_h = np.empty((of.domain, *sides["delta"].shape), np.uint64)
        points_h[turned] = zkey.points(H)
        sum_c = made("g1", (sides["delta"],), zkey.points(C), points_h, of.public + 1)
    progress("reading the key's points", 1.0)
    return ProvingKey(
        of.name,
        of.curve,
        of.wires,
        of.log,
        reduction,
        a,
        b,
        sum_a,
        sum_b1,
        sum_b2,
        sum_c,
        verification,
        of.test_only,
    )


def most_multiples(points: int) -> int:
    """Multiples of each of so many points that make sums faster, and whose table is not too large."""
    return max(
        1,
        min(_MOST_OF_FEW, _FEW_ROWS // max(1, points)),
        min(_MOST_MULTIPLES, _TABLE_ROWS // max(1, points)),
    )


def key_sum(
    curve: str,
    multiples: int | None,
    backend: str,
    group: str,
    first: tuple[Words, ...],
    points: Words,
    more: Words | None = None,
    wire: int = 0,
) -> Sum:
    """The table of points of wires from `wire` on, with those of the header before and others behind them.

    Args:
        curve, multiples, backend: as `load_zkey` has them.
        group: `g1` or `g2`.
        first: points of the header.
        points: of wires; those at infinity are left out.
        more: those of H.
        wire: the first wire.
    """
    present = np.flatnonzero(points.any(axis=tuple(range(1, points.ndim))))
    columns = [np.stack(first), points[present], *([] if more is None else [more])]
    together = np.concatenate(columns)
    count = most_multiples(len(together)) if multiples is None else multiples
    if backend == "cuda":
        resolve(f"{curve}.{group}.msm", backend)  # or an error, now and not with the first proof
    here = "auto" if backend in ("cuda", "hybrid") else backend
    table = msm.prepare(curve, together, group=group, precompute=count, backend=here)
    return Sum(table, present + wire)
