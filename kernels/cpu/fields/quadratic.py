# SPDX-License-Identifier: GPL-3.0-or-later
"""What an element of a quadratic extension can do beyond a field element: its parts, its conjugate, scaling by the base."""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core.errors import TypingError
from numba.extending import intrinsic

from supervm.kernels.cpu.fields.element_type import ElementType, FieldMarkerType, pack, unpack
from supervm.kernels.cpu.fields.quadratic_codegen import QuadraticField
from supervm.kernels.cpu.lanes.emitter import Emitter
from supervm.kernels.spec import QuadraticSpec


def _base(element: Any) -> ElementType:
    """The type of the parts of an element."""
    if not (isinstance(element, ElementType) and isinstance(element.spec, QuadraticSpec)):
        raise TypingError(f"expected an element of a quadratic extension, got {element}")
    return ElementType(element.spec.base, element.lanes)


def _code(element: ElementType) -> QuadraticField:
    code = element.code
    assert isinstance(code, QuadraticField)
    return code


@intrinsic
def prime_field(typingctx: Any, field: Any) -> Any:
    """The marker of the prime field that an extension stands on."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.get_dummy_value()

    return FieldMarkerType(_base(field.element))(field), codegen


@intrinsic
def parts(typingctx: Any, a: Any) -> Any:
    """(c₀, c₁)."""
    base = _base(a)
    result = types.UniTuple(base, 2)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        halves = _code(a).parts(unpack(builder, a, args[0]))
        return context.make_tuple(builder, result, [pack(builder, base, half) for half in halves])

    return result(a), codegen


@intrinsic
def join(typingctx: Any, field: Any, real: Any, imaginary: Any) -> Any:
    """The element of the extension `field` with these parts."""
    element = field.element
    base = _base(element)
    if real != base or imaginary != base:
        raise TypingError(f"expected parts in {base}, got {real} and {imaginary}")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return pack(builder, element, unpack(builder, base, args[1]) + unpack(builder, base, args[2]))

    return element(field, real, imaginary), codegen


@intrinsic
def conjugate(typingctx: Any, a: Any) -> Any:
    """c₀ − c₁·u, which is the p-th power."""
    _base(a)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        code = _code(a)
        real, imaginary = code.parts(unpack(builder, a, args[0]))
        return pack(builder, a, real + code.base.linear(Emitter(builder, a.lanes), [(-1, imaginary)]))

    return a(a), codegen


@intrinsic
def scaled(typingctx: Any, a: Any, factor: Any) -> Any:
    """a · factor for a factor in the prime field."""
    base = _base(a)
    if factor != base:
        raise TypingError(f"expected a factor in {base}, got {factor}")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        code, e = _code(a), Emitter(builder, a.lanes)
        by = unpack(builder, base, args[1])
        limbs = [
            limb
            for half in code.parts(unpack(builder, a, args[0]))
            for limb in code.base.products(e, [(half, by)], [(1, [])])[0]
        ]
        return pack(builder, a, limbs)

    return a(a, factor), codegen
