# SPDX-License-Identifier: GPL-3.0-or-later
"""Points of G1 and G2, and sums of many of every group, on a real device against the processor."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from supervm.crypto import curves, msm
from supervm.crypto.group_operations import GROUPS
from supervm.crypto.msm_work import CURVES
from supervm.crypto.msm_work import GROUPS as SUMS
from supervm.kernels.cpu.msm.msm import multiples
from supervm.kernels.spec import QuadraticSpec

pytestmark = pytest.mark.gpu
names = pytest.mark.parametrize("name", GROUPS)
SIZES = (1, 17, 129, 20_011)


def made(name: str, count: int) -> tuple[Any, Any]:
    """The group, and multiples of its generator, opposite ones and infinity among them."""
    curve, which = name.split(".")
    group = getattr(curves.get(curve), which)
    scalars = np.random.default_rng(count).integers(0, 1 << 64, (count, 4), np.uint64)
    points = group.multiply(np.repeat(group.generator[None], count, axis=0), scalars)
    points[count // 2 :: 5] = group.negate(points[: len(points[count // 2 :: 5])])
    points[3::7] = 0
    return group, points


@names
@pytest.mark.parametrize("count", SIZES)
def test_arithmetic(name: str, count: int) -> None:
    group, points = made(name, count)
    scalars = np.random.default_rng(1).integers(0, 1 << 64, (count, 4), np.uint64)
    for call in (
        lambda backend: group.add(points, np.roll(points, count // 2, axis=0), backend=backend),
        lambda backend: group.double(points, form="xyzz", backend=backend),
        lambda backend: group.multiply(points, scalars, backend=backend),
        lambda backend: group.normalise(group.convert(points, "jacobian"), backend),
        lambda backend: group.sum(points, backend=backend),
    ):
        assert np.array_equal(call("cuda"), call("auto"))


@names
@pytest.mark.parametrize("encoding", ["little", "zcash_compressed"])
def test_decoding(name: str, encoding: str) -> None:
    if encoding == "zcash_compressed" and name.startswith("bn254"):
        pytest.skip("an encoding of BLS12-381")
    group, points = made(name, SIZES[-1])
    data = group.to_bytes(points, encoding)
    flipped = np.random.default_rng(2).integers(0, data.shape[1], len(data) // 3)
    data[: len(flipped)][np.arange(len(flipped)), flipped] ^= 1
    for check in ("none", "field", "curve", "subgroup"):
        found = group.from_bytes(data, encoding, check, "cuda")
        for here, there in zip(group.from_bytes(data, encoding, check), found, strict=True):
            assert np.array_equal(here, there)
    assert np.array_equal(group.in_subgroup(points, "cuda"), group.in_subgroup(points))


@pytest.mark.parametrize("operation", SUMS)
@pytest.mark.parametrize("count", [1, 33, 4097, 1 << 17])
def test_sums(operation: str, count: int) -> None:
    """Uniform scalars, equal ones, and points that stay on the device."""
    spec = SUMS[operation]
    shape = (count, 2, 2, -1) if isinstance(spec.field, QuadraticSpec) else (count, 2, -1)
    points = multiples(CURVES[operation, "scalar"], count).reshape(shape)
    scalars = np.random.default_rng(count).integers(0, 1 << 60, (2, count, 4), np.uint64)
    scalars[1] = scalars[1, :1]
    curve, group = operation.split(".")[0], "g2" if ".g2." in operation else "g1"
    expected = msm.msm(curve, points, scalars, group=group)
    assert np.array_equal(msm.msm(curve, points, scalars, group=group, backend="cuda"), expected)
    table = msm.prepare(curve, points, group=group, precompute=3, backend="cuda")
    assert np.array_equal(table.msm(scalars), expected)
