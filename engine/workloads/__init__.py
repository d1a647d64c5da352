# SPDX-License-Identifier: GPL-3.0-or-later
"""Seeded blocks of transactions for runs and measurements."""
