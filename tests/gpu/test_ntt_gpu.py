# SPDX-License-Identifier: GPL-3.0-or-later
"""Transforms on a real device: every word is the CPU's, for one, two and three passes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from supervm.crypto import ntt
from supervm.crypto.polynomials.arguments import SPECS

pytestmark = pytest.mark.gpu


def random_array(*shape: int) -> Any:
    words = np.random.default_rng(shape).integers(0, 1 << 64, (*shape, 4), np.uint64)
    words[..., 3] >>= np.uint64(12)
    return words


@pytest.mark.parametrize("options", [{}, {"order": "bit_reversed"}, {"coset": True}])
@pytest.mark.parametrize("curve", list(SPECS))
@pytest.mark.parametrize(
    ("batch", "log"), [(3, 0), (1000, 1), (37, 7), (5, 10), (3, 11), (1, 20), (1, 21), (1, 24)]
)
def test_transforms(curve: str, batch: int, log: int, options: dict[str, Any]) -> None:
    values = random_array(batch, 1 << log)
    found = ntt.ntt(curve, values, backend="cuda", **options)
    assert np.array_equal(found, ntt.ntt(curve, values, **options))
    back = ntt.ntt(curve, found, inverse=True, backend="cuda", **options)
    assert np.array_equal(back, values)


def test_arrays_that_lie_there() -> None:
    import cupy

    values = random_array(2, 1 << 14)
    found = ntt.ntt("bn254", cupy.asarray(values))
    assert isinstance(found, cupy.ndarray)
    assert np.array_equal(found.get(), ntt.ntt("bn254", values))
