# SPDX-License-Identifier: GPL-3.0-or-later
"""Products of polynomials, and division by the polynomial that vanishes on the roots of unity."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from supervm.crypto.polynomials.arguments import (
    FIELDS,
    SPECS,
    Elements,
    elements,
    fastest,
    shift_of,
    spec_of,
)
from supervm.crypto.polynomials.transforms import check_size, ntt
from supervm.kernels.arrays import borrow
from supervm.kernels.cpu.ntt import polynomials as kernels
from supervm.kernels.cpu.ntt.plan import in_all
from supervm.kernels.errors import ArgumentError
from supervm.kernels.rounding import to_nearest
from supervm.kernels.transform import words_of


def multiply(curve: str, a: Elements, b: Elements, *, backend: str = "auto") -> Elements:
    """Products of polynomials, by transforms.

    Args:
        curve: `bn254` or `bls12_381`.
        a, b: uint64 (…, n, 4) and (…, m, 4), canonical coefficients, lowest first, of any numbers; equal leading axes.
        backend: of the transforms.

    Returns:
        uint64 (…, n + m − 1, 4); no coefficients if a or b has none.

    Raises:
        ArgumentError: an unknown curve, other shapes or dtypes, an element that is not canonical (its row is named), or more
            coefficients than there are roots of unity.
        BackendUnavailable: the named backend cannot run here.
    """
    spec = spec_of(curve)
    left, right = elements(spec, a, "a"), elements(spec, b, "b")
    batch = left.shape[:-2]
    if right.shape[:-2] != batch:
        raise ArgumentError("b", f"leading axes {right.shape[:-2]}", f"{batch}, as of 'a'")
    if not left.shape[-2] or not right.shape[-2]:
        return np.zeros((*batch, 0, 4), np.uint64)
    length = left.shape[-2] + right.shape[-2] - 1
    size = 1 << (length - 1).bit_length()
    check_size(spec, size)
    values = []
    for factor in (left, right):
        padded = np.zeros((*batch, size, 4), np.uint64)
        padded[..., : factor.shape[-2], :] = factor
        values.append(ntt(curve, padded, order="bit_reversed", backend=backend))
    product = multiply_values(curve, values[0], values[1])
    back = ntt(curve, product, inverse=True, order="bit_reversed", backend=backend)
    return np.ascontiguousarray(back[..., :length, :])


def divide_by_vanishing(curve: str, coefficients: Elements, n: int) -> Elements:
    """Exact quotients of the division by X^n − 1, which vanishes on the n-th roots of unity.

    Args:
        curve: `bn254` or `bls12_381`.
        coefficients: uint64 (…, m, 4), canonical, lowest first; any m.
        n: 1 or more; no power of two is needed.

    Returns:
        uint64 (…, max(m − n, 0), 4).

    Raises:
        ArgumentError: a polynomial is not divisible; or an unknown curve, another shape or dtype, an element that is not
            canonical (its row is named), or n below 1.
    """
    spec = spec_of(curve)
    found = elements(spec, coefficients, "coefficients")
    if not isinstance(n, (int, np.integer)) or isinstance(n, bool) or n < 1:
        raise ArgumentError("n", repr(n), "a whole number, 1 or more")
    length = found.shape[-2]
    low = min(int(n), length)
    count = length - low
    quotients = np.empty((*found.shape[:-2], count, 4), np.uint64)
    if not found.size:
        return quotients
    remainder = np.zeros((low, 4), np.uint64)
    rows = found.reshape(-1, length, 4)
    for index, (row, quotient) in enumerate(zip(rows, quotients.reshape(len(rows), count, 4), strict=True)):
        kernels.divide_by_vanishing(
            FIELDS[curve, "scalar"],
            borrow(row).reshape(-1),
            low,
            quotient.reshape(-1),
            remainder.reshape(-1),
        )
        if remainder.any():
            raise ArgumentError(
                "coefficients", f"polynomial {index}, which leaves a remainder", f"multiples of X^{n} − 1"
            )
    return quotients


def divide_values_by_vanishing(
    curve: str, values: Elements, n: int, *, coset: int | bool | str = True
) -> Elements:
    """Values on a coset, divided by those of X^n − 1: the quotient's, if its degree is below the number of values.

    At g·ω^i that is gⁿ·ω^(n·i) − 1: one number if there are n values (Groth16's quotient), N/n different ones if there are N
    (PLONK's, on a domain of 4n or 8n).

    Args:
        curve: `bn254` or `bls12_381`.
        values: uint64 (…, N, 4), canonical, in natural order; N a power of two.
        n: a power of two up to N.
        coset: the shift g, as in `ntt`.

    Returns:
        A new array of the shape of `values`.

    Raises:
        ArgumentError: as `ntt`; and where X^n − 1 vanishes on the coset, or n is not as said.
    """
    spec = spec_of(curve)
    shift = shift_of(spec, coset)
    found = elements(spec, values, "values")
    size = found.shape[-2]
    check_size(spec, size)
    if not isinstance(n, (int, np.integer)) or isinstance(n, bool) or n < 1 or n & (n - 1) or n > size:
        raise ArgumentError("n", repr(n), f"a power of two up to {size}, the number of values")
    if pow(shift, size, spec.modulus) == 1:  # a power of the root, so that the coset is the group itself
        raise ArgumentError("coset", repr(coset), f"a shift whose coset holds no root of X^{n} − 1")
    return multiply_values(curve, found, _vanishing_inverses(curve, shift, int(n), size // int(n)))


def _vanishing_inverses(curve: str, shift: int, n: int, count: int) -> Elements:
    """1/(gⁿ·ω^i − 1) for i below a power of two, which is the order of ω; none of them is 1/0."""
    spec, field = SPECS[curve], fastest(curve)
    if count % field.lanes.width:
        field = FIELDS[curve, "scalar"]
    p, root, width = spec.modulus, spec.root_of_unity(count), field.lanes.width
    starts = words_of([pow(shift, n, p) * pow(root, lane, p) % p for lane in range(width)])
    inverses = np.empty((count, 4), np.uint64)
    with to_nearest():
        kernels.inverses_less_one(field, starts, words_of([pow(root, width, p)]), inverses.reshape(-1))
    return inverses


def divide_by_linear(curve: str, coefficients: Elements, points: Sequence[int]) -> tuple[Elements, Elements]:
    """Quotients of the division by X − z, and what is left over: the values at z.

    Args:
        curve: `bn254` or `bls12_381`.
        coefficients: uint64 (k, n, 4), canonical, lowest first; n is 1 or more.
        points: z of each polynomial, k integers below the order.

    Returns:
        uint64 (k, n − 1, 4) and (k, 4).
    """
    count, length = coefficients.shape[:2]
    quotients, values = np.empty((count, length - 1, 4), np.uint64), np.empty((count, 4), np.uint64)
    for row, point, quotient, value in zip(coefficients, points, quotients, values, strict=True):
        kernels.divide_by_linear(
            FIELDS[curve, "scalar"], borrow(row).reshape(-1), words_of([point]), quotient.reshape(-1), value
        )
    return quotients, values


def multiply_values(curve: str, a: Elements, b: Elements) -> Elements:
    """Products number by number, b repeated: uint64 of a's shape, canonical as a and b are.

    The numbers of b are as many as those of a, or a power of two that goes into them.
    """
    out = np.empty_like(a)
    if not a.size:
        return out
    field = fastest(curve)
    width = field.lanes.width
    if (a.size // 4) % width:
        field, width = FIELDS[curve, "scalar"], 1
    factors = b.reshape(-1, 4)
    if len(factors) % width:
        factors = np.tile(factors, (width // len(factors), 1))
    left, right, target = borrow(a).reshape(-1), borrow(factors).reshape(-1), out.reshape(-1)

    def groups(start: int, stop: int) -> None:
        kernels.multiply_values(field, left, right, target, start, stop)

    in_all(groups, left.size // (4 * width))
    return out
