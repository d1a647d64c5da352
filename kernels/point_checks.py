# SPDX-License-Identifier: GPL-3.0-or-later
"""What is found out about a point that was read from bytes: flags of its encoding, checks, and why one is refused."""

from __future__ import annotations

MALFORMED, INFINITE, LARGER = 1, 2, 4
"""Bits of an item's flags: what its encoding's flag bits say."""

NONE, FIELD, CURVE, SUBGROUP = range(4)
"""Checks; each includes those before."""

NOT_CANONICAL, NOT_ON_CURVE = 0, 1
"""Why a point of a multi-scalar multiplication is refused."""
