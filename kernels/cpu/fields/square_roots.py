# SPDX-License-Identifier: GPL-3.0-or-later
"""Square roots of many elements, of a prime field with p ≡ 3 mod 4 or of its quadratic extension by u² = −1.

In the extension: (x + y·u)² = a₀ + a₁·u with a root s of the norm a₀² + a₁², w = a₀ + s, and v = (2w)^((p − 3)/4). 2w·v² is
1 where w/2 is a square; then x = v·w and y = a₁·v. Else it is −1, (a₀ − s)/2 = −a₁²/(2w) is the square, x = a₁·v and
y = −v·w. w = 0 needs a₁ = 0, and then 2a₀ serves as well. (The complex method of Adj and Rodríguez-Henríquez, IEEE
Transactions on Computers 63, 2014, with the inversion in the second power.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
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
    base = quadratic.prime_field(field)
    norms = np.empty(count * fe.storage(base), np.uint64)
    _write_norms(field, array, norms, count)
    power_rows(base, norms, 0, fe.storage(base), count, ROOT)
    _roots_by_norms(field, array, norms, count)


def square_roots_of_either(field: Any, array: Any, others: Any, factors: Any, count: Any) -> Any:
    """Replace each of `count` elements a by a root of a or, where a has none, of a·m for an m of its own. For compiled code.

    Args:
        field: the field of a and m.
        array: flat uint64, the elements a one after the other, replaced.
        others: the elements a·m, likewise; any where a has a root.
        factors: as far apart, elements w of the prime field with w² = −N(m), N the norm to it (m itself if m lies there):
            m is no square, so neither is N(m), nor −1.
    """
    raise TypeError("square_roots_of_either() is called from compiled code only")


@overload(square_roots_of_either, inline="always")
def _square_roots_of_either(field, array, others, factors, count):
    return _either_in_extension if isinstance(field.element.spec, QuadraticSpec) else _either_in_prime_field


def _either_in_prime_field(field, array, others, factors, count):
    """The power of a that is its root r has r² = −a where there is none, and then (r·w)² = a·m."""
    kept = array.copy()
    power_rows(field, array, 0, fe.storage(field), count, ROOT)
    _choose_roots(field, kept, array, factors, fe.storage(field), count)


def _either_in_extension(field, array, others, factors, count):
    """a is a square where its norm is one; else the norm's root becomes one of N(a·m) in the same way."""
    base = quadratic.prime_field(field)
    norms = np.empty(count * fe.storage(base), np.uint64)
    _write_norms(field, array, norms, count)
    roots = norms.copy()
    power_rows(base, roots, 0, fe.storage(base), count, ROOT)
    _choose_elements(field, norms, roots, array, others, count)
    _choose_roots(base, norms, roots, factors, fe.storage(field), count)
    _roots_by_norms(field, array, roots, count)


@njit(nogil=True, cache=True)
def _choose_roots(field, values, roots, factors, stride, count):
    """roots[i] times factors[i] where its square is not values[i]; factors are `stride` words apart."""
    size = fe.storage(field)
    for index in range(count):
        root = fe.load(field, roots, index * size)
        square = fe.equal(fe.sqr(root), fe.load(field, values, index * size))
        turned = fe.mul(root, fe.load(field, factors, index * stride))
        fe.store(roots, index * size, fe.select(square, root, turned))


@njit(nogil=True, cache=True)
def _choose_elements(field, norms, roots, array, others, count):
    """others[i] in place of array[i] where roots[i]² is not norms[i]."""
    base = quadratic.prime_field(field)
    size = fe.storage(base)
    for index in range(count):
        root = fe.load(base, roots, index * size)
        square = fe.equal(fe.sqr(root), fe.load(base, norms, index * size))
        a, b = fe.load(field, array, 2 * index * size), fe.load(field, others, 2 * index * size)
        fe.store(array, 2 * index * size, fe.select(square, a, b))


@njit(nogil=True, cache=True)
def _write_norms(field, array, norms, count):
    size = fe.storage(quadratic.prime_field(field))
    for index in range(count):
        real, imaginary = quadratic.parts(fe.load(field, array, 2 * index * size))
        fe.store(norms, index * size, fe.sum_of_products((real, imaginary), (real, imaginary)))


@njit(nogil=True, cache=True)
def _roots_by_norms(field, array, roots, count):
    """Replace elements by their roots; `roots` holds roots of the norms, and is used up."""
    base = quadratic.prime_field(field)
    size = fe.storage(base)
    kept = np.empty(count * size, np.uint64)
    for index in range(count):
        real, _ = quadratic.parts(fe.load(field, array, 2 * index * size))
        w = fe.add(real, fe.load(base, roots, index * size))
        w = fe.select(fe.is_zero(w), fe.add(real, real), w)
        fe.store(kept, index * size, w)
        fe.store(roots, index * size, fe.add(w, w))
    power_rows(base, roots, 0, size, count, INVERSE_ROOT)
    for index in range(count):
        _, imaginary = quadratic.parts(fe.load(field, array, 2 * index * size))
        w, v = fe.load(base, kept, index * size), fe.load(base, roots, index * size)
        first, second = fe.mul(w, v), fe.mul(imaginary, v)
        product = fe.mul(first, v)
        square = fe.equal(fe.add(product, product), fe.constant(base, 1))
        turned = fe.scale(-1, first)
        root = quadratic.join(field, fe.select(square, first, second), fe.select(square, second, turned))
        fe.store(array, 2 * index * size, root)
