# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys and addresses of a shielded pool (docs/wallet.md): a seed, the view key that it gives, the address that others pay.

| text | holds |
|---|---|
| `svpay1…`, an address | owner ‖ viewing public key |
| `svview1…`, a view key | authority ‖ nullifier key ‖ viewing secret |
| `svseed1…`, a seed | 32 random bytes |

Elements are 32 bytes, big-endian; the viewing pair is one of X25519. An address is public, a view key shows all that its
owner was paid and has spent, and the seed spends it. Nothing here is claimed to be constant-time.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

from supervm.crypto import bech32m, notes
from supervm.crypto.one import bytes_of
from supervm.crypto.params.curve25519 import FP
from supervm.crypto.params.notes import FIELD
from supervm.kernels.array_types import Words
from supervm.kernels.arrays import integers, number_words
from supervm.kernels.errors import ArgumentError

__all__ = ["Address", "Seed", "ViewKey"]

ADDRESS_PREFIX, VIEW_PREFIX, SEED_PREFIX = "svpay", "svview", "svseed"
SEED_BYTES = 32

_SPEND, _VIEW = b"supervm/seed/spend/1", b"supervm/seed/view/1"


@dataclass(frozen=True)
class Address:
    """Where notes are paid to.

    Args:
        owner: an element, the address's part in the circuit.
        viewing_key: X25519, 32 bytes, canonical and of no small order: what notes are encrypted to.

    Raises:
        ArgumentError: other values.
    """

    owner: int
    viewing_key: bytes

    def __post_init__(self) -> None:
        _require_element(self.owner, "owner")
        key = bytes_of(self.viewing_key, "viewing_key", 32)
        if int.from_bytes(key, "little") >= FP.modulus or not _reaches(key):
            raise ArgumentError("viewing_key", key.hex(), "a canonical X25519 key, of no small order")

    def to_text(self) -> str:
        """`svpay1…`."""
        return bech32m.encode(ADDRESS_PREFIX, self.owner.to_bytes(32) + self.viewing_key)

    @classmethod
    def from_text(cls, text: str) -> Address:
        """The inverse of `to_text`.

        Raises:
            ArgumentError: no address, or a mistyped one.
        """
        data = _decoded(text, ADDRESS_PREFIX, "address", 64)
        return cls(int.from_bytes(data[:32]), data[32:])


@dataclass(frozen=True)
class ViewKey:
    """What shows notes that were paid to an address, and which of them are spent; it spends none.

    Args:
        authority, nullifier_key: elements.
        viewing_secret: X25519, 32 bytes.

    Raises:
        ArgumentError: other values.
    """

    authority: int = field(repr=False)
    nullifier_key: int = field(repr=False)
    viewing_secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        _require_element(self.authority, "authority")
        _require_element(self.nullifier_key, "nullifier_key")
        bytes_of(self.viewing_secret, "viewing_secret", 32)

    @cached_property
    def address(self) -> Address:
        """Whom it is of."""
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        [owner] = integers(notes.owners(_row(self.authority), _row(self.nullifier_key)))
        own = X25519PrivateKey.from_private_bytes(self.viewing_secret)
        return Address(owner, own.public_key().public_bytes_raw())

    def to_bytes(self) -> bytes:
        """Authority, nullifier key and viewing secret, 96 bytes."""
        return self.authority.to_bytes(32) + self.nullifier_key.to_bytes(32) + self.viewing_secret

    @classmethod
    def from_bytes(cls, data: bytes) -> ViewKey:
        """The inverse of `to_bytes`.

        Raises:
            ArgumentError: another length, or elements that are none.
        """
        data = bytes_of(data, "data", 96)
        return cls(int.from_bytes(data[:32]), int.from_bytes(data[32:64]), data[64:])

    def to_text(self) -> str:
        """`svview1…`: for an auditor, and nobody else."""
        return bech32m.encode(VIEW_PREFIX, self.to_bytes())

    @classmethod
    def from_text(cls, text: str) -> ViewKey:
        """The inverse of `to_text`.

        Raises:
            ArgumentError: no view key, or a mistyped one.
        """
        return cls.from_bytes(_decoded(text, VIEW_PREFIX, "view key", 96))


@dataclass(frozen=True)
class Seed:
    """What everything else follows from.

    Args:
        data: 32 random bytes.

    Raises:
        ArgumentError: another length.
    """

    data: bytes = field(repr=False)

    def __post_init__(self) -> None:
        bytes_of(self.data, "data", SEED_BYTES)

    @property
    def secret(self) -> int:
        """The spending key: 512 bits of BLAKE2b modulo r."""
        return int.from_bytes(hashlib.blake2b(_SPEND + self.data).digest()) % FIELD.modulus

    @cached_property
    def view_key(self) -> ViewKey:
        """Its view key."""
        found = notes.keys(_row(self.secret))
        [authority], [nullifier_key] = integers(found.authority), integers(found.nullifier)
        secret = hashlib.blake2b(_VIEW + self.data, digest_size=32).digest()
        return ViewKey(authority, nullifier_key, secret)

    def to_text(self) -> str:
        """`svseed1…`: whoever has it spends everything."""
        return bech32m.encode(SEED_PREFIX, self.data)

    @classmethod
    def from_text(cls, text: str) -> Seed:
        """The inverse of `to_text`.

        Raises:
            ArgumentError: no seed, or a mistyped one.
        """
        return cls(_decoded(text, SEED_PREFIX, "seed", SEED_BYTES))


def _row(element: int) -> Words:
    return number_words(element, 4).reshape(1, 4)


def _require_element(value: int, argument: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < FIELD.modulus:
        raise ArgumentError(argument, "another value", "a whole number below r")


def _reaches(viewing_key: bytes) -> bool:
    """Whether a key agreement with it gives anything but zero."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    try:
        X25519PrivateKey.from_private_bytes(bytes(32)).exchange(
            X25519PublicKey.from_public_bytes(viewing_key)
        )
    except ValueError:
        return False
    return True


def _decoded(text: str, prefix: str, argument: str, length: int) -> bytes:
    data = bech32m.decode(text, prefix, argument)
    if len(data) != length:
        raise ArgumentError(argument, f"{len(data)} bytes in it", f"{length} bytes")
    return data
