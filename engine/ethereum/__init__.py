# SPDX-License-Identifier: GPL-3.0-or-later
"""The Ethereum adapter: blocks and pre-states from JSON, encodings, senders, the transactions root."""
