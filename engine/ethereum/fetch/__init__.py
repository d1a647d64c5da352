# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks from a node's JSON-RPC, with all that they need to run: `supervm fetch`."""

from supervm.engine.ethereum.fetch.block_folder import (
    ANCESTORS,
    Chain,
    Fetched,
    chain_of,
    fetch_block,
    latest,
    write_block,
)
from supervm.engine.ethereum.fetch.rpc import Node

__all__ = ["ANCESTORS", "Chain", "Fetched", "Node", "chain_of", "fetch_block", "latest", "write_block"]
