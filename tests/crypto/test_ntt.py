# SPDX-License-Identifier: GPL-3.0-or-later
"""Transforms and polynomials against the oracle, the definition, galois, and what must hold between them."""

from __future__ import annotations

import functools

import galois
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervm.crypto import ntt
from supervm.crypto.oracle import ntt as oracle
from supervm.crypto.polynomials.arguments import FIELDS, SPECS
from supervm.crypto.polynomials.transforms import Transformation
from supervm.kernels import set_threads
from supervm.kernels.arrays import integers
from supervm.kernels.cpu.ntt.plan import Plan
from supervm.kernels.errors import ArgumentError, BackendUnavailable
from supervm.kernels.registry import resolve
from supervm.kernels.transform import Transform, words_of

ORDERS = ("natural", "bit_reversed")


@pytest.fixture(params=SPECS)
def curve(request):
    return request.param


@pytest.fixture
def threads():
    yield set_threads
    set_threads(1)


def random_numbers(spec, count, seed=0):
    """Elements, the extreme ones among them."""
    random = np.random.default_rng([count, seed])
    numbers = [int.from_bytes(random.bytes(40), "little") % spec.modulus for _ in range(count)]
    for index in range(0, count, 7):
        numbers[index] = (0, 1, spec.modulus - 1, spec.modulus - 2)[index % 4]
    return numbers


def array(numbers):
    return words_of(numbers).reshape(-1, 4)


def random_array(shape, seed=0):
    """Elements below 2^252, quickly."""
    words = np.random.default_rng(seed).integers(0, 1 << 64, (*shape, 4), np.uint64)
    words[..., 3] >>= np.uint64(12)
    return words


# Against the oracle


def test_the_oracles_two_ways_agree():
    for spec in SPECS.values():
        for size in (1, 2, 4, 8, 32):
            numbers = random_numbers(spec, size)
            for shift in (1, spec.generator):
                values = oracle.forward(spec, numbers, shift)
                assert values == oracle.definition(spec, numbers, shift)
                assert oracle.inverse(spec, values, shift) == numbers
    assert oracle.bit_reversed([0, 1, 2, 3, 4, 5, 6, 7]) == [0, 4, 2, 6, 1, 5, 3, 7]
    assert oracle.bit_reversed([9]) == [9]


@functools.cache
def transformed(curve, log, shift):
    """Numbers and their transform by the oracle, which is asked once for all backends."""
    numbers = random_numbers(SPECS[curve], 1 << log)
    return numbers, oracle.forward(SPECS[curve], numbers, shift)


@pytest.mark.parametrize("log", range(13))
def test_transforms_are_the_oracles(curve, backend, log):
    spec = SPECS[curve]
    for coset, shift in ((None, 1), ("generator", spec.generator)):
        numbers, expected = transformed(curve, log, shift)
        coefficients = array(numbers)
        for order in ORDERS:
            options = {"coset": coset, "order": order, "backend": backend}
            values = ntt.ntt(curve, coefficients, **options)
            assert integers(values) == (expected if order == "natural" else oracle.bit_reversed(expected))
            assert np.array_equal(ntt.ntt(curve, values, inverse=True, **options), coefficients)
        assert integers(coefficients) == numbers


@pytest.mark.parametrize("log", [0, 1, 5, 8, 9, 11])
def test_extreme_numbers(curve, backend, log):
    spec, size = SPECS[curve], 1 << log
    for number in (0, 1, spec.modulus - 1):
        constant = array([number] * size)
        values = integers(ntt.ntt(curve, constant, backend=backend))
        assert values == [number * size % spec.modulus] + [0] * (size - 1)
        single = array([number] + [0] * (size - 1))
        assert integers(ntt.ntt(curve, single, backend=backend)) == [number] * size


@pytest.mark.parametrize("shift", [2, -1, 10**90 + 7])
def test_any_coset(curve, backend, shift):
    spec = SPECS[curve]
    for size in (4, 128):
        numbers = random_numbers(spec, size)
        values = ntt.ntt(curve, array(numbers), coset=shift, backend=backend)
        assert integers(values) == oracle.forward(spec, numbers, shift % spec.modulus)
        assert integers(ntt.ntt(curve, values, inverse=True, coset=shift, backend=backend)) == numbers


def test_galois_agrees(curve):
    spec, size = SPECS[curve], 16
    field = galois.GF(spec.modulus, primitive_element=spec.generator, verify=False)
    numbers = random_numbers(spec, size)
    matrix = field.Vandermonde(field(spec.root_of_unity(size)), size, size)
    assert [int(value) for value in matrix @ field(numbers)] == integers(ntt.ntt(curve, array(numbers)))
    product = np.convolve(field(numbers), field(numbers[:5]))
    assert [int(value) for value in product] == integers(
        ntt.multiply(curve, array(numbers), array(numbers[:5]))
    )


# Identities, for sizes that the oracle is too slow for


@pytest.mark.parametrize("log", [13, 14, 15, 17])
def test_large_transforms(curve, backend, log):
    values = random_array((1 << log,), seed=log)
    natural = ntt.ntt(curve, values, coset=True, backend=backend)
    reversed_ = ntt.ntt(curve, values, coset=True, order="bit_reversed", backend=backend)
    indices = oracle.bit_reversed(list(range(1 << log)))
    assert np.array_equal(natural[indices], reversed_)
    for order, found in (("natural", natural), ("bit_reversed", reversed_)):
        back = ntt.ntt(curve, found, inverse=True, coset=True, order=order, backend=backend)
        assert np.array_equal(back, values)
    spec = SPECS[curve]
    root = spec.root_of_unity(1 << log)
    points = [spec.generator * pow(root, k, spec.modulus) % spec.modulus for k in (0, 1, 12345 % (1 << log))]
    found = ntt.evaluate(curve, values, array(points))
    assert np.array_equal(found, natural[[0, 1, 12345 % (1 << log)]])


@pytest.mark.parametrize("inverse", [False, True])
def test_powers_for_the_longest_transforms(curve, inverse):
    """The constants of a first pass, whose upper ones no transform here is long enough to read."""
    spec, p = SPECS[curve], SPECS[curve].modulus
    root, shift = spec.root_of_unity(1 << 26), 12345
    found = Plan(FIELDS[curve, "scalar"], Transform(26, inverse, shift))._constants
    if inverse:
        root, shift = pow(root, -1, p), pow(shift, -1, p)
    powers = [pow(base, 2**bit, p) for base in (root, shift) for bit in range(13)]
    assert integers(found.reshape(-1, 4)) == [*powers, *((pow(2, -26, p), shift) if inverse else (1, 1))]


@pytest.mark.parametrize("size", [16, 128])
def test_linearity(curve, backend, size):
    spec = SPECS[curve]
    a, b, factor = random_numbers(spec, size, 1), random_numbers(spec, size, 2), 12345
    mixed = [(x + factor * y) % spec.modulus for x, y in zip(a, b, strict=True)]
    x, y, z = (integers(ntt.ntt(curve, array(v), backend=backend)) for v in (a, b, mixed))
    assert z == [(u + factor * v) % spec.modulus for u, v in zip(x, y, strict=True)]


@pytest.mark.parametrize(
    ("batch", "size"), [((3,), 8), ((17,), 4), ((2, 5), 64), ((19,), 128), ((8,), 1024), ((9,), 2048)]
)
@pytest.mark.parametrize("order", ORDERS)
def test_leading_axes_are_a_batch(curve, backend, batch, size, order):
    values = random_array((*batch, size))
    options = {"coset": 3, "order": order, "backend": backend}
    found = ntt.ntt(curve, values, **options)
    assert found.shape == values.shape
    for index in np.ndindex(*batch):
        assert np.array_equal(found[index], ntt.ntt(curve, values[index], **options))
    assert np.array_equal(ntt.ntt(curve, found, inverse=True, **options), values)


def test_no_transforms_at_all(curve, backend):
    assert ntt.ntt(curve, np.zeros((0, 8, 4), np.uint64), backend=backend).shape == (0, 8, 4)


def test_threads_change_nothing(curve, backend, threads):
    values = random_array((1 << 15,))
    many = random_array((100, 256))
    for options in ({}, {"inverse": True, "order": "bit_reversed"}):
        threads(1)
        one = [ntt.ntt(curve, v, backend=backend, **options) for v in (values, many)]
        threads(2)
        two = [ntt.ntt(curve, v, backend=backend, **options) for v in (values, many)]
        assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_arrays_that_are_not_contiguous_or_writable(curve, backend):
    values = random_array((64, 2))
    strided = values[:, 0]
    strided.flags.writeable = False
    found = ntt.ntt(curve, strided, backend=backend)
    assert np.array_equal(found, ntt.ntt(curve, strided.copy(), backend=backend))
    assert found.flags.writeable


# Polynomials


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 5), (7, 2), (33, 32), (100, 29)])
def test_multiply(curve, backend, n, m):
    spec = SPECS[curve]
    a, b = random_numbers(spec, n, 1), random_numbers(spec, m, 2)
    found = ntt.multiply(curve, array(a), array(b), backend=backend)
    assert integers(found) == oracle.multiply(spec, a, b)


def test_multiply_batches_and_nothing(curve):
    a, b = random_array((3, 2, 10)), random_array((3, 2, 23))
    found = ntt.multiply(curve, a, b)
    assert found.shape == (3, 2, 32, 4)
    assert np.array_equal(found[2, 1], ntt.multiply(curve, a[2, 1], b[2, 1]))
    assert ntt.multiply(curve, a, b[:, :, :0]).shape == (3, 2, 0, 4)


@pytest.mark.parametrize("length", [0, 1, 3, 31, 32, 33, 150])
def test_evaluate(curve, length):
    spec = SPECS[curve]
    points = [0, 1, spec.modulus - 1, *random_numbers(spec, 16, 5)]
    rows = [random_numbers(spec, length, seed) for seed in range(2)]
    polynomials = np.array([words_of(row) for row in rows]).reshape(2, length, 4)
    for count in (0, 1, 7, 19):
        found = ntt.evaluate(curve, polynomials, array(points[:count]))
        assert found.shape == (2, count, 4)
        expected = [oracle.evaluate(spec, row, point) for row in rows for point in points[:count]]
        assert integers(found) == expected


@pytest.mark.parametrize(("length", "n"), [(0, 3), (1, 1), (5, 3), (9, 16), (20, 4), (40, 16), (33, 1)])
def test_divide_by_vanishing(curve, length, n):
    spec = SPECS[curve]
    quotient = random_numbers(spec, length)
    product = oracle.multiply(spec, quotient, [spec.modulus - 1] + [0] * (n - 1) + [1])
    assert integers(ntt.divide_by_vanishing(curve, array(product), n)) == quotient
    assert oracle.divide_by_vanishing(spec, product, n) == (quotient, [0] * min(n, len(product)))
    if product:
        product[-1] = (product[-1] + 1) % spec.modulus
        both = array(product), array([0] * len(product))
        with pytest.raises(ArgumentError, match="polynomial 1, which leaves a remainder"):
            ntt.divide_by_vanishing(curve, np.array(both[::-1]), n)


@pytest.mark.parametrize(("size", "n"), [(1, 1), (4, 2), (32, 32), (64, 16), (64, 4), (64, 1), (4096, 1)])
def test_divide_values_by_vanishing(curve, size, n):
    """Values on a coset, divided there, are the values of the quotient."""
    spec = SPECS[curve]
    quotient = random_numbers(spec, max(0, size - n))
    product = oracle.multiply(spec, quotient, [spec.modulus - 1] + [0] * (n - 1) + [1]) or [0] * size
    values = ntt.ntt(curve, array(product), coset=True)
    found = ntt.divide_values_by_vanishing(curve, np.array([values, values]), n)
    for one in found:
        back = ntt.ntt(curve, one, inverse=True, coset=True)
        assert integers(back) == quotient + [0] * (size - len(quotient))


@settings(max_examples=30)
@given(st.lists(st.integers(0, 2**256), min_size=1, max_size=40), st.integers(0, 2**256))
def test_products_have_products_of_values(numbers, point):
    for curve, spec in SPECS.items():
        a = array([number % spec.modulus for number in numbers])
        square = ntt.multiply(curve, a, a)
        z = array([point % spec.modulus])
        value, squared = integers(ntt.evaluate(curve, a, z))[0], integers(ntt.evaluate(curve, square, z))[0]
        assert squared == value * value % spec.modulus


# The work that backends are given


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("size", [1, 4, 256])
def test_faults_are_found_at_a_random_point(curve, inverse, order, size):
    spec = SPECS[curve]
    work = Transformation(curve, random_array((2, size)), inverse, spec.generator, order == "bit_reversed")
    function = resolve(work.operation).function
    work.run(function)
    for seed in range(4):
        assert work.mismatches(function, 1e-9, np.random.default_rng(seed)) == 0
    assert work.mismatches(function, 1.0, np.random.default_rng(0)) == 0
    work.out[:, size // 2, 1] ^= np.uint64(1)
    assert work.mismatches(function, 1e-9, np.random.default_rng(0)) == 1
    assert work.mismatches(function, 1.0, np.random.default_rng(0)) == 1
    work.publish(_ran(work.twin(), function))
    assert work.mismatches(function, 1e-9, np.random.default_rng(0)) == 0
    work.out[...] = np.uint64(2**64 - 1)
    assert work.mismatches(function, 1e-9, np.random.default_rng(0)) == 1


def _ran(work, function):
    work.run(function)
    return work


def test_a_random_point_may_be_a_node(curve):
    spec = SPECS[curve]
    work = Transformation(curve, random_array((1, 64)))
    work.run(resolve(work.operation).function)

    class Node:
        """Random numbers that lead to ω³."""

        def random(self):
            return 0.5

        def integers(self, bound):
            return 0

        def bytes(self, count):
            return pow(spec.root_of_unity(64), 3, spec.modulus).to_bytes(count, "little")

    function = resolve(work.operation).function
    assert work.mismatches(function, 1e-9, Node()) == 0
    work.out[0, 3, 0] ^= np.uint64(1)
    assert work.mismatches(function, 1e-9, Node()) == 1


# Bad input


GOOD = np.zeros((8, 4), np.uint64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"curve": "bn128"}, "'curve'"),
        ({"curve": ["bn254"]}, "'curve'"),
        ({"curve": np.array(["bn254", "bn254"])}, "'curve'"),
        ({"order": ["natural"]}, "'order'"),
        ({"order": np.array(["natural", "natural"])}, "'order'"),
        ({"coset": np.array([5, 7])}, "'coset'"),
        ({"coset": ["generator"]}, "'coset'"),
        ({"order": "reversed"}, "'order'"),
        ({"inverse": 1}, "'inverse'"),
        ({"coset": 0}, "'coset'"),
        ({"coset": SPECS["bn254"].modulus}, "'coset'"),
        ({"coset": False}, "'coset'"),
        ({"coset": "five"}, "'coset'"),
        ({"coset": 2.0}, "'coset'"),
        ({"values": GOOD[:6]}, "6 elements"),
        ({"values": GOOD[:0]}, "0 elements"),
        ({"values": np.broadcast_to(GOOD[:1], (1 << 27, 4))[: 3 << 20]}, "elements"),
        ({"values": GOOD.astype(np.int64)}, "int64"),
        ({"values": GOOD[:, :3]}, r"\(8, 3\)"),
        ({"values": GOOD[0]}, r"\(4,\)"),
        ({"values": [[1, 0, 0, 0]]}, "list"),
    ],
)
def test_bad_arguments(change, message):
    arguments = {"curve": "bn254", "values": GOOD} | change
    with pytest.raises(ArgumentError, match=message):
        ntt.ntt(arguments.pop("curve"), arguments.pop("values"), **arguments)


def test_sizes_above_the_largest_are_refused_before_anything_else(monkeypatch):
    monkeypatch.setattr("supervm.crypto.polynomials.transforms.LARGEST_LOG", 3)
    with pytest.raises(ArgumentError, match=r"16 elements, expected a power of two, up to 2\^3"):
        ntt.ntt("bn254", np.zeros((16, 4), np.uint64))


@pytest.mark.parametrize("row", [0, 5, 31])
def test_the_first_row_that_is_not_canonical_is_named(curve, row):
    modulus = SPECS[curve].modulus
    values = np.zeros((4, 8, 4), np.uint64)
    flat = values.reshape(-1, 4)
    flat[:] = words_of([modulus - 1])
    flat[row] = words_of([modulus])
    flat[31] = words_of([2**256 - 1])
    with pytest.raises(ArgumentError, match=f"row {row} is not below the modulus"):
        ntt.ntt(curve, values)
    with pytest.raises(ArgumentError, match="'points'"):
        ntt.evaluate(curve, GOOD, flat)
    with pytest.raises(ArgumentError, match="'b'"):
        ntt.multiply(curve, GOOD, flat)


@pytest.mark.parametrize("n", [9, 1 << 61, (1 << 61) + 1, (1 << 63) - 1, 1 << 64, 10**30, np.uint64(1 << 63)])
def test_a_divisor_of_a_higher_degree(curve, n):
    """Whatever its degree is: no quotient, and nothing divisible but 0."""
    assert ntt.divide_by_vanishing(curve, GOOD, n).shape == (0, 4)
    with pytest.raises(ArgumentError, match="remainder"):
        ntt.divide_by_vanishing(curve, random_array((8,)), n)


def test_bad_polynomials(curve):
    with pytest.raises(ArgumentError, match="leading axes"):
        ntt.multiply(curve, np.zeros((2, 3, 4), np.uint64), np.zeros((3, 3, 4), np.uint64))
    for n in (0, -1, 1.0, True):
        with pytest.raises(ArgumentError, match="'n'"):
            ntt.divide_by_vanishing(curve, GOOD, n)
    for n in (0, 3, 16, True, 2.0):
        with pytest.raises(ArgumentError, match="'n'"):
            ntt.divide_values_by_vanishing(curve, GOOD, n)
    root = SPECS[curve].root_of_unity(8)
    with pytest.raises(ArgumentError, match="'coset'"):
        ntt.divide_values_by_vanishing(curve, GOOD, 8, coset=root)
    with pytest.raises(ArgumentError, match="'coset'"):
        ntt.divide_values_by_vanishing(curve, GOOD, 8, coset=None)


def test_unknown_backend(curve):
    with pytest.raises(ArgumentError, match="'backend'"):
        ntt.ntt(curve, GOOD, backend="gpu")
    with pytest.raises(BackendUnavailable):
        ntt.ntt(curve, GOOD, backend="cuda")
