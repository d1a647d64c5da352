# SPDX-License-Identifier: GPL-3.0-or-later
"""Verification of a slice of a batch of signatures, from bytes to verdicts."""
