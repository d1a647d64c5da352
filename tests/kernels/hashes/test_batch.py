# SPDX-License-Identifier: GPL-3.0-or-later
"""The ragged driver of the hash kernels: order, slices, memory, threads."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from supervm.crypto.hashes import KERNELS, SPECS
from supervm.kernels import set_threads
from supervm.kernels.cpu.hashes import batch as hash_batch
from supervm.kernels.cpu.hashes.batch import digest_into, hash_slice, order_by_count
from supervm.kernels.cpu.hashes.padding import tail_stride
from supervm.kernels.work import Ragged


@pytest.fixture(params=[1, 2, 3])
def threads(request):
    set_threads(request.param)
    yield request.param
    set_threads(1)


def ragged(lengths, seed=0):
    """Random bytes for these lengths: data, offsets, and the messages one by one."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    data = np.random.default_rng(seed).integers(0, 256, offsets[-1], dtype=np.uint8)
    return data, offsets, [data[a:b].tobytes() for a, b in pairwise(offsets)]


@pytest.mark.parametrize("largest", [1, 2, 100, 2047, 2048, 5000, 1 << 23, 1 << 40])
def test_order_is_a_stable_sort(largest):
    counts = np.random.default_rng(largest).integers(1, largest + 1, 3000)
    assert (order_by_count(counts) == np.argsort(counts, kind="stable")).all()


def test_order_of_nothing_and_of_equals():
    assert order_by_count(np.zeros(0, np.int64)).size == 0
    assert order_by_count(np.full(5, 7)).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("name", list(SPECS))
def test_padded_blocks_fit_their_row(name):
    spec = SPECS[name]
    for length in range(4 * spec.block_bytes):
        behind = spec.blocks(length) - length // spec.block_bytes
        assert 0 <= behind * spec.block_bytes <= tail_stride(spec)


@pytest.mark.parametrize("name", ["sha256", "keccak256", "blake2b"])
def test_a_long_message_beside_short_ones(backend, name):
    """The lanes of short ones read no further when they are done: their memory ends long before the long one's does."""
    lengths = ([0, 1, 40, 200] * 8)[1:]  # with the long one whole groups of lanes
    data, offsets, _ = ragged([*lengths, 1 << 26])
    size = SPECS[name].digest_bytes
    out, alone = np.zeros((len(lengths) + 1, size), np.uint8), np.zeros((len(lengths), size), np.uint8)
    digest_into(KERNELS[name, backend], Ragged(data, offsets), out)
    digest_into(KERNELS[name, backend], Ragged(data[: offsets[-2]], offsets[:-1]), alone)
    assert (out[:-1] == alone).all()


def test_threads_share_a_batch(backend, threads):
    """More messages than a slice takes, and lengths so uneven that slices end in any order."""
    lengths = np.random.default_rng(threads).integers(0, 120, hash_batch.SLICE + 1000)
    lengths[[3, 4000, -1]] = 50_000
    data, offsets, messages = ragged(lengths)
    out = np.empty((lengths.size, 32), np.uint8)
    digest_into(KERNELS["sha256", backend], Ragged(data, offsets), out)
    assert out.tobytes() == b"".join(hashlib.sha256(message).digest() for message in messages)


def test_slice_writes_its_own_rows(backend):
    data, offsets, messages = ragged(np.arange(40))
    out = np.full(40 * 64, 0xEE, np.uint8)
    hash_slice(KERNELS["sha512", backend], data, offsets, out, 5, 23)
    rows = out.reshape(40, 64)
    assert (rows[:5] == 0xEE).all()
    assert (rows[23:] == 0xEE).all()
    assert rows[5:23].tobytes() == b"".join(hashlib.sha512(message).digest() for message in messages[5:23])
    hash_slice(KERNELS["sha512", backend], data, offsets, out, 40, 40)
    assert (rows[23:] == 0xEE).all()


def test_offsets_may_start_and_end_inside_the_data(backend):
    data, offsets, messages = ragged([10, 300, 0, 64, 10])
    out = np.empty((3, 64), np.uint8)
    digest_into(KERNELS["blake2b", backend], Ragged(data, offsets[1:-1].copy()), out)
    assert out.tobytes() == b"".join(hashlib.blake2b(message).digest() for message in messages[1:-1])


def test_read_only_arrays_compile_nothing_new(backend):
    data, offsets, messages = ragged([5, 6])
    out = np.empty((2, 32), np.uint8)
    digest_into(KERNELS["sha256", backend], Ragged(data, offsets), out)
    compiled = len(hash_slice.signatures)
    data.setflags(write=False)
    offsets.setflags(write=False)
    out[:] = 0
    digest_into(KERNELS["sha256", backend], Ragged(data, offsets), out)
    assert out.tobytes() == b"".join(hashlib.sha256(message).digest() for message in messages)
    assert len(hash_slice.signatures) == compiled


FENCED = """
import ctypes, hashlib, mmap
import numpy as np
from Crypto.Hash import keccak
from supervm.crypto.hashes import KERNELS, SPECS
from supervm.kernels.cpu.hashes.batch import digest_into
from supervm.kernels.work import Ragged

PAGE = mmap.PAGESIZE
memory = mmap.mmap(-1, 3 * PAGE)
start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
for page in (0, 2):
    fence = ctypes.c_void_p(start + page * PAGE), ctypes.c_size_t(PAGE), 0
    assert ctypes.CDLL(None).mprotect(*fence) == 0
inside = np.frombuffer(memory, np.uint8)[PAGE : 2 * PAGE]
inside[:] = np.random.default_rng(0).integers(0, 256, PAGE)

def reference(name, message):
    if name == "keccak256":
        return keccak.new(digest_bits=256, data=message).digest()
    return hashlib.new(name, message).digest()

for name, spec in SPECS.items():
    for length in (0, 1, 63, 64, 65, 127, 128, 135, 136, 137, 200):
        first, last = inside[:length], inside[PAGE - length :]
        for part in (first, last):
            out = np.empty((2, spec.digest_bytes), np.uint8)
            digest_into(KERNELS[name, BACKEND], Ragged(part, np.array([0, 0, length])), out)
            assert out[1].tobytes() == reference(name, part.tobytes()), (name, length)
"""


def test_nothing_is_read_outside_the_data(backend):
    """The page before and the page after the data may not be touched: an access would end the process."""
    ran = subprocess.run(
        [sys.executable, "-c", f"BACKEND = {backend!r}\n{FENCED}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, f"exit status {ran.returncode}\n{ran.stderr}"
