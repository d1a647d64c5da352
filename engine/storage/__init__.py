# SPDX-License-Identifier: GPL-3.0-or-later
"""Persistence of the state: blocks as atomic records, checkpoints, recovery."""
