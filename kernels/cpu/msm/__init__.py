# SPDX-License-Identifier: GPL-3.0-or-later
"""Multi-scalar multiplication by Pippenger's buckets."""
