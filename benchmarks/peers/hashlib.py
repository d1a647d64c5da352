# SPDX-License-Identifier: GPL-3.0-or-later
"""hashlib: OpenSSL's SHA-2 and the BLAKE2 reference code, as Python ships them."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable
from typing import Any

from supervm.benchmarks.cases import Answers, Peer
from supervm.benchmarks.peers import tree_of
from supervm.benchmarks.workloads.hashes import HashItems
from supervm.benchmarks.workloads.merkle import MerkleItems


def sha256() -> Peer:
    """`hashlib.sha256(message).digest()`."""
    return _peer(hashlib.sha256)


def sha512() -> Peer:
    """`hashlib.sha512(message).digest()`."""
    return _peer(hashlib.sha512)


def blake2b() -> Peer:
    """`hashlib.blake2b(message).digest()`."""
    return _peer(hashlib.blake2b)


def sha256_tree() -> Peer:
    """A binary tree, level by level, over `hashlib.sha256(message).digest()`."""

    def prepare(workload: MerkleItems) -> Callable[[], Answers]:
        return tree_of(workload.rows(), lambda message: hashlib.sha256(message).digest())

    return Peer("hashlib", platform.python_version(), prepare)


def _peer(constructor: Callable[..., Any]) -> Peer:
    def prepare(workload: HashItems) -> Callable[[], Answers]:
        messages = workload.messages()
        return lambda: [constructor(message).digest() for message in messages]

    return Peer("hashlib", platform.python_version(), prepare)
