# SPDX-License-Identifier: GPL-3.0-or-later
"""Operations that are cut into parts, which a pool, a node upstream or this process does, and joined again."""
