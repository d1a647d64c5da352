# SPDX-License-Identifier: GPL-3.0-or-later
"""The sorts and scans of CUDA programs on the host twin, against NumPy's."""

from __future__ import annotations

import host_twin
import numpy as np
import pytest
from host_device import HostDevice

from supervm.kernels.cuda.runtime import radix_sort

pytestmark = [
    pytest.mark.twin,
    pytest.mark.skipif(bool(host_twin.missing()), reason=host_twin.missing() or "a compiler is there"),
]

TILE = radix_sort.TILE


@pytest.mark.parametrize("count", [1, 255, TILE - 1, TILE, TILE + 1, 5 * TILE + 77])
def test_sorting_is_stable(count: int) -> None:
    random = np.random.default_rng(count)
    for varying in (0xFF, 0xFFF, 0xF000_0000_0000_000F, 2**64 - 1):
        keys = random.integers(0, 2**64, count, dtype=np.uint64) & np.uint64(varying) | np.uint64(
            ~varying & 2**64 - 1 & 0x550055
        )
        stream = HostDevice().stream()
        buffers = [stream.allocate(size * count) for size in (8, 8, 4, 4)]
        stream.upload(keys, buffers[0])
        stream.upload(np.arange(count, dtype=np.uint32), buffers[2])
        sorting = radix_sort.Sorting(*buffers)
        sorting.sort(stream, count, radix_sort.digits(varying))
        order = np.argsort(keys, kind="stable")
        assert np.array_equal(radix_sort.fetch(stream, sorting.payload, np.uint32, count), order)
        assert np.array_equal(radix_sort.fetch(stream, sorting.keys, np.uint64, count), keys[order])


def test_digits_cover_what_varies() -> None:
    for varying, expected in (
        (0, []),
        (1, [0]),
        (0x1FF, [0, 8]),
        (0xFF0, [4]),
        (0x8000_0000_0000_0001, [0, 63]),
        (2**64 - 1, list(range(0, 64, 8))),
    ):
        assert radix_sort.digits(varying) == expected


@pytest.mark.parametrize("count", [1, 16, TILE - 1, TILE, TILE + 1, 40 * TILE + 3])
def test_scans(count: int) -> None:
    random = np.random.default_rng(count)
    for share in (0.5, 0.0005):
        numbers = (random.random(count) < share) * random.integers(1, 2**16, count)
        for backward in (False, True):
            along = numbers[::-1] if backward else numbers
            sums = np.cumsum(along)
            last = along[np.maximum.accumulate(np.where(along > 0, np.arange(count), 0))]
            for adds, expected in ((True, sums), (False, last)):
                stream = HostDevice().stream()
                buffer, work = stream.allocate(4 * count), stream.allocate(4 * radix_sort.tiles(count))
                stream.upload(numbers.astype(np.uint32), buffer)
                radix_sort.scan(stream, count, buffer, work, adds=adds, backward=backward)
                found = radix_sort.fetch(stream, buffer, np.uint32, count)
                assert np.array_equal(found[::-1] if backward else found, expected)
