# SPDX-License-Identifier: GPL-3.0-or-later
"""Every scheme with signatures of cryptography, coincurve and eth-account, and every way of being refused."""

from __future__ import annotations

from dataclasses import replace

import coincurve
import numpy as np
import pytest
from Crypto.Hash import keccak
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from eth_keys import keys as eth_keys
from plain_transactions import Plain, batch_of

from supervm.engine.blocks.authentication import authenticate
from supervm.engine.transactions.addresses import (
    contract_addresses,
    ed25519_addresses,
    even_keys,
    secp256k1_addresses,
)
from supervm.engine.transactions.batch import TransactionBatch
from supervm.vm.outcomes import Reason

P = 2**256 - 2**32 - 977
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

ED_SECRET = Ed25519PrivateKey.from_private_bytes(b"\x11" * 32)
ED_KEY = ED_SECRET.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
SECRETS = [bytes([value]) * 32 for value in (1, 2, 3, 4, 5, 6)]


def hashed(data: bytes) -> bytes:
    return keccak.new(digest_bits=256, data=data).digest()


def eth_address(secret: bytes) -> bytes:
    return eth_keys.PrivateKey(secret).public_key.to_canonical_address()


def even_address(secret: bytes) -> bytes:
    """Of the key with the same x and an even y."""
    x_only = coincurve.PublicKeyXOnly.from_secret(secret).format()
    key = coincurve.PublicKey(b"\x02" + x_only).format(compressed=False)[1:]
    return eth_keys.PublicKey(key).to_canonical_address()


ED_SENDER = hashed(b"\x01" + ED_KEY)[-20:]


def ed25519(made: Plain) -> Plain:
    made = replace(made, scheme=1)
    return made.signed(1, ED_KEY + ED_SECRET.sign(hashed(made.payload())))


def ecdsa(made: Plain, secret: bytes = SECRETS[0]) -> Plain:
    made = replace(made, scheme=2)
    signature = coincurve.PrivateKey(secret).sign_recoverable(hashed(made.payload()), hasher=None)
    return made.signed(2, signature)


def bip340(made: Plain, secret: bytes = SECRETS[0]) -> Plain:
    made = replace(made, scheme=3)
    key = coincurve.PublicKeyXOnly.from_secret(secret).format()
    return made.signed(3, key + coincurve.PrivateKey(secret).sign_schnorr(hashed(made.payload())))


CALL = Plain(nonce=4, to=b"c" * 20, entry=b"go", input=b"x" * 200, reads=[b"k"], writes=[b"k"])
ED = ed25519(replace(CALL, sender=ED_SENDER))
EC = ecdsa(replace(CALL, sender=eth_address(SECRETS[0])))
BIP = bip340(replace(CALL, sender=even_address(SECRETS[0])))
VALID = [
    ED,
    EC,
    BIP,
    *(ecdsa(Plain(sender=eth_address(secret), nonce=i), secret) for i, secret in enumerate(SECRETS)),
    *(bip340(Plain(sender=even_address(secret), nonce=i), secret) for i, secret in enumerate(SECRETS)),
    ed25519(Plain(sender=ED_SENDER, value=(1 << 256) - 1, private=True, proof=b"p")),
]


def flipped(made: Plain, at: int) -> Plain:
    signature = bytearray(made.signature)
    signature[at] ^= 1
    return replace(made, signature=bytes(signature))


def with_part(made: Plain, at: int, part: bytes) -> Plain:
    signature = made.signature
    return replace(made, signature=signature[:at] + part + signature[at + len(part) :])


def high_s(made: Plain) -> Plain:
    s = N - int.from_bytes(made.signature[32:64], "big")
    return replace(
        made,
        signature=made.signature[:32] + s.to_bytes(32, "big") + bytes([made.signature[64] ^ 1]),
    )


def number(value: int) -> bytes:
    return value.to_bytes(32, "big")


ORDER_25519 = 2**252 + 27742317777372353535851937790883648493
MALFORMED, BAD, WRONG = Reason.MALFORMED_SIGNATURE, Reason.BAD_SIGNATURE, Reason.WRONG_SENDER
REFUSED = {
    "unsigned": (replace(CALL, scheme=0), MALFORMED),
    "scheme 0 with a signature": (replace(ED, scheme=0), MALFORMED),
    "scheme 5": (replace(ED, scheme=5), MALFORMED),
    "scheme 255": (replace(EC, scheme=255), MALFORMED),
    "scheme of another length": (replace(EC, scheme=1), MALFORMED),
    "ed25519 truncated": (replace(ED, signature=ED.signature[:-1]), MALFORMED),
    "ed25519 too long": (replace(ED, signature=ED.signature + b"\0"), MALFORMED),
    "ed25519 empty": (replace(ED, signature=b""), MALFORMED),
    "ed25519 s at the order": (with_part(ED, 64, ORDER_25519.to_bytes(32, "little")), MALFORMED),
    "ed25519 key off the curve": (with_part(ED, 0, (2).to_bytes(32, "little")), MALFORMED),
    "ed25519 R flipped": (flipped(ED, 40), BAD),
    "ed25519 s flipped": (flipped(ED, 70), BAD),
    "ed25519 another transaction": (replace(ED, nonce=5), BAD),
    "ed25519 another's name": (ed25519(replace(CALL, sender=b"n" * 20)), WRONG),
    "ed25519 as bip340": (replace(ED, scheme=3), None),
    "ecdsa truncated": (replace(EC, signature=EC.signature[:64]), MALFORMED),
    "ecdsa too long": (replace(EC, signature=EC.signature + b"\0"), MALFORMED),
    "ecdsa high s": (high_s(EC), BAD),
    "ecdsa recovery id 4": (with_part(EC, 64, b"\x04"), MALFORMED),
    "ecdsa recovery id 27": (with_part(EC, 64, b"\x1b"), MALFORMED),
    "ecdsa recovery id 2, r + n above p": (with_part(EC, 64, b"\x02"), MALFORMED),
    "ecdsa other recovery id": (flipped(EC, 64), WRONG),
    "ecdsa r zero": (with_part(EC, 0, number(0)), MALFORMED),
    "ecdsa s zero": (with_part(EC, 32, number(0)), MALFORMED),
    "ecdsa s at the order": (with_part(EC, 32, number(N)), MALFORMED),
    "ecdsa s just high": (with_part(EC, 32, number(N // 2 + 1)), BAD),
    "ecdsa s just low": (with_part(EC, 32, number(N // 2)), WRONG),
    "ecdsa r of no point": (with_part(EC, 0, number(5)), MALFORMED),
    "ecdsa r of no point and high s": (with_part(high_s(EC), 0, number(5)), MALFORMED),
    "ecdsa another transaction": (replace(EC, value=1), WRONG),
    "ecdsa another's name": (ecdsa(replace(CALL, sender=ED_SENDER)), WRONG),
    "bip340 truncated": (replace(BIP, signature=BIP.signature[1:]), MALFORMED),
    "bip340 key of no point": (with_part(BIP, 0, number(5)), MALFORMED),
    "bip340 key above p": (with_part(BIP, 0, number(P + 1)), MALFORMED),
    "bip340 r at p": (with_part(BIP, 32, number(P)), MALFORMED),
    "bip340 s at the order": (with_part(BIP, 64, number(N)), MALFORMED),
    "bip340 s flipped": (flipped(BIP, 95), BAD),
    "bip340 another key": (with_part(BIP, 0, number(1)), BAD),
    "bip340 another transaction": (replace(BIP, gas_limit=1), BAD),
    "bip340 another's name": (bip340(replace(CALL, sender=b"n" * 20)), WRONG),
}


def test_valid_signatures_of_every_scheme() -> None:
    assert not authenticate(batch_of(VALID)).any()


def test_both_parities_were_met() -> None:
    prefixes = {coincurve.PrivateKey(secret).public_key.format()[0] for secret in SECRETS}
    assert prefixes == {2, 3}


@pytest.mark.parametrize("name", [name for name, (_, reason) in REFUSED.items() if reason is not None])
def test_refused(name: str) -> None:
    made, reason = REFUSED[name]
    assert authenticate(batch_of([made])).tolist() == [reason]


def test_a_mixed_batch_keeps_its_order(backend: str) -> None:
    items = [(made, Reason.NONE) for made in VALID]
    items += [(made, reason) for made, reason in REFUSED.values() if reason is not None]
    random = np.random.default_rng(3)
    order = random.permutation(len(items) * 3) % len(items)
    found = authenticate(batch_of([items[k][0] for k in order]), backend=backend)
    assert found.dtype == np.uint8
    assert found.tolist() == [items[k][1] for k in order]


def test_verdicts_are_told_by_scheme_and_backend(backend: str) -> None:
    wrong = [REFUSED["ecdsa another transaction"][0], REFUSED["bip340 r at p"][0]]
    told: list[tuple[str, str, list[int]]] = []
    authenticate(
        batch_of([*VALID, *wrong]),
        backend=backend,
        on_verified=lambda scheme, computed, verdicts: told.append((scheme, computed, verdicts.tolist())),
    )
    assert [(scheme, computed) for scheme, computed, _ in told] == [
        (scheme, backend) for scheme in ("ed25519", "ecdsa", "schnorr")
    ]
    assert [set(verdicts) for _, _, verdicts in told] == [{1}, {1}, {1, -1}]
    assert sum(len(verdicts) for _, _, verdicts in told) == len(VALID) + len(wrong)


def test_an_ed25519_signature_is_none_of_bip340() -> None:
    made, _ = REFUSED["ed25519 as bip340"]
    assert authenticate(batch_of([made])).tolist()[0] in (MALFORMED, BAD)


@pytest.mark.parametrize(
    "change",
    [
        {"chain_id": 2},
        {"nonce": 9},
        {"to": b"d" * 20},
        {"value": 1},
        {"gas_limit": 1},
        {"gas_price": 1},
        {"entry": b"gone"},
        {"input": b""},
        {"private": True},
        {"proof": b"p"},
        {"objects": [b"o" * 32]},
        {"reads": [], "writes": [b"k"]},
        {"reads": [b"k", b"k"], "writes": []},
        {"reads": None, "writes": None},
        {"sender": b"n" * 20},
    ],
)
def test_every_field_is_signed(change: dict[str, object]) -> None:
    batch = batch_of([replace(made, **change) for made in (ED, EC, BIP)])  # type: ignore[arg-type]
    assert authenticate(batch).tolist() == [BAD, WRONG, BAD]


def test_ed25519_has_the_rule_dalek() -> None:
    """Under the key (0, 1), whose multiples are itself, R = s·B for every message: `strict` refuses that for its small
    order. With the point of order two added to R it is valid for `zip215` alone."""
    p = 2**255 - 19
    y = 4 * pow(5, -1, p) % p  # the base point's, whose x is even
    key, one = (1).to_bytes(32, "little"), (1).to_bytes(32, "little")
    base, moved = y.to_bytes(32, "little"), (p - y | 1 << 255).to_bytes(32, "little")
    sender = hashed(b"\x01" + key)[-20:]
    made = [replace(CALL, sender=sender).signed(1, key + r + one) for r in (base, moved)]
    assert authenticate(batch_of(made)).tolist() == [Reason.NONE, BAD]


def test_parts_of_a_batch() -> None:
    batch = batch_of([*VALID, REFUSED["ecdsa high s"][0], *VALID])
    assert authenticate(batch.slice(2, len(VALID) + 2)).tolist() == [0] * (len(VALID) - 2) + [BAD, 0]
    assert authenticate(TransactionBatch.concatenate([])).shape == (0,)


def test_addresses_of_keys() -> None:
    secrets = [(k * 7 + 1).to_bytes(32, "big") for k in range(20)]
    public = [eth_keys.PrivateKey(secret).public_key for secret in secrets]
    keys = np.frombuffer(b"".join(key.to_bytes() for key in public), np.uint8).reshape(-1, 64)
    expected = [key.to_canonical_address() for key in public]
    assert [row.tobytes() for row in secp256k1_addresses(keys)] == expected
    ed = np.frombuffer(ED_KEY, np.uint8).reshape(1, 32)
    assert ed25519_addresses(ed).tobytes() == ED_SENDER
    salt, code = np.full((1, 32), 7, np.uint8), np.full((1, 32), 9, np.uint8)
    assert contract_addresses(salt, code).tobytes() == hashed(b"\x02" + b"\x07" * 32 + b"\x09" * 32)[-20:]


def test_even_keys_at_every_edge(backend: str) -> None:
    """Against Python integers, from both sides of 0, the order and the field's modulus."""
    around = [base + step for base in (0, N, P) for step in range(-6, 7)]
    values = [value for value in around if 0 <= value < 1 << 256] + [N + 2**100, (1 << 256) - 1, 1 << 255]
    rows = np.frombuffer(b"".join(map(number, values)), np.uint8).reshape(-1, 32)
    found = even_keys(rows, backend=backend)
    points = 0
    for value, key in zip(values, found, strict=True):
        y = pow(value**3 + 7, (P + 1) // 4, P)
        if value >= P or y * y % P != (value**3 + 7) % P:
            assert not key.any(), hex(value)
            continue
        points += 1
        assert key.tobytes() == number(value) + number(y if y % 2 == 0 else P - y), hex(value)
    assert N in values
    assert points >= 12
