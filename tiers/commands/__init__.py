# SPDX-License-Identifier: GPL-3.0-or-later
"""One module a command; each has a function of its own name."""
