# SPDX-License-Identifier: GPL-3.0-or-later
"""The generators' instructions for ARM's two lanes, compiled for a processor that is not here.

A listing shows what a product is made of: NEON's fused multiply-adds on two doubles and no call.
"""

from __future__ import annotations

import re

import pytest
from arm_code import listing
from llvmlite import ir

from supervm.crypto.params import bls12_381, bn254, curve25519, secp256k1
from supervm.kernels.cpu.fields.element_type import generator
from supervm.kernels.cpu.lanes.emitter import Emitter
from supervm.kernels.cpu.lanes.lanes import FMA_64X2
from supervm.kernels.spec import FieldSpec

MULTIPLY_ADDS = {"curve25519.fp": 50, "secp256k1.fp": 62, "bn254.fp": 105, "bls12_381.fp": 264}
"""In a product: two for each of 25 products of limbs, and of six for secp256k1's fold; in Montgomery form two for each of
n² + n·(n − 1), and three for each digit of the quotient."""


def product(spec: FieldSpec) -> str:
    """The assembler listing of out = a · b for 64-bit ARM."""
    lanes = FMA_64X2.type
    code = generator(spec, lanes)

    def write(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, out: ir.Value) -> None:
        def place(base: ir.Value, index: int) -> ir.Value:
            return builder.gep(base, [ir.Constant(ir.IntType(64), index)])

        x, y = ([builder.load(place(base, index)) for index in range(code.limbs)] for base in (a, b))
        [result] = code.products(Emitter(builder, lanes), [(x, y)], [(1, [])])
        for index, limb in enumerate(result):
            builder.store(limb, place(out, index))

    return listing([lanes.llvm.as_pointer()] * 3, write)


@pytest.mark.parametrize(
    "spec", [curve25519.FP, secp256k1.FP, bn254.FP, bls12_381.FP], ids=lambda spec: spec.name
)
def test_a_product_is_fused_multiply_adds(spec):
    text = product(spec)
    multiply_adds = len(re.findall(r"\bfml[as]\s+v\d+\.2d", text))
    assert multiply_adds == MULTIPLY_ADDS[spec.name]
    assert not re.search(r"\bbl\s", text)
