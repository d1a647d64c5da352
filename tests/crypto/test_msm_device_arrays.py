# SPDX-License-Identifier: GPL-3.0-or-later
"""Sums over points and scalars that lie on a GPU: nothing of them is copied, and everything is checked there.

The GPU is the host twin. What an array on it is compared with is the sum over the same NumPy arrays on a processor.
"""

from __future__ import annotations

import gc
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
from host_device import HostDevice, HostStream, ResidentArray

from supervm.crypto import curves, msm
from supervm.crypto.cuda import MSM
from supervm.crypto.oracle import edwards
from supervm.kernels import registry
from supervm.kernels.arrays import number_words
from supervm.kernels.cuda.msm import choose
from supervm.kernels.cuda.runtime import devices
from supervm.kernels.errors import ArgumentError

pytestmark = pytest.mark.twin

GROUPS = {"bn254": ("g1", "g2"), "bls12_381": ("g1", "g2")}
EVERY = [(curve, group) for curve, groups in GROUPS.items() for group in groups]
CONSTANTS = 48 + 32 + 3 * 4
"""Bytes that a call sends besides its arguments: the windows' offset, the order, and where refusals are noted."""


@pytest.fixture
def moved(monkeypatch):
    """What goes to the device and comes back: bytes sent, and (address, bytes) fetched."""
    seen = SimpleNamespace(sent=[], fetched=[])
    upload, download = HostStream.upload, HostStream.download

    def sent(self, host, buffer, offset=0):
        seen.sent.append(host.nbytes)
        upload(self, host, buffer, offset)

    def fetched(self, buffer, host, offset=0):
        seen.fetched.append((buffer.address + offset, host.nbytes))
        download(self, buffer, host, offset)

    monkeypatch.setattr(HostStream, "upload", sent)
    monkeypatch.setattr(HostStream, "download", fetched)
    return seen


def read_from(moved, *arrays):
    """Whether anything was fetched out of the memory of arrays."""
    spans = [(array.values.ctypes.data, array.values.nbytes) for array in arrays]
    return any(
        address < start + size and start < address + count
        for start, size in spans
        for address, count in moved.fetched
    )


def points_of(curve, group, count):
    """Multiples of the generator, infinity among them."""
    which = getattr(curves.get(curve), group)
    factors = np.zeros((count, 4), np.uint64)
    factors[:, 0] = np.arange(count)
    return which.multiply(np.repeat(which.generator[None], count, axis=0), factors)


def scalars_of(curve, *shape):
    words = np.random.default_rng(len(curve)).integers(0, 1 << 64, (*shape, 4), np.uint64)
    words[..., 3] %= np.uint64(curves.get(curve).order >> 192)
    return words


@pytest.mark.parametrize(("curve", "group"), EVERY)
def test_nothing_is_copied(device, moved, curve, group):
    points, scalars = points_of(curve, group, 20), scalars_of(curve, 2, 20)
    expected = msm.msm(curve, points, scalars, group=group, backend="scalar")
    there = ResidentArray(points), ResidentArray(scalars)
    found = msm.msm(curve, *there, group=group)
    assert isinstance(found, np.ndarray)
    assert found.tolist() == expected.tolist()
    assert device.synchronized
    assert sum(moved.sent) <= CONSTANTS + 48 < min(points.nbytes, scalars.nbytes)
    assert not read_from(moved, *there)
    one = msm.msm(curve, there[0], ResidentArray(scalars[1]), group=group, backend="cuda")
    assert one.tolist() == expected[1].tolist()
    none = msm.msm(curve, ResidentArray(points[:0]), ResidentArray(scalars[:, :0].copy()), group=group)
    assert none.tolist() == np.zeros_like(expected).tolist()


def test_one_of_both_may_be_here(device, moved):
    points, scalars = points_of("bn254", "g1", 9), scalars_of("bn254", 9)
    expected = msm.msm("bn254", points, scalars, backend="scalar").tolist()
    assert msm.msm("bn254", ResidentArray(points), scalars).tolist() == expected
    assert points.nbytes not in moved.sent
    moved.sent.clear()
    assert msm.msm("bn254", points, ResidentArray(scalars)).tolist() == expected
    assert scalars.nbytes not in moved.sent


def test_pieces(device, moved):
    points, scalars = points_of("bn254", "g1", 200), scalars_of("bn254", 2, 200)
    expected = msm.msm("bn254", points, scalars, backend="scalar").tolist()
    there = ResidentArray(points), ResidentArray(scalars)
    limit = choose(MSM["bn254.g1.msm"], 200).bytes() - 1
    launched = len(device.launches)
    assert msm.msm("bn254", *there, memory_limit=limit).tolist() == expected
    assert device.launches[launched:].count("msm_points") > 1
    assert max(moved.sent) <= 48
    assert not read_from(moved, *there)


@pytest.mark.parametrize("precompute", [1, 3])
def test_a_table_lives_where_its_points_were(device, moved, precompute):
    points, scalars = points_of("bls12_381", "g1", 20), scalars_of("bls12_381", 2, 20)
    expected = msm.msm("bls12_381", points, scalars, backend="scalar").tolist()
    given = ResidentArray(points.copy())
    table = msm.prepare("bls12_381", given, precompute=precompute)
    assert sum(moved.sent) <= CONSTANTS
    assert not read_from(moved, given)
    given.values[:] = 0
    alive = weakref.ref(given)
    del given
    gc.collect()
    assert alive() is None
    assert len(table) == 20
    launched = len(device.launches)
    assert table.msm(ResidentArray(scalars)).tolist() == expected
    assert table.msm(scalars).tolist() == expected
    assert table.msm(scalars[1]).tolist() == expected[1]
    assert "msm_points" not in device.launches[launched:]


def test_a_table_made_here_takes_scalars_from_there(device, moved):
    points, scalars = points_of("bn254", "g1", 9), scalars_of("bn254", 9)
    expected = msm.msm("bn254", points, scalars, backend="scalar").tolist()
    for backend in ("auto", "cuda"):
        table = msm.prepare("bn254", points, backend=backend)
        for _ in range(2):
            assert table.msm(ResidentArray(scalars)).tolist() == expected
    assert moved.sent.count(points.nbytes) == 2
    assert scalars.nbytes not in moved.sent
    with pytest.raises(ArgumentError, match=r"backend.*'scalar'"):
        msm.prepare("bn254", points, backend="scalar").msm(ResidentArray(scalars))


def test_arrays_there_are_nothing_for_a_dispatcher(device, monkeypatch):
    def dispatcher(work):
        raise AssertionError("the place is decided")

    points, scalars = points_of("bn254", "g1", 3), scalars_of("bn254", 3)
    monkeypatch.setattr(registry, "_dispatcher", dispatcher)
    msm.msm("bn254", ResidentArray(points), ResidentArray(scalars))


def same_error(call, *arrays):
    """The error that arrays on the device lead to, which is that of NumPy arrays."""
    told = []
    for place in (lambda array: array, ResidentArray):
        with pytest.raises(ArgumentError) as caught:
            call(*map(place, arrays))
        told.append((caught.value.argument, str(caught.value)))
    assert told[0] == told[1]
    return told[0][1]


@pytest.mark.parametrize(("curve", "group"), EVERY)
def test_refused_points(device, curve, group):
    points, scalars = points_of(curve, group, 12), scalars_of(curve, 12)
    modulus = MSM[f"{curve}.{group}.msm"].spec.field
    p = getattr(modulus, "base", modulus).modulus
    size = points.shape[-1]
    above, off = points.copy(), points.copy()
    above.reshape(12, -1)[7, -size:] = [p >> 64 * index & (1 << 64) - 1 for index in range(size)]
    above.reshape(12, -1)[9, 0] ^= np.uint64(1)
    off.reshape(12, -1)[5, 0] ^= np.uint64(1)

    def call(*arrays):
        msm.msm(curve, *arrays, group=group, backend="cuda")

    assert "≥ p in row 7" in same_error(call, above, scalars)
    assert "not on the curve in row 5" in same_error(call, off, scalars)
    assert "row 5" in same_error(lambda given: msm.prepare(curve, given, group=group, backend="cuda"), off)


@pytest.mark.parametrize("curve", GROUPS)
def test_refused_scalars(device, curve):
    points, scalars = points_of(curve, "g1", 300), scalars_of(curve, 3, 300)
    order = curves.get(curve).order
    most = [order - 1 >> 64 * index & (1 << 64) - 1 for index in range(4)]
    scalars[0, 4] = most
    msm.msm(curve, ResidentArray(points), ResidentArray(scalars))
    scalars[1, 299] = scalars[2, 5] = most
    scalars[1, 299, 0] += np.uint64(1)
    scalars[2, 5, 3] += np.uint64(1)

    def call(*arrays):
        msm.msm(curve, *arrays, backend="cuda")

    assert "row (1, 299)" in same_error(call, points, scalars)
    assert "row 5" in same_error(call, points, scalars[2].copy())
    assert "row 299" in same_error(msm.prepare(curve, points, backend="cuda").msm, scalars[1].copy())


def test_wrong_arguments(device):
    points, scalars = points_of("bn254", "g1", 3), scalars_of("bn254", 3)

    def call(*arrays):
        msm.msm("bn254", *arrays, backend="cuda")

    assert "shape" in same_error(call, points[:, 0].copy(), scalars)
    assert "2 items" in same_error(call, points, scalars[:2])
    assert "int64" in same_error(call, points, scalars.astype(np.int64))
    for backend in ("scalar", "ifma"):
        with pytest.raises(ArgumentError, match=f"backend.*'{backend}'"):
            msm.msm("bn254", ResidentArray(points), scalars, backend=backend)
        with pytest.raises(ArgumentError, match=f"backend.*'{backend}'"):
            msm.prepare("bn254", ResidentArray(points), backend=backend)
    with pytest.raises(ArgumentError, match="contiguous"):
        msm.msm("bn254", ResidentArray(np.repeat(points, 2, axis=0)[::2]), scalars)


def test_edwards25519(device, moved):
    base, order = edwards.BASE, edwards.L
    multiples = [edwards.multiply(k, base) for k in (0, 1, 2, 5, order - 1)]
    affine = [[c * pow(z, -1, edwards.P) % edwards.P for c in (x, y)] for x, y, z, _ in multiples]
    points = np.array([[number_words(c, 4) for c in pair] for pair in affine], np.uint64)
    factors = np.array([[k, 0, 0, 0] for k in (3, 1, 4, 1, 5)], np.uint64)
    there = ResidentArray(points), ResidentArray(factors)
    expected = msm.msm("ed25519", points, factors, backend="scalar", subgroup=True)
    moved.sent.clear()
    assert msm.msm("ed25519", *there).tolist() == expected.tolist()
    assert not read_from(moved, *there)
    assert points.nbytes not in moved.sent
    assert msm.msm("ed25519", *there, subgroup=True).tolist() == expected.tolist()
    factors[2] = number_words(order, 4)
    with pytest.raises(ArgumentError, match="order of the group or more in row 2"):
        msm.msm("ed25519", *there)


def test_points_outside_the_subgroup_are_found(device, moved):
    """(0, 2) is on the curve of G1 of BLS12-381, and of order three."""
    points, scalars = points_of("bls12_381", "g1", 3), scalars_of("bls12_381", 3)
    points[1], points[1, 1, 0] = 0, 2
    there = ResidentArray(points), ResidentArray(scalars)
    expected = msm.msm("bls12_381", points, scalars, backend="scalar")
    assert msm.msm("bls12_381", *there).tolist() == expected.tolist()
    for call in (msm.msm, lambda curve, given, _, **options: msm.prepare(curve, given, **options)):
        moved.fetched.clear()
        with pytest.raises(ArgumentError, match="outside the subgroup in row 1"):
            call("bls12_381", *there, subgroup=True)
        assert not read_from(moved, *there)


def test_two_devices(monkeypatch):
    first, second = HostDevice(0), HostDevice(1)
    monkeypatch.setattr(devices, "_search", lambda: ((first, second), ""))
    points, scalars = (
        ResidentArray(array) for array in (points_of("bn254", "g1", 3), scalars_of("bn254", 3))
    )
    points.device, scalars.device = SimpleNamespace(id=0), SimpleNamespace(id=1)
    with pytest.raises(ArgumentError, match="arrays on one GPU"):
        msm.msm("bn254", points, scalars)
    table = msm.prepare("bn254", points)
    with pytest.raises(ArgumentError, match="where the points are"):
        table.msm(scalars)
    scalars.device, points.device = SimpleNamespace(id=0), SimpleNamespace(id=1)
    expected = msm.msm("bn254", points.values, scalars.values, backend="scalar")
    assert table.msm(scalars).tolist() == expected.tolist()
    assert "msm_keys" in first.launches
    assert not second.launches
