# SPDX-License-Identifier: GPL-3.0-or-later
"""Short Weierstrass curves as C++: what the sources `double_multiply`, `ecdsa` and `schnorr` are specialised by."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from supervm.kernels.cuda.constants.fields import (
    WORD,
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
from supervm.kernels.cuda.constants.hashes import sha2, sha2_midstate, state_setter
from supervm.kernels.errors import ArgumentError
from supervm.kernels.hash_spec import Sha2Spec
from supervm.kernels.spec import Endomorphism, WeierstrassSpec

ENTRY_WORDS, POINT_WORDS, SCALAR_WORDS, RESULT_WORDS = 16, 16, 17, 24
"""Words of a table entry, and of an item's columns in scratch (`double_multiply.cuh`)."""


def table_words(spec: WeierstrassSpec) -> int:
    """Words of the whole fixed-base table."""
    return table_entries(spec) * ENTRY_WORDS


def curve(spec: WeierstrassSpec) -> str:
    """The types Base, Scalar and Curve with their parameters.

    Raises:
        ArgumentError: the curve has no endomorphism, or a field is of another shape than the sources take.
    """
    if spec.endomorphism is None:
        raise ArgumentError("spec", f"{spec.name}, which has no endomorphism", "a curve with one")
    if spec.scalar_field.bits != 256:
        raise ArgumentError(
            "spec", f"{spec.name}, order of {spec.scalar_field.bits} bits", "an order of 256 bits"
        )
    if spec.field.fold >> WORD != 1:
        raise ArgumentError(
            "spec", f"{spec.name}, modulus {spec.field.modulus:#x}", "2^256 − 2^32 − c, c below 2^32"
        )
    order, p = spec.scalar_field.modulus, spec.field.modulus
    base = [("b", spec.b), ("b3", 3 * spec.b % p), ("beta", spec.endomorphism.beta)]
    return "".join(
        (
            fold_params(spec.field, "BaseParams"),
            montgomery_params(spec.scalar_field, "ScalarParams"),
            f'static_assert(GROUP == {GROUP}, "items of a thread");\n',
            "using Base = FoldField<BaseParams>;\nusing Scalar = MontgomeryField<ScalarParams>;\n",
            struct(
                "Curve",
                "    using Base = ::Base;\n    using Scalar = ::Scalar;\n",
                "    using BaseParams = ::BaseParams;\n    using ScalarParams = ::ScalarParams;\n",
                elements("Base", [*base, ("base_x", spec.base_x), ("base_y", spec.base_y)]),
                setter("half_order", order // 2, 8),
                number("WINDOW_BITS", WINDOW_BITS),
                number("WINDOWS", windows(spec)),
                number("MULTIPLES", WINDOW_MULTIPLES),
                _split(spec, spec.endomorphism),
            ),
        )
    )


def _split(spec: WeierstrassSpec, endomorphism: Endomorphism) -> str:
    """What cuts a scalar in halves: round(2^384·b/n) for both vectors of the short basis, and −b₁, −b₂, λ.

    The error of a rounded factor, below 2^−129, times a scalar moves a share by less than 2^−127 before it is rounded.
    """
    order = spec.scalar_field.modulus
    if spec.minus_b1 < 0 or spec.minus_b2 > 0:
        raise ArgumentError(
            "spec", f"the short basis {spec.basis}", "b₁ < 0 < b₂, so that both shares are positive"
        )
    (_, b1), (_, b2) = spec.basis
    constants = [("minus_b1", -b1), ("minus_b2", -b2), ("lambda", endomorphism.lambda_)]
    return (
        setter("share_factor_1", ((b2 << 384) + order // 2) // order, 8)
        + setter("share_factor_2", ((-b1 << 384) + order // 2) // order, 8)
        + elements("Scalar", [(name, (value << 8 * WORD) % order) for name, value in constants])
    )


def tagged_hash(hash_spec: Sha2Spec, tag_digest: bytes) -> str:
    """The types Hash and Tag: the hash function, and its state after the tag's digest, taken twice.

    Raises:
        ArgumentError: two digests are not one block, or the words are not of 32 bits.
    """
    block = 2 * tag_digest
    if hash_spec.word_bits != WORD or len(block) != hash_spec.block_bytes:
        raise ArgumentError("hash_spec", hash_spec.name, "words of 32 bits, and two digests to a block")
    state = state_setter("state", sha2_midstate(hash_spec, block), hash_spec.word_bits)
    return sha2(hash_spec, "Hash") + struct("Tag", number("BYTES", len(block)), state)


@functools.cache
def window_bases(spec: WeierstrassSpec) -> npt.NDArray[np.uint32]:
    """uint32 (windows, 16): x and y of 2^(12·w)·G for every window w, as `weierstrass_table` takes them."""
    rows, point = [], spec.base
    for _ in range(windows(spec)):
        rows.append([word for coordinate in point for word in words_of(coordinate, 8)])
        for _ in range(WINDOW_BITS):
            point = _doubled(spec, point)
    return np.array(rows, np.uint32)


def _doubled(spec: WeierstrassSpec, point: tuple[int, int]) -> tuple[int, int]:
    x, y = point
    p = spec.field.modulus
    slope = 3 * x * x * spec.field.inverse(2 * y) % p
    third = (slope * slope - 2 * x) % p
    return third, (slope * (x - third) - y) % p
