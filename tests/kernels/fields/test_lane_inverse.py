# SPDX-License-Identifier: GPL-3.0-or-later
"""The inverses of all lanes by one inversion, in every number of lanes, against Python's pow."""

from __future__ import annotations

import numpy as np
import pytest
from lanes_here import HERE, raw_value, scale
from numba import njit

from supervm.crypto.params import bn254
from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.fields.element_type import Field
from supervm.kernels.cpu.fields.inverse import room
from supervm.kernels.cpu.fields.lane_inverse import invert_lanes
from supervm.kernels.cpu.lanes.lanes import FMA, FMA_64X2

DOUBLES = any(lanes.multiplier == FMA for lanes in HERE.values())
LANES = {**HERE, **({"neon": FMA_64X2} if DOUBLES else {})}
"""With ARM's two lanes wherever doubles are multiplied: they are two lanes of any such processor."""


@njit(nogil=True)
def _invert(field, values, out, room):
    fe.store(out, 0, invert_lanes(field, fe.load(field, values, 0), room))


@pytest.mark.parametrize("name", LANES)
def test_every_lane(name):
    lanes, p = LANES[name], bn254.FP.modulus
    field = Field(bn254.FP, lanes)
    code = field.element.code
    random = np.random.default_rng(lanes.width)
    numbers = [int.from_bytes(random.bytes(64), "little") % p for _ in range(lanes.width)]
    values = np.array([field.represent(number) for number in numbers], np.uint64).T.copy()
    out = np.empty_like(values)
    _invert(field, values.reshape(-1), out.reshape(-1), room())
    for number, limbs in zip(numbers, out.T, strict=True):
        assert raw_value(code, limbs) * scale(code) % p == pow(number, -1, p)
