# SPDX-License-Identifier: GPL-3.0-or-later
"""EIP-7594: the cells of a blob, their proofs, the check of these, and recovery from half of them.

A blob's polynomial has 8,192 values at the roots of unity; in bit-reversed order each 64 that follow each other are a cell.
Cell c holds the values on the coset h·H of the 64-th roots of unity, whose points all have the same 64-th power y = h⁶⁴, a
128-th root of unity. Its proof is the commitment to the quotient of the polynomial f by X⁶⁴ − y.

Cells are checked by the equation e(C − I(τ)·G₁ + y·π, G₂) = e(π, τ⁶⁴·G₂), where I has a cell's values on its coset: all
added up with random weights (Feist, "A universal verification equation for data availability sampling", ethresear.ch 13240).
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from supervm.crypto.arguments import same_count
from supervm.crypto.kzg_bytes import (
    BLOB_BYTES,
    CELL_BYTES,
    POINT_BYTES,
    bytes_of_elements,
    columns,
    elements_of,
    lenient_columns,
    lenient_elements,
    pieces,
)
from supervm.crypto.kzg_openings import CURVE, ORDER, decoded, pairings_agree, verify_each
from supervm.crypto.kzg_proofs import cell_proofs
from supervm.crypto.kzg_setup import TrustedSetup, required
from supervm.crypto.msm import msm
from supervm.crypto.ntt import ntt
from supervm.crypto.params.bls12_381 import FR
from supervm.crypto.params.kzg import CELL_ELEMENTS, CELLS, ELEMENTS, EXTENDED_ELEMENTS
from supervm.crypto.polynomials.products import multiply_values
from supervm.crypto.weighted import random_weights
from supervm.kernels.array_types import Bytes, Verdicts, Words
from supervm.kernels.arrays import integers
from supervm.kernels.cpu.ntt.plan import orders
from supervm.kernels.errors import ArgumentError
from supervm.kernels.transform import words_of

Order = npt.NDArray[np.int64]


def compute_cells(blobs: Any, *, backend: str = "auto") -> Bytes:
    """The cells alone, for which no setup is needed; otherwise as `compute_cells_and_proofs`."""
    return _only(
        _joined([_cells(part, backend) for part in _coefficients(blobs, backend)], CELL_BYTES), blobs
    )


def compute_cells_and_proofs(
    blobs: Any, setup: TrustedSetup, *, backend: str = "auto"
) -> tuple[Bytes, Bytes]:
    """The cells of blobs and their proofs.

    Args:
        blobs: uint8 (n, 131072), a list of bytes, or one blob as bytes.
        setup: from `load_trusted_setup`.
        backend: `auto`, or a name of `kernels.registry.BACKENDS`.

    Returns:
        (cells, proofs): uint8 (n, 128, 2048) and (n, 128, 48), without the first axis for one blob as bytes.

    Raises:
        ArgumentError: another shape, dtype or length, an element that is not below the order, or no setup.
        BackendUnavailable: the named backend cannot run here.
    """
    ready = required(setup)
    parts = _coefficients(blobs, backend)
    cells = _joined([_cells(part, backend) for part in parts], CELL_BYTES)
    proofs = _joined([cell_proofs(part, ready, backend) for part in parts], POINT_BYTES)
    return _only(cells, blobs), _only(proofs, blobs)


def recover_cells_and_proofs(
    cell_indices: Any, cells: Any, setup: TrustedSetup, *, backend: str = "auto"
) -> tuple[Bytes, Bytes]:
    """All cells of one blob, and their proofs, from at least half of the cells.

    Args:
        cell_indices: 64 to 128 whole numbers below 128, ascending.
        cells: uint8 (n, 2048), or a list of bytes, of these indices.
        setup, backend: as in `compute_cells_and_proofs`.

    Returns:
        (cells, proofs): uint8 (128, 2048) and (128, 48).

    Raises:
        ArgumentError: too few cells, indices that do not ascend or are too large, other numbers of items, another length, an
            element that is not below the order, cells that are not of one blob, or no setup.
        BackendUnavailable: the named backend cannot run here.
    """
    ready = required(setup)
    where, found = _indices(cell_indices), columns(cells, "cells", CELL_BYTES)
    same_count(len(where), "cell_indices", {"cells": len(found)})
    if not CELLS // 2 <= len(where) <= CELLS:
        raise ArgumentError("cells", f"{len(where)} of them", f"{CELLS // 2} to {CELLS}")
    if where[0] < 0 or where[-1] >= CELLS or (np.diff(where) <= 0).any():
        raise ArgumentError("cell_indices", "others", f"ascending ones below {CELLS}")
    coefficients = _recovered(where, elements_of(found, "cells"), backend)
    return _cells(coefficients, backend)[0], cell_proofs(coefficients, ready, backend)[0]


def verify_cell_batch(
    commitments: Any,
    cell_indices: Any,
    cells: Any,
    proofs: Any,
    setup: TrustedSetup,
    *,
    backend: str = "auto",
) -> Verdicts:
    """Whether each cell is that of its commitment's blob.

    Args:
        commitments: of each cell, uint8 (n, 48), or a list of bytes; the same ones are read once.
        cell_indices: n whole numbers.
        cells: uint8 (n, 2048), or a list of bytes.
        proofs: uint8 (n, 48), or a list of bytes.
        setup, backend: as in `compute_cells_and_proofs`.

    Returns:
        int8 (n,): 1 valid, 0 invalid, −1 malformed: an index that is not below 128, an element that is not below the order,
        a point that does not decode or is not in the group or, in a list, another length.

    Raises:
        ArgumentError: arrays of another shape or dtype, other numbers of items, or no setup.
        BackendUnavailable: the named backend cannot run here.
    """
    ready, where = required(setup), _indices(cell_indices)
    (found, sound), (committed, second), (proved, third) = (
        lenient_columns(data, argument, length)
        for data, argument, length in (
            (cells, "cells", CELL_BYTES),
            (commitments, "commitments", POINT_BYTES),
            (proofs, "proofs", POINT_BYTES),
        )
    )
    count = len(found)
    same_count(
        count, "cells", {"commitments": len(committed), "cell_indices": len(where), "proofs": len(proved)}
    )
    if not count:
        return np.zeros(0, np.int8)
    distinct, which = np.unique(committed, axis=0, return_inverse=True)
    which = which.reshape(-1)
    points, verdicts = decoded(np.concatenate((distinct, proved)), backend)
    values, canonical = lenient_elements(found)
    sound = sound & second & third & canonical & (where >= 0) & (where < CELLS)
    sound &= (verdicts[: len(distinct)][which] == 1) & (verdicts[len(distinct) :] == 1)
    result = np.full(count, -1, np.int8)
    good = np.flatnonzero(sound)
    if good.size:
        of, proof_points = points[: len(distinct)], points[len(distinct) :][good]
        result[good] = _verified(of, which[good], where[good], values[good], proof_points, ready, backend)
    return result


def _verified(
    commitments: Words,
    which: Order,
    where: Order,
    values: Words,
    proofs: Words,
    setup: TrustedSetup,
    backend: str,
) -> Verdicts:
    """Verdicts, 1 or 0, of cells whose encodings are sound; `which` commitment is that of each."""
    count = len(where)
    shifts = _shifts()
    plain = ntt(CURVE.name, values, inverse=True, order="bit_reversed", backend=backend)
    interpolated = multiply_values(CURVE.name, plain, np.ascontiguousarray(shifts.inverse_powers[where]))
    drawn = random_weights(count)
    weights = integers(drawn)
    ys = [
        weight * shifts.powers[index] % ORDER for weight, index in zip(weights, where.tolist(), strict=True)
    ]
    of_commitments = [0] * len(commitments)
    for weight, index in zip(weights, which.tolist(), strict=True):
        of_commitments[index] += weight
    repeated = np.repeat(drawn, CELL_ELEMENTS, axis=0)
    minus = [-total % ORDER for total in _column_sums(multiply_values(CURVE.name, interpolated, repeated))]
    terms = np.concatenate((commitments, proofs, setup.monomial[:CELL_ELEMENTS]))
    scalars = words_of([*(total % ORDER for total in of_commitments), *ys, *minus]).reshape(-1, 4)
    left = msm(CURVE.name, terms, scalars, backend=backend)
    right = msm(CURVE.name, proofs, drawn, backend=backend)
    if pairings_agree(left[None], right[None], setup.minus_cell_tau, backend)[0] == 1:
        return np.ones(count, np.int8)
    powers = words_of([shifts.powers[index] for index in where.tolist()]).reshape(-1, 4)
    sides = CURVE.g1.add(
        commitments[which], CURVE.g1.multiply(proofs, powers, backend=backend), backend=backend
    )
    taken = CURVE.g1.negate(setup.commit_coefficients(interpolated, backend), backend=backend)
    return verify_each(CURVE.g1.add(sides, taken, backend=backend), proofs, setup.minus_cell_tau, backend)


# Polynomials of cells ------------------------------------------------------------------------------------------


class _Shifts:
    """Of each cell: its coset's y = h⁶⁴, and 1, h⁻¹ … h⁻⁶³.

    Attributes:
        powers: 128 integers.
        inverse_powers: uint64 (128, 64, 4).
    """

    def __init__(self) -> None:
        root = FR.root_of_unity(EXTENDED_ELEMENTS)
        self.reversed: list[int] = orders(CELLS.bit_length() - 1)[1].tolist()
        shifts = [pow(root, exponent, ORDER) for exponent in self.reversed]
        self.powers = [pow(shift, CELL_ELEMENTS, ORDER) for shift in shifts]
        inverses = [_powers(pow(shift, -1, ORDER), CELL_ELEMENTS) for shift in shifts]
        flat = words_of([power for row in inverses for power in row])
        self.inverse_powers = flat.reshape(CELLS, CELL_ELEMENTS, 4)


@functools.cache
def _shifts() -> _Shifts:
    return _Shifts()


def _powers(base: int, count: int) -> list[int]:
    found = [1]
    for _ in range(count - 1):
        found.append(found[-1] * base % ORDER)
    return found[:count]


def _column_sums(elements: Words) -> list[int]:
    """Sums over the first axis of uint64 (n, k, 4), reduced: halves of words are added up, which fit for 2^32 rows."""
    halves = np.ascontiguousarray(elements, "<u8").view("<u4").astype(np.uint64).sum(axis=0)
    return [sum(int(half) << 32 * place for place, half in enumerate(row)) % ORDER for row in halves]


def _only(rows: Bytes, asked: Any) -> Bytes:
    return rows[0] if isinstance(asked, (bytes, bytearray, memoryview)) else rows


def _indices(given: Any) -> Order:
    """Whole numbers as int64; those that do not fit are −1, which is no cell's."""
    whole = isinstance(given, np.ndarray) and given.ndim == 1 and given.dtype.kind in "iu"
    if not whole and not isinstance(given, (list, tuple, range)):
        came = f"{given.dtype} {given.shape}" if isinstance(given, np.ndarray) else type(given).__name__
        raise ArgumentError("cell_indices", came, "whole numbers, one a cell")
    found = []
    for index in given.tolist() if whole else given:
        if isinstance(index, bool) or not isinstance(index, int):
            raise ArgumentError("cell_indices", repr(index), "whole numbers, one a cell")
        found.append(index if 0 <= index < CELLS else -1)
    return np.array(found, np.int64)


def _coefficients(blobs: Any, backend: str) -> list[Words]:
    """Polynomials of blobs, in parts that are worked on together."""
    parts = [elements_of(part, "blobs") for part in pieces(columns(blobs, "blobs", BLOB_BYTES))]
    return [ntt(CURVE.name, part, inverse=True, order="bit_reversed", backend=backend) for part in parts]


def _cells(coefficients: Words, backend: str) -> Bytes:
    """Cells uint8 (n, 128, 2048) of polynomials, uint64 (n, 4096, 4)."""
    padded = np.zeros((len(coefficients), EXTENDED_ELEMENTS, 4), np.uint64)
    padded[:, :ELEMENTS] = coefficients
    values = ntt(CURVE.name, padded, order="bit_reversed", backend=backend)
    return bytes_of_elements(values).reshape(len(padded), CELLS, CELL_BYTES)


def _joined(parts: list[Bytes], length: int) -> Bytes:
    return np.concatenate([np.zeros((0, CELLS, length), np.uint8), *parts])


# Recovery ------------------------------------------------------------------------------------------------------


def _recovered(where: Order, values: Words, backend: str) -> Words:
    """Coefficients uint64 (1, 4096, 4) of the polynomial with these cells.

    With Z = Π (X⁶⁴ − y) over the missing cells, f·Z has degree 8,191 at most and is known at every root of unity: it is 0
    in missing cells. It is divided by Z on a coset, where Z has no zero. On a cell, and on a coset of one, Z is constant.

    Raises:
        ArgumentError: no polynomial of degree 4,095 has these cells.
    """
    missing = np.setdiff1d(np.arange(CELLS), where)
    zeros, inverses = _vanishing(missing)
    extended = np.zeros((CELLS, CELL_ELEMENTS, 4), np.uint64)
    extended[where] = values
    product = multiply_values(CURVE.name, extended, np.repeat(zeros, CELL_ELEMENTS, axis=0))
    shape = (1, EXTENDED_ELEMENTS, 4)
    options: dict[str, Any] = {"order": "bit_reversed", "backend": backend}
    coefficients = ntt(CURVE.name, product.reshape(shape), inverse=True, **options)
    shifted = ntt(CURVE.name, coefficients, coset=FR.generator, **options)
    divided = multiply_values(CURVE.name, shifted, np.repeat(inverses, CELL_ELEMENTS, axis=0))
    found = ntt(CURVE.name, divided, inverse=True, coset=FR.generator, **options)
    if found[:, ELEMENTS:].any():
        raise ArgumentError("cells", "some that do not fit together", "cells of one blob")
    return np.ascontiguousarray(found[:, :ELEMENTS])


def _vanishing(missing: Order) -> tuple[Words, Words]:
    """Z in each cell, and 1/Z in each cell of the coset, both uint64 (128, 4)."""
    found = []
    for table in _differences():
        factors = np.zeros((CELLS // 2, CELLS, 4), np.uint64)
        factors[:, :, 0] = 1
        factors[: len(missing)] = table[missing]
        while len(factors) > 1:
            half = len(factors) // 2
            factors = multiply_values(CURVE.name, factors[:half], factors[half:])
        found.append(factors[0])
    return found[0], found[1]


@functools.cache
def _differences() -> tuple[Words, Words]:
    """For each missing cell m and each cell c: y_c − y_m, and 1/(g⁶⁴·y_c − y_m); uint64 (128, 128, 4) each.

    Both follow from ω^i − 1 and g⁶⁴·ω^i − 1 for the 128-th roots of unity.
    """
    root, coset = FR.root_of_unity(CELLS), pow(FR.generator, CELL_ELEMENTS, ORDER)
    roots, places = _powers(root, CELLS), _shifts().reversed
    plain = [power - 1 for power in roots]
    inverted = [pow(coset * power - 1, -1, ORDER) for power in roots]
    both = []
    for table, sign in ((plain, 1), (inverted, -1)):
        both.append(
            words_of(
                [roots[sign * m % CELLS] * table[(c - m) % CELLS] % ORDER for m in places for c in places]
            ).reshape(CELLS, CELLS, 4)
        )
    return both[0], both[1]
