# SPDX-License-Identifier: GPL-3.0-or-later
"""The state as execution sees it: numbered keys, versions of values, the accesses of a transaction."""
