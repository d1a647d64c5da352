# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that nobody vouches for, read within bounds; and files that stand under their name only when they are whole."""
