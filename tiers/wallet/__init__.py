# SPDX-License-Identifier: GPL-3.0-or-later
"""The shielded part of a wallet: its key, the notes of a pool that are its own, and what spends them (docs/wallet.md)."""
