# SPDX-License-Identifier: GPL-3.0-or-later
"""pycryptodome: Keccak-256 in C."""

from __future__ import annotations

from collections.abc import Callable

from supervm.benchmarks.cases import Answers, Peer
from supervm.benchmarks.peers import version
from supervm.benchmarks.workloads.hashes import HashItems


def keccak256() -> Peer:
    """`keccak.new(digest_bits=256, data=message).digest()`."""
    return Peer("pycryptodome", version("pycryptodome"), _prepare)


def _prepare(workload: HashItems) -> Callable[[], Answers]:
    from Crypto.Hash import keccak

    messages, new = workload.messages(), keccak.new
    return lambda: [new(digest_bits=256, data=message).digest() for message in messages]
