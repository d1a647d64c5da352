# SPDX-License-Identifier: GPL-3.0-or-later
"""The derived form of Poseidon: equal to the plain rounds, within the bounds that its kernels state."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from supervm.crypto.oracle import poseidon as oracle
from supervm.crypto.params.poseidon import FIELDS, OPERATIONS, WIDTHS, named
from supervm.kernels.cpu.fields.element_type import generator
from supervm.kernels.cpu.lanes.lanes import IFMA_64X8
from supervm.kernels.errors import ArgumentError
from supervm.kernels.poseidon_spec import PoseidonSpec, apply, inverse, multiply, permute_by_schedule
from supervm.kernels.spec import FieldSpec

SMALL = FieldSpec("f10007", 10007)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_recurrence_is_the_permutation(operation):
    spec = named(operation)
    p, chosen = spec.field.modulus, random.Random(operation)
    for state in (
        (0,) * spec.width,
        (p - 1,) * spec.width,
        tuple(chosen.randrange(p) for _ in range(spec.width)),
    ):
        assert permute_by_schedule(spec, state) == tuple(oracle.permute(spec, state))


@pytest.mark.parametrize("width", [2, 3, 4, 9])
@pytest.mark.parametrize("first", [False, True])
def test_any_matrices_and_round_numbers(width, first):
    """Small fields, where values that an argument overlooks do come up: zeros, and constants of every element."""
    chosen, p = random.Random(width), SMALL.modulus

    def matrix():
        return tuple(tuple(chosen.randrange(1, p) for _ in range(width)) for _ in range(width))

    for full, partial in ((4, 1), (4, 2), (6, width), (8, 3 * width)):
        constants = tuple(tuple(chosen.randrange(p) for _ in range(width)) for _ in range(full + partial))
        spec = PoseidonSpec("small", SMALL, width, full, partial, constants, matrix(), matrix())
        spec = replace(spec, first=matrix()) if first else spec
        for _ in range(3):
            state = tuple(chosen.randrange(p) for _ in range(width))
            assert permute_by_schedule(spec, state) == tuple(oracle.permute(spec, state))


def test_a_wrong_recurrence_is_seen():
    spec = named("bn254.poseidon.t3")
    step = spec.schedule.partial[7]
    steps = list(spec.schedule.partial)
    steps[7] = replace(step, constant=step.constant + 1)
    spoilt = replace(spec)
    spoilt.__dict__["schedule"] = replace(spec.schedule, partial=tuple(steps))
    assert permute_by_schedule(spoilt, (0, 1, 2)) != tuple(oracle.permute(spec, (0, 1, 2)))


def test_matrices():
    p = SMALL.modulus
    a = ((0, 2, 3), (4, 5, 6), (7, 8, 10))
    assert multiply(a, inverse(a, p), p) == ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    assert apply(a, (1, 1, 1), p) == (5, 15, 25)
    with pytest.raises(ArgumentError, match="singular"):
        inverse(((1, 2), (2, 4)), p)


@pytest.mark.parametrize("curve", FIELDS)
def test_bounds_with_lanes(curve):
    """In units of p, for the widest state and every layer: what the text of `kernels/cpu/hashes/poseidon.py` says."""
    width = WIDTHS.stop - 1
    over = FIELDS[curve].modulus / generator(FIELDS[curve], IFMA_64X8.type).r  # type: ignore[union-attr]

    def box(x):
        """The fifth power, not yet reduced."""
        second = x * x * over + 1
        return x * (second * second * over + 1) * over

    def row(y, terms=width):
        return terms * y * over + 1

    x = 4.0  # a sponge's state below 2, an input and a constant
    for _ in range(20):
        y = box(x) + 1
        assert y < 1.2
        x = row(y) + 1
        assert x < 3.1
    v, z = row(y), x
    for _ in range(80):
        v, r = box(z) + row(v, width - 1), row(v, width - 1) + 1
        z = v + r
        assert v < 2.2
        assert z < 5.1
        assert z * z * over < 1
    assert row(max(v, box(z) + 1)) + 1 < 3.1
    assert row(y) < 1.6


@pytest.mark.parametrize("curve", FIELDS)
def test_bounds_where_matrices_are_sums(curve):
    over = FIELDS[curve].modulus / generator(FIELDS[curve], IFMA_64X8.type).r  # type: ignore[union-attr]

    def box(x):
        second = x * x * over + 1
        return x * (second * second * over + 1) * over + 1

    x = 3 * over + 1
    for _ in range(9):
        x = 4 * x + 1
        assert x < 6.2
        x = box(x)
        assert x < 1.3
    z, others = 4 * x + 1, [4 * x + 1] * 2
    for step in range(1, 61):
        z = box(z)
        assert z < 2.3
        total = z + sum(others)
        others = [total + others[0], total + 2 * others[1]]
        z = total + z + 1
        assert max(others) < 27
        assert max(others) * over < 1
        assert z < 16
        if step & 1:
            others = [1.1, 1.1]
    assert box(max(z, *others) + 1) < 1.5
