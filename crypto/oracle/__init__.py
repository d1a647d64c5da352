# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference: every operation of this room on Python integers, one item at a time, to be read.

Standard library only. The self-test and the tests compare every backend with it, verdict for verdict; it is
not a backend that `auto` would choose. Each module states, in numbered rules, exactly what it accepts.
"""
