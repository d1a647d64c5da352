# SPDX-License-Identifier: GPL-3.0-or-later
"""cryptography: OpenSSL's Ed25519 and ECDSA."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from supervm.benchmarks.cases import Answers, Peer
from supervm.benchmarks.peers import version
from supervm.benchmarks.workloads.signatures import SignedItems

Item = tuple[Callable[..., object] | None, tuple[Any, ...]]
"""The bound `verify` of a key, None if the key does not decode, and what it is called with."""


def ed25519() -> Peer:
    """`Ed25519PublicKey.verify` with key objects made beforehand."""
    return Peer("cryptography (OpenSSL)", version("cryptography"), _prepare_ed25519)


def ecdsa() -> Peer:
    """`EllipticCurvePublicKey.verify` of a digest, with key objects and DER signatures made beforehand."""
    return Peer("cryptography (OpenSSL)", version("cryptography"), _prepare_ecdsa)


def _prepare_ed25519(workload: SignedItems) -> Callable[[], Answers]:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    items: list[Item] = [
        (Ed25519PublicKey.from_public_bytes(key).verify, (signature, message))
        for key, message, signature in workload.rows()
    ]
    return _loop(items)


def _prepare_ecdsa(workload: SignedItems) -> Callable[[], Answers]:
    from cryptography.hazmat.primitives.asymmetric import ec, utils
    from cryptography.hazmat.primitives.hashes import SHA256

    algorithm = ec.ECDSA(utils.Prehashed(SHA256()))
    items: list[Item] = []
    for key, digest, signature in workload.rows():
        r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
        try:
            verify = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), key).verify
        except ValueError:
            items.append((None, ()))
        else:
            items.append((verify, (utils.encode_dss_signature(r, s), digest, algorithm)))
    return _loop(items)


def _loop(items: list[Item]) -> Callable[[], Answers]:
    """The timed loop."""
    from cryptography.exceptions import InvalidSignature

    def run() -> Answers:
        answers = []
        for verify, arguments in items:
            try:
                if verify is not None:
                    verify(*arguments)
                answers.append(verify is not None)
            except InvalidSignature:
                answers.append(False)
        return answers

    return run
