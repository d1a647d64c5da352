# SPDX-License-Identifier: GPL-3.0-or-later
"""Callers of bad will, each for a bounded time and from this machine, and what a service makes of them."""
