# SPDX-License-Identifier: GPL-3.0-or-later
"""Transforms as the device runs them: every number of passes, pieces, arrays that lie there. The GPU is the host twin."""

from __future__ import annotations

import host_twin
import numpy as np
import pytest
from host_device import HostDevice, ResidentArray

from supervm.crypto import ntt
from supervm.crypto.oracle import ntt as oracle
from supervm.crypto.polynomials.arguments import SPECS
from supervm.kernels.arrays import integers
from supervm.kernels.cuda import ntt as cuda_ntt
from supervm.kernels.cuda.runtime import devices
from supervm.kernels.errors import ArgumentError, DeviceOutOfMemory
from supervm.kernels.transform import Transform, words_of

pytestmark = pytest.mark.twin
SPEC = SPECS["bn254"]


@pytest.fixture
def device(monkeypatch):
    if host_twin.missing():
        pytest.skip(host_twin.missing())
    made = HostDevice()
    monkeypatch.setattr(devices, "_search", lambda: ((made,), ""))
    monkeypatch.setattr(devices, "numbered", lambda number: made)
    return made


def random_array(shape, seed=0):
    words = np.random.default_rng(seed).integers(0, 1 << 64, (*shape, 4), np.uint64)
    words[..., 3] >>= np.uint64(12)
    return words


def transformed(device, values, what):
    out = np.empty_like(values)
    cuda_ntt.transform(device, SPEC, values, what, out)
    return out


def test_digits():
    assert [cuda_ntt.digits(log) for log in (0, 10, 11, 20, 21)] == [[0], [10], [6, 5], [10, 10], [7, 7, 7]]
    for log in range(31):
        parts = cuda_ntt.digits(log)
        assert sum(parts) == log
        assert max(parts) <= cuda_ntt.LOG_TILE
        assert max(parts) - min(parts) <= 1
        assert len(parts) <= 3


@pytest.mark.parametrize("parts", [[2, 1], [1, 2, 1], [3, 2, 2], [2, 3, 4], [4, 1, 3], [5, 4]])
@pytest.mark.parametrize("log_whole", [16, 3])
@pytest.mark.parametrize("reversed_", [False, True])
def test_every_number_of_passes(device, monkeypatch, parts, reversed_, log_whole):
    """Three passes come above 2^20 numbers only: here with digits of few bits, and split tables for small ones."""
    monkeypatch.setattr(cuda_ntt, "LOG_WHOLE", log_whole)
    monkeypatch.setattr(cuda_ntt, "digits", lambda log: parts)
    log, shift = sum(parts), 11
    values = random_array((5, 1 << log))
    found = transformed(device, values, Transform(log, shift=shift, reversed=reversed_))
    assert device.launches == ["ntt_pass"] * len(parts)
    for row, result in zip(values, found, strict=True):
        expected = oracle.forward(SPEC, integers(row), shift)
        assert integers(result) == (oracle.bit_reversed(expected) if reversed_ else expected)
    for coset in (shift, 1):
        there = transformed(device, values, Transform(log, shift=coset, reversed=reversed_))
        back = transformed(device, there, Transform(log, inverse=True, shift=coset, reversed=reversed_))
        assert np.array_equal(back, values)


@pytest.mark.parametrize("log", [0, 1, 3, 7])
@pytest.mark.parametrize("count", [1, 3, 300])
def test_small_transforms_share_tiles(device, log, count):
    values = random_array((count, 1 << log))
    found = transformed(device, values, Transform(log))
    assert np.array_equal(found, ntt.ntt("bn254", values))


def test_pieces_that_fit(device):
    values = random_array((40, 256))
    expected = transformed(device, values, Transform(8))
    assert np.array_equal(expected, ntt.ntt("bn254", values))
    for transforms in (1, 7, 39):
        device.memory = device.taken + int((transforms * 2 * values[0].nbytes + 3000) / 0.9)
        before = len(device.launches)
        assert np.array_equal(transformed(device, values, Transform(8)), expected)
        assert len(device.launches) - before == -(-40 // transforms)
    device.memory = device.taken + 1000
    with pytest.raises(DeviceOutOfMemory, match="bytes for a transform"):
        transformed(device, values, Transform(8))


def test_nothing_is_launched_for_nothing(device):
    assert transformed(device, np.zeros((0, 8, 4), np.uint64), Transform(3)).shape == (0, 8, 4)
    assert not device.launches


@pytest.mark.parametrize("log", [3, 12])
@pytest.mark.parametrize("options", [{}, {"order": "bit_reversed"}, {"inverse": True, "coset": True}])
def test_arrays_that_lie_there_stay_there(device, log, options):
    values = random_array((2, 3, 1 << log))
    kept = values.copy()
    found = ntt.ntt("bls12_381", ResidentArray(values), **options)
    assert isinstance(found, ResidentArray)
    assert device.synchronized
    assert np.array_equal(found.get(), ntt.ntt("bls12_381", values, **options))
    assert np.array_equal(values, kept)


def test_addresses_that_are_no_multiple_of_sixteen(device):
    room = np.empty(8 * 4 + 2, np.uint64)
    first = 1 if room.ctypes.data % 16 == 0 else 0
    values = room[first : first + 32].reshape(8, 4)
    values[...] = random_array((8,))
    assert values.ctypes.data % 16 == 8
    assert np.array_equal(ntt.ntt("bn254", ResidentArray(values)).get(), ntt.ntt("bn254", values))


def test_numbers_that_lie_there_are_checked(device):
    values = random_array((2, 8))
    values[1, 5] = words_of([SPEC.modulus])
    with pytest.raises(ArgumentError, match="row 13 is not below the modulus"):
        ntt.ntt("bn254", ResidentArray(values))
    values[1, 5] = words_of([SPEC.modulus - 1])
    ntt.ntt("bn254", ResidentArray(values))
    with pytest.raises(ArgumentError, match="'backend'"):
        ntt.ntt("bn254", ResidentArray(values), backend="scalar")
    with pytest.raises(ArgumentError, match="7 elements"):
        ntt.ntt("bn254", ResidentArray(values[0, :7].copy()))
    with pytest.raises(ArgumentError, match="float64"):
        ntt.ntt("bn254", ResidentArray(np.zeros((8, 4))))
