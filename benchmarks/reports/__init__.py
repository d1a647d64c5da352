# SPDX-License-Identifier: GPL-3.0-or-later
"""Recorded results as one page with plots, from what was kept or from a run of every suite."""
