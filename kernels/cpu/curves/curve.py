# SPDX-License-Identifier: GPL-3.0-or-later
"""`Curve(spec, lanes)`: the marker that tells a kernel which curve it works on, and in which lanes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from supervm.kernels.cpu.fields.element_type import (
    ElementType,
    Field,
    FieldMarkerType,
    constant_element,
    pack,
    represent,
)
from supervm.kernels.cpu.fields.lookup import SLACK, padded_row
from supervm.kernels.cpu.lanes.lanes import I64, Lanes, LanesMarkerType, every
from supervm.kernels.cpu.lanes.numba_types import literal, register_marker
from supervm.kernels.spec import Coordinate, EdwardsSpec, GroupSpec, MinusThreeSpec, WeierstrassSpec

CurveSpec = EdwardsSpec | WeierstrassSpec | MinusThreeSpec | GroupSpec


class Curve:
    """A marker: this curve, in these lanes."""

    def __init__(self, spec: CurveSpec, lanes: Lanes) -> None:
        self.spec = spec
        self.lanes = lanes
        self.field = Field(spec.field, lanes)
        self.scalars = Field(spec.scalar_field, lanes)
        self.type = CurveMarkerType(spec, lanes)

    def table(self, points: Sequence[tuple[Coordinate, ...]]) -> npt.NDArray[np.uint64]:
        """Rows of coordinates as limbs for `lookup`, one row a point, padded, in one flat uint64 array."""
        used = len(points[0]) * self.field.limbs
        stride = padded_row(used)
        words = np.zeros(len(points) * stride + SLACK, np.uint64)
        for row, point in zip(words[: len(points) * stride].reshape(-1, stride), points, strict=True):
            row[:used] = [limb for coordinate in point for limb in self.field.represent(coordinate)]
        return words


class CurveMarkerType(types.Type):
    """Numba type of `Curve`."""

    def __init__(self, spec: CurveSpec, lanes: Lanes) -> None:
        self.spec = spec
        self.lanes = lanes.type
        self.element = ElementType(spec.field, lanes.type)
        self.scalar = ElementType(spec.scalar_field, lanes.type)
        super().__init__(name=f"Curve({spec.name}, {self.element.name})")

    @property
    def key(self) -> Any:
        """By what Numba tells types apart: the curve, and (bits, width) of its lanes."""
        return self.spec, self.lanes.key


register_marker(Curve, CurveMarkerType, lambda curve: curve.type)


def _part(result_of: Any) -> Any:
    @intrinsic
    def operation(typingctx: Any, curve: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return context.get_dummy_value()

        return result_of(curve)(curve), codegen

    return operation


base_field = _part(lambda curve: FieldMarkerType(curve.element))
"""The marker of the field of coordinates."""

scalar_field = _part(lambda curve: FieldMarkerType(curve.scalar))
"""The marker of the integers modulo the group order."""

lanes_of = _part(lambda curve: LanesMarkerType(curve.lanes))
"""The marker of the lanes."""


def _constant(element_of: Any) -> Any:
    @intrinsic(prefer_literal=True)
    def operation(typingctx: Any, curve: Any, name: Any) -> Any:
        value = curve.spec
        for part in literal(name, "name").split("."):
            value = getattr(value, part)
        element = element_of(curve)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return constant_element(builder, element, value)

        return element(curve, name), codegen

    return operation


curve_constant = _constant(lambda curve: curve.element)
"""curve_constant(curve, "d"): an attribute of the curve's specification as an element of the base field."""

scalar_constant = _constant(lambda curve: curve.scalar)
"""The same as an element of the scalar field."""


def numbers_table(numbers: Sequence[int]) -> Any:
    """The code of an intrinsic (curve, index) that is entry `index` of integers of the curve, which lie in memory."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values = ir.Constant(ir.ArrayType(I64, len(numbers)), list(numbers))
        table = cgutils.global_constant(builder.module, "curve.numbers", values)
        return builder.load(builder.gep(table, [ir.Constant(I64, 0), args[1]]))

    return codegen


def elements_table(element: ElementType, values: Sequence[Coordinate]) -> Any:
    """The same for elements, entry `index` of which is in every lane."""
    limbs = [limb for value in values for limb in represent(element.code, value)]

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        count = element.code.limbs
        stored = ir.Constant(ir.ArrayType(I64, len(limbs)), limbs)
        table = cgutils.global_constant(builder.module, "curve.elements", stored)
        start = builder.mul(args[1], ir.Constant(I64, count))
        places = [builder.add(start, ir.Constant(I64, index)) for index in range(count)]
        words = [builder.load(builder.gep(table, [ir.Constant(I64, 0), place])) for place in places]
        return pack(builder, element, [every(builder, element.lanes.llvm, word) for word in words])

    return codegen
