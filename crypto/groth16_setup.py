# SPDX-License-Identifier: GPL-3.0-or-later
"""Proving keys of Groth16 for a circuit: from a ceremony's powers of τ; for tests, with secrets that are drawn here.

As snarkjs has it, γ is 1, a domain has a row for each constraint and one for each public number and the 1, and H points are
Lagrange polynomials at the odd powers of the 2n-th root of unity (see `groth16_quotient`).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import partial

import numpy as np

from supervm.crypto import curves, memory
from supervm.crypto.circom_files import BASE_FIELDS, SCALAR_FIELDS, container, modulus_bytes
from supervm.crypto.circom_points import points_to_bytes
from supervm.crypto.circom_ptau import Ptau
from supervm.crypto.circom_r1cs import ConstraintSystem
from supervm.crypto.circom_zkey import (
    B1,
    B2,
    COEFFICIENTS,
    CONTRIBUTIONS,
    ENTRY,
    GROTH16,
    HEADER,
    IC,
    MARK,
    PROTOCOL,
    A,
    C,
    H,
)
from supervm.crypto.curves import Group
from supervm.crypto.fixed_base import multiples
from supervm.crypto.groth16_quotient import domain_log, domain_rows, multiply_add, snarkjs_order
from supervm.crypto.polynomials.arguments import SPECS
from supervm.crypto.polynomials.products import multiply_values
from supervm.crypto.polynomials.transforms import ntt
from supervm.crypto.sparse_matrices import SparseMatrix
from supervm.crypto.weighted import row_sums
from supervm.kernels.array_types import Words
from supervm.kernels.errors import ArgumentError
from supervm.kernels.progress import Progress, untold
from supervm.kernels.transform import words_of

WARNING = (
    b"Made for tests alone: the secrets of this key, or of the powers of tau that it is made of, were known. "
    b"Whoever has them can forge proofs."
)
"""What stands in a test-only key's own section."""


@dataclass(frozen=True, eq=False)
class KeyPoints:
    """The points of a key, affine and canonical.

    Args:
        sides: as `ZkeyHeader.sides`.
        ic, a, b1, b2, c, h: as a `.zkey` has them.
    """

    sides: dict[str, Words]
    ic: Words
    a: Words
    b1: Words
    b2: Words
    c: Words
    h: Words


@dataclass(frozen=True, repr=False)
class Secrets:
    """What nobody may know of a key. γ is 1."""

    tau: int
    alpha: int
    beta: int
    delta: int


def make_test_key(r1cs: ConstraintSystem, *, progress: Progress = untold) -> bytes:
    """A `.zkey` with secrets that are drawn here and dropped, and marked as made for tests alone.

    It has a section that says so, and its α is 1: the point shows in every file that another tool makes of the key, with
    contributions to the second phase too (`groth16_columns.secrets_known`).

    Args:
        r1cs: the circuit.
        progress: told of what is done.

    Raises:
        ArgumentError: no circuit, or one that is too large.
        MemoryNeeded: what is needed, before the work.
    """
    log = _log_of(r1cs)
    tau, beta, delta = _drawn(3, SPECS[r1cs.curve].modulus)
    points = _points_of(r1cs, log, Secrets(tau, 1, beta, delta), progress)
    return _zkey(r1cs, log, points, [(MARK, WARNING)])


def make_key(
    r1cs: ConstraintSystem, ptau: Ptau, *, allow_test_only: bool = False, progress: Progress = untold
) -> bytes:
    """A `.zkey` from a ceremony's powers of τ, with one contribution to δ, a number that is drawn here and dropped.

    The key is as good as the ceremony and this one contribution: more can follow with `snarkjs zkey contribute`.

    Args:
        r1cs: the circuit.
        ptau: prepared for phase 2.
        allow_test_only: take powers whose secrets are known; the key is marked as made for tests alone.
        progress: told of what is done.

    Raises:
        ArgumentError: no circuit, one on another curve, or one with more rows than there are powers.
        TestOnlyKey: nobody contributed to the powers, and that is not allowed.
        CircomFileError: the powers are not prepared, or damaged.
        MemoryNeeded: what is needed, before the work.
    """
    log = _log_of(r1cs)
    if ptau.curve != r1cs.curve:
        raise ArgumentError("ptau", f"powers on {ptau.curve}", f"on {r1cs.curve}, as the circuit is")
    if ptau.power < log:
        raise ArgumentError(
            "ptau", f"powers for 2^{ptau.power} rows", f"for 2^{log}, as many as the circuit has"
        )
    mark = [(MARK, WARNING)] if ptau.require_contributions(allow_test_only) else []
    groups, order = curves.get(r1cs.curve), SPECS[r1cs.curve].modulus
    (delta,) = _drawn(1, order)
    inverse = pow(delta, -1, order)
    a, b, c = (matrix.transposed(r1cs.wires) for matrix in domain_rows(r1cs))
    tau, alpha, beta = (ptau.lagrange(name, log) for name in ("tau", "alpha", "beta"))
    progress("summing the points of A and B", 0.1)
    points_a, points_b1 = _sums(groups.g1, [(a, tau)]), _sums(groups.g1, [(b, tau)])
    progress("summing the points of B in G2", 0.4)
    points_b2 = _sums(groups.g2, [(b, ptau.lagrange("tau_2", log))])
    progress("summing the points of C", 0.6)
    rest = _sums(groups.g1, [(a, beta), (b, alpha), (c, tau)])
    shared = r1cs.public + 1
    progress("contributing to δ", 0.8)
    sides = ptau.sides() | {
        "gamma_2": groups.g2.generator,
        "delta": multiples(groups.g1, groups.g1.generator, words_of([delta]).reshape(1, 4))[0],
        "delta_2": multiples(groups.g2, groups.g2.generator, words_of([delta]).reshape(1, 4))[0],
    }
    scaled = np.concatenate((rest[shared:], ptau.lagrange("tau", log + 1)[1::2]))
    scaled = groups.g1.multiply(scaled, np.tile(words_of([inverse]), (len(scaled), 1)))
    count = r1cs.wires - shared
    points = KeyPoints(sides, rest[:shared], points_a, points_b1, points_b2, scaled[:count], scaled[count:])
    return _zkey(r1cs, log, points, mark)


def _drawn(count: int, order: int) -> list[int]:
    """Fresh numbers from the operating system, none of them 0."""
    return [1 + secrets.randbelow(order - 1) for _ in range(count)]


def _log_of(r1cs: ConstraintSystem) -> int:
    if not isinstance(r1cs, ConstraintSystem):
        raise ArgumentError("r1cs", type(r1cs).__name__, "a ConstraintSystem")
    log = domain_log(r1cs)
    point = 8 * 2 * BASE_FIELDS[r1cs.curve].words
    entries = sum(matrix.bytes for matrix in (r1cs.a, r1cs.b, r1cs.c))
    memory.require(4 * (point * (5 * r1cs.wires + (3 << log)) + entries), "making a key")
    return log


def _sums(group: Group, parts: list[tuple[SparseMatrix, Words]]) -> Words:
    """Σ valueₑ·P over the entries of each row of all parts, a point for each row; P is that of the entry's column."""
    one = words_of([1])
    rows = np.concatenate([matrix.row_numbers for matrix, _ in parts])
    factors = np.concatenate([matrix.values for matrix, _ in parts])
    points = np.concatenate([points[matrix.columns] for matrix, points in parts])
    order = np.argsort(rows, kind="stable")
    points, factors = points[order], factors[order]
    negative = words_of([SPECS[group.name.partition(".")[0]].modulus - 1])
    minus = np.flatnonzero((factors == negative).all(axis=1))
    points[minus] = group.negate(points[minus])
    other = np.flatnonzero((factors != one).any(axis=1) & (factors != negative).any(axis=1))
    points[other] = group.multiply(points[other], factors[other])
    return row_sums(group, points, np.bincount(rows, minlength=parts[0][0].rows), "auto")


# From secrets ------------------------------------------------------------------------------------------------


def lagrange_at(curve: str, log: int, tau: int) -> Words:
    """The Lagrange polynomials at τ over our domain of 2^log rows, uint64 (2^log, 4), in natural order.

    They are the inverse transform of the powers of τ.
    """
    modulus, powers = SPECS[curve].modulus, words_of([1]).reshape(1, 4)
    while len(powers) < 1 << log:
        powers = np.concatenate(
            (powers, multiply_values(curve, powers, words_of([pow(tau, len(powers), modulus)])))
        )
    return ntt(curve, powers, inverse=True)


def _points_of(r1cs: ConstraintSystem, log: int, drawn: Secrets, progress: Progress) -> KeyPoints:
    curve, groups = r1cs.curve, curves.get(r1cs.curve)
    order = SPECS[curve].modulus
    rows, odd = snarkjs_order(curve, log)
    at_tau = lagrange_at(curve, log, drawn.tau)[rows]
    a, b, c = (matrix.transposed(r1cs.wires).multiply(curve, at_tau) for matrix in domain_rows(r1cs))
    rest = multiply_add(curve, a, drawn.beta, multiply_add(curve, b, drawn.alpha, c))
    shared, inverse = r1cs.public + 1, words_of([pow(drawn.delta, -1, order)])
    h = multiply_values(curve, lagrange_at(curve, log + 1, drawn.tau)[odd], inverse)
    first, second = (
        partial(multiples, groups.g1, groups.g1.generator),
        partial(multiples, groups.g2, groups.g2.generator),
    )
    one = words_of([drawn.alpha, drawn.beta, drawn.delta]).reshape(3, 4)
    alpha, beta, delta = first(one)
    beta_2, gamma_2, delta_2 = second(words_of([drawn.beta, 1, drawn.delta]).reshape(3, 4))
    sides = {"alpha": alpha, "beta": beta, "delta": delta}
    sides |= {"beta_2": beta_2, "gamma_2": gamma_2, "delta_2": delta_2}
    found = []
    scalars = [rest[:shared], a, b, multiply_values(curve, rest[shared:], inverse), h]
    for index, each in enumerate(scalars):
        progress("making the key's points", index / 6)
        found.append(first(each))
    progress("making the key's points", 5 / 6)
    ic, points_a, points_b1, points_c, points_h = found
    return KeyPoints(sides, ic, points_a, points_b1, second(b), points_c, points_h)


# Bytes -------------------------------------------------------------------------------------------------------


def _zkey(r1cs: ConstraintSystem, log: int, points: KeyPoints, more: list[tuple[int, bytes]]) -> bytes:
    groups = curves.get(r1cs.curve)
    one, two = partial(points_to_bytes, groups.g1), partial(points_to_bytes, groups.g2)
    header = modulus_bytes(BASE_FIELDS[r1cs.curve]) + modulus_bytes(SCALAR_FIELDS[r1cs.curve])
    header += b"".join(number.to_bytes(4, "little") for number in (r1cs.wires, r1cs.public, 1 << log))
    for name, write in (
        ("alpha", one),
        ("beta", one),
        ("beta_2", two),
        ("gamma_2", two),
        ("delta", one),
        ("delta_2", two),
    ):
        header += write(points.sides[name][None])
    sections = [
        (PROTOCOL, GROTH16.to_bytes(4, "little")),
        (HEADER, header),
        (IC, one(points.ic)),
        (COEFFICIENTS, _coefficients(r1cs)),
        (A, one(points.a)),
        (B1, one(points.b1)),
        (B2, two(points.b2)),
        (C, one(points.c)),
        (H, one(points.h)),
        (CONTRIBUTIONS, bytes(64 + 4)),
    ]
    return container("zkey", 1, sections + more)


def _coefficients(r1cs: ConstraintSystem) -> bytes:
    """A and B, coefficients times R²."""
    first, second, _ = domain_rows(r1cs)
    found = np.empty(len(first.columns) + len(second.columns), ENTRY)
    at = 0
    for number, matrix in enumerate((first, second)):
        part = found[at : at + len(matrix.columns)]
        part["matrix"], part["row"], part["wire"] = number, matrix.row_numbers, matrix.columns
        squared = words_of([(1 << 512) % SPECS[r1cs.curve].modulus])
        part["value"] = multiply_values(r1cs.curve, matrix.values, squared)
        at += len(part)
    found = found[np.argsort(found["row"], kind="stable")]
    return len(found).to_bytes(4, "little") + found.tobytes()
