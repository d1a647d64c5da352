# SPDX-License-Identifier: GPL-3.0-or-later
"""Code generated from `tiers/service/proto` by `make proto`; a test compares the two."""
