# SPDX-License-Identifier: GPL-3.0-or-later
"""The hash of a byte and two rows, lane by lane, against the oracle."""

from __future__ import annotations

import numpy as np
import pytest
from numba.core.errors import TypingError

from supervm.crypto.hashes import KERNELS
from supervm.crypto.oracle import hashes as oracle
from supervm.kernels.cpu.hash_pair import PAIR_PLAN_ROWS, ROW, hash_pairs


def addresses(array, rows):
    return array.ctypes.data + ROW * np.asarray(rows, np.int64)


@pytest.mark.parametrize("name", ["sha256", "keccak256"])
@pytest.mark.parametrize("prefix", [0, 1, 0x80, 0xFF])
def test_every_lane(name, prefix, backend):
    """Rows in any order, shared by lanes, of extreme bytes; digests go where they are told to."""
    kernel = KERNELS[name, backend]
    lanes = kernel.lanes.width
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


def test_digests_may_replace_rows(backend):
    """Every row is read before a digest is written."""
    kernel = KERNELS["sha256", backend]
    lanes = kernel.lanes.width
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
