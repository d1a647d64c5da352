# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernels for NVIDIA GPUs: CUDA C++ sources, the constants that specialise them, and what runs them.

`include/` and `src/` hold the sources; `constants` writes a specification as C++; `sources` makes one text of both, which
NVRTC compiles for a GPU and a host compiler as plain C++ (the host twin of the tests).
"""
