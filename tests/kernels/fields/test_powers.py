# SPDX-License-Identifier: GPL-3.0-or-later
"""Addition chains as data, and the powers that compiled code takes along them."""

from __future__ import annotations

import random

import numpy as np
import pytest
from lanes_here import HERE, raw_value, scale

from supervm.crypto.params import curve25519, secp256k1
from supervm.kernels import exponents
from supervm.kernels.cpu.fields import powers
from supervm.kernels.cpu.fields.element_type import Field
from supervm.kernels.spec import FieldSpec

_U = 4965661367192848881  # BN254 and BLS12-381 from their parameters, as in `test_bounds`
_X = -0xD201_0000_0001_0000
_R = _X**4 - _X**2 + 1
MODULI = {
    "curve25519.fp": curve25519.FP.modulus,
    "curve25519.fl": curve25519.FL.modulus,
    "secp256k1.fp": secp256k1.FP.modulus,
    "secp256k1.fn": secp256k1.FN.modulus,
    "bn254.fp": 36 * _U**4 + 36 * _U**3 + 24 * _U**2 + 6 * _U + 1,
    "bn254.fr": 36 * _U**4 + 36 * _U**3 + 18 * _U**2 + 6 * _U + 1,
    "bls12_381.fp": (_X - 1) ** 2 * _R // 3 + _X,
    "bls12_381.fr": _R,
}


def follow(rows: list[tuple[int, int, int, int]]) -> tuple[int, int, int]:
    """(exponent, squarings, products) of a chain: the rows of `powers`, on exponents."""
    slots, a = {0: 1}, 1
    squarings = products = 0
    for start, count, factor, keep in rows:
        if start >= 0:
            a = slots[start]
        a <<= count
        squarings += count
        if factor >= 0:
            a += slots[factor]
            products += 1
        if keep >= 0:
            assert keep not in slots
            assert keep < exponents.SLOTS
            slots[keep] = a
    return a, squarings, products


def test_chains_of_small_exponents():
    for value in range(1, 3000):
        assert follow(exponents.addition_chain(value))[0] == value


def test_chains_of_random_and_long_exponents():
    source = random.Random(1)
    values = [source.getrandbits(source.randint(1, 400)) | 1 << source.randint(0, 400) for _ in range(500)]
    values += [(1 << bits) - 1 for bits in range(1, 300)] + [1 << bits for bits in range(300)]
    values += [sum(1 << (step * i) for i in range(60)) for step in range(1, 6)]
    for value in values:
        assert follow(exponents.addition_chain(value))[0] == value


@pytest.mark.parametrize("name", MODULI)
def test_chains_of_the_moduli(name):
    spec = FieldSpec(name, MODULI[name])
    for kind in exponents.EXPONENTS:
        wanted = exponents.exponent(spec, kind)
        value, squarings, products = follow(exponents.addition_chain(wanted))
        assert value == wanted
        assert squarings < wanted.bit_length() * 5 // 4
        assert products < wanted.bit_length() // 2
    p = spec.modulus
    assert pow(3, exponents.exponent(spec, "inverse"), p) == pow(3, -1, p)
    if p % 4 == 3:
        assert pow(9, exponents.exponent(spec, "root"), p) in (3, p - 3)
        assert 3 * pow(9, exponents.exponent(spec, "inverse_root"), p) % p in (1, p - 1)


def test_a_sparse_exponent_takes_few_products():
    squarings, products = follow(exponents.addition_chain(2**255 - 21))[1:]
    assert squarings == 254
    assert products <= 14


def test_powers(backend):
    """Rows of elements, an odd and an even count of them, as inverses and as roots; 0 gives 0."""
    lanes = HERE[backend]
    for spec in (curve25519.FP, secp256k1.FP):
        field, p = Field(spec, lanes), spec.modulus
        source = random.Random(spec.name)
        width, limbs = lanes.width, field.limbs
        numbers = [0, 1, 2, p - 1, 4, p >> 1, *(source.randrange(p) for _ in range(9 * 8 - 6))]
        for name, which in (("inverse", exponents.INVERSE), ("root", exponents.ROOT)):
            for count in (1, 2, 9):
                used = numbers[: count * width]
                rows = np.array([field.represent(number) for number in used], np.uint64).reshape(
                    count, width, limbs
                )
                stride, start = limbs * width + 16, 8  # room between the rows that must stay as it is
                array = np.full(start + count * stride, 77, np.uint64)
                for index, row in enumerate(rows.transpose(0, 2, 1)):
                    array[start + index * stride :][: limbs * width] = row.reshape(-1)
                powers.power_rows(field, array, start, stride, count, which)
                kept = array[start:].reshape(count, stride)
                assert (kept[:, limbs * width :] == 77).all()
                assert (array[:start] == 77).all()
                stored = (
                    kept[:, : limbs * width]
                    .reshape(count, limbs, width)
                    .transpose(0, 2, 1)
                    .reshape(-1, limbs)
                )
                found = [raw_value(field.element.code, row) % p for row in stored]
                assert found == [pow(number, exponents.exponent(spec, name), p) for number in used]


def test_one_inversion_for_many_rows(backend):
    """Each element beside its scratch room, with words between that must stay as they are."""
    lanes = HERE[backend]
    for spec in (curve25519.FP, secp256k1.FN):
        field, p = Field(spec, lanes), spec.modulus
        size = field.limbs * lanes.width
        stride, code = 2 * size + 3, field.element.code
        source = random.Random(spec.name)
        for count in (1, 2, 7):
            numbers = [1, p - 1, *(source.randrange(1, p) for _ in range(count * lanes.width - 2))]
            numbers = numbers[: count * lanes.width]
            array = np.full(count * stride, 77, np.uint64)
            rows = np.array([field.represent(number) for number in numbers], np.uint64)
            for index, row in enumerate(rows.reshape(count, lanes.width, -1).transpose(0, 2, 1)):
                array[index * stride :][:size] = row.reshape(-1)
            powers.invert_rows(field, array, 0, size, stride, count)
            kept = array.reshape(count, stride)
            assert (kept[:, 2 * size :] == 77).all()
            stored = kept[:, :size].reshape(count, field.limbs, lanes.width).transpose(0, 2, 1)
            found = [raw_value(code, row) * scale(code) % p for row in stored.reshape(-1, field.limbs)]
            assert found == [pow(number, -1, p) for number in numbers]
