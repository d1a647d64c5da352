# SPDX-License-Identifier: GPL-3.0-or-later
"""The suite `evm`: programs and blocks in the EVM, beside other EVMs."""
