# SPDX-License-Identifier: GPL-3.0-or-later
"""BN254, called alt_bn128 and bn256 too: EIP-196 and EIP-197.

Modulus and order follow from the parameter of Barreto and Naehrig (SAC 2005). The generator 5 of the scalar field's
multiplicative group is the smallest; iden3 and arkworks take their roots of unity from it.
"""

from supervm.kernels.pairing_spec import PairingSpec
from supervm.kernels.spec import FieldSpec, GroupSpec, PointMap, QuadraticSpec, SubgroupTest

PARAMETER = 4965661367192848881
_TRACE = 6 * PARAMETER**2 + 1

FR = FieldSpec("bn254.fr", 36 * PARAMETER**4 + 36 * PARAMETER**3 + 18 * PARAMETER**2 + 6 * PARAMETER + 1, 5)
FP = FieldSpec("bn254.fp", FR.modulus + _TRACE - 1)
FP2 = QuadraticSpec("bn254.fp2", FP)

G1 = GroupSpec("bn254.g1", FP, FR, b=3, base=(1, 2), cofactor=1)

_BASE = (
    (
        10857046999023057135944570762232829481370756359578518086990519993285655852781,
        11559732032986387107991004021392285783925812861821192530917403151452391805634,
    ),
    (
        8495653923123431417604973247489272438418190587263600148770280649306958101930,
        4082367875863433681332203403145435568316851327593401208105741076214120093531,
    ),
)

_TWIST = (9, 1)  # the sextic non-residue ξ = 9 + u: the twist is y² = x³ + 3/ξ
_B = FP2.multiply((3, 0), FP2.inverse(_TWIST))

# ψ: untwist by (x·ξ^(1/3), y·ξ^(1/2)), p-th power, twist. P is in G2 if and only if, for the curve's parameter t,
# (t + 1)·P + ψ(t·P) + ψ²(t·P) = ψ³(2t·P) (Dai, Lin, Zhao, Zhou, eprint 2022/348).
FROBENIUS = PointMap(FP2.power(_TWIST, (FP.modulus - 1) // 3), FP2.power(_TWIST, (FP.modulus - 1) // 2))
_MEMBERSHIP = SubgroupTest(FROBENIUS, PARAMETER, 1, ((1, 1), (1, 0), (1, 0), (-2, 0)))

G2 = GroupSpec(
    "bn254.g2", FP2, FR, b=_B, base=_BASE, cofactor=2 * FP.modulus - FR.modulus, membership=_MEMBERSHIP
)

PAIRING = PairingSpec("bn254", G1, G2, _TWIST, True, PARAMETER)
