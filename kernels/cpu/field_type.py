# SPDX-License-Identifier: GPL-3.0-or-later
"""The Numba types of field elements, and which code generator stands behind each.

Moduli 2^k − c with small c fold (`fold_field`, `fold_word`), all others use Montgomery form (`montgomery_field`); code
that uses elements cannot tell.
"""

from __future__ import annotations

import functools
from typing import Any

from llvmlite import ir
from numba import types

from supervm.kernels.cpu.emit import Emitter
from supervm.kernels.cpu.extension import register_marker, register_value
from supervm.kernels.cpu.fold_field import FoldField, FoldLanes
from supervm.kernels.cpu.fold_word import FoldWord
from supervm.kernels.cpu.lanes import (
    Lanes,
    LanesType,
)
from supervm.kernels.cpu.montgomery_field import MontgomeryField
from supervm.kernels.spec import FieldSpec


class Field:
    """A marker: this field, in these lanes. Kernels take it as an argument and are compiled once for each."""

    def __init__(self, spec: FieldSpec, lanes: Lanes) -> None:
        self.spec = spec
        self.lanes = lanes
        self.element = ElementType(spec, lanes.type)
        self.limbs = self.element.code.limbs

    def represent(self, value: int) -> list[int]:
        """`value` as the limbs of an element, for tables."""
        return self.element.code.represent(value)


class ElementType(types.Type):
    """Numba type of an element: `limbs` lanes values."""

    def __init__(self, spec: FieldSpec, lanes: LanesType) -> None:
        self.spec = spec
        self.lanes = lanes
        super().__init__(name=f"Element({spec.name}:{spec.modulus:x}, {lanes.name})")

    @property
    def key(self) -> tuple[str, int, tuple[int, int]]:
        return self.spec.name, self.spec.modulus, self.lanes.key

    @property
    def code(self) -> FoldField | MontgomeryField:
        """The generator of this field's instructions."""
        return generator(self.spec, self.lanes.bits, self.lanes.width)

    @property
    def llvm(self) -> ir.Type:
        return ir.ArrayType(self.lanes.llvm, self.code.limbs)


@functools.cache
def generator(spec: FieldSpec, bits: int, width: int) -> FoldField | MontgomeryField:
    """The code generator that suits the modulus."""
    if not spec.fold:
        return MontgomeryField(spec, LanesType(bits, width))
    return (FoldLanes if width > 1 else FoldWord)(spec, LanesType(bits, width))


class FieldMarkerType(types.Type):
    """Numba type of `Field`."""

    def __init__(self, element: ElementType) -> None:
        self.element = element
        self.lanes = element.lanes
        super().__init__(name=f"Field[{element.name}]")

    @property
    def key(self) -> Any:
        return self.element.key


class LocalType(types.Type):
    """Numba type of a stack array of elements."""

    def __init__(self, element: ElementType, count: int) -> None:
        self.element = element
        self.count = count
        super().__init__(name=f"Local({count} x {element.name})")

    @property
    def key(self) -> Any:
        return self.element.key, self.count


register_value(ElementType, lambda element: element.llvm)
register_value(LocalType, lambda room: room.element.llvm.as_pointer())
register_marker(Field, FieldMarkerType, lambda field: FieldMarkerType(field.element))


def unpack(builder: ir.IRBuilder, element: ElementType, value: ir.Value) -> list[ir.Value]:
    """The limbs of an element value."""
    return [builder.extract_value(value, index) for index in range(element.code.limbs)]


def pack(builder: ir.IRBuilder, element: ElementType, limbs: list[ir.Value]) -> ir.Value:
    """An element value from its limbs."""
    value: ir.Value = ir.Constant(element.llvm, ir.Undefined)
    for index, limb in enumerate(limbs):
        value = builder.insert_value(value, limb, index)
    return value


def constant_element(builder: ir.IRBuilder, element: ElementType, number: int) -> ir.Value:
    """`number` modulo p as an element, in every lane."""
    e = Emitter(builder, element.lanes)
    return pack(builder, element, [e.constant(limb) for limb in element.code.represent(number)])
