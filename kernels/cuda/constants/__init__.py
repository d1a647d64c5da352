# SPDX-License-Identifier: GPL-3.0-or-later
"""Specifications as C++ constants, by which sources are specialised."""
