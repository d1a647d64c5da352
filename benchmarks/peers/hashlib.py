# SPDX-License-Identifier: GPL-3.0-or-later
"""hashlib: OpenSSL's SHA-2 and the BLAKE2 reference code, as Python ships them."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable
from typing import Any

from supervm.benchmarks.cases import Answers, Peer
from supervm.benchmarks.workloads.hashes import HashItems


def sha256() -> Peer:
    """`hashlib.sha256(message).digest()`."""
    return _peer(hashlib.sha256)


def sha512() -> Peer:
    """`hashlib.sha512(message).digest()`."""
    return _peer(hashlib.sha512)


def blake2b() -> Peer:
    """`hashlib.blake2b(message).digest()`."""
    return _peer(hashlib.blake2b)


def _peer(constructor: Callable[..., Any]) -> Peer:
    def prepare(workload: HashItems) -> Callable[[], Answers]:
        messages = workload.messages()
        return lambda: [constructor(message).digest() for message in messages]

    return Peer("hashlib", platform.python_version(), prepare)
