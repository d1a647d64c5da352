# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks through their stages: verify, lay out, route, execute, receipts, commit."""
