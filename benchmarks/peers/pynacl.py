# SPDX-License-Identifier: GPL-3.0-or-later
"""PyNaCl: libsodium's Ed25519."""

from __future__ import annotations

from collections.abc import Callable

from supervm.benchmarks.cases import Answers, Peer
from supervm.benchmarks.peers import version
from supervm.benchmarks.workloads.msm import MsmItems
from supervm.benchmarks.workloads.signatures import SignedItems
from supervm.crypto.oracle import edwards
from supervm.kernels.arrays import integers


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


def msm() -> Peer:
    """`crypto_scalarmult_ed25519_noclamp` and `crypto_core_ed25519_add` for each point: libsodium has no sum of products."""
    return Peer("PyNaCl (libsodium)", version("PyNaCl"), _prepare_msm, _affine)


def _prepare_msm(workload: MsmItems) -> Callable[[], Answers]:
    from nacl.bindings import crypto_core_ed25519_add, crypto_scalarmult_ed25519_noclamp

    numbers = iter(integers(workload.points))
    points = [edwards.encode(edwards.from_affine(x, y)) for x, y in zip(numbers, numbers, strict=True)]
    scalars = [number.to_bytes(32, "little") for number in integers(workload.scalars)]

    def run() -> Answers:
        products = map(crypto_scalarmult_ed25519_noclamp, scalars, points)
        total = next(products)
        for product in products:
            total = crypto_core_ed25519_add(total, product)
        return [total]

    return run


def _affine(answers: Answers) -> Answers:
    found = []
    for encoded in answers:
        point = edwards.decode(encoded)
        assert point is not None
        inverse = pow(point[2], -1, edwards.P)
        found.append((point[0] * inverse % edwards.P, point[1] * inverse % edwards.P))
    return found
