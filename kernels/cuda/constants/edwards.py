# SPDX-License-Identifier: GPL-3.0-or-later
"""Twisted Edwards curves as C++: what `eddsa` and `msm` are specialised by, and the points that a table is made from."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from supervm.kernels.cuda.constants.fields import (
    elements,
    fold_params,
    montgomery_params,
    number,
    setter,
    struct,
    words_of,
)
from supervm.kernels.cuda.constants.fixed_base import (
    GROUP,
    WINDOW_BITS,
    WINDOW_MULTIPLES,
    table_entries,
    windows,
)
from supervm.kernels.cuda.constants.hashes import sha2
from supervm.kernels.hash_spec import Sha2Spec
from supervm.kernels.spec import EdwardsSpec

AFFINE_WORDS = 24
"""Words of an entry: y+x, y−x, 2dxy."""


def table_words(spec: EdwardsSpec) -> int:
    """Words of the table."""
    return table_entries(spec) * AFFINE_WORDS


def edwards(spec: EdwardsSpec, *members: str) -> str:
    """The type Curve of `edwards.cuh`, over a field that folds, with members that it has besides."""
    names = ("d", "d2", "sqrt_minus_one", "base_x", "base_y")
    return fold_params(spec.field, "FieldParams") + struct(
        "Curve",
        "    using Params = FieldParams;\n",
        "    using Field = FoldField<FieldParams>;\n",
        *members,
        elements("Field", ((name, getattr(spec, name)) for name in names)),
    )


def eddsa_constants(spec: EdwardsSpec, hashing: Sha2Spec) -> str:
    """The text that stands for `constants.cuh` in `eddsa`.

    Args:
        spec: a curve over a field that folds, with p ≡ 5 mod 8, points of 32 bytes and cofactor 8.
        hashing: a hash with digests of 64 bytes, of R ‖ A ‖ M.
    """
    offset = sum(WINDOW_MULTIPLES << WINDOW_BITS * window for window in range(windows(spec)))
    curve = edwards(
        spec,
        "    using Order = MontgomeryField<OrderParams>;\n",
        "    using Hash = ChallengeHash;\n",
        number("WINDOW_BITS", WINDOW_BITS),
        number("WINDOW_MULTIPLES", WINDOW_MULTIPLES),
        number("WINDOWS", windows(spec)),
        number("GROUP", GROUP),
        setter("window_offset", offset, 9),
    )
    return montgomery_params(spec.scalar_field, "OrderParams") + sha2(hashing, "ChallengeHash") + curve


def window_bases(spec: EdwardsSpec) -> npt.NDArray[np.uint32]:
    """What `edwards_table` starts from: uint32 (windows, 24), the entries of 2^(WINDOW_BITS·w)·B."""
    p = spec.field.modulus
    x, y = spec.base
    rows = []
    for _ in range(windows(spec)):
        entry = ((y + x) % p, (y - x) % p, spec.d2 * x * y % p)
        rows.append([word for value in entry for word in words_of(value, AFFINE_WORDS // 3)])
        for _ in range(WINDOW_BITS):
            x, y = _doubled(spec, x, y)
    return np.array(rows, np.uint32)


def _doubled(spec: EdwardsSpec, x: int, y: int) -> tuple[int, int]:
    """2·(x, y), by the addition law of the curve."""
    field = spec.field
    product = spec.d * x * x * y * y % field.modulus
    return (
        2 * x * y * field.inverse(1 + product) % field.modulus,
        (y * y + x * x) * field.inverse(1 - product) % field.modulus,
    )
