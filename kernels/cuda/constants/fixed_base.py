# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of a base point's multiples: d·2^(WINDOW_BITS·w)·B for d = 1 … WINDOW_MULTIPLES and every window w of a scalar.

With signed digits no doubling is left of a fixed-base multiplication, and the sign need not be in the table.
"""

from __future__ import annotations

from typing import TypeAlias

from supervm.kernels.spec import EdwardsSpec, WeierstrassSpec

CurveSpec: TypeAlias = EdwardsSpec | WeierstrassSpec

WINDOW_BITS = 12

WINDOW_MULTIPLES = 1 << WINDOW_BITS - 1
"""Digits are −WINDOW_MULTIPLES … WINDOW_MULTIPLES − 1."""

GROUP = 16
"""Multiples of a table, or items of a batch, for which one thread makes one inversion."""


def windows(spec: CurveSpec) -> int:
    """Windows of a scalar below the order: the carry of the last digit needs a bit of its own."""
    return -(-(spec.scalar_field.bits + 1) // WINDOW_BITS)


def table_entries(spec: CurveSpec) -> int:
    """Multiples in the table, window by window."""
    return windows(spec) * WINDOW_MULTIPLES


def table_threads(spec: CurveSpec) -> int:
    """Threads that make the table."""
    return table_entries(spec) // GROUP
