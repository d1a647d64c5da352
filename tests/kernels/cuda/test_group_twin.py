# SPDX-License-Identifier: GPL-3.0-or-later
"""Operations on points on the host twin: known answers, refused rows among good ones, pieces. Every edge of theirs is in
`tests/crypto/test_curves.py` and `test_point_encodings.py`, which run on this backend too."""

from __future__ import annotations

import host_twin
import numpy as np
import pytest
from host_device import HostDevice

from supervm.crypto import curves, selftest
from supervm.crypto.cuda import PROGRAMS
from supervm.crypto.group_operations import GROUPS, OPERATIONS
from supervm.crypto.oracle.pairing_groups import GROUPS as ORACLES
from supervm.kernels.cuda.runtime import batch, devices
from supervm.kernels.point_checks import CURVE, FIELD, INFINITE, NONE, SUBGROUP

pytestmark = [
    pytest.mark.twin,
    pytest.mark.skipif(bool(host_twin.missing()), reason=host_twin.missing() or "a compiler is there"),
]
names = pytest.mark.parametrize("name", GROUPS)
COUNT = 53
"""Items, of which neither sixteen, which share an inversion, nor a piece is a divisor."""


def number(value, count):
    return [value >> 64 * index & (1 << 64) - 1 for index in range(count)]


def rows(name, points):
    """Points, None for infinity, as rows of words."""
    oracle = ORACLES[name]
    zero = (oracle.field.zero, oracle.field.zero)
    parts = [[part for value in point or zero for part in oracle.field.parts(value)] for point in points]
    return np.array(
        [[word for part in row for word in number(part, oracle.base.words)] for row in parts], np.uint64
    )


def points_of(name):
    """Points in and outside the subgroup, opposite ones and infinity."""
    oracle = ORACLES[name]
    other = oracle.curve_point(5)
    some = [
        None,
        oracle.generator,
        oracle.negate(oracle.generator),
        other,
        oracle.multiply(oracle.order, other),
    ]
    return [some[index % 5] for index in range(COUNT)]


def damaged(name, good):
    """A third of the rows beside the curve, or with p added to a coordinate; and which."""
    oracle, broken = ORACLES[name], good.copy()
    size = oracle.base.words
    broken[1::6, 0] ^= np.uint64(2)
    last = broken[4::6, -size:]
    for row in last:
        row[:] = number(int.from_bytes(row.tobytes(), "little") + oracle.p, size)
    return broken, np.isin(np.arange(COUNT) % 6, (1, 4))


def computed(operation, *columns, options=()):
    device = HostDevice()
    words = 2 * GROUPS[operation.rpartition(".")[0]].field.words
    points, verdicts = np.full((COUNT, words), 9, np.uint64), np.full(COUNT, 9, np.int8)
    outputs = (verdicts,) if operation.endswith("subgroup") else (points, verdicts)
    batch.run(PROGRAMS[operation], device, *columns, *options, *outputs)
    return points, verdicts


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(batch, "PIECE_ITEMS", 37)


@names
def test_known_answers(name, monkeypatch):
    monkeypatch.setattr(devices, "_search", lambda: ((HostDevice(),), ""))
    for operation in OPERATIONS:
        outcome = selftest.known_answers(f"{name}.{operation}", "cuda")
        assert outcome.ok, outcome.detail


@names
def test_refused_rows_leave_the_others_alone(name):
    oracle, points = ORACLES[name], points_of(name)
    other = points[2:] + points[:2]
    good = rows(name, points)
    broken, which = damaged(name, good)
    totals = rows(name, [oracle.add(a, b) for a, b in zip(points, other, strict=True)])
    for first, second in ((broken, rows(name, other)), (rows(name, other), broken)):
        found, verdicts = computed(f"{name}.add", first, second)
        assert verdicts.tolist() == np.where(which, -1, 1).tolist()
        assert np.array_equal(found, np.where(which[:, None], np.uint64(0), totals))
    scalars = ([oracle.order - 1, 0, 1, 2**256 - 1, 8, 16, 2**255] * 8)[:COUNT]
    products = rows(name, [oracle.multiply(k, point) for k, point in zip(scalars, points, strict=True)])
    column = np.array([number(scalar, 4) for scalar in scalars], np.uint64)
    found, verdicts = computed(f"{name}.multiply", broken, column)
    assert verdicts.tolist() == np.where(which, -1, 1).tolist()
    assert np.array_equal(found, np.where(which[:, None], np.uint64(0), products))


@names
def test_checks(name):
    """What each check lets pass, and what it writes."""
    oracle, points = ORACLES[name], points_of(name)
    good = rows(name, points)
    broken, which = damaged(name, good)
    outside = np.array([not oracle.in_subgroup(point) for point in points])
    large = np.arange(COUNT) % 6 == 4
    flags = np.where(broken.any(axis=1), 0, INFINITE).astype(np.int8)
    expected = {
        NONE: np.ones(COUNT),
        FIELD: np.where(large, -1, 1),
        CURVE: np.where(which, -1, 1),
        SUBGROUP: np.where(which, -1, np.where(outside, 0, 1)),
    }
    for check, verdicts in expected.items():
        found = computed(f"{name}.decode", broken, flags, options=(False, check))
        assert found[1].tolist() == verdicts.tolist()
        assert np.array_equal(found[0], np.where(verdicts[:, None] == 1, broken, np.uint64(0)))
    assert computed(f"{name}.subgroup", broken)[1].tolist() == expected[SUBGROUP].tolist()


@names
def test_abscissas_with_and_without_a_point(name):
    """Both signs of every root, and abscissas that no point has, whatever check is asked for."""
    oracle = ORACLES[name]
    f = oracle.field
    abscissas = [f.element([7 * index + part for part in range(oracle.degree)]) for index in range(COUNT)]
    column = rows(name, [(x, f.zero) for x in abscissas])[:, : GROUPS[name].field.words].copy()
    for larger in (False, True):
        lifted = [oracle.lift_x(x, larger) for x in abscissas]
        assert 5 < sum(point is None for point in lifted) < COUNT - 5
        flags = np.full(COUNT, 4 * larger, np.int8)
        found, verdicts = computed(f"{name}.decode", column, flags, options=(True, FIELD))
        assert verdicts.tolist() == [-1 if point is None else 1 for point in lifted]
        assert np.array_equal(found, rows(name, lifted))


def test_sums_of_many_points_use_pieces(monkeypatch):
    monkeypatch.setattr(devices, "_search", lambda: ((HostDevice(),), ""))
    group = curves.get("bn254").g1
    many = np.repeat(group.generator[None], 75, axis=0)
    scalar = np.array([[75, 0, 0, 0]], np.uint64)
    expected = group.multiply(many[:1], scalar, backend="cuda")[0]
    assert np.array_equal(group.sum(many, backend="cuda"), expected)
