# SPDX-License-Identifier: GPL-3.0-or-later
"""The proofs of all cells of a blob at once (Feist, Khovratovich, eprint 2023/033).

With f = Σ aᵢ·Xⁱ the quotient by X⁶⁴ − y is Σₘ yᵐ⁻¹ Σᵢ aᵢ₊₆₄ₘ·Xⁱ over m from 1 on: the proof is the value at y of a
polynomial whose coefficients are the points Hₘ = Σᵢ aᵢ₊₆₄ₘ·[τⁱ]. With i = 64·j + l, Hₘ sums over l the correlations of
the numbers a(l, k) = a₆₄ₖ₊ₗ with the points S(l, j) = [τ⁶⁴ʲ⁺ˡ]: cyclic ones of length 128. In transforms of that length they
are products, so that H is the transform of D(t) = Σₗ ã(l, t)·X(l, t), where ã are inverse transforms of the numbers and X
transforms of the points, which depend on the setup alone.
"""

from __future__ import annotations

import numpy as np

from supervm.crypto.kzg_openings import CURVE, ORDER
from supervm.crypto.kzg_setup import TrustedSetup
from supervm.crypto.msm import Table, prepare
from supervm.crypto.ntt import ntt
from supervm.crypto.params.bls12_381 import FR
from supervm.crypto.params.kzg import CELL_ELEMENTS, CELLS, ELEMENTS
from supervm.kernels.array_types import Bytes, Words
from supervm.kernels.cpu.ntt.plan import orders
from supervm.kernels.transform import words_of

BLOCKS = ELEMENTS // CELL_ELEMENTS

PRECOMPUTED = 8
"""Multiples of each of the 8,192 points that are kept, 0.8 MB each."""


def cell_proofs(coefficients: Words, setup: TrustedSetup, backend: str) -> Bytes:
    """Proofs uint8 (n, 128, 48) of the cells of polynomials, uint64 (n, 4096, 4)."""
    count = len(coefficients)
    padded = np.zeros((count, CELL_ELEMENTS, CELLS, 4), np.uint64)
    padded[:, :, :BLOCKS] = coefficients.reshape(count, BLOCKS, CELL_ELEMENTS, 4).transpose(0, 2, 1, 3)
    numbers = ntt(CURVE.name, padded, inverse=True, backend=backend)
    sums = np.empty((count, CELLS, 2, 6), np.uint64)
    for place, table in enumerate(_tables(setup, backend)):
        sums[:, place] = table.msm(np.ascontiguousarray(numbers[:, :, place]))
    quotients = transform_points(sums, backend)
    shifted = np.zeros_like(quotients)
    shifted[:, : BLOCKS - 1] = quotients[:, 1:BLOCKS]
    values = transform_points(shifted, backend)[:, orders(CELLS.bit_length() - 1)[1]]
    encoded = CURVE.g1.to_bytes(values.reshape(-1, 2, 6), "zcash_compressed", backend)
    return encoded.reshape(count, CELLS, -1)


def _tables(setup: TrustedSetup, backend: str) -> list[Table]:
    """X(·, t) for each t, as sums over them take them: the first call for a setup makes them."""

    def make() -> list[Table]:
        padded = np.zeros((CELL_ELEMENTS, CELLS, 2, 6), np.uint64)
        padded[:, :BLOCKS] = setup.monomial.reshape(BLOCKS, CELL_ELEMENTS, 2, 6).swapaxes(0, 1)
        columns = np.ascontiguousarray(transform_points(padded, backend).swapaxes(0, 1))
        return [prepare(CURVE.name, points, precompute=PRECOMPUTED, backend=backend) for points in columns]

    return setup.kept(("cells", backend), make)


def transform_points(points: Words, backend: str) -> Words:
    """Σⱼ ω^(i·j)·Pⱼ for each i: transforms of length n of points of G1, uint64 (k, n, 2, 6); n is a power of two."""
    count, size = points.shape[:2]
    group, log = CURVE.g1, size.bit_length() - 1
    found = points[:, orders(log)[1]]
    for level in range(log):
        half = 1 << level
        pairs = found.reshape(-1, 2, half, 2, 6)
        lower, upper = np.ascontiguousarray(pairs[:, 0]), pairs[:, 1].copy()
        if half > 1:
            root = FR.root_of_unity(2 * half)
            twiddles = words_of([pow(root, exponent, ORDER) for exponent in range(1, half)]).reshape(-1, 4)
            turned = upper[:, 1:].reshape(-1, 2, 6)
            products = group.multiply(turned, np.tile(twiddles, (len(upper), 1)), backend=backend)
            upper[:, 1:] = products.reshape(len(upper), half - 1, 2, 6)
        flat, other = lower.reshape(-1, 2, 6), upper.reshape(-1, 2, 6)
        both = np.concatenate((flat, flat)), np.concatenate((other, group.negate(other, backend=backend)))
        found = group.add(*both, backend=backend).reshape(2, -1, half, 2, 6).swapaxes(0, 1)
    return np.ascontiguousarray(found).reshape(count, size, 2, 6)
