# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks of Ethereum executed whole: system calls, transactions, withdrawals, rewards, requests, receipts."""
