# SPDX-License-Identifier: GPL-3.0-or-later
"""Recorded results as one page with plots, and the gate between two of them."""
