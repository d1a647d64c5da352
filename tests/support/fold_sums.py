# SPDX-License-Identifier: GPL-3.0-or-later
"""Sums with one reduction: what each kernel of `fold_sums_check` computes, and inputs at every edge of their carries."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

from supervm.crypto.params.secp256k1 import FP
from supervm.kernels.cuda.constants import fields
from supervm.kernels.cuda.runtime.device import Program

P, FOLD, TOP = FP.modulus, FP.fold, (1 << 256) - 1
PROGRAM = Program("fold_sums_check", fields.fold_params(FP, "Params") + "using Field = FoldField<Params>;\n")

SUMS: dict[str, Callable[[int, int, int, int], int]] = {
    "product_plus_square": lambda a, b, c, d: a * b + c * c,
    "of_products": lambda a, b, c, d: a * b + c * d,
    "minus_twice": lambda a, b, c, d: a - 2 * b,
    "minus_one_and_twice": lambda a, b, c, d: a - b - 2 * c,
    "halved": lambda a, b, c, d: a * pow(2, -1, P),
}

EDGES = (
    0,
    1,
    2,
    FOLD - 1,
    FOLD,
    FOLD + 1,
    2 * FOLD,
    1 << 32,
    1 << 255,
    P - 1,
    P,
    P + 1,
    TOP - FOLD,
    TOP - 1,
    TOP,
)


def terms() -> list[tuple[int, ...]]:
    chosen = random.Random(3)
    edges = list(itertools.product(EDGES, repeat=3))
    found = [(*edge, chosen.choice(EDGES)) for edge in edges]
    found += [tuple(chosen.choice(EDGES) ^ chosen.getrandbits(3) for _ in range(4)) for _ in range(2000)]
    return found + [tuple(chosen.getrandbits(256) for _ in range(4)) for _ in range(2000)]
