# SPDX-License-Identifier: GPL-3.0-or-later
"""pycryptodome: Keccak-256 in C."""

from __future__ import annotations

from collections.abc import Callable

from supervm.benchmarks.cases import Answers, Peer
from supervm.benchmarks.peers import tree_of, version
from supervm.benchmarks.workloads.hashes import HashItems
from supervm.benchmarks.workloads.merkle import MerkleItems


def keccak256() -> Peer:
    """`keccak.new(digest_bits=256, data=message).digest()`."""
    return Peer("pycryptodome", version("pycryptodome"), _prepare)


def _prepare(workload: HashItems) -> Callable[[], Answers]:
    from Crypto.Hash import keccak

    messages, new = workload.messages(), keccak.new
    return lambda: [new(digest_bits=256, data=message).digest() for message in messages]


def keccak256_tree() -> Peer:
    """A binary tree, level by level, over the same."""
    return Peer("pycryptodome", version("pycryptodome"), _prepare_tree)


def _prepare_tree(workload: MerkleItems) -> Callable[[], Answers]:
    from Crypto.Hash import keccak

    new = keccak.new
    return tree_of(workload.rows(), lambda message: new(digest_bits=256, data=message).digest())
