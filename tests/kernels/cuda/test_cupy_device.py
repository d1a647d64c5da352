# SPDX-License-Identifier: GPL-3.0-or-later
"""The CuPy device over a stand-in for CuPy whose copies and kernels happen when the stream is synchronised, and the search
for devices with every kind of missing part. Whether CuPy itself behaves so is what the tests under `gpu` show."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys

import numpy as np
import pytest
from fake_cupy import CUDADriverError, CUDARuntimeError, FakeCupy
from host_device import ResidentArray

from supervm.crypto import curves, msm
from supervm.crypto.cuda import PROGRAMS
from supervm.kernels.cuda.runtime import batch, devices
from supervm.kernels.errors import BackendUnavailable, DeviceError, DeviceLost, DeviceOutOfMemory
from supervm.kernels.work import Ragged

NAME = "supervm.kernels.cuda.runtime.cupy_device"
SHA256 = PROGRAMS["sha256"]


@pytest.fixture
def with_cupy(monkeypatch):
    """Put a fake CuPy in place and forget devices that were found before; returns the search."""

    def put(fake):
        monkeypatch.setitem(sys.modules, "cupy", fake)
        fake.__spec__ = importlib.machinery.ModuleSpec("cupy", None)
        monkeypatch.delitem(sys.modules, NAME, raising=False)
        monkeypatch.setattr(sys.modules["supervm.kernels.cuda"], "cupy_device", None, raising=False)
        devices._search.cache_clear()
        return devices

    yield put
    devices._search.cache_clear()
    sys.modules.pop(NAME, None)


@pytest.fixture
def gpu(with_cupy, monkeypatch):
    """(device, fake) of a process with two GPUs."""
    fake = FakeCupy(devices=2)
    found = with_cupy(fake).devices()
    monkeypatch.setattr(
        sys.modules[NAME], "cubin", lambda program, architecture: _named(fake, program, architecture)
    )
    return found[0], fake


def _named(fake, program, architecture):
    name = f"{program.digest}-{architecture}"
    fake.programs[name] = program
    return name


def batch_of(count, length=100):
    rng = np.random.default_rng(count)
    offsets = np.arange(0, (count + 1) * length, length, dtype=np.int64)
    return Ragged(rng.integers(0, 256, count * length, np.uint8), offsets), np.zeros((count, 32), np.uint8)


def right(messages, out):
    rows = messages.data.reshape(len(out), -1)
    return [row.tobytes() for row in out] == [hashlib.sha256(row.tobytes()).digest() for row in rows]


@pytest.mark.twin
@pytest.mark.parametrize("piece", [7, 1000])
def test_a_batch_runs_through_two_streams(gpu, monkeypatch, piece):
    device, fake = gpu
    monkeypatch.setattr(batch, "PIECE_ITEMS", piece)
    messages, out = batch_of(50)
    batch.run(SHA256, device, messages, out)
    assert right(messages, out)
    assert len(fake.streams) == (2 if piece == 7 else 1)
    assert fake.launched == [(0, "hash_messages")] * -(-50 // piece)


@pytest.mark.twin
def test_a_sum_over_arrays_of_the_device_copies_none_of_them(gpu):
    """What is sent are the order, the windows' offset and where refusals are noted; back come those and the windows."""
    _, fake = gpu
    points = np.repeat(curves.get("bn254").g1.generator[None], 400, axis=0)
    scalars = np.random.default_rng(4).integers(0, 1 << 60, (400, 4), np.uint64)
    expected = msm.msm("bn254", points, scalars, backend="scalar").tolist()
    there = ResidentArray(points), ResidentArray(scalars)
    assert msm.msm("bn254", *there).tolist() == expected
    table = msm.prepare("bn254", there[0])
    assert table.msm(there[1]).tolist() == expected
    to, back = fake.cuda.runtime.memcpyHostToDevice, fake.cuda.runtime.memcpyDeviceToHost
    assert sorted(size for kind, size in fake.copied if kind == to) == [4] * 4 + [32] * 2 + [48] * 2
    assert all(size < scalars.nbytes for kind, size in fake.copied if kind == back)
    assert {kind for kind, _ in fake.copied} == {to, back}
    assert fake.launched.count((0, "msm_points")) == 2


@pytest.mark.twin
def test_streams_are_used_again(gpu, monkeypatch):
    device, fake = gpu
    monkeypatch.setattr(batch, "PIECE_ITEMS", 10)
    for _ in range(3):
        messages, out = batch_of(50)
        batch.run(SHA256, device, messages, out)
        assert right(messages, out)
    assert len(fake.streams) == 2


@pytest.mark.twin
def test_after_a_failure_nothing_is_in_flight(gpu, monkeypatch):
    device, fake = gpu
    monkeypatch.setattr(batch, "PIECE_ITEMS", 10)
    messages, out = batch_of(50)
    launch, count = fake.launch, []

    def third_fails(*arguments):
        count.append(1)
        if len(count) == 3:
            raise CUDADriverError(1)
        launch(*arguments)

    monkeypatch.setattr(fake, "launch", third_fails)
    with pytest.raises(DeviceError):
        batch.run(SHA256, device, messages, out)
    assert not any(stream.queue for stream in fake.streams.values())


@pytest.mark.twin
def test_a_stream_that_is_dropped_ends_its_copies_first(gpu):
    """Staging memory goes back to the pool with the stream: nothing may still write to it."""
    device, fake = gpu
    stream = device.stream()
    buffer = stream.allocate(64)
    stream.download(buffer, np.zeros(64, np.uint8))
    (queue,) = (one.queue for one in fake.streams.values())
    assert queue
    del stream
    assert not queue
    fake.fail["synchronize"] = CUDARuntimeError(700)
    broken = device.stream()
    idle = len(device.idle_streams)
    del broken
    assert len(device.idle_streams) == idle


@pytest.mark.twin
def test_nothing_arrives_before_the_stream_is_waited_for(gpu):
    device, _ = gpu
    stream = device.stream()
    sent, back = np.arange(100, dtype=np.uint32), np.zeros(100, np.uint32)
    buffer = stream.allocate(sent.nbytes)
    stream.upload(sent, buffer)
    stream.download(buffer, back)
    assert not back.any()
    stream.wait()
    assert np.array_equal(back, sent)
    stream.clear(buffer)
    stream.download(buffer, back, 0)
    stream.wait()
    assert not back.any()


@pytest.mark.twin
def test_staging_memory_is_wiped(gpu):
    device, _ = gpu
    stream = device.stream()
    sent = np.full(64, 7, np.uint8)
    buffer = stream.allocate(64)
    stream.upload(sent, buffer)
    views = [view for _, view in stream._staged]
    stream.wait()
    assert views
    assert not any(view.any() for view in views)


@pytest.mark.twin
def test_pinned_arrays_are_copied_where_they_lie(gpu):
    device, _ = gpu
    module = sys.modules[NAME]
    pinned = module.pinned_empty((10, 8), np.uint8)
    pinned[:] = 5
    assert module.is_pinned(pinned[3:7])
    assert not module.is_pinned(np.zeros(4, np.uint8))
    stream, back = device.stream(), np.zeros((10, 8), np.uint8)
    buffer = stream.allocate(pinned.nbytes)
    stream.upload(pinned, buffer)
    assert not stream._staged
    stream.download(buffer, back)
    stream.wait()
    assert (back == 5).all()
    assert (pinned == 5).all()


@pytest.mark.twin
def test_each_device_works_on_its_own(gpu):
    _, fake = gpu
    second = devices.devices()[1]
    messages, out = batch_of(5)
    with second.use():
        assert devices.working_device() is second
        batch.run(SHA256, devices.working_device(), messages, out)
    assert right(messages, out)
    assert fake.launched == [(1, "hash_messages")]
    assert devices.working_device().index == 0
    assert devices.chosen() is None


@pytest.mark.parametrize(
    ("place", "error", "expected"),
    [
        ("malloc", CUDARuntimeError(2), DeviceOutOfMemory),
        ("launch", CUDADriverError(1), DeviceError),
        ("launch", CUDADriverError(719), DeviceLost),
        ("synchronize", CUDARuntimeError(700), DeviceLost),
        ("copy", CUDARuntimeError(46), DeviceLost),
        ("load", CUDADriverError(209), DeviceError),
    ],
)
@pytest.mark.twin
def test_errors_of_the_driver_are_errors_of_the_device(gpu, place, error, expected):
    device, fake = gpu
    fake.fail[place] = error
    messages, out = batch_of(5)
    with pytest.raises(expected, match="Fake GPU") as caught:
        batch.run(SHA256, device, messages, out)
    assert type(caught.value) is expected


@pytest.mark.twin
def test_what_is_held_is_both_pools(gpu):
    device, fake = gpu
    buffer = device.stream().allocate(1000)
    assert buffer.size >= 1000
    assert device.held_bytes() == fake.taken + 1  # the other pool of this fake holds one byte


@pytest.mark.twin
def test_the_pool_says_that_it_is_exhausted(gpu):
    device, fake = gpu
    stream = device.stream()
    with pytest.raises(DeviceOutOfMemory):
        stream.allocate(fake.memory + 1)


def test_without_cupy_the_reason_says_what_to_install(monkeypatch):
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda name: None)
    devices._search.cache_clear()
    try:
        assert "pip install" in devices.unavailable()
        assert "CuPy is not installed" in devices.unavailable()
        with pytest.raises(BackendUnavailable, match="CuPy is not installed"):
            devices.working_device()
    finally:
        monkeypatch.undo()
        devices._search.cache_clear()


def test_a_broken_library_is_a_reason(with_cupy, monkeypatch):
    found = with_cupy(FakeCupy())
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "cupy", None)
    devices._search.cache_clear()
    assert found.devices() == ()
    assert "cannot be imported" in found.unavailable()


@pytest.mark.parametrize(
    ("fake", "broken", "words"),
    [
        (FakeCupy(), CUDARuntimeError(35), "driver does not answer: CUDARuntimeError: cudaError35"),
        (FakeCupy(), OSError("libcuda.so.1: file too short"), "file too short"),
        (FakeCupy(devices=0), None, "found: none"),
        (FakeCupy(capability=(7, 5)), None, r"8\.0 or above \(found: 7\.5\)"),
    ],
)
def test_a_driver_or_card_that_will_not_do_is_a_reason(with_cupy, fake, broken, words):
    fake.broken = broken
    found = with_cupy(fake)
    assert found.devices() == ()
    with pytest.raises(BackendUnavailable, match=words):
        found.working_device()


def test_without_a_compiler_there_is_no_device(with_cupy, monkeypatch):
    found = with_cupy(FakeCupy())
    monkeypatch.setattr(devices.nvrtc, "unavailable", lambda: "NVRTC is missing")
    assert (found.devices(), found.unavailable()) == ((), "NVRTC is missing")
