# SPDX-License-Identifier: GPL-3.0-or-later
"""The BIP-340 kernels for GPUs, run on the host twin: every verdict as the oracle says."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

import host_twin
import numpy as np
import pytest
import weierstrass_twin as twin

from supervm.crypto.oracle.adversarial_ecdsa import generator_multiple
from supervm.crypto.oracle.schnorr import challenge
from supervm.crypto.oracle.weierstrass import N
from supervm.crypto.params.secp256k1 import SECP256K1
from supervm.kernels.cuda.constants import weierstrass as constants

pytestmark = [
    pytest.mark.twin,
    pytest.mark.skipif(bool(host_twin.missing()), reason=host_twin.missing() or "a compiler is there"),
]


class Signed(NamedTuple):
    """One input, in the order of the oracle's arguments."""

    public_key: bytes
    message: bytes
    signature: bytes


def verify(cases: list[Any], before: bytes = b"") -> twin.Scratch:
    keys, signatures = (
        np.frombuffer(b"".join(getattr(case, name) for case in cases), np.uint8).reshape(len(cases), width)
        for name, width in (("public_key", 32), ("signature", 64))
    )
    return twin.schnorr_verify(keys, [case.message for case in cases], signatures, before)


def even(secret: int) -> tuple[int, bytes]:
    """The one of ±secret whose point has even y, and the abscissa's bytes."""
    x, y = generator_multiple(secret)
    return (N - secret if y & 1 else secret), x.to_bytes(32, "big")


def signed(secret: int, nonce: int, message: bytes) -> Signed:
    (d, x), (k, r) = even(secret), even(nonce)
    s = (k + challenge(r, x, message) * d) % N
    return Signed(x, message, r + s.to_bytes(32, "big"))


def random_cases(count: int, seed: int) -> list[Signed]:
    """Valid ones over messages of all lengths around a block, and every third with one bit turned somewhere."""
    chosen = random.Random(seed)
    found = []
    for index in range(count):
        message = chosen.randbytes(
            chosen.choice((0, 1, 3, 32, 54, 55, 56, 57, 63, 64, 65, 118, 119, 120, 200))
        )
        case = signed(chosen.randrange(1, N), chosen.randrange(1, N), message)
        if index % 3 == 2:
            name = chosen.choice(
                ("public_key", "signature", "message") if message else ("public_key", "signature")
            )
            value = bytearray(getattr(case, name))
            value[chosen.randrange(len(value))] ^= 1 << chosen.randrange(8)
            case = case._replace(**{name: bytes(value)})
        found.append(case)
    return found


def test_adversarial(schnorr_cases: list[Any], oracles: Any) -> None:
    expected = [oracles.schnorr(*case[:3]) for case in schnorr_cases]
    assert {-1, 0, 1} <= set(expected)
    work = verify(schnorr_cases)
    pairs = zip(schnorr_cases, work.verdicts.tolist(), expected, strict=True)
    assert not [(case.description, got, want) for case, got, want in pairs if got != want]
    assert work.exceptional.any()


def test_published_vectors(schnorr_vectors: list[Any]) -> None:
    verdicts = verify(schnorr_vectors).verdicts.tolist()
    assert {vector.valid for vector in schnorr_vectors} == {True, False}
    wrong = [
        vector.name
        for vector, got in zip(schnorr_vectors, verdicts, strict=True)
        if (got == 1) != vector.valid
    ]
    assert not wrong


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 33])
def test_every_size_of_a_batch(size: int, oracles: Any) -> None:
    cases = random_cases(33, 4)[:size]
    expected = [oracles.schnorr(*case) for case in cases]
    assert size < 3 or {0, 1} <= set(expected)
    assert verify(cases).verdicts.tolist() == expected
    assert verify(cases, before=b"odd").verdicts.tolist() == expected


def test_every_length_of_a_message(oracles: Any) -> None:
    cases = [signed(length + 2, 3 * length + 5, bytes(range(length))) for length in range(132)]
    assert verify(cases).verdicts.tolist() == [1] * len(cases)
    longer = [case._replace(message=case.message + b"\0") for case in cases]
    assert verify(longer).verdicts.tolist() == [oracles.schnorr(*case) for case in longer] == [0] * len(cases)


def test_a_valid_sum_that_is_doubled_by_its_last_window(oracles: Any) -> None:
    """−e·P and all windows of s·G but the last add up to the term of the last one, so that R is twice that term."""
    top = constants.WINDOW_BITS * (constants.windows(SECP256K1) - 1)
    chosen = random.Random(8)
    cases: list[Signed] = []
    while len(cases) < 3:
        digit = chosen.randrange(1, 8)
        (d, x), (k, r) = even(chosen.randrange(1, N)), even(2 * digit << top)
        if k != 2 * digit << top:
            continue
        for attempt in range(400):
            message = attempt.to_bytes(2, "big")
            rest = (challenge(r, x, message) * d + (digit << top)) % N  # windows below the last
            rest = rest - N if rest > N // 2 else rest
            if abs(rest) < 1 << top - 2:
                cases.append(signed(d, k, message))
                assert int.from_bytes(cases[-1].signature[32:], "big") == (digit << top) + rest
                break
    work = verify(cases)
    assert work.exceptional.all()
    assert work.verdicts.tolist() == [oracles.schnorr(*case) for case in cases] == [1] * len(cases)


def test_rows_need_no_alignment(oracles: Any) -> None:
    """The columns one byte off a multiple of four."""
    cases = random_cases(5, 9)
    work = twin.Scratch(len(cases))
    raw = {
        name: twin.padded(np.frombuffer(b"?" + b"".join(getattr(case, name) for case in cases), np.uint8))[1:]
        for name in Signed._fields
    }
    offsets = np.cumsum([0, *(len(case.message) for case in cases)], dtype=np.int64)
    made = twin.library("schnorr")
    columns = (work.points, work.scalars, work.column)
    host_twin.call(
        made,
        "schnorr_prepare",
        raw["public_key"],
        raw["message"],
        offsets,
        raw["signature"],
        *columns,
        work.count,
    )
    work.double_multiply()
    host_twin.call(made, "schnorr_finish", raw["signature"], work.results, work.column, work.count)
    assert work.verdicts.tolist() == [oracles.schnorr(*case) for case in cases]
