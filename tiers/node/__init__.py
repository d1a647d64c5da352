# SPDX-License-Identifier: GPL-3.0-or-later
"""Node mode: blocks followed, verified, executed and persisted, as far as the tier may."""
