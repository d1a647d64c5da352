# SPDX-License-Identifier: GPL-3.0-or-later
"""Parameters of the pairing curves against py_ecc, and what they derive."""

from __future__ import annotations

from typing import Any

import pytest
from py_ecc import bls12_381 as bls_oracle
from py_ecc import bn128 as bn_oracle

from supervm.crypto.params import bls12_381, bn254, curve25519
from supervm.kernels.errors import ArgumentError
from supervm.kernels.spec import FieldSpec, GroupSpec

CURVES = [(bn254, bn_oracle), (bls12_381, bls_oracle)]


def _coordinates(value: Any) -> Any:
    return tuple(int(part) for part in value.coeffs) if hasattr(value, "coeffs") else int(value)


@pytest.mark.parametrize(("ours", "oracle"), CURVES, ids=["bn254", "bls12_381"])
def test_parameters(ours: Any, oracle: Any):
    assert ours.FP.modulus == oracle.field_modulus
    assert ours.FR.modulus == ours.G1.order == ours.G2.order == oracle.curve_order
    for group, base, constant in ((ours.G1, oracle.G1, oracle.b), (ours.G2, oracle.G2, oracle.b2)):
        assert group.base == tuple(map(_coordinates, base))
        assert group.b == _coordinates(constant)


@pytest.mark.parametrize("group", [module.G2 for module, _ in CURVES] + [bls12_381.G1], ids=lambda g: g.name)
def test_cofactors_make_the_number_of_points(group: GroupSpec):
    """Hasse's bound leaves room for one multiple of the order times the cofactor only."""
    q = group.field.modulus if isinstance(group.field, FieldSpec) else group.field.base.modulus**2
    points = group.cofactor * group.order
    assert (points - q - 1) ** 2 <= 4 * q


@pytest.mark.parametrize("field", [bn254.FR, bls12_381.FR], ids=lambda field: field.name)
def test_roots_of_unity(field: FieldSpec):
    order = 1 << field.two_adicity
    root = field.root_of_unity(order)
    assert pow(root, order // 2, field.modulus) == field.modulus - 1
    assert field.root_of_unity(8) == pow(root, order // 8, field.modulus)
    with pytest.raises(ArgumentError, match="divisor of p"):
        field.root_of_unity(2 * order)
    with pytest.raises(ArgumentError, match="generator"):
        curve25519.FL.root_of_unity(2)


@pytest.mark.parametrize("module", [bn254, bls12_381], ids=lambda module: module.FP.name)
def test_the_extension(module: Any):
    spec = module.FP2
    assert module.FP.modulus % 4 == 3  # −1 is no square
    for element in ((1, 0), (0, 1), (3, module.FP.modulus - 2)):
        assert spec.multiply(element, spec.inverse(element)) == (1, 0)
    assert spec.multiply((0, 1), (0, 1)) == (module.FP.modulus - 1, 0)
    with pytest.raises(ValueError, match="not invertible"):
        spec.inverse((0, 0))
