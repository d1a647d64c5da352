# SPDX-License-Identifier: GPL-3.0-or-later
"""Proofs of private transactions, and proofs of many callers, verified in batches."""
