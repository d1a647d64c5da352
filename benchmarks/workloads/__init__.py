# SPDX-License-Identifier: GPL-3.0-or-later
"""Seeded items to measure with. The same count gives the same items on every machine."""

from typing import Final

SEED: Final = 20250101
DISTINCT: Final = 16_384
"""Signatures that are made of a kind; a larger batch repeats them: signing more would outlast measuring."""
