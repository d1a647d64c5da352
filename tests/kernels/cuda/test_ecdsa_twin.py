# SPDX-License-Identifier: GPL-3.0-or-later
"""The ECDSA kernels for GPUs, run on the host twin: every verdict and key as the oracle says."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from typing import Any, NamedTuple

import host_twin
import numpy as np
import numpy.typing as npt
import pytest
import weierstrass_twin as twin

from supervm.crypto import hashes, secp256k1
from supervm.crypto.oracle import weierstrass
from supervm.crypto.oracle.adversarial_ecdsa import generator_multiple
from supervm.crypto.oracle.weierstrass import BASE, N, P
from supervm.crypto.params.curve25519 import FL, FP
from supervm.crypto.params.hashes import SHA256, SHA512
from supervm.crypto.params.secp256k1 import SECP256K1
from supervm.kernels.cuda.constants import weierstrass as constants
from supervm.kernels.errors import ArgumentError

pytestmark = [
    pytest.mark.twin,
    pytest.mark.skipif(bool(host_twin.missing()), reason=host_twin.missing() or "a compiler is there"),
]

BITS, WINDOWS = constants.WINDOW_BITS, constants.windows(SECP256K1)
SIZES = (0, 1, 15, 16, 17, 33)


class Signed(NamedTuple):
    """One input, in the order of the oracle's arguments."""

    public_key: bytes
    digest: bytes
    signature: bytes


def rows(values: list[bytes], width: int = 0) -> npt.NDArray[np.uint8]:
    return np.frombuffer(b"".join(values), np.uint8).reshape(len(values), width or len(values[0]))


def arrays(cases: list[Any]) -> tuple[npt.NDArray[np.uint8], ...]:
    return tuple(
        rows([getattr(case, name) for case in cases]) for name in ("public_key", "digest", "signature")
    )


def bytes32(value: int) -> bytes:
    return value.to_bytes(32, "big")


def from_scalars(u1: int, u2: int, secret: int) -> Signed:
    """The valid signature whose double product is u1·G + u2·Q with Q = secret·G."""
    key = generator_multiple(secret)
    r = generator_multiple(u1 + u2 * secret)[0] % N
    s = r * pow(u2, -1, N) % N
    return Signed(weierstrass.encode(key), bytes32(u1 * s % N), bytes32(r) + bytes32(s))


def random_cases(count: int, seed: int) -> list[Signed]:
    """Valid ones, and every third with one bit turned somewhere."""
    chosen = random.Random(seed)
    found = []
    for index in range(count):
        case = from_scalars(*(chosen.randrange(1, N) for _ in range(3)))
        if index % 3 == 2:
            name = chosen.choice(Signed._fields)
            value = bytearray(getattr(case, name))
            value[chosen.randrange(len(value))] ^= 1 << chosen.randrange(8)
            case = case._replace(**{name: bytes(value)})
        found.append(case)
    return found


def disagreements(cases: list[Any], verdicts: list[int], expected: list[int]) -> list[Any]:
    pairs = zip(cases, verdicts, expected, strict=True)
    return [(case[-1], got, want) for case, got, want in pairs if got != want]


def number(words: npt.NDArray[np.uint32]) -> int:
    return int.from_bytes(words.astype("<u4").tobytes(), "little")


def test_every_entry_of_the_table() -> None:
    """An entry and the window's base lie on a line with the opposite of the next entry, so that is their sum."""
    table = twin.table()
    assert table.shape == (WINDOWS, 1 << BITS - 1, 16)
    for window in range(WINDOWS):
        points = [(number(row[:8]), number(row[8:])) for row in table[window]]
        base = points[0]
        assert base == weierstrass.multiply(1 << BITS * window, BASE)
        assert points[1] == weierstrass.add(base, base)
        assert points[-1] == weierstrass.multiply(len(points) << BITS * window, BASE)
        for x, y in points:
            assert weierstrass.on_curve(x, y)
        for (x, y), (next_x, next_y) in itertools.pairwise(points[1:]):
            assert next_x not in (x, base[0])
            assert ((y - base[1]) * (next_x - x) + (next_y + y) * (x - base[0])) % P == 0


@pytest.mark.parametrize("low_s", [True, False])
@pytest.mark.parametrize("key_length", [33, 64, 65])
def test_adversarial_verify(key_length: int, low_s: bool, ecdsa_cases: list[Any], oracles: Any) -> None:
    cases = [case for case in ecdsa_cases if len(case.public_key) == key_length]
    expected = [oracles.ecdsa(*case[:3], low_s) for case in cases]
    assert {-1, 1} <= set(expected)
    work = twin.ecdsa_verify(*arrays(cases), low_s)
    assert not disagreements(cases, work.verdicts.tolist(), expected)
    if key_length == 64:
        assert work.exceptional.any()


def test_adversarial_recover(recovery_cases: list[Any], oracles: Any) -> None:
    keys, work = twin.ecdsa_recover(
        rows([case.digest for case in recovery_cases]), rows([case.signature for case in recovery_cases])
    )
    wrong = []
    for case, key, verdict in zip(recovery_cases, keys, work.verdicts.tolist(), strict=True):
        expected_key, expected = oracles.recover(*case[:2])
        if (key.tobytes(), verdict) != (expected_key or bytes(64), expected):
            wrong.append((case.description, verdict, expected))
    assert not wrong
    assert work.exceptional.any()


def test_every_recovery_id(oracles: Any) -> None:
    """Over r where r + n is below p, and an ordinary one."""
    small = next(
        x for x in range(1, 99) if None not in (weierstrass.lift_x(x, 0), weierstrass.lift_x(x + N, 0))
    )
    for r in (small, generator_multiple(77)[0] % N):
        signatures = [bytes32(r) + bytes32(N - 5) + bytes([recovery_id]) for recovery_id in range(256)]
        keys, work = twin.ecdsa_recover(rows([bytes32(r ^ 9)] * 256), rows(signatures))
        expected = [oracles.recover(bytes32(r ^ 9), signature) for signature in signatures]
        assert work.verdicts.tolist() == [verdict for _, verdict in expected]
        assert [key.tobytes() for key in keys] == [key or bytes(64) for key, _ in expected]
        assert work.verdicts.tolist().count(1) == (4 if r == small else 2)


def test_published_vectors(ecdsa_vectors: list[Any]) -> None:
    for low_s in (True, False):
        vectors = [vector for vector in ecdsa_vectors if vector.low_s == low_s]
        signatures, parsed = secp256k1.signatures_from_der([vector.der for vector in vectors])
        keys, digests = rows([v.public_key for v in vectors]), rows([v.digest for v in vectors])
        verdicts = twin.ecdsa_verify(keys, digests, signatures, low_s).verdicts
        wrong = [
            vector.name
            for vector, verdict, readable in zip(vectors, verdicts, parsed, strict=True)
            if (verdict == 1 and readable == 1) != vector.valid
        ]
        assert not wrong


def test_published_recover_vectors(recover_vectors: list[Any]) -> None:
    vectors = [vector for vector in recover_vectors if vector.v in (27, 28)]
    signatures = rows([vector.rs + bytes([vector.v - 27]) for vector in vectors])
    keys, work = twin.ecdsa_recover(rows([vector.digest for vector in vectors]), signatures)
    addresses = hashes.eth_address_batch(keys)
    for vector, address, verdict in zip(vectors, addresses, work.verdicts, strict=True):
        assert verdict == (1 if vector.address else -1), vector.name
        assert not vector.address or address.tobytes() == vector.address, vector.name


def signed_digits(scalar: int) -> list[int]:
    """Windows of a scalar below n as the kernel cuts them: from −2^11 + 1 to 2^11."""
    digits = []
    for _ in range(WINDOWS):
        digit = scalar % (1 << BITS)
        if digit > 1 << BITS - 1:
            digit -= 1 << BITS
        digits.append(digit)
        scalar = scalar - digit >> BITS
    assert scalar == 0
    return digits


@pytest.mark.parametrize(
    ("window", "meeting"),
    [
        *((window, "equal") for window in (0, 1, 9, WINDOWS - 2, WINDOWS - 1)),
        *((window, "opposite") for window in (0, 1, 9, WINDOWS - 2)),
    ],
)
def test_a_sum_that_meets_its_next_term(window: int, meeting: str, oracles: Any) -> None:
    """u2·Q and the lower windows of u1·G add up to ± the term of `window`; the result is finite all the same.

    After the last window nothing follows: an opposite there is an infinite result, which the adversarial cases hold.
    """
    chosen = random.Random(window)
    sign = 1 if meeting == "equal" else -1
    cases = []
    while len(cases) < 3:
        u1, secret = chosen.randrange(1, N), chosen.randrange(1, N)
        digits = signed_digits(u1)
        term = digits[window] << BITS * window
        before = sum(digit << BITS * index for index, digit in enumerate(digits[:window]))
        u2 = (sign * term - before) * pow(secret, -1, N) % N
        if term and u2 and (u1 + u2 * secret) % N:
            cases.append(from_scalars(u1, u2, secret))
    keys, digests, signatures = arrays(cases)
    work = twin.ecdsa_verify(keys, digests, signatures, False)
    assert work.exceptional.all()
    assert work.verdicts.tolist() == [1] * len(cases) == [oracles.ecdsa(*case, False) for case in cases]
    wrong = digests.copy()
    wrong[:, 31] ^= 1
    assert twin.ecdsa_verify(keys, wrong, signatures, False).verdicts.tolist() == [0] * len(cases)


def test_a_sum_without_exceptions_needs_no_second_kernel() -> None:
    """Zero and tiny scalars, whose windows are empty, are no exceptions."""
    half, whole = 1 << BITS - 1, 1 << BITS
    small = (
        0,
        1,
        2,
        15,
        16,
        half - 1,
        half,
        half + 1,
        whole - 1,
        whole,
        half * (whole + 1),
        N - 1,
        N - whole,
    )
    cases = [from_scalars(u1, u2, 987654321) for u1 in small for u2 in small[1:]]
    cases += [from_scalars(0, pow(SECP256K1.basis[0][1], -1, N), 3)]
    work = twin.ecdsa_verify(*arrays(cases), False)
    assert work.verdicts.tolist() == [1] * len(cases)
    assert not work.exceptional.any()


@pytest.mark.parametrize("size", SIZES)
def test_every_size_of_a_batch(size: int, oracles: Any) -> None:
    cases = random_cases(max(SIZES), 5)[:size]
    expected = [oracles.ecdsa(*case, False) for case in cases]
    keys, digests, signatures = (
        rows([getattr(case, name) for case in cases], width)
        for name, width in (("public_key", 64), ("digest", 32), ("signature", 64))
    )
    work = twin.ecdsa_verify(keys, digests, signatures, False)
    assert work.verdicts.tolist() == expected
    assert size < 3 or {0, 1} <= set(expected)
    recoverable = [case.signature + bytes([index & 3]) for index, case in enumerate(cases)]
    found, work = twin.ecdsa_recover(digests, rows(recoverable, 65))
    recovered = [
        oracles.recover(case.digest, signature) for case, signature in zip(cases, recoverable, strict=True)
    ]
    assert work.verdicts.tolist() == [verdict for _, verdict in recovered]
    assert [key.tobytes() for key in found] == [key or bytes(64) for key, _ in recovered]
    assert size < 3 or {-1, 1} <= set(work.verdicts.tolist())


def test_what_the_constants_refuse() -> None:
    with pytest.raises(ArgumentError, match="no endomorphism"):
        constants.curve(replace(SECP256K1, endomorphism=None))
    with pytest.raises(ArgumentError, match="order of"):
        constants.curve(replace(SECP256K1, scalar_field=FL))
    with pytest.raises(ArgumentError, match="2\\^32"):
        constants.curve(replace(SECP256K1, field=FP))
    with pytest.raises(ArgumentError, match="32 bits"):
        constants.tagged_hash(SHA512, bytes(64))
    with pytest.raises(ArgumentError, match="to a block"):
        constants.tagged_hash(SHA256, bytes(31))
