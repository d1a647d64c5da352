# SPDX-License-Identifier: GPL-3.0-or-later
"""The readable reference: every cryptographic operation on Python integers, one item at a time.

Standard library only. The self-test and the tests compare every backend with it, verdict for verdict; it is
not a backend that `auto` would choose. Each module states, in numbered rules, exactly what it accepts.
"""
