# SPDX-License-Identifier: GPL-3.0-or-later
"""BLS12-381: draft-irtf-cfrg-pairing-friendly-curves-11, section 4.2.1.

Modulus, order and cofactors follow from the parameter of Barreto, Lynn and Scott (SCN 2002). The generator 7 of the
scalar field's multiplicative group is the smallest; EIP-4844 and zkcrypto take their roots of unity from it.

Field elements become points as RFC 9380, section 8.8, says. Its appendix E lists the coefficients of both isogenies; here
they follow from the kernels.
"""

from supervm.crypto.params.isogenies import velu
from supervm.kernels.pairing_spec import PairingSpec
from supervm.kernels.spec import FieldSpec, GroupSpec, PointMap, QuadraticSpec, SimplifiedSwu, SubgroupTest

PARAMETER = -0xD201_0000_0001_0000
_X = PARAMETER

FR = FieldSpec("bls12_381.fr", _X**4 - _X**2 + 1, 7)
FP = FieldSpec("bls12_381.fp", (_X - 1) ** 2 * FR.modulus // 3 + _X)
FP2 = QuadraticSpec("bls12_381.fp2", FP)

_BASE_1 = (
    0x17F1D3A7_3197D794_2695638C_4FA9AC0F_C3688C4F_9774B905_A14E3A3F_171BAC58_6C55E83F_F97A1AEF_FB3AF00A_DB22C6BB,
    0x08B3F481_E3AAA0F1_A09E30ED_741D8AE4_FCF5E095_D5D00AF6_00DB18CB_2C04B3ED_D03CC744_A2888AE4_0CAA2329_46C5E7E1,
)

# φ: (x, y) → (β·x, y) for the cube root of one β that makes it act on G1 as −x². As φ² + φ + 1 = 0 and r = x⁴ − x² + 1,
# φ(P) = −x²·P implies r·P = 0 (Scott, eprint 2021/1130, section 5; Bowe, eprint 2019/814).
_BETA = pow(2, (FP.modulus - 1) // 3, FP.modulus)
_MEMBERSHIP_1 = SubgroupTest(PointMap(_BETA, 1), abs(_X), 2, ((1, 0), (0, 1)))

# RFC 9380, section 8.8.1. The points of order 11 of y² = x³ + A·x + B over Fp are the kernel of an isogeny of that degree to
# y² = x³ + 4·11⁶, which 1/11 scales to G1's curve. (1 − x)·P, h_eff·P in the RFC, is in G1 for every P: the exponent of the
# points whose order divides the cofactor (1 − x)²/3 is 1 − x (Wahby, Boneh, eprint 2019/403, section 5).
_SWU_A_1 = 0x144698_A3B8E943_3D693A02_C96D4982_B0EA9853_83EE66A8_D8E8981A_EFD881AC_98936F8D_A0E0F97F_5CF42808_2D584C1D
_SWU_B_1 = 0x12E2908D_11688030_018B12E8_753EEE3B_2016C1F0_F24F4070_A0B9C14F_CEF35EF5_5A23215A_316CEAA5_D1CC48E9_8E172BE0
ORDER_11 = 0x10EF325_DD1E98BD_F0D97A4C_6B7F968E_D7F31F2F_BFF088AC_B39D5319_CFC261EA_18773405_F3256127_42F0C5D9_0634BCF4
_SWU_1 = SimplifiedSwu(
    FP,
    a=_SWU_A_1,
    b=_SWU_B_1,
    z=11,
    isogeny=velu(FP, _SWU_A_1, _SWU_B_1, ORDER_11, 11, FP.inverse(11)),
    clearing=((1, 1),),
)

G1 = GroupSpec(
    "bls12_381.g1",
    FP,
    FR,
    b=4,
    base=_BASE_1,
    cofactor=(_X - 1) ** 2 // 3,
    membership=_MEMBERSHIP_1,
    map=_SWU_1,
)

_BASE_2 = (
    (
        0x024AA2B2_F08F0A91_26080527_2DC51051_C6E47AD4_FA403B02_B4510B64_7AE3D177_0BAC0326_A805BBEF_D48056C8_C121BDB8,
        0x13E02B60_52719F60_7DACD3A0_88274F65_596BD0D0_9920B61A_B5DA61BB_DC7F5049_334CF112_13945D57_E5AC7D05_5D042B7E,
    ),
    (
        0x0CE5D527_727D6E11_8CC9CDC6_DA2E351A_ADFD9BAA_8CBDD3A7_6D429A69_5160D12C_923AC9CC_3BACA289_E1935486_08B82801,
        0x0606C4A0_2EA734CC_32ACD2B0_2BC28B99_CB3E287E_85A763AF_267492AB_572E99AB_3F370D27_5CEC1DA1_AAA9075F_F05F79BE,
    ),
)
_COFACTOR_2 = (_X**8 - 4 * _X**7 + 5 * _X**6 - 4 * _X**4 + 6 * _X**3 - 4 * _X**2 - 4 * _X + 13) // 9

# ψ: untwist by (x/ξ^(1/3), y/ξ^(1/2)) with ξ = 1 + u, p-th power, twist. P is in G2 if and only if ψ(P) = x·P, where x < 0
# (Scott, eprint 2021/1130, section 4).
_UNTWIST = FP2.inverse((1, 1))
FROBENIUS = PointMap(FP2.power(_UNTWIST, (FP.modulus - 1) // 3), FP2.power(_UNTWIST, (FP.modulus - 1) // 2))
_MEMBERSHIP_2 = SubgroupTest(FROBENIUS, abs(_X), 1, ((1, 0), (0, 1)))

# RFC 9380, section 8.8.2. −6 + 6u is the abscissa of the points of order 3 of y² = x³ + 240u·x + 1012·(1 + u); the isogeny
# ends on y² = x³ + 4·(1 + u)·3⁶, and the RFC's ordinates have the sign that −1/3 gives them. Cofactor: with |x| = −x,
# (x² − x − 1)·P + (x − 1)·ψ(P) + 2·ψ²(P) (Budroni, Pintore, eprint 2017/419; RFC 9380, appendix G.3).
_SWU_A_2, _SWU_B_2 = (0, 240), (1012, 1012)
_SWU_2 = SimplifiedSwu(
    FP2,
    a=_SWU_A_2,
    b=_SWU_B_2,
    z=(-2, -1),
    isogeny=velu(FP2, _SWU_A_2, _SWU_B_2, (-6, 6), 3, FP2.inverse((-3, 0))),
    clearing=((-1, 1, 1), (-1, -1), (2,)),
)

G2 = GroupSpec(
    "bls12_381.g2",
    FP2,
    FR,
    b=(4, 4),
    base=_BASE_2,
    cofactor=_COFACTOR_2,
    membership=_MEMBERSHIP_2,
    map=_SWU_2,
)

PAIRING = PairingSpec("bls12_381", G1, G2, (1, 1), False, PARAMETER)
