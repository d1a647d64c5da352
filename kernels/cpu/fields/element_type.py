# SPDX-License-Identifier: GPL-3.0-or-later
"""The Numba types of field elements, and which code generator stands behind each.

Moduli 2^k − c with small c fold (`crandall`, `crandall_one_lane`, `crandall_doubles`), all others use Montgomery form
(`montgomery`, `montgomery_doubles`), and quadratic extensions stand on that (`quadratic_codegen`); code that uses elements
cannot tell. `contract` has what all of them promise.
"""

from __future__ import annotations

import functools
from typing import Any

from llvmlite import ir
from numba import types

from supervm.kernels.cpu.fields.contract import FieldCode
from supervm.kernels.cpu.fields.crandall import CrandallLanes
from supervm.kernels.cpu.fields.crandall_doubles import CrandallLong, CrandallShort
from supervm.kernels.cpu.fields.crandall_one_lane import CrandallOneLane
from supervm.kernels.cpu.fields.montgomery import MontgomeryField
from supervm.kernels.cpu.fields.montgomery_doubles import MontgomeryDoubles
from supervm.kernels.cpu.fields.quadratic_codegen import MontgomeryCode, QuadraticField
from supervm.kernels.cpu.lanes.emitter import Emitter
from supervm.kernels.cpu.lanes.lanes import FMA, Lanes, LanesType
from supervm.kernels.cpu.lanes.numba_types import register_marker, register_value
from supervm.kernels.spec import Coordinate, FieldSpec, QuadraticSpec


class Field:
    """A marker: this field, in these lanes. Kernels take it as an argument and are compiled once for each."""

    def __init__(self, spec: FieldSpec | QuadraticSpec, lanes: Lanes) -> None:
        self.spec = spec
        self.lanes = lanes
        self.element = ElementType(spec, lanes.type)
        self.limbs = self.element.code.limbs

    def represent(self, value: Coordinate) -> list[int]:
        """`value` as the limbs of an element, for tables."""
        return represent(self.element.code, value)


class ElementType(types.Type):
    """Numba type of an element: `limbs` lanes values."""

    def __init__(self, spec: FieldSpec | QuadraticSpec, lanes: LanesType) -> None:
        self.spec = spec
        self.lanes = lanes
        self.modulus = spec.base.modulus if isinstance(spec, QuadraticSpec) else spec.modulus
        super().__init__(name=f"Element({spec.name}:{self.modulus:x}, {lanes.name})")

    @property
    def key(self) -> tuple[str, int, tuple[int, int, str]]:
        """By what Numba tells types apart: the field's name, its modulus, and the key of the lanes."""
        return self.spec.name, self.modulus, self.lanes.key

    @property
    def code(self) -> FieldCode:
        """The generator of this field's instructions."""
        return generator(self.spec, self.lanes)

    @property
    def llvm(self) -> ir.Type:
        """An array of `code.limbs` values in lanes."""
        return ir.ArrayType(self.lanes.llvm, self.code.limbs)


@functools.cache
def generator(spec: FieldSpec | QuadraticSpec, lanes: LanesType) -> FieldCode:
    """The code generator that suits the modulus and the multiplier.

    Raises:
        TypeError: an extension of a field that is not in Montgomery form.
    """
    if isinstance(spec, QuadraticSpec):
        base = generator(spec.base, lanes)
        if not isinstance(base, MontgomeryCode):
            raise TypeError(f"{spec.name} extends {spec.base.name}, which folds; expected a Montgomery field")
        return QuadraticField(spec, base)
    if lanes.multiplier == FMA:
        if spec.fold and spec.bits == 255 and spec.fold < 1 << 5:
            return CrandallShort(spec, lanes)
        if spec.fold and spec.bits == 256 and spec.fold < 1 << 33:
            return CrandallLong(spec, lanes)
        return MontgomeryDoubles(spec, lanes)
    if not spec.fold:
        return MontgomeryField(spec, lanes)
    return (CrandallLanes if lanes.width > 1 else CrandallOneLane)(spec, lanes)


def represent(code: FieldCode, value: Coordinate) -> list[int]:
    """A constant as limbs; an integer is an element of an extension too.

    Raises:
        TypeError: a pair for a prime field.
    """
    if isinstance(code, QuadraticField):
        return code.represent(value)
    if isinstance(value, tuple):
        raise TypeError(f"{value} is a pair; {code.spec.name} is a prime field")
    return code.represent(value)


def prime_spec(field: Field) -> FieldSpec:
    """The specification of a prime field.

    Raises:
        TypeError: the field is an extension.
    """
    if isinstance(field.spec, QuadraticSpec):
        raise TypeError(f"{field.spec.name} is an extension; expected a prime field")
    return field.spec


class FieldMarkerType(types.Type):
    """Numba type of `Field`."""

    def __init__(self, element: ElementType) -> None:
        self.element = element
        self.lanes = element.lanes
        super().__init__(name=f"Field[{element.name}]")

    @property
    def key(self) -> Any:
        """That of the field's elements, see `ElementType.key`."""
        return self.element.key


class LocalType(types.Type):
    """Numba type of a stack array of elements."""

    def __init__(self, element: ElementType, count: int) -> None:
        self.element = element
        self.count = count
        super().__init__(name=f"Local({count} x {element.name})")

    @property
    def key(self) -> Any:
        """By what Numba tells types apart: the elements' key and how many there are."""
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


def constant_element(builder: ir.IRBuilder, element: ElementType, number: Coordinate) -> ir.Value:
    """`number` modulo p as an element, in every lane."""
    e = Emitter(builder, element.lanes)
    return pack(builder, element, [e.constant(limb) for limb in represent(element.code, number)])
