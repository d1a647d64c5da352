# SPDX-License-Identifier: GPL-3.0-or-later
"""Arithmetic on arrays with no protocol meaning: lanes, fields, curves, hashes, conflict detection.

Importing this room names the folder of compiled kernels, which must happen before Numba is imported.
"""

from supervm.kernels import cache as _cache

CACHE_FOLDER = _cache.configure()

from supervm.kernels.threads import get_threads, set_threads  # noqa: E402  (Numba only after the cache is set)

__all__ = ["CACHE_FOLDER", "get_threads", "set_threads"]
