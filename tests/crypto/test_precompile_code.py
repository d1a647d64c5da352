# SPDX-License-Identifier: GPL-3.0-or-later
"""RIPEMD-160, modular powers, BLAKE2b's F, P-256 against Python's integers, hashlib, pycryptodome, OpenSSL; refusals."""

from __future__ import annotations

import hashlib
import random

import pytest
from Crypto.Hash import RIPEMD160 as PYCRYPTODOME
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from supervm.crypto import precompiles
from supervm.crypto.params.hashes import BLAKE2B
from supervm.crypto.params.secp256r1 import SECP256R1
from supervm.kernels.errors import ArgumentError

P, N = SECP256R1.field.modulus, SECP256R1.scalar_field.modulus
ONE = (1).to_bytes(32, "big")


# RIPEMD-160 ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "digest"),
    [
        (b"", "9c1185a5c5e9fc54612808977ee8f548b2258d31"),
        (b"a", "0bdc9d2d256b3ee9daae347be6f4dc835a467ffe"),
        (b"abc", "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc"),
        (b"message digest", "5d0689ef49d2fae572b881b123a85ffa21595f36"),
        (b"1234567890" * 8, "9b752e45573d4b39f4dbd3323cab82bf63326bfb"),
    ],
)
def test_ripemd160_of_the_paper(message: bytes, digest: str) -> None:
    assert precompiles.ripemd160(message).hex() == "00" * 12 + digest


def test_ripemd160_of_every_length() -> None:
    data = random.Random(1).randbytes(400)
    for length in [*range(200), 256, 400]:
        expected = PYCRYPTODOME.new(data[:length]).digest()
        assert precompiles.ripemd160(data[:length]) == bytes(12) + expected, length


# Modular powers --------------------------------------------------------------------------------------------


def encoded(base: bytes, exponent: bytes, modulus: bytes) -> bytes:
    lengths = b"".join(len(part).to_bytes(32, "big") for part in (base, exponent, modulus))
    return lengths + base + exponent + modulus


def expected_power(base: bytes, exponent: bytes, modulus: bytes) -> bytes:
    b, e, m = (int.from_bytes(part, "big") for part in (base, exponent, modulus))
    return (pow(b, e, m) if m else 0).to_bytes(len(modulus), "big")


def odd_bytes(source: random.Random, length: int) -> bytes:
    """Random bytes, or such that quotients are guessed wrong: runs of ones and zeros, a lone bit, nothing."""
    kind = source.randrange(6)
    if kind == 0:
        return bytes(length)
    if kind == 1:
        return b"\xff" * length
    if kind == 2:
        return (1 << source.randrange(8 * length)).to_bytes(length, "big") if length else b""
    if kind == 3:
        words = [
            source.choice([bytes(8), b"\xff" * 8, b"\x80" + bytes(7), bytes(7) + b"\x01"])
            for _ in range(length)
        ]
        return b"".join(words)[:length]
    return source.randbytes(length)


def test_powers_against_python() -> None:
    source = random.Random(2)
    for _ in range(3000):
        lengths = [source.choice([0, 1, 7, 8, 9, 16, 24, 31, 32, 33, 40, 65, 72]) for _ in range(3)]
        parts = [odd_bytes(source, length) for length in lengths]
        assert precompiles.modexp(encoded(*parts)) == expected_power(*parts), [part.hex() for part in parts]


@pytest.mark.parametrize("last", [0, 1], ids=["even", "odd"])
def test_long_powers_against_python(last: int) -> None:
    """The longest operands of EIP-7823, and every size of window."""
    source = random.Random(3)
    for exponent_bytes in (1, 2, 11, 12, 13, 39, 41, 128):
        base, exponent = source.randbytes(1024), source.randbytes(exponent_bytes)
        modulus = source.randbytes(1023) + bytes([source.randrange(128) * 2 + last])
        assert precompiles.modexp(encoded(base, exponent, modulus)) == expected_power(base, exponent, modulus)


def test_numbers_whose_quotients_are_corrected() -> None:
    """A remainder of Knuth's algorithm D whose guess is two too large, and one where a multiple is added back."""
    full = (1 << 64) - 1
    divisor = (1 << 191) + full  # words 2^63, 0, 2^64 − 1
    for quotient in (full, full - 1, full << 64, (full << 64) | full):
        for rest in (0, 1, divisor - 1):
            base = (quotient * divisor + rest).to_bytes(48, "big")
            modulus = divisor.to_bytes(24, "big")
            assert precompiles.modexp(encoded(base, b"\1", modulus)) == rest.to_bytes(24, "big")


def test_powers_of_cut_and_long_inputs() -> None:
    whole = encoded(bytes([3]), bytes([255]) * 3, bytes([1, 0, 7]))
    for length in range(len(whole)):
        full = whole[:length].ljust(len(whole), b"\0")
        lengths = [int.from_bytes(full[at : at + 32], "big") for at in (0, 32, 64)]
        parts, at = [], 96
        for size in lengths:
            parts.append(full[at : at + size].ljust(size, b"\0"))
            at += size
        if max(lengths) <= 1024:
            assert precompiles.modexp(whole[:length]) == expected_power(*parts), length
    assert precompiles.modexp(whole + b"\xff" * 9) == precompiles.modexp(whole)
    assert precompiles.modexp(b"") == b""


def test_operands_above_the_limit() -> None:
    data = (0).to_bytes(32, "big") + (1025).to_bytes(32, "big") + (1).to_bytes(32, "big")
    with pytest.raises(
        ArgumentError, match=r"operands of 0, 1025 and 1 bytes, expected at most 1024 bytes each"
    ):
        precompiles.modexp(data)
    assert precompiles.modexp(data, limit=1025) == b"\0"
    with pytest.raises(ArgumentError, match="argument 'input'"):
        precompiles.modexp(b"\xff" * 96)


# BLAKE2b's F -----------------------------------------------------------------------------------------------


def oracle_f(rounds: int, state: list[int], block: list[int], count: int, last: bool) -> list[int]:
    """RFC 7693, section 3.2, on Python's integers."""
    mask = (1 << 64) - 1
    vector = state + list(BLAKE2B.initial)
    vector[12] ^= count & mask
    vector[13] ^= count >> 64
    if last:
        vector[14] ^= mask

    def mix(a: int, b: int, c: int, d: int, x: int, y: int) -> None:
        for word, first, second in ((x, 32, 24), (y, 16, 63)):
            vector[a] = (vector[a] + vector[b] + word) & mask
            vector[d] ^= vector[a]
            vector[d] = (vector[d] >> first | vector[d] << (64 - first)) & mask
            vector[c] = (vector[c] + vector[d]) & mask
            vector[b] ^= vector[c]
            vector[b] = (vector[b] >> second | vector[b] << (64 - second)) & mask

    for turn in range(rounds):
        order = BLAKE2B.schedule[turn % 10]
        for index in range(4):
            mix(
                *(index + 4 * row for row in range(4)), *(block[order[2 * index + half]] for half in range(2))
            )
        for index in range(4):
            places = (index, 4 + (index + 1) % 4, 8 + (index + 2) % 4, 12 + (index + 3) % 4)
            mix(*places, *(block[order[8 + 2 * index + half]] for half in range(2)))
    return [old ^ vector[index] ^ vector[8 + index] for index, old in enumerate(state)]


def call_f(rounds: int, state: list[int], block: bytes, count: int, last: bool) -> list[int]:
    data = rounds.to_bytes(4, "big") + b"".join(word.to_bytes(8, "little") for word in state)
    output = precompiles.blake2f(data + block + count.to_bytes(16, "little") + bytes([last]))
    return [int.from_bytes(output[at : at + 8], "little") for at in range(0, 64, 8)]


@pytest.mark.parametrize("rounds", [*range(14), 19, 20, 21, 100, 1000])
def test_f_against_the_rfc(rounds: int) -> None:
    source = random.Random(rounds)
    state, block = [source.getrandbits(64) for _ in range(8)], source.randbytes(128)
    words = [int.from_bytes(block[at : at + 8], "little") for at in range(0, 128, 8)]
    count, last = source.getrandbits(128), bool(rounds % 2)
    assert call_f(rounds, state, block, count, last) == oracle_f(rounds, state, words, count, last)


def test_blake2b_of_hashlib_by_f() -> None:
    message = random.Random(4).randbytes(300)
    state = [BLAKE2B.initial[0] ^ 0x01010000 ^ 64, *BLAKE2B.initial[1:]]
    for start in (0, 128, 256):
        block = message[start : start + 128]
        state = call_f(12, state, block.ljust(128, b"\0"), start + len(block), start == 256)
    digest = b"".join(word.to_bytes(8, "little") for word in state)
    assert digest == hashlib.blake2b(message).digest()


def test_inputs_that_f_refuses() -> None:
    for length in (0, 1, 212, 214):
        with pytest.raises(ArgumentError, match=f"{length} bytes, expected 213 bytes"):
            precompiles.blake2f(bytes(length))
    with pytest.raises(ArgumentError, match="a last byte of 2"):
        precompiles.blake2f(bytes(212) + b"\2")


# P-256 -----------------------------------------------------------------------------------------------------


def times(k: int, point: tuple[int, int]) -> tuple[int, int]:
    """k · point for k in 1 … n − 1, by doubling."""
    total = None
    for bit in bin(k)[2:]:
        total = SECP256R1.add(total, total) if total else None
        if bit == "1":
            total = SECP256R1.add(total, point) if total else point
    assert total is not None
    return total


def item(digest: int, r: int, s: int, x: int, y: int) -> bytes:
    return b"".join(number.to_bytes(32, "big") for number in (digest, r, s, x, y))


def signed(secret: int, nonce: int, digest: int) -> tuple[int, int, int, int, int]:
    x, y = times(secret, SECP256R1.base)
    r = times(nonce, SECP256R1.base)[0] % N
    return digest, r, pow(nonce, -1, N) * (digest + r * secret) % N, x, y


def test_the_curve() -> None:
    x, y = SECP256R1.base
    assert (y * y - x**3 + 3 * x - SECP256R1.b) % P == 0
    assert times(N - 1, SECP256R1.base) == (x, P - y)


def test_signatures_of_openssl() -> None:
    source = random.Random(5)
    for _ in range(20):
        key = ec.derive_private_key(source.randrange(1, N), ec.SECP256R1())
        digest = source.randbytes(32)
        r, s = decode_dss_signature(key.sign(digest, ec.ECDSA(Prehashed(SHA256()))))
        public = key.public_key().public_numbers()
        number = int.from_bytes(digest, "big")
        for high in (s, N - s):  # no rule about low s
            assert precompiles.p256_verify(item(number, r, high, public.x, public.y)) == ONE
        for field in range(5):
            parts = [number, r, s, public.x, public.y]
            parts[field] ^= 1 << source.randrange(255)
            assert precompiles.p256_verify(item(*parts)) == b""


def test_multiples_that_meet() -> None:
    """Small multiples: sums of equal and of opposite points, results at infinity, digits of zero."""
    for secret in (1, 2, 3, 5, 17, N - 1, N - 2, N - 3):
        for nonce in (1, 2, 3, 4, 31, N - 1, N - 5):
            for digest in (0, 1, 2, N - 1, N, 2**256 - 1):
                parts = signed(secret, nonce, digest)
                assert parts[2] == 0 or precompiles.p256_verify(item(*parts)) == ONE
    # u₁·G + u₂·Q is infinity where the digest is −r·secret.
    secret = 12345
    x, y = times(secret, SECP256R1.base)
    for r in (1, 7, x % N):
        assert precompiles.p256_verify(item(-r * secret % N, r, 99, x, y)) == b""


def test_numbers_at_their_limits() -> None:
    digest, r, s, x, y = signed(0xABCDEF, 0x123456789, 2**255 + 12345)
    assert precompiles.p256_verify(item(digest, r, s, x, y)) == ONE
    bad = [
        (0, s, x, y),
        (N, s, x, y),
        (r, 0, x, y),
        (r, N, x, y),
        (r, s, 0, 0),
        (r, s, x, P - y),
        (r, s, x, P),
    ]
    bad += [(r, s + N, x, y)] if s + N < 2**256 else []
    bad += [(r, s, P, y), (r, s, x, y ^ 1), (r, s, y, x), (2**256 - 1, s, x, y), (r, s, 2**256 - 1, y)]
    for parts in bad:
        assert precompiles.p256_verify(item(digest, *parts)) == b"", parts
    whole = item(digest, r, s, x, y)
    for data in (b"", whole[:-1], whole + b"\0"):
        assert precompiles.p256_verify(data) == b""


# Prices ----------------------------------------------------------------------------------------------------


def test_prices() -> None:
    gas = precompiles.gas
    assert [gas("ripemd160", bytes(n)) for n in (0, 1, 32, 33)] == [600, 720, 720, 840]
    assert gas("p256_verify", b"") == 6900
    assert gas("blake2f", (12).to_bytes(4, "big") + bytes(209)) == 12
    assert gas("blake2f", b"\xff" * 212) == 0
    assert gas("modexp", b"") == 500
    with pytest.raises(ArgumentError, match="'sha3', expected one of ecrecover"):
        gas("sha3", b"")
