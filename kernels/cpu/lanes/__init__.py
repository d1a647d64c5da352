# SPDX-License-Identifier: GPL-3.0-or-later
"""SIMD lanes as Numba values, and what every kernel needs of the machine: LLVM text, memory by address, verdict bits."""
