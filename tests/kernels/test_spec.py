# SPDX-License-Identifier: GPL-3.0-or-later
"""What field and curve descriptions derive from their integers."""

from __future__ import annotations

import random

import pytest

from supervm.crypto.params.curve25519 import EDWARDS25519
from supervm.crypto.params.secp256k1 import SECP256K1
from supervm.kernels.errors import ArgumentError
from supervm.kernels.spec import FieldSpec, WeierstrassSpec

FIELDS = [EDWARDS25519.field, EDWARDS25519.scalar_field, SECP256K1.field, SECP256K1.scalar_field]


def test_folds():
    assert [spec.fold for spec in FIELDS] == [19, 0, 2**32 + 977, 0]
    assert [spec.bits for spec in FIELDS] == [255, 253, 256, 256]


@pytest.mark.parametrize("spec", [*FIELDS, FieldSpec("tiny", 97)], ids=lambda spec: spec.name)
def test_two_adicity_and_inverse(spec):
    assert (spec.modulus - 1) % 2**spec.two_adicity == 0
    assert (spec.modulus - 1) // 2**spec.two_adicity % 2 == 1
    assert spec.inverse(3) * 3 % spec.modulus == 1
    with pytest.raises(ValueError, match="not invertible"):
        spec.inverse(0)


@pytest.mark.parametrize("p", [7, 11, 13, 29, 37, 103])
def test_square_roots_of_every_value(p):
    spec = FieldSpec("small", p)
    for value in range(p):
        roots = [root for root in range(p) if root * root % p == value]
        assert spec.sqrt(value) == (min(roots) if roots else None)
        assert spec.sqrt(value - p) == spec.sqrt(value)


def test_no_root_where_the_modulus_is_one_mod_eight():
    with pytest.raises(ArgumentError, match="mod 8"):
        FieldSpec("tiny", 17).sqrt(4)


def test_edwards25519():
    p, (x, y) = EDWARDS25519.field.modulus, EDWARDS25519.base
    assert (y * y - x * x - 1 - EDWARDS25519.d * x * x * y * y) % p == 0
    assert pow(EDWARDS25519.d, (p - 1) // 2, p) == p - 1  # no square, so the addition is complete
    assert EDWARDS25519.d2 == 2 * EDWARDS25519.d % p
    assert EDWARDS25519.sqrt_minus_one**2 % p == p - 1


def test_secp256k1():
    p, n, (x, y) = SECP256K1.field.modulus, SECP256K1.scalar_field.modulus, SECP256K1.base
    assert (y * y - x**3 - SECP256K1.b) % p == 0
    assert pow(SECP256K1.endomorphism.beta, 3, p) == 1 != SECP256K1.endomorphism.beta
    assert pow(SECP256K1.endomorphism.lambda_, 3, n) == 1 != SECP256K1.endomorphism.lambda_
    assert (SECP256K1.minus_b1, SECP256K1.minus_b2) == (-SECP256K1.basis[0][1], -SECP256K1.basis[1][1])


def test_short_basis_of_other_orders():
    """Determinant +n, in the lattice, and short, for random eigenvalues too."""
    source = random.Random(1)
    n = SECP256K1.scalar_field.modulus
    for _ in range(50):
        endomorphism = type(SECP256K1.endomorphism)(1, source.randrange(2, n))
        (a1, b1), (a2, b2) = endomorphism.short_basis(n)
        assert a1 * b2 - a2 * b1 == n
        assert (a1 + b1 * endomorphism.lambda_) % n == (a2 + b2 * endomorphism.lambda_) % n == 0


def test_no_basis_without_endomorphism():
    curve = WeierstrassSpec("plain", SECP256K1.field, SECP256K1.scalar_field, 7, SECP256K1.base)
    with pytest.raises(ArgumentError, match="no endomorphism"):
        _ = curve.basis
