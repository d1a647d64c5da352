# SPDX-License-Identifier: GPL-3.0-or-later
"""Products of sparse matrices on the host twin, against Python integers: rows of every length, cut and uncut."""

from __future__ import annotations

import random
from itertools import pairwise

import host_twin
import numpy as np
import pytest
from host_device import HostDevice

from supervm.crypto.polynomials.arguments import SPECS
from supervm.kernels.arrays import integers
from supervm.kernels.cuda import sparse_products
from supervm.kernels.cuda.sparse_products import LONGEST, NUMBER_BYTES
from supervm.kernels.transform import words_of

pytestmark = [
    pytest.mark.twin,
    pytest.mark.skipif(bool(host_twin.missing()), reason=host_twin.missing() or "a compiler is there"),
]

COLUMNS = 50


def numbers(values):
    return words_of(values).reshape(-1, 4)


@pytest.mark.parametrize("curve", list(SPECS))
@pytest.mark.parametrize(
    "lengths",
    [[1], [0, 0], [3, 0, LONGEST, 1, LONGEST + 1, 0], [2, LONGEST**2 + 1, 5, 3 * LONGEST, 0]],
    ids=["one", "empty", "cut", "cut twice"],
)
def test_products(curve, lengths):
    modulus, source = SPECS[curve].modulus, random.Random(len(lengths))
    starts = np.append(0, np.cumsum(lengths))
    places = [source.randrange(COLUMNS) for _ in range(starts[-1])]
    values = [source.choice((1, modulus - 1, source.randrange(modulus))) for _ in places]
    vectors = [[0, modulus - 1, *(source.randrange(modulus) for _ in range(COLUMNS - 2))] for _ in range(3)]
    device = HostDevice()
    stream = device.stream()
    before = device.taken
    columns = np.array(places, np.uint32)
    matrix = sparse_products.place(stream, SPECS[curve], starts, columns, numbers(values), COLUMNS)
    buffers = 2 + 2 * len(matrix.levels)
    assert device.taken - before <= sparse_products.matrix_bytes(starts) + buffers
    given = stream.allocate(NUMBER_BYTES * 3 * COLUMNS)
    stream.upload(numbers([each for row in vectors for each in row]), given)
    found = np.empty((3 * len(lengths), 4), np.uint64)
    product = stream.allocate(found.nbytes)
    matrix.multiply(stream, given, 3, product)
    stream.download(product, found)
    assert integers(found) == [
        sum(
            value * row[place]
            for value, place in zip(values[start:stop], places[start:stop], strict=True)
        ) % modulus
        for row in vectors
        for start, stop in pairwise(starts)
    ]  # fmt: skip


def test_no_piece_is_longer_than_it_may_be():
    lengths = [0, 1, LONGEST, LONGEST + 1, LONGEST**2, LONGEST**3 + 1]
    found, slots = sparse_products.levels(np.append(0, np.cumsum(lengths)))
    assert [int(np.diff(each.starts).max()) for each in found] == [LONGEST] * 3 + [2]
    assert len(found[0].targets) == 3 + 2 + LONGEST + LONGEST**2 + 1
    targets = np.concatenate([each.targets for each in found])
    assert sorted(targets.tolist()) == list(range(len(lengths) + slots)), "every slot is written once"
