# SPDX-License-Identifier: GPL-3.0-or-later
"""Merkle trees, dense and sparse."""
