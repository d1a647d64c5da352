# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets as they lie in a wallet: behind its passphrase, or plain where it has none.

Scrypt (RFC 7914) makes a key of passphrase and a random salt, ChaCha20-Poly1305 encrypts with it; both are `cryptography`'s.
Whoever guesses passphrases pays 32 MiB and about a tenth of a second for each.
"""

from __future__ import annotations

import secrets
from typing import Any

from supervm.tiers.node.errors import WalletError

_PLAIN, _SEALED = b"\0", b"\1"
_SALT_BYTES = 16
_NONCE = bytes(12)
"""Every salt has a key of its own, which encrypts once."""

_COST = {"n": 1 << 15, "r": 8, "p": 1}


def seal(secret: bytes, passphrase: str) -> bytes:
    """A secret as it is stored; with passphrase '' it is plain."""
    if not passphrase:
        return _PLAIN + secret
    salt = secrets.token_bytes(_SALT_BYTES)
    box: bytes = _cipher(passphrase, salt).encrypt(_NONCE, secret, None)
    return _SEALED + salt + box


def unseal(stored: bytes, passphrase: str) -> bytes:
    """The inverse of `seal`.

    Raises:
        WalletError: another passphrase, or bytes that `seal` did not make.
    """
    from cryptography.exceptions import InvalidTag

    if stored[:1] == _PLAIN and not passphrase:
        return stored[1:]
    if stored[:1] == _SEALED and passphrase:
        salt, box = stored[1 : 1 + _SALT_BYTES], stored[1 + _SALT_BYTES :]
        try:
            return bytes(_cipher(passphrase, salt).decrypt(_NONCE, box, None))
        except InvalidTag:
            pass
    raise WalletError(
        "the wallet's shielded key does not open; set SUPERVM_WALLET_PASSPHRASE to its passphrase, or to nothing if it "
        "was made without"
    )


def _cipher(passphrase: str, salt: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    return ChaCha20Poly1305(Scrypt(salt=salt, length=32, **_COST).derive(passphrase.encode()))
