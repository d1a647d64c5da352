# SPDX-License-Identifier: GPL-3.0-or-later
"""The replay of Ethereum blocks: what their bytes can prove, and their plain balance movements, executed twice."""
