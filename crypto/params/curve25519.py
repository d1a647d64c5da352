# SPDX-License-Identifier: GPL-3.0-or-later
"""Edwards25519 and Curve25519: RFC 8032, section 5.1; RFC 7748, sections 4.1 and 5."""

from supervm.kernels.spec import EdwardsSpec, FieldSpec

FP = FieldSpec("curve25519.fp", 2**255 - 19)
FL = FieldSpec("curve25519.fl", 2**252 + 27742317777372353535851937790883648493)

_D = -121665 * FP.inverse(121666) % FP.modulus
_BASE_Y = 4 * FP.inverse(5) % FP.modulus


def _base_x() -> int:
    """The even x that belongs to y = 4/5."""
    y2 = _BASE_Y * _BASE_Y
    root = FP.sqrt((y2 - 1) * FP.inverse(_D * y2 + 1))
    if root is None:
        raise ArithmeticError("4/5 is no ordinate of edwards25519")
    return root if root % 2 == 0 else FP.modulus - root


EDWARDS25519 = EdwardsSpec("edwards25519", FP, FL, d=_D, base=(_base_x(), _BASE_Y), cofactor=8)

A24 = 121665
"""(A − 2)/4 of Curve25519, v² = u³ + 486662·u² + u."""
