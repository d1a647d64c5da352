# SPDX-License-Identifier: GPL-3.0-or-later
"""Arrays as kernels want them."""

from __future__ import annotations

import pytest

from supervm.kernels.arrays import LINE, aligned


@pytest.mark.parametrize("count", [1, 7, 8, 9, 1 << 16])
def test_lines_begin_with_the_array(count):
    found = [aligned(count) for _ in range(4)]
    assert all(each.shape == (count,) and each.ctypes.data % LINE == 0 for each in found)
    assert all(each.flags.writeable and each.flags.c_contiguous for each in found)
