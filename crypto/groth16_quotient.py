# SPDX-License-Identifier: GPL-3.0-or-later
"""The quotient of Groth16, H = (A·B − C)/Z, as the scalars of a key's H points; tools differ in how they take it.

- `circom` (snarkjs, rapidsnark): A·B − C at the odd powers of the 2n-th root of unity. The H points are the Lagrange
  polynomials of these places over the domain of 2n, divided by δ. As A·B − C vanishes at the even powers and has a degree
  below 2n, nothing is divided.
- `arkworks` (libsnark, bellman): the n − 1 coefficients of H, by values on the coset of the field's generator. The H points
  are τ^i·Z(τ)/δ.

Both take C = A∘B on the domain, which a witness of the circuit makes true. Values stand in bit-reversed order throughout,
which saves every transform a pass.

snarkjs' roots of unity are powers of the smallest non-residue: 5, also on BLS12-381, where ours and arkworks' are powers of
7. Its domain is ours in another order, and a key's rows and H points are put into ours when it is read.
"""

from __future__ import annotations

import numpy as np

from supervm.crypto.circom_r1cs import ConstraintSystem
from supervm.crypto.polynomials.arguments import FIELDS, SPECS
from supervm.crypto.polynomials.products import multiply_values
from supervm.crypto.polynomials.transforms import LARGEST_LOG, ntt
from supervm.crypto.sparse_matrices import SparseMatrix
from supervm.kernels.array_types import Indices, Words
from supervm.kernels.arrays import borrow
from supervm.kernels.cpu.backends import best
from supervm.kernels.cpu.ntt.plan import in_all, orders
from supervm.kernels.cpu.ntt.sparse_products import multiply_subtract
from supervm.kernels.errors import ArgumentError
from supervm.kernels.spec import FieldSpec
from supervm.kernels.transform import words_of

REDUCTIONS = ("circom", "arkworks")


def require_reduction(reduction: object) -> str:
    """`reduction` if it is one of `REDUCTIONS`.

    Raises:
        ArgumentError: it is not.
    """
    if not isinstance(reduction, str) or reduction not in REDUCTIONS:
        raise ArgumentError("reduction", repr(reduction), " or ".join(map(repr, REDUCTIONS)))
    return reduction


def snarkjs_root(spec: FieldSpec, log: int) -> int:
    """snarkjs' root of unity of order 2^log."""
    p, residue = spec.modulus, 2
    while pow(residue, (p - 1) // 2, p) == 1:
        residue += 1
    return pow(residue, (p - 1) >> log, p)


def places(curve: str, log: int, reduction: str) -> tuple[Indices, Indices]:
    """Where rows of a key's matrices and its H points go.

    Args:
        curve: of the key.
        log: of a domain of n = 2^log rows.
        reduction: the tool's.

    Returns:
        int64 (n,) of rows; and of H points, n of them for `circom` and n − 1 for `arkworks`.
    """
    size = 1 << log
    turned = orders(log)[1]
    numbers = np.arange(size, dtype=np.int64)
    if reduction == "arkworks":
        return turned, numbers[:-1]
    rows, odd = snarkjs_order(curve, log)
    return turned[rows], turned[odd >> 1]


def snarkjs_order(curve: str, log: int) -> tuple[Indices, Indices]:
    """Our numbers of snarkjs' rows of a domain of 2^log, and of its odd places of the domain of twice as many."""
    spec, numbers = SPECS[curve], np.arange(1 << log, dtype=np.int64)
    power = _logarithm(spec, snarkjs_root(spec, log + 1), log + 1)
    return numbers * power % (1 << log), (2 * numbers + 1) * power % (2 << log)


def _logarithm(spec: FieldSpec, root: int, log: int) -> int:
    """k with ω^k = root for our root of unity ω of order 2^log, bit by bit."""
    p, base = spec.modulus, spec.root_of_unity(1 << log)
    inverse, power = pow(base, -1, p), 0
    for bit in range(log):
        left = root * pow(inverse, power, p) % p
        if pow(left, 1 << (log - 1 - bit), p) != 1:
            power |= 1 << bit
    return power


def domain_log(r1cs: ConstraintSystem) -> int:
    """log₂ of the rows of a circuit's domain, as snarkjs has it.

    Raises:
        ArgumentError: the circuit is too large.
    """
    log = max(1, (r1cs.constraints + r1cs.public).bit_length())
    if log > LARGEST_LOG - 1:
        rows = r1cs.constraints + r1cs.public + 1
        raise ArgumentError("r1cs", f"a circuit of {rows} rows", f"2^{LARGEST_LOG - 1} at most")
    return log


def domain_rows(r1cs: ConstraintSystem) -> tuple[SparseMatrix, SparseMatrix, SparseMatrix]:
    """A, B and C with a row for each constraint, and A with one more for the 1 and each public number: their polynomials
    must not depend on each other."""
    shared = r1cs.public + 1
    rows = np.concatenate((r1cs.a.row_numbers, r1cs.constraints + np.arange(shared)))
    columns = np.concatenate((r1cs.a.columns, np.arange(shared, dtype=np.uint32)))
    values = np.concatenate((r1cs.a.values, np.tile(words_of([1]), (shared, 1))))
    a = SparseMatrix.of_entries(rows, columns, values, r1cs.constraints + shared)
    return a, r1cs.b, r1cs.c


def quotient(curve: str, a: Words, b: Words, reduction: str, *, backend: str = "auto") -> Words:
    """Scalars of the H points.

    Args:
        curve: of the key.
        a, b: uint64 (k, n, 4), values of A and B on the domain, in the places that `places` says.
        reduction: one of `REDUCTIONS`.
        backend: of the transforms.

    Returns:
        uint64 (k, n, 4), or (k, n − 1, 4) for `arkworks`.
    """
    spec, size = SPECS[curve], a.shape[1]
    values = np.concatenate((a, b, multiply_values(curve, a, b)))
    coefficients = ntt(curve, values, inverse=True, order="bit_reversed", backend=backend)
    shift = shift_of(spec, size, reduction)
    moved = ntt(curve, coefficients, coset=shift, order="bit_reversed", backend=backend)
    count = len(a)
    found = _multiply_subtract(curve, *(moved[at * count : (at + 1) * count] for at in range(3)))
    if reduction == "circom":
        return found
    found = multiply_values(curve, found, words_of([vanishing_inverse(spec, size, reduction)]))
    back = ntt(curve, found, inverse=True, coset=shift, order="bit_reversed", backend=backend)
    return np.ascontiguousarray(back[:, :-1])


def shift_of(spec: FieldSpec, size: int, reduction: str) -> int:
    """The shift of the coset on which a quotient over `size` rows is taken."""
    return spec.root_of_unity(2 * size) if reduction == "circom" else spec.generator


def vanishing_inverse(spec: FieldSpec, size: int, reduction: str) -> int:
    """What A·B − C is multiplied by: 1 for `circom`, else 1/Z, which is the same number on the whole coset, gⁿ − 1."""
    if reduction == "circom":
        return 1
    return pow(pow(shift_of(spec, size, reduction), size, spec.modulus) - 1, -1, spec.modulus)


def multiply_add(curve: str, a: Words, factor: int, b: Words) -> Words:
    """factor·a + b number by number, uint64 (n, 4)."""
    p = SPECS[curve].modulus
    factors, less = np.empty_like(a), multiply_values(curve, b, words_of([p - 1]))
    factors[:] = words_of([factor % p])
    return _multiply_subtract(curve, a, factors, less)


def _multiply_subtract(curve: str, a: Words, b: Words, c: Words) -> Words:
    """a·b − c number by number."""
    name = best().name
    if (a.size // 4) % FIELDS[curve, name].lanes.width:
        name = "scalar"
    field = FIELDS[curve, name]
    out = np.empty_like(a)
    left, right, less, target = (borrow(each).reshape(-1) for each in (a, b, c, out))

    def groups(start: int, stop: int) -> None:
        multiply_subtract(field, left, right, less, target, start, stop)

    in_all(groups, a.size // 4 // field.lanes.width)
    return out
