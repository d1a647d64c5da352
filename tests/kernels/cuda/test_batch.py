# SPDX-License-Identifier: GPL-3.0-or-later
"""Batches on a device: the plan, the order of results, and what happens when memory is short."""

from __future__ import annotations

import hashlib
import itertools

import numpy as np
import pytest
from host_device import HostDevice
from hypothesis import given, settings
from hypothesis import strategies as st

from supervm.crypto.cuda import PROGRAMS
from supervm.kernels.cuda.runtime import batch
from supervm.kernels.errors import DeviceOutOfMemory
from supervm.kernels.work import Ragged

SHA256 = PROGRAMS["sha256"]


def ragged(lengths):
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    data = np.random.default_rng(5).integers(0, 256, int(offsets[-1]), np.uint8)
    return Ragged(data, offsets)


def digests_of(messages):
    data, offsets = messages
    return [hashlib.sha256(data[a:b].tobytes()).digest() for a, b in itertools.pairwise(offsets)]


@given(
    st.lists(st.integers(0, 5000), max_size=60),
    st.integers(1 << 12, 1 << 16),
    st.integers(1, 40),
    st.integers(1, 20_000),
)
@settings(max_examples=200)
def test_a_plan_covers_all_items_in_order_and_two_pieces_fit(lengths, free, most_items, most_bytes):
    messages, out = ragged(lengths), np.zeros((len(lengths), 32), np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch, "PIECE_ITEMS", most_items)
        patch.setattr(batch, "PIECE_BYTES", most_bytes)
        try:
            bounds = batch.plan(SHA256, (messages,), (out,), free, "test")
        except DeviceOutOfMemory:
            alone = SHA256.item_bytes((messages,), (out,)) + max(lengths)
            assert 2 * (alone + SHA256.buffers() * batch.BUFFER_OVERHEAD) > free * batch.MOST_OF_FREE
            return
    assert bounds[0] == 0
    assert bounds[-1] == len(lengths)
    for start, stop in itertools.pairwise(bounds):
        assert start < stop <= start + most_items
        size = int(messages.offsets[stop] - messages.offsets[start])
        assert 2 * (size + (stop - start) * SHA256.item_bytes((messages,), (out,))) <= free
        assert size <= most_bytes or stop == start + 1


@pytest.mark.twin
@pytest.mark.parametrize("items", [0, 1, 2, 7, 64, 301])
def test_pieces_come_back_in_order(items, monkeypatch):
    monkeypatch.setattr(batch, "PIECE_ITEMS", 10)
    lengths = np.random.default_rng(items).integers(0, 200, items)
    messages, out = ragged(lengths), np.zeros((items, 32), np.uint8)
    device = HostDevice()
    batch.run(SHA256, device, messages, out)
    assert [row.tobytes() for row in out] == digests_of(messages)
    assert len(device.launches) == -(-items // 10)
    assert device.taken == 0


@pytest.mark.twin
def test_messages_may_start_anywhere():
    whole = ragged([5, 0, 33, 64, 100])
    out = np.zeros((3, 32), np.uint8)
    batch.run(SHA256, HostDevice(), whole.part(2, 5), out)
    assert [row.tobytes() for row in out] == digests_of(whole)[2:]


@pytest.mark.twin
def test_a_small_device_takes_small_pieces():
    messages, out = ragged([40] * 500), np.zeros((500, 32), np.uint8)
    device = HostDevice(memory=20_000)
    batch.run(SHA256, device, messages, out)
    assert [row.tobytes() for row in out] == digests_of(messages)
    assert len(device.launches) > 4


def test_a_message_that_does_not_fit_is_named():
    messages, out = ragged([10, 9000, 10]), np.zeros((3, 32), np.uint8)
    with pytest.raises(DeviceOutOfMemory, match=r"item 1 .* free can be used"):
        batch.run(SHA256, HostDevice(memory=12_000), messages, out)


@pytest.mark.twin
def test_a_resident_batch_is_computed_again_and_again():
    messages, out = ragged([64] * 20), np.zeros((20, 32), np.uint8)
    device = HostDevice()
    resident = batch.Resident(SHA256, device, messages, out)
    assert not device.launches
    resident.compute(3)
    resident.collect()
    assert [row.tobytes() for row in out] == digests_of(messages)
    assert device.launches == ["hash_messages"] * 3


@pytest.mark.twin
def test_tables_are_made_once_a_device():
    device, other = HostDevice(), HostDevice(1)
    made = []

    def make(stream):
        made.append(stream.device)
        return stream.allocate(64)

    first = device.kept("table", make)
    assert device.kept("table", make) is first
    assert other.kept("table", make) is not first
    assert made == [device, other]
