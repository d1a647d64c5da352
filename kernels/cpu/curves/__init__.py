# SPDX-License-Identifier: GPL-3.0-or-later
"""Points in lanes, over the fields: addition, multiples, decoding, batches."""
