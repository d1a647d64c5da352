# SPDX-License-Identifier: GPL-3.0-or-later
"""A typed client of the verification service, synchronous and asyncio."""
