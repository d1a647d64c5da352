# SPDX-License-Identifier: GPL-3.0-or-later
"""Trusted setups of KZG commitments: powers of a secret that nobody knows, as multiples of the groups' generators.

`load_trusted_setup` reads the text that c-kzg and the ceremony's tools use: the numbers 4096 and 65, then in hexadecimal, a
line each, 4,096 points of G1 that commit to the Lagrange polynomials of the roots of unity, 65 points τⁱ·G₂ and 4,096 points
τⁱ·G₁. Every point is checked, and that they belong to one secret.
"""

from __future__ import annotations

import functools
import hashlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from supervm.crypto import pairings
from supervm.crypto.kzg_openings import CURVE, ORDER, mainnet_minus_tau, pairings_agree
from supervm.crypto.msm import Table, msm, prepare
from supervm.crypto.ntt import ntt
from supervm.crypto.params.kzg import CELL_ELEMENTS, ELEMENTS, G2_POINTS, PUBLIC_SECRET
from supervm.kernels.array_types import Words
from supervm.kernels.cpu.ntt.plan import orders
from supervm.kernels.errors import ArgumentError
from supervm.kernels.transform import words_of

Made = TypeVar("Made")

PRECOMPUTED = 8
"""Multiples of each point that are kept for commitments: windows share buckets, for 0.4 MB a multiple."""

_EXPECTED = f"a ceremony's setup: {ELEMENTS} and {G2_POINTS}, then the points in hexadecimal, a line each"


class TrustedSetup:
    """A setup, made by `load_trusted_setup` or `insecure_setup`.

    Args:
        digest: SHA-256 of the file, in hexadecimal.
        lagrange: uint64 (4096, 2, 6), in the order of a blob's elements, which is the bit-reversed one.
        monomial: uint64 (4096, 2, 6), τⁱ·G₁.
        second: uint64 (65, 2, 2, 6), τⁱ·G₂.
    """

    def __init__(self, digest: str, lagrange: Words, monomial: Words, second: Words) -> None:
        self.digest = digest
        self.lagrange, self.monomial = lagrange, monomial
        minus = CURVE.g2.negate(second[[1, CELL_ELEMENTS]])
        self.minus_tau, self.minus_cell_tau = minus[0], minus[1]
        self.is_mainnet = bool((minus[0] == mainnet_minus_tau()).all())
        self._kept: dict[tuple[str, str], Any] = {}

    def __repr__(self) -> str:
        return f"TrustedSetup({self.digest[:16]}…{', Ethereum mainnet' if self.is_mainnet else ''})"

    def commit(self, values: Words, backend: str = "auto") -> Words:
        """Commitments to polynomials from their values, uint64 (n, 4096, 4) in a blob's order: uint64 (n, 2, 6)."""
        return self._table("lagrange", self.lagrange, backend).msm(values)

    def commit_coefficients(self, coefficients: Words, backend: str = "auto") -> Words:
        """Commitments to polynomials from their coefficients, uint64 (n, 4096 or 64, 4), lowest first: uint64 (n, 2, 6)."""
        length = coefficients.shape[1]
        return self._table(f"monomial {length}", self.monomial[:length], backend).msm(coefficients)

    def kept(self, key: tuple[str, str], make: Callable[[], Made]) -> Made:
        """What `make` makes from this setup, for a name and a backend: once."""
        if key not in self._kept:
            self._kept[key] = make()
        found: Made = self._kept[key]
        return found

    def _table(self, name: str, points: Words, backend: str) -> Table:
        """Points as sums over them take them."""
        return self.kept(
            (name, backend), lambda: prepare(CURVE.name, points, precompute=PRECOMPUTED, backend=backend)
        )


def required(setup: object) -> TrustedSetup:
    """`setup` if it is one.

    Raises:
        ArgumentError: it is none, or there is none.
    """
    if not isinstance(setup, TrustedSetup):
        raise ArgumentError(
            "setup", type(setup).__name__, "what kzg.load_trusted_setup returns for a ceremony's file"
        )
    return setup


def load_trusted_setup(path: str | os.PathLike[str], *, backend: str = "auto") -> TrustedSetup:
    """Read and check a ceremony's setup.

    Args:
        path: of the text file, 0.8 MB.
        backend: of the checks.

    Returns:
        The setup. `digest` says which file it was, `is_mainnet` whether its secret is that of Ethereum's ceremony.

    Raises:
        ArgumentError: no such file, another format, a point that does not decode or is not in its group, points that are
            not powers of one secret, or the secret of `insecure_setup`, which everyone knows.
        BackendUnavailable: the named backend cannot run here.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise ArgumentError("path", type(path).__name__, "the path of a ceremony's setup")
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise _refused(f"{os.fspath(path)!r}: {error.strerror or error}") from None
    lagrange, second, monomial = _parsed(data, backend)
    _require_one_secret(lagrange, monomial, second, backend)
    secret = words_of([PUBLIC_SECRET]).reshape(1, 4)
    if (CURVE.g1.multiply(CURVE.g1.generator[None], secret, backend=backend)[0] == monomial[1]).all():
        raise _refused("a setup whose secret is published, for tests alone")
    digest = hashlib.sha256(data).hexdigest()
    return TrustedSetup(digest, _bit_reversed(lagrange), monomial, second)


@functools.cache
def insecure_setup() -> TrustedSetup:
    """A setup for tests, whose secret is published: anyone can prove anything under it. Made at the first call.

    No other function uses it unless it is passed, and `load_trusted_setup` refuses a file with its secret.
    """
    powers = [1]
    for _ in range(ELEMENTS - 1):
        powers.append(powers[-1] * PUBLIC_SECRET % ORDER)
    monomial = words_of(powers).reshape(ELEMENTS, 4)
    # The values at τ of the Lagrange polynomials are Σⱼ τʲ·ω^(−i·j)/n: an inverse transform.
    lagrange = ntt(CURVE.name, monomial, inverse=True)
    points = CURVE.g1.multiply(
        np.repeat(CURVE.g1.generator[None], 2 * ELEMENTS, axis=0), np.concatenate((lagrange, monomial))
    )
    second = CURVE.g2.multiply(np.repeat(CURVE.g2.generator[None], G2_POINTS, axis=0), monomial[:G2_POINTS])
    digest = hashlib.sha256(points.tobytes()).hexdigest()
    return TrustedSetup(digest, _bit_reversed(points[:ELEMENTS]), points[ELEMENTS:], second)


def _refused(found: str) -> ArgumentError:
    return ArgumentError("path", found, _EXPECTED)


def _bit_reversed(points: Words) -> Words:
    return np.ascontiguousarray(points[orders(ELEMENTS.bit_length() - 1)[1]])


def _parsed(data: bytes, backend: str) -> tuple[Words, Words, Words]:
    """The three lists of points of a file, each point decoded and in its group."""
    fields = data.split()
    lengths = [48] * ELEMENTS + [96] * G2_POINTS + [48] * ELEMENTS
    if fields[:2] != [str(ELEMENTS).encode(), str(G2_POINTS).encode()]:
        raise _refused(f"a file that begins with {b' '.join(fields[:2])[:40]!r}")
    if len(fields) != 2 + len(lengths):
        raise _refused(f"a file with {len(fields) - 2} points")
    try:
        rows = [bytes.fromhex(field.decode("ascii")) for field in fields[2:]]
    except ValueError:
        raise _refused("a file with points that are not hexadecimal") from None
    for index, (row, length) in enumerate(zip(rows, lengths, strict=True)):
        if len(row) != length:
            raise _refused(f"a file whose point {index} has {len(row)} bytes")
    found = []
    for name, group, part in (
        ("Lagrange", CURVE.g1, rows[:ELEMENTS]),
        ("G2", CURVE.g2, rows[ELEMENTS:-ELEMENTS]),
        ("monomial", CURVE.g1, rows[-ELEMENTS:]),
    ):
        encoded = np.frombuffer(b"".join(part), np.uint8).reshape(len(part), -1)
        points, verdicts = group.from_bytes(encoded, "zcash_compressed", "subgroup", backend)
        bad = np.flatnonzero(verdicts != 1)
        if bad.size:
            raise _refused(f"a file whose {name} point {bad[0]} is none of its group")
        found.append(points)
    return found[0], found[1], found[2]


def _require_one_secret(lagrange: Words, monomial: Words, second: Words, backend: str) -> None:
    """All points are what the secret of the second point of G2 makes, but for a probability of n/2^254.

    Sums with random weights: Σ wᵢ·τⁱ⁺¹ must be τ times Σ wᵢ·τⁱ in both groups, and random coefficients must have the same
    commitment as the values of their polynomial.
    """
    name, generator = CURVE.name, CURVE.g1.generator
    weights = np.frombuffer(secrets.token_bytes(32 * ELEMENTS), np.uint64).reshape(ELEMENTS, 4).copy()
    weights[:, 3] >>= np.uint64(2)
    lower, upper = (msm(name, part, weights[1:], backend=backend) for part in (monomial[:-1], monomial[1:]))
    powers = (monomial[0] == generator).all() and (second[0] == CURVE.g2.generator).all()
    minus_tau = CURVE.g2.negate(second[1:2], backend=backend)[0]
    if not powers or pairings_agree(upper[None], lower[None], minus_tau, backend)[0] != 1:
        raise _refused("a file whose monomial points are not powers of one secret")
    low, high = (
        msm(name, part, weights[1:G2_POINTS], group="g2", backend=backend)
        for part in (second[:-1], second[1:])
    )
    minus_high = CURVE.g2.negate(high[None], backend=backend)[0]
    pairs = np.stack((monomial[1], generator)), np.stack((low, minus_high)), np.array([0, 2], np.int64)
    if pairings.get(name).check(*pairs, backend=backend)[0] != 1:
        raise _refused("a file whose G2 points are not powers of one secret")
    committed = msm(name, monomial, weights, backend=backend)
    if (committed != msm(name, lagrange, ntt(name, weights), backend=backend)).any():
        raise _refused("a file whose Lagrange points do not belong to the monomial ones")
