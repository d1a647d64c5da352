# SPDX-License-Identifier: GPL-3.0-or-later
"""The Ethereum Virtual Machine: interpreter, state of a transaction, rules of transactions."""
