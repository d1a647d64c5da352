# SPDX-License-Identifier: GPL-3.0-or-later
"""Field elements in lanes: one specification of a prime, several ways to multiply."""
