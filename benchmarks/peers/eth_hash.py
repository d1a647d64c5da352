# SPDX-License-Identifier: GPL-3.0-or-later
"""eth-hash: Keccak-256 as Ethereum's Python tools call it (pycryptodome beneath)."""

from __future__ import annotations

from collections.abc import Callable

from supervm.benchmarks.cases import Answers, Peer
from supervm.benchmarks.peers import version
from supervm.benchmarks.workloads.hashes import HashItems


def keccak256() -> Peer:
    """`eth_hash.auto.keccak(message)`."""
    return Peer("eth-hash (pycryptodome)", version("eth-hash"), _prepare)


def eth_address() -> Peer:
    """The last 20 bytes of `eth_hash.auto.keccak(public key)`."""
    return Peer("eth-hash (pycryptodome)", version("eth-hash"), _prepare_addresses)


def _prepare(workload: HashItems) -> Callable[[], Answers]:
    from eth_hash.auto import keccak

    keccak(b"")  # the first call looks for its backend
    messages = workload.messages()
    return lambda: [keccak(message) for message in messages]


def _prepare_addresses(workload: HashItems) -> Callable[[], Answers]:
    from eth_hash.auto import keccak

    keccak(b"")
    keys = workload.messages()
    return lambda: [keccak(key)[12:] for key in keys]
