# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of a wallet's accounts that send Ethereum transactions: secp256k1, and signatures as EIP-1559 has them."""

from __future__ import annotations

from typing import Any

import numpy as np

from supervm.crypto import hashes
from supervm.crypto.messages import Messages
from supervm.crypto.oracle.ecdsa import recover
from supervm.crypto.params.secp256k1 import FN
from supervm.engine.ethereum.rlp import encoded_string, listed, shortest
from supervm.engine.ethereum.transactions import TransactionType
from supervm.engine.transactions.addresses import secp256k1_addresses

_NO_LIST = listed([])


def is_one(key: Any) -> bool:
    """Whether a wallet's key, as `cryptography` opened it, is one of these."""
    return hasattr(key, "curve")


def new_key() -> tuple[Any, bytes]:
    """A key of `cryptography`, which is installed, and the address of its account, 20 bytes."""
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256K1())
    address: bytes = secp256k1_addresses(np.frombuffer(_public(key), np.uint8)[None])[0].tobytes()
    return key, address


def signed(
    key: Any,
    *,
    nonce: int,
    to: bytes,
    value: int,
    input: bytes,
    gas_limit: int,
    gas_price: int,
    chain_id: int,
) -> bytes:
    """The encoding of a signed transaction of type 2, whose fees are both the gas price; no `to` creates a contract."""
    from cryptography.hazmat.primitives.asymmetric import ec, utils
    from cryptography.hazmat.primitives.hashes import SHA256

    numbers = [shortest(number) for number in (chain_id, nonce, gas_price, gas_price, gas_limit)]
    items = [encoded_string(each) for each in (*numbers, to, shortest(value), input)] + [_NO_LIST]
    kind = bytes([TransactionType.DYNAMIC_FEE])
    digest = hashes.keccak256_batch(Messages.of([kind + listed(items)]))[0].tobytes()
    # SHA-256 names only the length of what is signed.
    r, s = utils.decode_dss_signature(key.sign(digest, ec.ECDSA(utils.Prehashed(SHA256()))))
    s = min(s, FN.modulus - s)
    both, own = r.to_bytes(32) + s.to_bytes(32), _public(key)
    # One signature: the reference needs no kernel for it.
    parity = int(recover(digest, both + b"\1")[0] == own)
    return kind + listed([*items, *(encoded_string(shortest(number)) for number in (parity, r, s))])


def _public(key: Any) -> bytes:
    """x‖y of a key, 64 bytes."""
    numbers = key.public_key().public_numbers()
    return bytes(numbers.x.to_bytes(32) + numbers.y.to_bytes(32))
