# SPDX-License-Identifier: GPL-3.0-or-later
"""Poseidon and Poseidon2 over the scalar fields of BN254 and BLS12-381, for 128 bits of security, S-box x⁵.

Poseidon (eprint 2019/458): widths 2 … 17; rounds, constants and Cauchy matrices as the paper's scripts
`calc_round_numbers.py` and `generate_parameters_grain.sage` make them, which is what circomlib has for BN254.

Poseidon2 (eprint 2023/323): the widths whose parameters are published, made as `poseidon2_rust_params.sage` of
HorizenLabs/poseidon2 (commit 055bde3) makes them. That repository has BN254 of width 3 and BLS12-381 of widths 2, 3, 4
and 8; Barretenberg has BN254 of width 4; for BN254 of width 2 the script leaves no choice.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from supervm.crypto.params import bls12_381, bn254
from supervm.crypto.params.grain import Grain
from supervm.kernels.errors import ArgumentError
from supervm.kernels.poseidon_spec import ALPHA, Matrix, PoseidonSpec, apply, inverse, multiply
from supervm.kernels.spec import FieldSpec

FIELDS = {"bn254": bn254.FR, "bls12_381": bls12_381.FR}
"""The fields, by the curve they are the scalars of."""

WIDTHS = range(2, 18)
"""t of Poseidon."""

FULL_ROUNDS = 8
SECURITY = 128

_PARTIAL_2 = {2: 56, 3: 56, 4: 56, 8: 57}
_SKIPPED = {("bn254", 4): 4, ("bls12_381", 4): 0, ("bls12_381", 8): 8}
"""Diagonals that the script draws and refuses, since a power of the matrix has a reducible minimal polynomial."""

WIDTHS_2 = {"bn254": (2, 3, 4), "bls12_381": (2, 3, 4, 8)}
"""t of Poseidon2."""

OPERATIONS = (
    *(f"{curve}.poseidon.t{width}" for curve in FIELDS for width in WIDTHS),
    *(f"{curve}.poseidon2.t{width}" for curve in FIELDS for width in WIDTHS_2[curve]),
)
"""Every permutation by the name of its operation."""

SPONGES = tuple(f"{curve}.{variant}.sponge" for variant in ("poseidon", "poseidon2") for curve in FIELDS)
"""The operations of messages of any length, of all widths."""

_M4 = ((5, 7, 1, 3), (4, 6, 1, 1), (1, 3, 5, 7), (1, 1, 4, 6))


def partial_rounds(field: FieldSpec, width: int) -> int:
    """R_P beside eight full rounds: `calc_round_numbers.py`, rounded up to a multiple of t.

    The smallest R_P that six full rounds need against interpolation and both Gröbner attacks, 7.5 % more, and two full
    rounds more; the script's search over R_F ends with these six for the fields and widths here.
    """
    bits, log_p = field.bits, math.log2(field.modulus)
    per_round = math.log(2, ALPHA)
    attacks = (
        1 + math.ceil(per_round * min(SECURITY, bits)) + math.ceil(math.log(width, ALPHA)),
        1 + per_round * min(SECURITY / 3, log_p / 2),
        width - 1 + min(per_round * SECURITY / (width + 1), per_round * log_p / 2),
    )
    needed = max(math.ceil(bound) for bound in attacks) - (FULL_ROUNDS - 2)
    return -(-math.ceil(needed * 1.075) // width) * width


def _cauchy(grain: Grain, field: FieldSpec, width: int) -> Matrix:
    """(1 / (xᵢ + yⱼ)) for 2t distinct elements."""
    p = field.modulus
    while True:
        drawn = [grain.integer() % p for _ in range(2 * width)]
        sums = [[(x + y) % p for y in drawn[width:]] for x in drawn[:width]]
        if len(set(drawn)) == 2 * width and all(map(all, sums)):
            return tuple(tuple(pow(value, -1, p) for value in row) for row in sums)


def resists_trails(matrix: Matrix, p: int) -> bool:
    """Whether no subspace trail with inactive S-boxes is infinitely long (Grassi, Rechberger, Schofnegger, eprint 2020/500).

    The script's algorithms 2 and 3 ask that the first unit vector is cyclic for M … M^(4t). Its algorithm 1 refuses
    subspaces without first coordinate that M … M^(t−1) keep, or that hold an eigenvector of them: there are none where
    the first coordinate is cyclic for the transposed powers, which is asked here.
    """
    width = len(matrix)
    power = matrix
    for exponent in range(1, 4 * width + 1):
        if not _cyclic(power, p):
            return False
        if exponent < width and not _cyclic(tuple(zip(*power, strict=True)), p):
            return False
        power = multiply(power, matrix, p)
    return True


def _cyclic(matrix: Matrix, p: int) -> bool:
    """Whether e₀, M·e₀, M²·e₀, … span everything."""
    vector = (1, *(0,) * (len(matrix) - 1))
    rows = []
    for _ in matrix:
        rows.append(vector)
        vector = apply(matrix, vector, p)
    try:
        inverse(tuple(rows), p)
    except ArgumentError:
        return False
    return True


@functools.cache
def poseidon(curve: str, width: int) -> PoseidonSpec:
    """Poseidon over a curve's scalar field.

    Raises:
        ArgumentError: another curve or width.
    """
    field = _field(curve)
    if width not in WIDTHS:
        raise ArgumentError("width", repr(width), f"a width of {WIDTHS.start} to {WIDTHS.stop - 1}")
    partial = partial_rounds(field, width)
    grain = Grain(field.bits, width, FULL_ROUNDS, partial)
    constants = tuple(
        tuple(grain.element(field.modulus) for _ in range(width)) for _ in range(FULL_ROUNDS + partial)
    )
    # The scripts draw again where `resists_trails` fails; the tests see that it never does for these.
    matrix = _cauchy(grain, field, width)
    name = f"{curve}.poseidon.t{width}"
    return PoseidonSpec(name, field, width, FULL_ROUNDS, partial, constants, matrix, matrix)


@functools.cache
def poseidon2(curve: str, width: int) -> PoseidonSpec:
    """Poseidon2 over a curve's scalar field.

    Raises:
        ArgumentError: another curve, or a width without published parameters.
    """
    field = _field(curve)
    if width not in WIDTHS_2[curve]:
        known = ", ".join(map(str, WIDTHS_2[curve]))
        raise ArgumentError("width", repr(width), f"a width with published parameters: {known}")
    p, partial = field.modulus, _PARTIAL_2[width]
    grain = Grain(field.bits, width, FULL_ROUNDS, partial)
    half = FULL_ROUNDS // 2
    constants = []
    for index in range(FULL_ROUNDS + partial):
        full = not half <= index < half + partial
        drawn = tuple(grain.element(p) for _ in range(width if full else 1))
        constants.append(drawn + (0,) * (width - len(drawn)))
    outer = _outer(width)
    name = f"{curve}.poseidon2.t{width}"
    inner = _inner(grain, curve, width, p)
    return PoseidonSpec(
        name, field, width, FULL_ROUNDS, partial, tuple(constants), outer, inner, outer, width - 1
    )


def rounds(curve: str, width: int, variant: str) -> int:
    """R_P of a permutation, without making its constants."""
    return _PARTIAL_2[width] if variant == "poseidon2" else partial_rounds(FIELDS[curve], width)


def named(operation: str) -> PoseidonSpec:
    """The permutation of one of `OPERATIONS`."""
    curve, variant, width = operation.split(".")
    return specification(curve, int(width[1:]), variant)


def specification(curve: str, width: int, variant: str) -> PoseidonSpec:
    """The permutation of a curve, a width and a variant, `poseidon` or `poseidon2`.

    Raises:
        ArgumentError: there is none.
    """
    makers = {"poseidon": poseidon, "poseidon2": poseidon2}
    if not isinstance(variant, str) or variant not in makers:
        raise ArgumentError("variant", repr(variant), " or ".join(map(repr, makers)))
    if not isinstance(curve, str):
        raise ArgumentError("curve", repr(curve), " or ".join(map(repr, FIELDS)))
    if not isinstance(width, (int, np.integer)):
        raise ArgumentError("width", repr(width), "a whole number")
    return makers[variant](curve, int(width))


def _field(curve: str) -> FieldSpec:
    try:
        return FIELDS[curve]
    except KeyError:
        raise ArgumentError("curve", repr(curve), " or ".join(map(repr, FIELDS))) from None


def _outer(width: int) -> Matrix:
    """The matrix of full rounds: circ(2, 1, …), M₄, or circ(2·M₄, M₄, …) (section 5.1)."""
    if width < 4:
        return tuple(tuple(1 + (i == j) for j in range(width)) for i in range(width))
    if width == 4:
        return _M4
    return tuple(
        tuple(_M4[i % 4][j % 4] * (1 + (i // 4 == j // 4)) for j in range(width)) for i in range(width)
    )


def _inner(grain: Grain, curve: str, width: int, p: int) -> Matrix:
    """The matrix of partial rounds: ones, and another diagonal (section 5.2)."""
    if width < 4:
        diagonal = [2] * (width - 1) + [3]
    else:
        for _ in range(_SKIPPED[curve, width] * width):
            grain.integer()
        diagonal = [grain.integer() % p for _ in range(width)]
    return tuple(tuple(diagonal[i] if i == j else 1 for j in range(width)) for i in range(width))
