# SPDX-License-Identifier: GPL-3.0-or-later
"""Execution of a block's balance transfers: in block order (`sequential`), in parallel by wave (`waves`)."""
