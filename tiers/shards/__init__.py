# SPDX-License-Identifier: GPL-3.0-or-later
"""State split by key range over several engines, whose blocks are decided by two-phase commit (docs/shards.md)."""
