# SPDX-License-Identifier: GPL-3.0-or-later
"""The operations of pairings as the registry lists them, `bn254.pairing.miller_loop` and so on, items independent.

- miller_loop(first, second, against; prepared): the product of the Miller loops of an item's k pairs, uint64 (n, k, 2, L)
  and (n, k, 2, 2, L), and of f pairs with the f points of `Prepared`, (n, f, 2, L); a pair with a point at infinity
  contributes one
- final_exponentiation(values): the last power of the product of an item's values, uint64 (n, k, 12, L)

Results are uint64 (n, 12, L): the coefficients of 1, w … w⁵, of each c₀ first, canonical.
"""

from __future__ import annotations

import functools
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from supervm.crypto import cuda_pairings
from supervm.kernels import pairing_programs as programs
from supervm.kernels.array_types import Flags, Words
from supervm.kernels.arrays import borrow
from supervm.kernels.cpu.backends import CpuBackend, register_on_cpu
from supervm.kernels.cpu.fields.element_type import Field
from supervm.kernels.cpu.pairings.alone import BEGINS, miller_alone, power_alone
from supervm.kernels.cpu.pairings.pairing import lines_slice, miller_slice, power_slice
from supervm.kernels.last_power import last_power
from supervm.kernels.pairing_layout import bundled_code, layout
from supervm.kernels.pairing_spec import PairingSpec
from supervm.kernels.threads import get_threads, run_slices

PAIRINGS: dict[str, PairingSpec] = cuda_pairings.SPECS
OPERATIONS = ("miller_loop", "final_exponentiation")

FEW_ITEMS = {8: 3, 4: 2, 2: 1, 1: 0}
"""Items, by lanes, that are faster one after the other in all lanes than side by side with one lane each."""

MOST_ITEMS = 64
"""Items of one slice: milliseconds of work."""


@functools.cache
def _arrays(spec: PairingSpec) -> dict[str, npt.NDArray[Any]]:
    """What kernels take as arrays: programs, where each begins, constants, digits and the schedule of the last power."""
    numbers, starts = programs.code(spec)
    words = spec.field.words
    constants = b"".join(value.to_bytes(8 * words, "little") for value in programs.constants(spec))
    return {
        "program": np.array(numbers, np.int64),
        "starts": np.array(starts, np.int64),
        "constants": np.frombuffer(constants, "<u8").astype(np.uint64),
        "digits": np.array(spec.loop, np.int8),
        "schedule": np.array(last_power(spec).rows, np.int64).reshape(-1),
    }


class Prepared:
    """Fixed points of G2 and the lines of their Miller loops, which each backend computes at its first use and keeps.

    Args:
        spec: of the pairing.
        points: uint64 (f, 2, 2, L), affine, of the subgroup; infinity is all zero.
    """

    def __init__(self, spec: PairingSpec, points: Words) -> None:
        self.spec = spec
        self.points: Words = points.copy()
        self.points.flags.writeable = False
        self.there: Flags = np.asarray(points.any(axis=(1, 2, 3)))
        self._lines: dict[str, tuple[Words, Words]] = {}

    def __len__(self) -> int:
        return len(self.points)

    def lines(self, field: Field) -> tuple[Words, Words]:
        """What `lines_slice` writes, and that as it stands at the places of a line if an item has all lanes to itself."""
        if field.element.name not in self._lines:
            self._lines[field.element.name] = self._computed(field)
        return self._lines[field.element.name]

    def _computed(self, field: Field) -> tuple[Words, Words]:
        arrays, width = _arrays(self.spec), field.lanes.width
        steps = sum(2 if digit else 1 for digit in self.spec.loop) + (2 if self.spec.divided else 0)
        lines = np.zeros((steps * len(self), 6, field.limbs), np.uint64)
        code = *(arrays[name] for name in ("program", "starts", "constants", "digits")), self.spec.divided
        points, written = _flat(self.points), lines.reshape(-1)
        run_slices(
            lambda start, stop: lines_slice(field, *code, points, start, stop, written), len(self), MOST_ITEMS
        )
        if width == 1:
            return written, written
        standing = np.zeros((len(lines), -(-6 // width), field.limbs, width), np.uint64)
        for part in range(6):
            standing[:, part // width, :, part % width] = lines[:, part]
        return written, standing.reshape(-1)


@functools.cache
def nothing_prepared(spec: PairingSpec) -> Prepared:
    """No points."""
    return Prepared(spec, np.zeros((0, 2, 2, spec.field.words), np.uint64))


@functools.cache
def _alone(spec: PairingSpec, width: int) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """What kernels of items alone take: (program, where each begins), (where places are, where names begin)."""
    numbers, starts = bundled_code(spec, width)
    there = layout(width)
    where = np.zeros(programs.PLACES["working"], np.int64)
    for place, (row, lane) in there.homes.items():
        where[place] = row * width + lane
    begins = np.array([there.begins[name] for name in BEGINS], np.int64)
    return (np.array(numbers, np.int64), np.array(starts, np.int64)), (where, begins)


def _for_slices(items: int, width: int, beside: Any, alone: Any) -> None:
    """`beside` for slices of whole lane groups, several for each thread, and `alone` for each of a few that are left."""
    few = items % width if items % width <= FEW_ITEMS[width] else 0
    many = items - few
    share = -(-many // (4 * get_threads())) if get_threads() > 1 else many
    run_slices(beside, many, max(8, min(MOST_ITEMS, -(-share // 8) * 8)))
    run_slices(lambda start, stop: alone(many + start, many + stop), few, 1)


def _flat(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return borrow(np.ascontiguousarray(rows)).reshape(-1)


def _miller_loop(
    spec: PairingSpec,
    field: Field,
    first: Words,
    second: Words,
    against: Words,
    prepared: Prepared,
    results: Words,
) -> None:
    arrays, pairs, width = _arrays(spec), first.shape[1], field.lanes.width
    code = arrays["program"], arrays["starts"]
    rest = arrays["constants"], arrays["digits"], spec.divided, not spec.divided and spec.parameter < 0, pairs
    points = _flat(first), _flat(second), prepared.there, _flat(against)
    lines, standing = prepared.lines(field)
    written = results.reshape(-1)
    _for_slices(
        len(first),
        width,
        lambda start, stop: miller_slice(field, *code, *rest, *points, lines, start, stop, written),
        lambda start, stop: miller_alone(
            field, *_alone(spec, width), *rest, *points, standing, start, stop, written
        ),
    )


def _final_exponentiation(spec: PairingSpec, field: Field, values: Words, results: Words) -> None:
    arrays, count, width = _arrays(spec), values.shape[1], field.lanes.width
    code = arrays["program"], arrays["starts"]
    rest = arrays["constants"], arrays["schedule"], last_power(spec).elements, count
    given, written = _flat(values), results.reshape(-1)
    _for_slices(
        len(values),
        width,
        lambda start, stop: power_slice(field, *code, *rest, given, start, stop, written),
        lambda start, stop: power_alone(field, *_alone(spec, width), *rest, given, start, stop, written),
    )


def _register(spec: PairingSpec) -> None:
    def made(function: Any, backend: CpuBackend) -> Any:
        return partial(function, spec, Field(spec.field, backend.lanes))

    for operation, function in zip(OPERATIONS, (_miller_loop, _final_exponentiation), strict=True):
        register_on_cpu(f"{spec.name}.pairing.{operation}", partial(made, function))
    cuda_pairings.register_pairing(spec.name)


for _spec in PAIRINGS.values():
    _register(_spec)
