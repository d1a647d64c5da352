# SPDX-License-Identifier: GPL-3.0-or-later
"""Number-theoretic transforms and polynomials over the scalar fields of BN254 and BLS12-381."""

from supervm.crypto.polynomials.products import divide_by_vanishing, divide_values_by_vanishing, multiply
from supervm.crypto.polynomials.transforms import ntt
from supervm.crypto.polynomials.values import evaluate

__all__ = ["divide_by_vanishing", "divide_values_by_vanishing", "evaluate", "multiply", "ntt"]
