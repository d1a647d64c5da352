# SPDX-License-Identifier: GPL-3.0-or-later
"""Teaching Numba our types: values that live in registers, and markers.

A marker is a Python object without data that tells compiled code what to work on. Numba compiles a kernel once for each
type of its arguments and keeps the result on disk, so a specification that is part of a marker's *type* selects the
code, where a closure over it could not be cached.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.errors import TypingError
from numba.core.imputils import lower_constant
from numba.extending import NativeValue, models, register_model, typeof_impl, unbox


def register_value(numba: type[types.Type], llvm_of: Callable[[Any], ir.Type]) -> None:
    """Let compiled code pass values of a Numba type around as `llvm_of(type)`."""

    @register_model(numba)
    class _Model(models.PrimitiveModel):
        def __init__(self, dmm: Any, fe_type: Any) -> None:
            super().__init__(dmm, fe_type, llvm_of(fe_type))


def register_marker(python: type, numba: type[types.Type], type_of: Callable[[Any], types.Type]) -> None:
    """Let instances of `python` be arguments and globals of compiled code, where they are of type `type_of(instance)`."""
    register_model(numba)(models.OpaqueModel)

    @typeof_impl.register(python)
    def _typeof(value: Any, context: Any) -> types.Type:
        return type_of(value)

    @unbox(numba)
    def _unbox(typ: Any, obj: Any, c: Any) -> NativeValue:
        return NativeValue(c.context.get_dummy_value())

    @lower_constant(numba)
    def _constant(context: Any, builder: Any, typ: Any, value: Any) -> Any:
        return context.get_dummy_value()


def literal(argument: Any, what: str) -> Any:
    """The Python value of a literal argument."""
    if isinstance(argument, types.Literal):
        return argument.literal_value
    raise TypingError(f"{what} must be a literal, not {argument}")
