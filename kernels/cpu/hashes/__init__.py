# SPDX-License-Identifier: GPL-3.0-or-later
"""Hash functions and permutations in lanes, and batches of messages through them."""
