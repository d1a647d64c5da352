# SPDX-License-Identifier: GPL-3.0-or-later
"""Sums that are not reduced where the field has room for it, and products that are functions of their own.

Where R/p is large (and lanes are used), a coordinate may stay a sum of a few multiples of p, which saves most of what an
addition costs. Elsewhere the same sums are reduced fully, a coefficient by doublings.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit
from numba.core.errors import TypingError
from numba.extending import intrinsic

from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.fields.element_type import ElementType, pack, unpack
from supervm.kernels.cpu.fields.quadratic_codegen import MontgomeryCode, QuadraticField, roomy
from supervm.kernels.cpu.lanes.emitter import Emitter
from supervm.kernels.cpu.lanes.numba_types import literal

# mypy: disallow_untyped_defs=False


@njit(nogil=True, cache=True)
def mul(a, b):
    """a · b, not inlined: a formula of a dozen products stays small."""
    return fe.mul(a, b)


@njit(nogil=True, cache=True)
def sqr(a):
    """a², not inlined."""
    return fe.sqr(a)


@njit(nogil=True, cache=True)
def from_words(field, words):
    """`field.from_words`, not inlined."""
    return fe.from_words(field, words)


@njit(nogil=True, cache=True)
def to_words(a):
    """`field.to_words`, not inlined."""
    return fe.to_words(a)


@intrinsic(prefer_literal=True)
def combine(typingctx: Any, ka: Any, a: Any, kb: Any, b: Any, multiple: Any) -> Any:
    """ka · a + kb · b + multiple · p with literal coefficients, as a factor of products or a term of another such sum.

    Where the field is roomy the result is what it says, and the caller answers for 0 below and LOOSE·p above; elsewhere it
    is below 2p, and the arguments must be.
    """
    if not isinstance(a, ElementType) or a != b:
        raise TypingError(f"expected elements of one field, got {a} and {b}")
    ca, cb, bias = literal(ka, "ka"), literal(kb, "kb"), literal(multiple, "multiple")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        e, code = Emitter(builder, a.lanes), a.code
        x, y = unpack(builder, a, args[1]), unpack(builder, a, args[3])
        base = code.base if isinstance(code, QuadraticField) else code
        if isinstance(base, MontgomeryCode) and roomy(base):
            return pack(builder, a, code.lazy(e, [(ca, x), (cb, y)], bias))
        terms = [_doubled(e, code, ca, x), _doubled(e, code, cb, y)]
        return pack(builder, a, code.linear(e, terms))

    return a(ka, a, kb, b, multiple), codegen


def _doubled(e: Emitter, code: Any, coefficient: int, term: list[ir.Value]) -> tuple[int, list[ir.Value]]:
    """The same term with an odd coefficient."""
    while coefficient and coefficient % 2 == 0:
        term = code.linear(e, [(2, term)])
        coefficient //= 2
    return coefficient, term
