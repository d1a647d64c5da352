# SPDX-License-Identifier: GPL-3.0-or-later
"""Hashes of 64-byte messages, of 1 KiB and of mixed lengths, and Ethereum addresses.

On short messages a peer's figure is mostly the cost of a Python call; 1 KiB shows the hash itself, and
there a processor's SHA instructions can put OpenSSL ahead.
"""

from __future__ import annotations

from collections.abc import Callable

from supervm.benchmarks.cases import Case, Peer, installed
from supervm.benchmarks.peers import eth_hash, hashlib, pycryptodome
from supervm.benchmarks.workloads.hashes import HashItems, fixed_length, mixed_lengths

BATCH = 65_536
LONG_BATCH = 8_192
SHORT, LONG, MIXED = 64, 1024, 256


def cases() -> list[Case]:
    """Each hash at 64 bytes; SHA-256 and Keccak-256 at 1 KiB and mixed too."""
    peers: dict[str, list[Callable[[], Peer]]] = {
        "sha256": [hashlib.sha256],
        "sha512": [hashlib.sha512],
        "keccak256": [pycryptodome.keccak256, eth_hash.keccak256],
        "blake2b": [hashlib.blake2b],
        "eth_address": [eth_hash.eth_address],
    }
    listed = [_case(name, "", fixed_length(name, SHORT), peers[name], BATCH) for name in peers]
    for name in ("sha256", "keccak256"):
        listed.append(_case(name, "1,024 bytes", fixed_length(name, LONG), peers[name], LONG_BATCH))
        listed.append(_case(name, "0 to 256 bytes", mixed_lengths(name, MIXED), peers[name], BATCH))
    return listed


def _case(
    operation: str,
    variant: str,
    items: Callable[[int], HashItems],
    makers: list[Callable[[], Peer]],
    batch: int,
) -> Case:
    peers, missing = installed(makers)
    return Case(
        operation,
        variant,
        batch=batch,
        slow_batch=batch,
        workload=items,
        corrupted=items,
        peers=peers,
        missing=missing,
        singles=operation in ("sha256", "keccak256") and not variant,
    )
