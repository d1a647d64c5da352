# SPDX-License-Identifier: GPL-3.0-or-later
"""Execution of transactions: one by one, in waves, optimistically, and the fast path of transfers."""
