# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernels that Numba compiles. Importing this folder makes saving them safe between processes."""

from numba.core.caching import IndexDataCacheFile

from supervm.kernels.cache import save_alone

IndexDataCacheFile.save = save_alone
