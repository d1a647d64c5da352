# SPDX-License-Identifier: GPL-3.0-or-later
"""Transactions in columns, their canonical encoding, and the addresses of those who sign them."""
