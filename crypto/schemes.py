# SPDX-License-Identifier: GPL-3.0-or-later
"""The signature schemes, a row each. Data alone: importing this loads no kernel."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SIGNATURE_BYTES = 64
DIGEST_BYTES = 32


@dataclass(frozen=True)
class SignatureScheme:
    """A scheme.

    Args:
        name: as users have it.
        other_names: that files may use for it.
        operation: what verifies a batch, in the registry.
        key_bytes: widths that its public keys may have, the shortest first.
        signs: 'message', of any length, or 'digest', of 32 bytes.
        digest_for_message: whether a digest may stand for the message: it is one, of 32 bytes.
        home: module and function of the batch verification.
        signature_bytes: of a signature.
    """

    name: str
    other_names: tuple[str, ...]
    operation: str
    key_bytes: tuple[int, ...]
    signs: str
    digest_for_message: bool
    home: tuple[str, str]
    signature_bytes: int = SIGNATURE_BYTES

    @property
    def verify_batch(self) -> Callable[..., Any]:
        """(public keys, messages or digests, signatures, options…) → verdicts, int8 (n,)."""
        module, function = self.home
        found: Callable[..., Any] = getattr(importlib.import_module(module), function)
        return found


_SECP256K1 = "supervm.crypto.secp256k1"

ED25519 = SignatureScheme(
    "ed25519", (), "ed25519.verify", (32,), "message", False, ("supervm.crypto.ed25519", "verify_batch")
)
ECDSA = SignatureScheme(
    "ecdsa",
    ("secp256k1",),
    "secp256k1.ecdsa_verify",
    (33, 64, 65),
    "digest",
    False,
    (_SECP256K1, "ecdsa_verify_batch"),
)
SCHNORR = SignatureScheme(
    "schnorr",
    ("bip340",),
    "secp256k1.schnorr_verify",
    (32,),
    "message",
    True,
    (_SECP256K1, "schnorr_verify_batch"),
)

SCHEMES = (ED25519, ECDSA, SCHNORR)
"""One operation of the registry verifies each of them."""

_BLS = ("supervm.crypto.bls", "verify_batch")
_PAIRING = "bls12_381.pairing.final_exponentiation"

BLS = SignatureScheme("bls", ("bls-min-pk",), _PAIRING, (48,), "message", False, _BLS, 96)
BLS_MIN_SIG = SignatureScheme("bls-min-sig", (), _PAIRING, (96,), "message", False, _BLS, 48)
"""The verification of both needs the option `variant`, `min-pk` or `min-sig`."""

FILE_SCHEMES = (*SCHEMES, BLS, BLS_MIN_SIG)
"""What a file of signatures may have. Their order is that of the codes in its columns."""
