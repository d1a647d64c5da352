# SPDX-License-Identifier: GPL-3.0-or-later
"""Sample contracts: WebAssembly text beside the binary that is deployed."""
