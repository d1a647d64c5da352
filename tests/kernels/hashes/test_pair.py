# SPDX-License-Identifier: GPL-3.0-or-later
"""The hash of a byte and two rows, lane by lane, against the oracle."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit
from numba.core.errors import TypingError

from supervm.crypto.hashes import DEDICATED, KERNELS
from supervm.crypto.oracle import hashes as oracle
from supervm.crypto.params.hashes import KECCAK256
from supervm.kernels.cpu.hashes.emitter import HashKernel
from supervm.kernels.cpu.hashes.pair import PAIR_PLAN_ROWS, ROW, hash_pairs, pair_width
from supervm.kernels.cpu.lanes.features import cpu_features
from supervm.kernels.cpu.lanes.lanes import LANES_64


@pytest.fixture(params=[False, True], ids=["lanes", "dedicated"])
def kernel_of(request, backend):
    """The kernel of a function: the backend's lanes, or the instructions for SHA-256."""
    if request.param and not cpu_features().sha:
        pytest.skip("the processor has no instructions for SHA-256, or Numba does not compile for them")

    def kernel_of(name):
        if request.param and name != "sha256":
            pytest.skip("there are instructions for SHA-256 only")
        return DEDICATED[backend] if request.param else KERNELS[name, backend]

    return kernel_of


@njit
def messages_at_once(kernel):
    return pair_width(kernel)


def addresses(array, rows):
    return array.ctypes.data + ROW * np.asarray(rows, np.int64)


@pytest.mark.parametrize("name", ["sha256", "keccak256"])
@pytest.mark.parametrize("prefix", [0, 1, 0x80, 0xFF])
def test_every_lane(name, prefix, kernel_of):
    """Rows in any order, shared by lanes, of extreme bytes; digests go where they are told to."""
    kernel = kernel_of(name)
    lanes = messages_at_once(kernel)
    random = np.random.default_rng(prefix)
    rows = random.integers(0, 256, (40, ROW), dtype=np.uint8)
    rows[0], rows[1] = 0, 255
    for _ in range(20):
        left, right = random.integers(0, 40, (2, lanes))
        targets = random.permutation(lanes)
        out = np.zeros((lanes, ROW), np.uint8)
        plan = np.concatenate([addresses(rows, left), addresses(rows, right), addresses(out, targets)])
        assert plan.size == PAIR_PLAN_ROWS * lanes
        hash_pairs(kernel, prefix, plan.ctypes.data)
        for lane in range(lanes):
            message = bytes([prefix]) + rows[left[lane]].tobytes() + rows[right[lane]].tobytes()
            assert out[targets[lane]].tobytes() == getattr(oracle, name)(message)


def test_digests_may_replace_rows(kernel_of):
    """Every row is read before a digest is written."""
    kernel = kernel_of("sha256")
    lanes = messages_at_once(kernel)
    rows = np.random.default_rng(1).integers(0, 256, (2 * lanes, ROW), dtype=np.uint8)
    before = rows.copy()
    left, right = np.arange(lanes), np.arange(lanes, 2 * lanes)
    targets = np.roll(left, 1)
    plan = np.concatenate([addresses(rows, place) for place in (left, right, targets)])
    hash_pairs(kernel, 1, plan.ctypes.data)
    for lane in range(lanes):
        message = b"\1" + before[lane].tobytes() + before[lanes + lane].tobytes()
        assert rows[targets[lane]].tobytes() == oracle.sha256(message)


@pytest.mark.parametrize("name", ["sha512", "blake2b"])
def test_other_functions_are_refused(name):
    with pytest.raises(TypingError, match="32 bytes"):
        hash_pairs(KERNELS[name, "scalar"], 1, 0)


def test_instructions_for_others_are_refused():
    with pytest.raises(TypingError, match="SHA-256 only"):
        hash_pairs(HashKernel(KECCAK256, LANES_64, dedicated=True), 1, 0)


def test_every_last_byte(kernel_of):
    """Of the second block only the first byte differs."""
    kernel = kernel_of("sha256")
    lanes = messages_at_once(kernel)
    rows = np.random.default_rng(4).integers(0, 256, (256, ROW), dtype=np.uint8)
    rows[:, -1] = np.arange(256)
    out = np.zeros((lanes, ROW), np.uint8)
    for first in range(0, 256, lanes):
        right = (first + np.arange(lanes)) % 256
        plan = np.concatenate(
            [addresses(rows, (right - 1) % 256), addresses(rows, right), addresses(out, range(lanes))]
        )
        hash_pairs(kernel, 1, plan.ctypes.data)
        for lane, row in enumerate(right):
            message = b"\1" + rows[row - 1].tobytes() + rows[row].tobytes()
            assert out[lane].tobytes() == oracle.sha256(message)
