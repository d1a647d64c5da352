# SPDX-License-Identifier: GPL-3.0-or-later
"""Signature checks beside the native libraries.

ECDSA keys have 65 bytes in the usual row, since the peer's keys are parsed outside its loop; the row with
33-byte keys counts the decompression on both sides.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from supervm.benchmarks.cases import Case, Peer, installed
from supervm.benchmarks.peers import coincurve, cryptography, pynacl, solders
from supervm.benchmarks.workloads.signatures import (
    SignedItems,
    ecdsa_items,
    ed25519_items,
    recover_items,
    schnorr_items,
)

BATCH = 65_536
SLOW_BATCH = 2_048


def cases() -> list[Case]:
    """Ed25519 under two rules, ECDSA with both key forms, recovery, BIP-340."""
    return [
        _case("ed25519.verify", "", ed25519_items, [solders.ed25519, pynacl.ed25519, cryptography.ed25519]),
        _case("ed25519.verify", "rule=strict", partial(ed25519_items, rule="strict"), [solders.ed25519]),
        _case("secp256k1.ecdsa_verify", "", ecdsa_items, [coincurve.ecdsa, cryptography.ecdsa]),
        _case(
            "secp256k1.ecdsa_verify",
            "33-byte keys",
            partial(ecdsa_items, key_bytes=33),
            [coincurve.ecdsa_from_bytes],
        ),
        _case("secp256k1.ecdsa_recover", "", recover_items, [coincurve.recover]),
        _case("secp256k1.schnorr_verify", "", schnorr_items, [coincurve.schnorr]),
    ]


def _case(
    operation: str, variant: str, items: Callable[[int], SignedItems], makers: list[Callable[[], Peer]]
) -> Case:
    peers, missing = installed(makers)
    return Case(
        operation,
        variant,
        batch=BATCH,
        slow_batch=SLOW_BATCH,
        workload=items,
        corrupted=lambda count: items(count).damaged(),
        peers=peers,
        missing=missing,
        singles=not variant,
    )
