# SPDX-License-Identifier: GPL-3.0-or-later
"""Multi-scalar multiplication on the host twin: skewed inputs, pieces, resident points, refused points."""

from __future__ import annotations

import random
from functools import partial

import host_twin
import numpy as np
import pytest
from host_device import HostDevice
from msm_oracles import ORACLES

from supervm.crypto import selftest
from supervm.crypto.cuda import MSM
from supervm.crypto.msm import msm as public_msm
from supervm.crypto.oracle.adversarial_ed25519 import torsion
from supervm.crypto.oracle.msm import msm as oracle_msm
from supervm.kernels.cuda import msm
from supervm.kernels.cuda.runtime import devices
from supervm.kernels.errors import ArgumentError, DeviceOutOfMemory

pytestmark = [
    pytest.mark.twin,
    pytest.mark.skipif(bool(host_twin.missing()), reason=host_twin.missing() or "a compiler is there"),
]


@pytest.fixture(params=list(MSM))
def operation(request):
    return request.param


def coordinates(operation, points):
    group = ORACLES[operation]
    zero = (0,) * group.degree
    neutral = (0, 1) if operation == "ed25519.msm" else (zero, zero)
    data = [
        part.to_bytes(8 * group.base.words, "little")
        for point in points
        for value in (point or neutral)
        for part in (value if isinstance(value, tuple) else group.field.parts(value))
    ]
    return np.frombuffer(b"".join(data), "<u8").astype(np.uint64)


def words(values):
    data = b"".join(value.to_bytes(32, "little") for value in values)
    return np.frombuffer(data, "<u8").astype(np.uint64).reshape(1, -1, 4)


def some(operation, count):
    group = ORACLES[operation]
    points = [group.generator]
    while len(points) < count:
        points.append(group.add(points[-1], group.generator))
    return points


def compute(operation, points, values, limit=None, device=None):
    found = msm.multiply(
        MSM[operation], device or HostDevice(), coordinates(operation, points), words(values), limit
    )
    return found[0].tolist()


def expected(operation, points, values):
    return coordinates(operation, [oracle_msm(ORACLES[operation], points, values)]).tolist()


def test_mixed_points_and_scalars(operation):
    """Repeated and opposite points, infinity, and scalars 0, 1 and order − 1 among others."""
    group = ORACLES[operation]
    points = [*some(operation, 5), None] * 5
    points[8] = group.negate(points[8])
    source = random.Random(1)
    values = [source.randrange(group.order) for _ in points]
    values[:4] = [0, 1, group.order - 1, values[9]]
    assert compute(operation, points, values) == expected(operation, points, values)


@pytest.mark.parametrize("count", [0, 1, 2, 33])
def test_equal_points_and_scalars(count):
    """One bucket that all points are in, through many rounds; opposite points, which leave nothing."""
    for operation in ("bn254.g1.msm", "bls12_381.g1.msm", "ed25519.msm"):
        group = ORACLES[operation]
        point, value = group.multiply(77, group.generator), group.order // 5
        once = group.multiply(count * value, point) if count else None
        found = compute(operation, [point] * count, [value] * count)
        assert found == coordinates(operation, [once]).tolist()
        opposite = [point, group.negate(point)] * count
        assert compute(operation, opposite, [value] * 2 * count) == coordinates(operation, [None]).tolist()


def test_pieces(monkeypatch):
    """Little memory, the device's or the caller's, gives the same sum; too little is refused."""
    operation = "bn254.g1.msm"
    points, source = some(operation, 300), random.Random(2)
    values = [source.randrange(ORACLES[operation].order) for _ in points]
    whole = compute(operation, points, values)
    factor = sum(value * (index + 1) for index, value in enumerate(values))
    group = ORACLES[operation]
    assert whole == coordinates(operation, [group.multiply(factor % group.order, group.generator)]).tolist()
    need = msm.choose(MSM[operation], 300).bytes()
    assert compute(operation, points, values, need) == whole
    assert compute(operation, points, values, need - 1) == whole
    assert compute(operation, points, values, device=HostDevice(memory=need)) == whole
    with pytest.raises(ArgumentError, match="memory_limit"):
        compute(operation, points, values, 1000)
    with pytest.raises(DeviceOutOfMemory):
        compute(operation, points, values, device=HostDevice(memory=1000))


def test_the_least_memory_is_what_an_error_says():
    """With it the sum is found, with a byte less it is not; a single piece needs no room for a second."""
    operation = "bn254.g1.msm"
    points, values = some(operation, 9), list(range(3, 12))
    for count in (1, 2, 9):
        given = operation, points[:count], values[:count]
        with pytest.raises(ArgumentError) as caught:
            compute(*given, 1000)
        least = int(caught.value.expected.split()[0])
        assert compute(*given, least) == expected(*given)
        with pytest.raises(ArgumentError, match=f"expected {least} bytes"):
            compute(*given, least - 1)


def test_points_outside_the_subgroup():
    """Sums are of points, not of multiples modulo the order."""
    operation = "bls12_381.g1.msm"
    group = ORACLES[operation]
    other = group.curve_point(5)
    small = group.multiply(group.order, other)
    points = [(0, 2), (0, group.p - 2), other, small, group.negate(small), group.generator, None, (0, 2)]
    source = random.Random(3)
    values = [source.randrange(group.order) for _ in points]
    assert compute(operation, points, values) == expected(operation, points, values)
    equal = [values[0]] * len(points)
    assert compute(operation, points, equal) == expected(operation, points, equal)


def test_points_of_small_order_on_edwards25519():
    """The whole torsion, on its own and beside points of the subgroup; x = 0 and y = 0 among it."""
    operation = "ed25519.msm"
    group, source = ORACLES[operation], random.Random(4)
    small = []
    for x, y, z, _ in torsion():
        inverse = pow(z, -1, group.p)
        small.append((x * inverse % group.p, y * inverse % group.p))
    assert len(set(small)) == 8
    points = [*small, *(group.add(point, group.generator) for point in small)] * 3
    values = [source.randrange(group.order) for _ in points]
    assert compute(operation, points, values) == expected(operation, points, values)
    equal = [values[0]] * len(points)
    assert compute(operation, points, equal) == expected(operation, points, equal)


@pytest.mark.parametrize("operation", ["bls12_381.g1.msm", "ed25519.msm"])
@pytest.mark.parametrize("precompute", [1, 3, 1000])
def test_resident(operation, precompute):
    points = [*some(operation, 9), None]
    source = random.Random(precompute)
    group, device = MSM[operation], HostDevice()
    resident = msm.prepare(group, device, coordinates(operation, points), precompute)
    rows = [[source.randrange(group.order) for _ in points] for _ in range(2)]
    scalars = np.concatenate([words(row) for row in rows])
    found = msm.multiply_resident(group, device, resident, scalars)
    assert found.tolist() == [expected(operation, points, row) for row in rows]


def test_refused_points(operation):
    """The first bad row is named, in later pieces too."""
    group = ORACLES[operation]
    good = coordinates(operation, some(operation, 40)).reshape(40, -1)
    for row, value, match in ((23, group.p, "≥ p in row 23"), (31, 1, "not on the curve in row 31")):
        bad = good.copy()
        size = group.base.words
        bad[row, -size:] = np.frombuffer(value.to_bytes(8 * size, "little"), "<u8")
        bad[row + 5, 0] ^= np.uint64(1)
        for limit in (None, msm.choose(MSM[operation], 30).bytes() * 2):
            with pytest.raises(ArgumentError, match=match):
                msm.multiply(MSM[operation], HostDevice(), bad.reshape(-1), words([1] * 40), limit)


def test_known_answers(operation, monkeypatch):
    monkeypatch.setattr(devices, "_search", lambda: ((HostDevice(),), ""))
    outcome = selftest.known_answers(operation, "cuda")
    assert outcome.ok, outcome.detail


def test_the_subgroup_is_checked_there(monkeypatch):
    device = HostDevice()
    monkeypatch.setattr(devices, "_search", lambda: ((device,), ""))
    operation = "bls12_381.g1.msm"
    points = [*some(operation, 4), None, ORACLES[operation].curve_point(5)]
    rows, scalars = coordinates(operation, points).reshape(6, 2, 6), words(range(6))[0]
    call = partial(public_msm, "bls12_381", backend="cuda", subgroup=True)
    assert call(rows[:5], scalars[:5]).reshape(-1).tolist() == expected(operation, points[:5], range(5))
    assert "group_decode" in device.launches
    with pytest.raises(ArgumentError, match="outside the subgroup in row 5"):
        call(rows, scalars)


def test_plans_use_memory_as_they_say(operation):
    """The twin counts what is allocated; the formula is an upper bound."""
    points = some(operation, 60)
    device = HostDevice()
    most = 0
    taken = device.free_bytes

    def watch():
        nonlocal most
        most = max(most, device.taken)
        return taken()

    device.free_bytes = watch
    compute(operation, points, list(range(1, 61)), device=device)
    assert 0 < most <= msm.choose(MSM[operation], 60).bytes()
