# SPDX-License-Identifier: GPL-3.0-or-later
"""Attacks on a service and a node of this machine, and what honest callers notice of them."""
