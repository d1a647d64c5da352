# SPDX-License-Identifier: GPL-3.0-or-later
"""solders: ed25519-dalek's `verify_strict`, as Solana's clients call it."""

from __future__ import annotations

from collections.abc import Callable

from supervm.benchmarks.cases import Answers, Peer
from supervm.benchmarks.peers import version
from supervm.benchmarks.workloads.signatures import SignedItems


def ed25519() -> Peer:
    """`Signature.verify`; the key is decompressed in every call, as in ours."""
    return Peer("solders (dalek verify_strict)", version("solders"), _prepare)


def _prepare(workload: SignedItems) -> Callable[[], Answers]:
    from solders.pubkey import Pubkey
    from solders.signature import Signature

    items = [
        (Signature.from_bytes(signature).verify, Pubkey.from_bytes(key), message)
        for key, message, signature in workload.rows()
    ]
    return lambda: [verify(key, message) for verify, key, message in items]
