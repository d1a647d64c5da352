# SPDX-License-Identifier: GPL-3.0-or-later
"""Untrusted input files, read within limits, and output files that appear under their name only when complete."""
