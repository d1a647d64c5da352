# SPDX-License-Identifier: GPL-3.0-or-later
"""Contracts that the system calls in every block, and what their answers are. Each row: since which rule, address, input.

Sources: EIP-4788 (beacon roots), EIP-2935 (block hashes), EIP-7002 (withdrawal requests), EIP-7251 (consolidations).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from supervm.engine.evm.environment import Environment
from supervm.engine.evm.requests import CONSOLIDATION, WITHDRAWAL
from supervm.vm.evm import forks

BEACON_ROOTS = bytes.fromhex("000f3df6d732807ef1319fb7b8bb8522d0beac02")
BLOCK_HASHES = bytes.fromhex("0000f90827f1c53a10cb7a02335b175320002935")
WITHDRAWAL_REQUESTS = bytes.fromhex("00000961ef480eb55e80d19ad83579a64c007002")
CONSOLIDATION_REQUESTS = bytes.fromhex("0000bbddc7ce488642fb579f8b00f3a590007251")


@dataclass(frozen=True)
class Before:
    """A call before the first transaction; it may fail, and nobody asks for its output.

    Args:
        rule: of the fork, that says whether it is made.
        address: of the contract.
        data: of a block, what it is called with; None where the block does not say.
    """

    rule: int
    address: bytes
    data: Callable[[Environment], bytes | None]


@dataclass(frozen=True)
class After:
    """A call after the last transaction and withdrawal; the block is invalid if it fails. Its output is a request's data."""

    rule: int
    address: bytes
    kind: int


BEFORE = (
    Before(forks.HAS_BEACON_ROOT, BEACON_ROOTS, lambda environment: environment.parent_beacon_root),
    Before(forks.HAS_BLOCK_HASHES, BLOCK_HASHES, lambda environment: environment.parent_hash),
)
AFTER = (
    After(forks.HAS_REQUESTS, WITHDRAWAL_REQUESTS, WITHDRAWAL),
    After(forks.HAS_REQUESTS, CONSOLIDATION_REQUESTS, CONSOLIDATION),
)
