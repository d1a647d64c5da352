# SPDX-License-Identifier: GPL-3.0-or-later
"""Square roots of many elements, of a prime field with p ≡ 3 mod 4 or of its quadratic extension by u² = −1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.extending import overload

from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.fields import quadratic
from supervm.kernels.cpu.fields.powers import power_rows
from supervm.kernels.exponents import INVERSE_ROOT, ROOT
from supervm.kernels.spec import QuadraticSpec

# mypy: disallow_untyped_defs=False


def square_roots(field: Any, array: Any, count: Any) -> Any:
    """Replace `count` elements that `field.store` wrote one after the other by square roots. For compiled code.

    What has no root is replaced by something whose square it is not.
    """
    raise TypeError("square_roots() is called from compiled code only")


@overload(square_roots, inline="always")
def _square_roots(field, array, count):
    return _roots_in_extension if isinstance(field.element.spec, QuadraticSpec) else _roots_in_prime_field


def _roots_in_prime_field(field, array, count):
    power_rows(field, array, 0, fe.storage(field), count, ROOT)


def _roots_in_extension(field, array, count):
    """(x + y·u)² = a₀ + a₁·u with the norm's root s, w = a₀ + s, and v = (2w)^((p − 3)/4).

    2w·v² is 1 where w/2 is a square; then x = v·w and y = a₁·v. Else it is −1, (a₀ − s)/2 = −a₁²/(2w) is the square,
    x = a₁·v and y = −v·w. w = 0 needs a₁ = 0, and then 2a₀ serves as well. (The complex method of Adj and
    Rodríguez-Henríquez, IEEE Transactions on Computers 63, 2014, with the inversion in the second power.)
    """
    base = quadratic.prime_field(field)
    size = fe.storage(base)
    powers, kept = np.empty(count * size, np.uint64), np.empty(count * size, np.uint64)
    for index in range(count):
        real, imaginary = quadratic.parts(fe.load(field, array, 2 * index * size))
        fe.store(powers, index * size, fe.sum_of_products((real, imaginary), (real, imaginary)))
    power_rows(base, powers, 0, size, count, ROOT)
    for index in range(count):
        real, _ = quadratic.parts(fe.load(field, array, 2 * index * size))
        w = fe.add(real, fe.load(base, powers, index * size))
        w = fe.select(fe.is_zero(w), fe.add(real, real), w)
        fe.store(kept, index * size, w)
        fe.store(powers, index * size, fe.add(w, w))
    power_rows(base, powers, 0, size, count, INVERSE_ROOT)
    for index in range(count):
        _, imaginary = quadratic.parts(fe.load(field, array, 2 * index * size))
        w, v = fe.load(base, kept, index * size), fe.load(base, powers, index * size)
        first, second = fe.mul(w, v), fe.mul(imaginary, v)
        product = fe.mul(first, v)
        square = fe.equal(fe.add(product, product), fe.constant(base, 1))
        turned = fe.scale(-1, first)
        root = quadratic.join(field, fe.select(square, first, second), fe.select(square, second, turned))
        fe.store(array, 2 * index * size, root)
