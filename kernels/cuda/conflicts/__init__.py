# SPDX-License-Identifier: GPL-3.0-or-later
"""Conflict detection on a device."""
