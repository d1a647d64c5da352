# SPDX-License-Identifier: GPL-3.0-or-later
"""The hash functions, each constant derived from its rule.

SHA-256 and SHA-512: FIPS 180-4, sections 4.1 to 5.3. Keccak-256: the Keccak reference 3.0, sections 1.1 and
1.2, with the padding of the original submission, as Ethereum's Yellow Paper uses it (domain byte 0x01, where
FIPS 202 has 0x06). BLAKE2b: RFC 7693, sections 2.1 to 2.7; the order of message words is a table there. RIPEMD-160:
Dobbertin, Bosselaers, Preneel, "RIPEMD-160: A Strengthened Version of RIPEMD" (Fast Software Encryption 1996), table 1 and
section 3; the amounts of its rotations are a table there.
"""

from __future__ import annotations

from math import isqrt

from supervm.kernels.hash_spec import Blake2Spec, KeccakSpec, Ripemd160Spec, Sha2Spec


def _primes(count: int) -> list[int]:
    found: list[int] = []
    candidate = 2
    while len(found) < count:
        if all(candidate % prime for prime in found):
            found.append(candidate)
        candidate += 1
    return found


def _cube_root(value: int) -> int:
    """The largest integer whose cube is at most `value` (Newton's method from above)."""
    root = 1 << -(-value.bit_length() // 3)
    while (better := (2 * root + value // (root * root)) // 3) < root:
        root = better
    return root


def _square_root_fractions(count: int, bits: int) -> tuple[int, ...]:
    """The first `bits` bits of the fractional parts of the square roots of the first `count` primes."""
    return tuple(isqrt(prime << 2 * bits) % (1 << bits) for prime in _primes(count))


def _cube_root_fractions(count: int, bits: int) -> tuple[int, ...]:
    """The first `bits` bits of the fractional parts of the cube roots of the first `count` primes."""
    return tuple(_cube_root(prime << 3 * bits) % (1 << bits) for prime in _primes(count))


SHA256 = Sha2Spec(
    name="sha256",
    word_bits=32,
    big_endian=True,
    block_bytes=64,
    digest_bytes=32,
    padding_bytes=9,
    marker=0x80,
    last_marker=0,
    length_bytes=8,
    initial=_square_root_fractions(8, 32),
    constants=_cube_root_fractions(64, 32),
    big_sigma0=(2, 13, 22),
    big_sigma1=(6, 11, 25),
    small_sigma0=(7, 18, 3),
    small_sigma1=(17, 19, 10),
)

SHA512 = Sha2Spec(
    name="sha512",
    word_bits=64,
    big_endian=True,
    block_bytes=128,
    digest_bytes=64,
    padding_bytes=17,
    marker=0x80,
    last_marker=0,
    length_bytes=16,
    initial=_square_root_fractions(8, 64),
    constants=_cube_root_fractions(80, 64),
    big_sigma0=(28, 34, 39),
    big_sigma1=(14, 18, 41),
    small_sigma0=(1, 8, 7),
    small_sigma1=(19, 61, 6),
)


def _keccak_rotations() -> tuple[int, ...]:
    """Offsets of ρ: the orbit of lane (1, 0) under (x, y) → (y, 2x + 3y) turns by the triangular numbers."""
    rotations = [0] * 25
    x, y = 1, 0
    for step in range(24):
        rotations[x + 5 * y] = (step + 1) * (step + 2) // 2 % 64
        x, y = y, (2 * x + 3 * y) % 5
    return tuple(rotations)


def _keccak_round_constants() -> tuple[int, ...]:
    """Constants of ι: bit 2^j − 1 of round r is the output 7r + j of the register x⁸ + x⁶ + x⁵ + x⁴ + 1."""
    constants = []
    register = 1
    for _ in range(24):
        constant = 0
        for j in range(7):
            constant |= (register & 1) << ((1 << j) - 1)
            register <<= 1
            register ^= 0x171 if register >> 8 else 0
        constants.append(constant)
    return tuple(constants)


KECCAK256 = KeccakSpec(
    name="keccak256",
    word_bits=64,
    big_endian=False,
    block_bytes=136,
    digest_bytes=32,
    padding_bytes=1,
    marker=0x01,
    last_marker=0x80,
    length_bytes=0,
    rotations=_keccak_rotations(),
    round_constants=_keccak_round_constants(),
)

_BLAKE2_ORDERS = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
    (14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3),
    (11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4),
    (7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8),
    (9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13),
    (2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9),
    (12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11),
    (13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10),
    (6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5),
    (10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0),
)

BLAKE2B = Blake2Spec(
    name="blake2b",
    word_bits=64,
    big_endian=False,
    block_bytes=128,
    digest_bytes=64,
    padding_bytes=0,
    marker=0,
    last_marker=0,
    length_bytes=0,
    initial=SHA512.initial,
    parameters=0x0101_0000 | 64,
    schedule=tuple(_BLAKE2_ORDERS[turn % 10] for turn in range(12)),
    rotations=(32, 24, 16, 63),
)


def _ripemd_orders() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Words that each step takes: ρ applied once more every sixteen steps, in the right line behind π(i) = 9i + 5 mod 16."""
    rho = (7, 4, 13, 1, 10, 6, 15, 3, 12, 0, 9, 5, 2, 14, 11, 8)
    lines = []
    for order in (list(range(16)), [(9 * index + 5) % 16 for index in range(16)]):
        line: list[int] = []
        for _ in range(5):
            line += order
            order = [rho[index] for index in order]
        lines.append(tuple(line))
    return lines[0], lines[1]


def _ripemd_rotations(orders: tuple[tuple[int, ...], tuple[int, ...]]) -> tuple[tuple[int, ...], ...]:
    """Amounts by round and by word of the block, put in the order in which each line takes the words."""
    amounts = (
        (11, 14, 15, 12, 5, 8, 7, 9, 11, 13, 14, 15, 6, 7, 9, 8),
        (12, 13, 11, 15, 6, 9, 9, 7, 12, 15, 11, 13, 7, 8, 7, 7),
        (13, 15, 14, 11, 7, 7, 6, 8, 13, 14, 13, 12, 5, 5, 6, 9),
        (14, 11, 12, 14, 8, 6, 5, 5, 15, 12, 15, 14, 9, 9, 8, 6),
        (15, 12, 13, 13, 9, 5, 8, 6, 14, 11, 12, 11, 8, 6, 5, 5),
    )
    return tuple(tuple(amounts[step // 16][word] for step, word in enumerate(order)) for order in orders)


def _ripemd160() -> Ripemd160Spec:
    orders = _ripemd_orders()
    left, right = _ripemd_rotations(orders)
    roots = (2, 3, 5, 7)
    return Ripemd160Spec(
        name="ripemd160",
        word_bits=32,
        big_endian=False,
        block_bytes=64,
        digest_bytes=20,
        padding_bytes=9,
        marker=0x80,
        last_marker=0,
        length_bytes=8,
        initial=(0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0),
        orders=orders,
        rotations=(left, right),
        constants=(
            (0, *(isqrt(root << 60) for root in roots)),
            (*(_cube_root(root << 90) for root in roots), 0),
        ),
        rotation=10,
    )


RIPEMD160 = _ripemd160()
"""Its length field is little-endian, unlike that of SHA-2."""
