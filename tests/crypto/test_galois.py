# SPDX-License-Identifier: GPL-3.0-or-later
"""Scalar fields, transforms, polynomials and Poseidon against galois, which knows nothing of lanes, words or reduction.

Its fields are made with our generators as primitive elements, so that its roots of unity, generator^((r − 1)/n), are ours.
"""

from __future__ import annotations

import random

import galois
import numpy as np
import pytest

from supervm.crypto import ntt, poseidon
from supervm.crypto.params import poseidon as params
from supervm.crypto.polynomials.arguments import SPECS
from supervm.kernels.arrays import integers
from supervm.kernels.transform import words_of


@pytest.fixture(params=SPECS)
def curve(request):
    return request.param


@pytest.fixture
def field(curve):
    """The scalar field of a curve."""
    spec = SPECS[curve]
    return galois.GF(spec.modulus, primitive_element=spec.generator, verify=False)


def drawn(field, count, seed=0):
    """Zero, one, the largest, and others."""
    chosen, p = random.Random(f"{count} {seed}"), field.order
    return field(
        [chosen.choice((0, 1, p - 1, p - 2, *(chosen.randrange(p) for _ in range(4)))) for _ in range(count)]
    )


def words(numbers, *shape):
    """A field's numbers as four words each."""
    flat = [int(value) for value in np.asarray(numbers, object).reshape(-1)]
    return words_of(flat).reshape(*(shape or np.shape(numbers)), 4)


def same(found, expected):
    return integers(found) == [int(value) for value in np.asarray(expected, object).reshape(-1)]


def test_arithmetic(curve, field, backend):
    """Products, sums, differences and quotients, as polynomials have them: of degree 0, at 1, and at X = −1."""
    a, b = drawn(field, 24, 1), drawn(field, 24, 2)
    assert same(ntt.multiply(curve, words(a, 24, 1), words(b, 24, 1), backend=backend), a * b)
    pair = np.stack((words(a), words(b)), axis=1)
    forward = ntt.ntt(curve, pair, backend=backend)
    assert same(forward[:, 0], a + b)
    assert same(forward[:, 1], a - b)
    half = field(1) / field(2)
    back = ntt.ntt(curve, pair, inverse=True, backend=backend)
    assert same(back[:, 0], (a + b) * half)
    assert same(back[:, 1], (a - b) * half)
    shift = field(12345)
    divided = ntt.divide_values_by_vanishing(curve, words(a, 24, 1), 1, coset=int(shift))
    assert same(divided, a / (shift - field(1)))


@pytest.mark.parametrize("size", [1, 2, 8, 64, 128])
def test_transforms(curve, field, backend, size):
    """galois.ntt is numpy.fft.fft over its field, where it need not look for a primitive element."""
    numbers = drawn(field, size)
    values = np.fft.fft(numbers)
    assert same(ntt.ntt(curve, words(numbers), backend=backend), values)
    assert same(ntt.ntt(curve, words(numbers), inverse=True, backend=backend), np.fft.ifft(numbers))
    shift = field(SPECS[curve].generator)
    shifted = np.fft.fft(numbers * shift ** np.arange(size))
    assert same(ntt.ntt(curve, words(numbers), coset=True, backend=backend), shifted)
    assert same(ntt.ntt(curve, words(shifted), inverse=True, coset=True, backend=backend), numbers)


@pytest.mark.parametrize(("n", "m"), [(1, 3), (9, 5), (20, 33)])
def test_polynomials(curve, field, n, m):
    a, b = (galois.Poly(drawn(field, count, seed), order="asc") for count, seed in ((n, 1), (m, 2)))
    product = ntt.multiply(curve, words(drawn(field, n, 1)), words(drawn(field, m, 2)))
    assert galois.Poly(field(integers(product)), order="asc") == a * b
    points = drawn(field, 11, 3)
    assert same(ntt.evaluate(curve, product, words(points)), (a * b)(points))


@pytest.mark.parametrize("n", [1, 3, 8])
def test_division(curve, field, n):
    quotient = drawn(field, 13, n)
    vanishing = galois.Poly([1, *[0] * (n - 1), field.order - 1], field=field)
    product = galois.Poly(quotient, order="asc") * vanishing
    coefficients = np.zeros((13 + n, 4), np.uint64)
    flat = words(product.coefficients(order="asc"))
    coefficients[: len(flat)] = flat
    assert product // vanishing == galois.Poly(quotient, order="asc")
    assert same(ntt.divide_by_vanishing(curve, coefficients, n), quotient)


@pytest.mark.parametrize("operation", ["poseidon.t3", "poseidon.t5", "poseidon2.t4"])
def test_poseidon(curve, field, backend, operation):
    """The plain rounds, with no schedule: constants, fifth powers, a matrix."""
    spec = params.named(f"{curve}.{operation}")
    constants, matrix, inner = field(spec.constants), field(spec.matrix), field(spec.inner)
    states = drawn(field, 3 * spec.width).reshape(3, spec.width)
    x = states.T if spec.first is None else field(spec.first) @ states.T
    for index, row in enumerate(constants):
        full = not 0 <= index - spec.full_rounds // 2 < spec.partial_rounds
        x = x + row[:, None]
        x[slice(None) if full else slice(1)] **= 5
        x = (matrix if full else inner) @ x
    variant = operation.split(".")[0]
    assert same(poseidon.permute_batch(curve, words(states), variant=variant, backend=backend), x.T)
