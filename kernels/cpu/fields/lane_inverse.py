# SPDX-License-Identifier: GPL-3.0-or-later
"""Inverses of all lanes of an element with one inversion, in a prime field or its quadratic extension."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit
from numba.extending import intrinsic, overload

from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.fields import quadratic
from supervm.kernels.cpu.fields.element_type import pack, unpack
from supervm.kernels.cpu.fields.inverse import invert_first
from supervm.kernels.cpu.lanes import lanes as ln
from supervm.kernels.cpu.lanes.lanes import I32, LanesMarkerType
from supervm.kernels.cpu.lanes.numba_types import literal
from supervm.kernels.spec import QuadraticSpec

# mypy: disallow_untyped_defs=False


@intrinsic
def lanes_of_field(typingctx: Any, field: Any) -> Any:
    """The marker of a field's lanes."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.get_dummy_value()

    return LanesMarkerType(field.lanes)(field), codegen


@intrinsic(prefer_literal=True)
def exchanged(typingctx: Any, a: Any, step: Any) -> Any:
    """The element whose lane i is lane i xor `step` (literal) of a; a itself in one lane.

    A step that so few lanes do not have is compiled too, behind a return, and is one that they have.
    """
    distance = literal(step, "step")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        width = a.lanes.width
        if width == 1:
            return args[0]
        places = [ir.Constant(I32, (i ^ distance) % width) for i in range(width)]
        order = ir.Constant(ir.VectorType(I32, width), places)
        limbs = [builder.shuffle_vector(limb, limb, order) for limb in unpack(builder, a, args[0])]
        return pack(builder, a, limbs)

    return a(a, step), codegen


def invert_lanes(field: Any, a: Any, room: Any) -> Any:
    """The inverses of all lanes, none of which is 0, with one inversion; compiled code only."""
    raise TypeError("called from compiled code only")


@overload(invert_lanes)
def _invert_lanes(field, a, room):
    """In an extension a⁻¹ is the conjugate over the norm, which lies in the prime field."""
    if isinstance(field.element.spec, QuadraticSpec):
        return _invert_extension
    return _invert_prime


def _invert_extension(field, a, room):
    real, imaginary = quadratic.parts(a)
    norm = fe.sum_of_products((real, imaginary), (real, imaginary))
    return quadratic.scaled(quadratic.conjugate(a), _all_inverses(quadratic.prime_field(field), norm, room))


def _invert_prime(field, a, room):
    return _all_inverses(field, a, room)


@njit(nogil=True, cache=True)
def _all_inverses(field, a, room):
    if ln.lane_width(lanes_of_field(field)) == 1:
        return invert_first(field, a, room)
    one = exchanged(a, 1)
    if ln.lane_width(lanes_of_field(field)) == 2:
        return fe.mul(invert_first(field, fe.mul(a, one), room), one)
    pairs = fe.mul(a, one)
    two = exchanged(pairs, 2)
    fours = fe.mul(pairs, two)
    if ln.lane_width(lanes_of_field(field)) == 4:
        return fe.mul(invert_first(field, fours, room), fe.mul(one, two))
    four = exchanged(fours, 4)
    total = invert_first(field, fe.mul(fours, four), room)
    return fe.mul(fe.mul(total, four), fe.mul(one, two))
