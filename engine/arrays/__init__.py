# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns of byte strings, ranks, and amounts of 256 bits."""
