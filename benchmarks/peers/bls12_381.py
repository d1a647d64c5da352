# SPDX-License-Identifier: GPL-3.0-or-later
"""Libraries of BLS12-381: pymcl (mcl), py_arkworks_bls12381, blspy (blst), milagro-bls-binding (blst)."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable

import numpy as np

from supervm.benchmarks.cases import Answers, Peer
from supervm.benchmarks.peers import version
from supervm.benchmarks.workloads.bls import BlsItems
from supervm.benchmarks.workloads.compressed_points import CompressedPoints
from supervm.benchmarks.workloads.pairings import PairingChecks
from supervm.crypto import curves
from supervm.kernels.array_types import Words


def arkworks_pairing() -> Peer:
    """`GT.pairing_check` of two pairs."""
    package = "py_arkworks_bls12381"
    released = version(package)

    def prepare(workload: PairingChecks) -> Callable[[], Answers]:
        module = importlib.import_module(package)
        first, second = _encoded(workload)
        p = [module.G1Point.from_compressed_bytes_unchecked(each) for each in first]
        q = [module.G2Point.from_compressed_bytes_unchecked(each) for each in second]
        pairs = [(p[at : at + 2], q[at : at + 2]) for at in range(0, len(p), 2)]
        return lambda: [module.GT.pairing_check(*each) for each in pairs]

    return Peer(package, released, prepare)


def mcl_pairing() -> Peer:
    """Two calls of `pairing`, which is all that the package has, and their product."""
    released = version("pymcl")

    def prepare(workload: PairingChecks) -> Callable[[], Answers]:
        module = importlib.import_module("pymcl")
        p = [module.G1.deserialize(each) for each in _mcl(workload.first)]
        q = [module.G2.deserialize(each) for each in _mcl(workload.second)]
        pair = module.pairing
        numbers = range(0, len(p), 2)
        return lambda: [(pair(p[at], q[at]) * pair(p[at + 1], q[at + 1])).is_one() for at in numbers]

    return Peer("pymcl (mcl)", released, prepare)


def _encoded(workload: PairingChecks) -> tuple[list[bytes], list[bytes]]:
    curve = curves.get(workload.curve)
    first = curve.g1.to_bytes(workload.first, "zcash_compressed")
    second = curve.g2.to_bytes(workload.second, "zcash_compressed")
    return [each.tobytes() for each in first], [each.tobytes() for each in second]


def _mcl(points: Words) -> list[bytes]:
    """mcl's own form: x, little-endian with c₀ first; the highest bit of its last byte is the parity of y, or of its c₀."""
    x = np.ascontiguousarray(points[:, 0]).reshape(len(points), -1).view(np.uint8).copy()
    odd = np.ascontiguousarray(points[:, 1]).reshape(len(points), -1)[:, 0] & np.uint64(1)
    x[:, -1] |= (odd << np.uint64(7)).astype(np.uint8)
    return [each.tobytes() for each in x]


def blspy_points() -> Peer:
    """`from_bytes`, which tests the subgroup too."""
    released = version("blspy")

    def prepare(workload: CompressedPoints) -> Callable[[], Answers]:
        module = importlib.import_module("blspy")
        read = {"g1": module.G1Element, "g2": module.G2Element}[workload.group].from_bytes
        rows = [row.tobytes() for row in workload.encoded]

        def accepted(row: bytes) -> bool:
            try:
                read(row)
            except ValueError:
                return False
            return True

        return lambda: [accepted(row) for row in rows]

    return Peer("blspy (blst)", released, prepare)


def blspy_signature() -> Peer:
    """`PopSchemeMPL.verify`, keys and signatures decoded beforehand."""
    released = version("blspy")

    def prepare(workload: BlsItems) -> Callable[[], Answers]:
        module = importlib.import_module("blspy")
        items = [
            (
                module.G1Element.from_bytes(key.tobytes()),
                message.tobytes(),
                module.G2Element.from_bytes(signature.tobytes()),
            )
            for key, message, signature in zip(
                workload.keys, workload.messages, workload.signatures, strict=True
            )
        ]
        verify = module.PopSchemeMPL.verify
        return lambda: [verify(*item) for item in items]

    return Peer("blspy (blst)", released, prepare)


def blspy_committee() -> Peer:
    """`PopSchemeMPL.fast_aggregate_verify`, keys and signatures decoded beforehand."""
    released = version("blspy")

    def prepare(workload: BlsItems) -> Callable[[], Answers]:
        module = importlib.import_module("blspy")
        keys = [module.G1Element.from_bytes(key.tobytes()) for key in workload.keys]
        items = [
            (keys[at * workload.signers : (at + 1) * workload.signers], message.tobytes(), signature)
            for at, (message, signature) in enumerate(
                zip(
                    workload.messages,
                    [module.G2Element.from_bytes(each.tobytes()) for each in workload.signatures],
                    strict=True,
                )
            )
        ]
        verify = module.PopSchemeMPL.fast_aggregate_verify
        return lambda: [verify(*item) for item in items]

    return Peer("blspy (blst)", released, prepare)


def milagro_signature() -> Peer:
    """`Verify`, which takes bytes: keys and signatures are decoded in the loop."""
    package = "milagro-bls-binding"
    released = version(package)

    def prepare(workload: BlsItems) -> Callable[[], Answers]:
        with warnings.catch_warnings():  # it says that nobody maintains it any more
            warnings.simplefilter("ignore", DeprecationWarning)
            verify = importlib.import_module("milagro_bls_binding").Verify
        items = [
            (key.tobytes(), message.tobytes(), signature.tobytes())
            for key, message, signature in zip(
                workload.keys, workload.messages, workload.signatures, strict=True
            )
        ]
        return lambda: [verify(*item) for item in items]

    return Peer(package, released, prepare)
