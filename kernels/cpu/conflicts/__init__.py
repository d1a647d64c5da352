# SPDX-License-Identifier: GPL-3.0-or-later
"""Conflict detection over read and write sets."""
