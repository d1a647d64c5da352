# SPDX-License-Identifier: GPL-3.0-or-later
"""The precompiled contracts of the EVM, as one C function that the machine calls by number."""
