# SPDX-License-Identifier: GPL-3.0-or-later
"""The groups' parameters against their definitions, and the subgroup tests against r·P, in the oracle."""

from __future__ import annotations

import math

import pytest
from py_ecc import optimized_bls12_381, optimized_bn128

from supervm.crypto.oracle.pairing_groups import GROUPS
from supervm.crypto.params import bls12_381, bn254

NAMES = list(GROUPS)
TESTED = [name for name, group in GROUPS.items() if group.cofactor > 1]


def image(group, point):
    """The endomorphism of the specification, by its docstring."""
    if point is None:
        return None
    chart = group.spec.membership.map
    power = (lambda c: (c[0], -c[1] % group.p)) if group.degree == 2 else (lambda c: c)
    return group.field.mul(chart.x, power(point[0])), group.field.mul(chart.y, power(point[1]))


def passes(group, point):
    """The specification's test, term by term."""
    test = group.spec.membership
    multiple, total = group.multiply(test.multiplier**test.power, point), None
    for index, (a, b) in enumerate(test.terms):
        term = group.add(group.multiply(a, multiple), group.multiply(b, point))
        for _ in range(index):
            term = image(group, term)
        total = group.add(total, term)
    return total is None


@pytest.mark.parametrize("name", NAMES)
def test_points_and_orders(name):
    group = GROUPS[name]
    assert group.on_curve(group.generator)
    assert group.multiply(group.order, group.generator) is None
    for start in (2, 11):
        point = group.curve_point(start)
        assert group.in_subgroup(group.multiply(group.cofactor, point))
        assert group.in_subgroup(point) == (group.cofactor == 1)
    assert group.multiply(-3, group.generator) == group.negate(group.multiply(3, group.generator))


@pytest.mark.parametrize("name", NAMES)
def test_the_oracle_agrees_with_py_ecc(name):
    curve, _, which = name.partition(".")
    peer = {"bn254": optimized_bn128, "bls12_381": optimized_bls12_381}[curve]
    base = getattr(peer, which.upper())
    group = GROUPS[name]

    def plain(point):
        if peer.is_inf(point):
            return None
        x, y = peer.normalize(point)
        return tuple(
            tuple(int(c) for c in value.coeffs) if group.degree == 2 else int(value) for value in (x, y)
        )

    assert plain(base) == group.generator
    assert group.order == peer.curve_order
    for scalar in (0, 1, 2, 3, 12345, group.order - 1, group.order, 2**255 - 19):
        assert plain(peer.multiply(base, scalar)) == group.multiply(scalar, group.generator)
    assert plain(peer.add(base, peer.multiply(base, 5))) == group.multiply(6, group.generator)


@pytest.mark.parametrize("name", TESTED)
def test_the_endomorphism(name):
    """It maps the curve to itself, is additive, and acts as the eigenvalue that the test is built on."""
    group = GROUPS[name]
    for point in (group.generator, group.curve_point(3)):
        assert group.on_curve(image(group, point))
        twice = group.add(point, point)
        assert image(group, twice) == group.add(image(group, point), image(group, point))
    eigenvalue = {
        "bls12_381.g1": -(bls12_381.PARAMETER**2),
        "bls12_381.g2": bls12_381.PARAMETER,
        "bn254.g2": bn254.FP.modulus,  # the p-th power acts as p
    }[name] % group.order
    assert image(group, group.generator) == group.multiply(eigenvalue, group.generator)


@pytest.mark.parametrize("name", TESTED)
def test_the_subgroup_test_is_multiplication_by_the_order(name):
    group = GROUPS[name]
    inside, outside = group.multiply(99, group.generator), group.curve_point(7)
    small = group.multiply(group.order, outside)
    for point in (None, group.generator, inside):
        assert group.in_subgroup(point)
        assert passes(group, point)
    for point in (outside, small, group.add(small, inside), group.negate(outside)):
        assert not group.in_subgroup(point)
        assert not passes(group, point)


def test_why_the_tests_are_enough():
    """φ(P) = −x²·P forces r·P = 0; ψ(P) = x·P forces (p − x)·P = 0, and only r divides p − x and the curve's order."""
    x, r, p = bls12_381.PARAMETER, bls12_381.FR.modulus, bls12_381.FP.modulus
    assert x**4 - x**2 + 1 == r
    assert math.gcd(p - x, bls12_381.G2.cofactor * r) == r
    for group in GROUPS.values():
        assert group.cofactor % 2 == 1  # no point of order two
