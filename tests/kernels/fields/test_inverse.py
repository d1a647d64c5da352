# SPDX-License-Identifier: GPL-3.0-or-later
"""Inverses by division steps against Python's pow."""

from __future__ import annotations

import numpy as np
import pytest
from lanes_here import HERE, raw_value, scale
from numba import njit

from supervm.crypto.params import bls12_381, bn254
from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.fields import inverse
from supervm.kernels.cpu.fields.element_type import Field


@njit(nogil=True)
def _invert(field, values, out, room):
    size = fe.storage(field)
    for index in range(values.size // size):
        fe.store(out, index * size, inverse.invert_first(field, fe.load(field, values, index * size), room))


@pytest.mark.parametrize("spec", [bn254.FP, bls12_381.FP], ids=["bn254", "bls12_381"])
def test_inverses(spec, backend):
    p, lanes = spec.modulus, HERE[backend]
    field = Field(spec, lanes)
    code = field.element.code
    random = np.random.default_rng(1)
    numbers = [1, 2, 3, p - 1, p - 2, (p + 1) // 2, 1 << 60, (1 << 253) - 1, 0]
    numbers += [int.from_bytes(random.bytes(64), "little") % p for _ in range(300)]
    values = np.array([field.represent(n) for n in numbers], np.uint64)
    filled = np.repeat(values[:, :, None], lanes.width, axis=2)
    filled[:, :, 1:] = np.roll(values, 1, axis=0)[:, :, None]  # the other lanes hold something else
    out = np.empty_like(filled)
    _invert(field, filled.reshape(-1), out.reshape(-1), inverse.room())
    for number, limbs in zip(numbers, out, strict=True):
        expected = pow(number, -1, p) if number else 0
        for lane in range(lanes.width):
            assert raw_value(code, limbs[:, lane]) * scale(code) % p == expected, number
