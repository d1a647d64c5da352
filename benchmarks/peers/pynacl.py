# SPDX-License-Identifier: GPL-3.0-or-later
"""PyNaCl: libsodium's Ed25519."""

from __future__ import annotations

from collections.abc import Callable

from supervm.benchmarks.cases import Answers, Peer
from supervm.benchmarks.peers import version
from supervm.benchmarks.workloads.signatures import SignedItems


def ed25519() -> Peer:
    """`crypto_sign_open` on signature‖message, the shortest public way in; it decompresses the key."""
    return Peer("PyNaCl (libsodium)", version("PyNaCl"), _prepare)


def _prepare(workload: SignedItems) -> Callable[[], Answers]:
    from nacl.bindings import crypto_sign_open
    from nacl.exceptions import BadSignatureError

    items = [(signature + message, key) for key, message, signature in workload.rows()]

    def run() -> Answers:
        answers = []
        for signed, key in items:
            try:
                crypto_sign_open(signed, key)
                answers.append(True)
            except BadSignatureError:
                answers.append(False)
        return answers

    return run
