# SPDX-License-Identifier: GPL-3.0-or-later
"""Straight-line programs: the rows that a writer makes, and what lanes make of rows, against Python integers."""

from __future__ import annotations

import contextlib
import itertools
import random
from typing import Any

import numpy as np
import pytest
from interval_builder import BoundError, Interval, Standin
from lanes_here import HERE, raw_limbs, raw_value, scale

from supervm.crypto.params import bls12_381, bn254
from supervm.kernels import bundles
from supervm.kernels.cpu.fields import bundles as lane_machine
from supervm.kernels.cpu.fields import straight_line as machine
from supervm.kernels.cpu.fields.doubles import DoublesField
from supervm.kernels.cpu.fields.element_type import Field, generator
from supervm.kernels.cpu.fields.wide_codegen import Alternating, WideLanes
from supervm.kernels.cpu.lanes.lanes import IFMA_64X8
from supervm.kernels.rounding import to_nearest
from supervm.kernels.straight_line import (
    CARRIED,
    DOUBLED,
    IN_STEPS,
    LARGEST_SUM,
    LARGEST_WEIGHT,
    NEGATIVE,
    Row,
    Writer,
    evaluate,
    flat,
    steps,
)

FIELDS = {spec.name: spec for spec in (bn254.FP, bls12_381.FP)}
PLACES = 24


# The writer ----------------------------------------------------------------------------------------------------


def _drawn(source: random.Random, writer: Writer, inputs: int) -> list[int]:
    values = [writer.read(place) for place in range(inputs)]
    for _ in range(12):
        kind = source.randrange(3)
        if kind == 0:
            count = source.randint(1, LARGEST_SUM)
            values.append(writer.dot([(source.choice(values), source.choice(values)) for _ in range(count)]))
        elif kind == 1:
            terms = [(source.choice((-3, -1, 1, 2, 4)), source.choice(values)) for _ in range(3)]
            values.append(writer.sum(*terms))
        else:
            values.append(writer.negative(source.choice(values)))
    return values


def test_rows_compute_what_was_written() -> None:
    """Random formulas, with outputs in the places of inputs: the places of what is still needed are not written over."""
    p, source, refused = bn254.FP.modulus, random.Random(4), 0
    for _ in range(300):
        writer = Writer()
        inputs = source.randint(2, 6)
        values = _drawn(source, writer, inputs)
        outputs = {place: source.choice(values) for place in source.sample(range(2, 9), source.randint(1, 5))}
        for place, value in outputs.items():
            writer.write(place, value)
        memory = {place: source.randrange(p) for place in range(40)}
        memory[0] = 0
        expected = _expected(writer, dict(memory), p)
        if _crossing(writer, outputs):
            refused += 1
            with contextlib.suppress(ValueError):
                writer.segment(range(10, 40))
            continue
        rows = writer.segment(range(10, 40))
        evaluate(rows, memory, p)
        assert {place: memory[place] for place in outputs} == {
            place: expected[value] for place, value in outputs.items()
        }
    assert refused < 200


def _crossing(writer: Writer, outputs: dict[int, int]) -> bool:
    """Whether an output is what stood at the place of another: such moves may be refused."""
    read = {operation.numbers[0] for operation in writer.operations if operation.kind == "read"}
    return any(writer.operations[value].kind == "read" for value in outputs.values()) and bool(
        read & set(outputs)
    )


def _expected(writer: Writer, memory: dict[int, int], p: int) -> list[int]:
    """Every value of a writer by its operations."""
    results: list[int] = []
    for kind, operands, numbers in writer.operations:
        known = [results[value] for value in operands]
        if kind == "read":
            results.append(memory[numbers[0]])
        elif kind == "dot":
            results.append(sum(a * b for a, b in zip(known[::2], known[1::2], strict=True)) % p)
        elif kind == "sum":
            results.append(sum(k * a for k, a in zip(numbers, known, strict=True)) % p)
        else:
            results.append(-known[0] % p)
    return results


def test_what_no_backend_could_run_is_refused() -> None:
    writer = Writer()
    a = writer.read(2)
    with pytest.raises(ValueError, match="13 products"):
        writer.dot([(a, a)] * (LARGEST_SUM + 1))
    with pytest.raises(ValueError, match="0 products"):
        writer.dot([])
    with pytest.raises(ValueError, match="at most 13"):
        writer.sum((LARGEST_WEIGHT, a), (1, writer.read(3)))
    writer.write(4, writer.dot([(writer.dot([(a, a)]), a)]))
    with pytest.raises(ValueError, match="more places"):
        writer.segment([])
    swapped = Writer()
    swapped.write(2, swapped.read(3))
    swapped.write(3, swapped.read(2))
    with pytest.raises(ValueError, match="moves"):
        swapped.segment(range(10, 20))


def test_totals_of_steps_stay_within_a_double() -> None:
    """The weight of a total before it is carried, for every sum of up to three terms."""
    for count in (1, 2, 3):
        for coefficients in itertools.product((-9, -4, -3, -1, 1, 2, 5, 7, 12), repeat=count):
            if sum(map(abs, coefficients)) > LARGEST_WEIGHT:
                continue
            writer = Writer()
            writer.write(9, writer.sum(*((k, writer.read(2 + i)) for i, k in enumerate(coefficients))))
            for _, kind, *taken in writer.segment(range(10, 20)):
                weight = 0
                for step in taken if kind < 0 else []:
                    weight = 1 if step & CARRIED else weight
                    weight = weight * (2 if step & DOUBLED else 1) + 1
                    assert weight <= IN_STEPS


# Lanes ---------------------------------------------------------------------------------------------------------


def _inputs(code: Any, source: random.Random) -> int:
    """A number in the field's own form that its contract allows, often at its end."""
    p = code.spec.modulus
    if isinstance(code, DoublesField):
        return source.choice((p // 2, -(p // 2), 0, 1, -1, source.randint(-(p // 2), p // 2)))
    top = 2 * p if code.lanes.width > 1 else p - 1
    return source.choice((0, 1, top, top - 1, p - 1, source.randrange(top)))


def _within(code: Any, number: int) -> bool:
    p = code.spec.modulus
    if isinstance(code, DoublesField):
        return abs(number) << 21 <= p * ((1 << 20) + 2)
    return 0 <= number <= 2 * p if code.lanes.width > 1 else 0 <= number < p


def _stored(code: Any, numbers: list[list[int]]) -> Any:
    """Memory with a number in each lane of each place."""
    rows = [np.array([raw_limbs(code, number) for number in lanes], np.uint64).T for lanes in numbers]
    return np.array(rows).reshape(-1)


def _rows(source: random.Random) -> list[Row]:
    rows: list[Row] = []
    for _ in range(40):
        place, kind = source.randrange(2, PLACES), source.randrange(4)
        if kind < 2:
            count = source.choice((1, 2, 3, LARGEST_SUM))
            rows.append([place, count, *(source.randrange(PLACES) for _ in range(2 * count))])
        elif kind == 2:
            writer = Writer()
            chosen = source.choice(
                ((1, -1), (13,), (-13,), (9, -1), (-1, 9), (3, -2), (1, -3), (12,), (-6, 7))
            )
            writer.write(place, writer.sum(*((k, writer.read(source.randrange(2, PLACES))) for k in chosen)))
            rows += writer.segment([])
        else:
            rows.append([place, 0, source.randrange(PLACES)])
    return rows


@pytest.mark.parametrize("name", FIELDS)
def test_rows_in_lanes(name: str, backend: str) -> None:
    spec, lanes = FIELDS[name], HERE[backend]
    field = Field(spec, lanes)
    code: Any = field.element.code
    source = random.Random(f"{name} {backend}")
    for turn in range(10):
        rows = _rows(source)
        one = raw_value(code, code.represent(1))
        numbers = [[0] * lanes.width, [one] * lanes.width]
        for _ in range(2, PLACES):
            numbers.append([_inputs(code, source) for _ in range(lanes.width)])
        memory = _stored(code, numbers)
        program, _ = flat([rows])
        with to_nearest():
            machine.run(field, np.array(program, np.int64), 0, len(program), memory)
        found = memory.reshape(PLACES, code.limbs, lanes.width)
        for lane in range(lanes.width):
            values = {place: each[lane] * scale(code) % spec.modulus for place, each in enumerate(numbers)}
            evaluate(rows, values, spec.modulus)
            for place in range(PLACES):
                raw = raw_value(code, found[place, :, lane])
                assert raw * scale(code) % spec.modulus == values[place], (turn, lane, place)
                if any(row[0] == place for row in rows):
                    assert _within(code, raw), (turn, lane, place)


def _bundles(source: random.Random, width: int) -> list[Row]:
    """Rows of all kinds, with operands that are one lane's, signs by lanes, and lanes from several places."""
    rows: list[Row] = []
    for _ in range(40):
        place, kind = source.randrange(2, PLACES), source.randrange(4)
        if kind < 2:
            row = [place, source.choice((1, 2, LARGEST_SUM))]
            for _ in range(row[1]):
                row += [source.randrange(PLACES), source.randrange(PLACES)]
                row[-1] += source.choice((0, bundles.FROM_LANE * source.randint(1, width)))
        elif kind == 2:
            chosen = source.choice(((1,), (1, 1), (13,), (9, 1), (3, 2), (12, 1), (6, 7)))
            taken = steps([(k, source.randrange(2, PLACES)) for k in chosen])
            row = [
                place,
                -len(taken),
                *(step + bundles.SIGNS * source.randrange(1 << width) for step in taken),
            ]
        else:
            row = [place, 0, source.randint(1, 3)]
            for index in range(row[2]):
                chosen_lanes = source.randrange(1 << width) if index else (1 << width) - 1
                row += [
                    source.randrange(PLACES),
                    chosen_lanes,
                    *(source.randrange(width) for _ in range(width)),
                ]
        rows.append(row)
    return rows


@pytest.mark.parametrize("name", FIELDS)
def test_bundles_in_lanes(name: str, backend: str) -> None:
    spec, lanes = FIELDS[name], HERE[backend]
    if lanes.width == 1:
        pytest.skip("one lane has no bundles")
    field = Field(spec, lanes)
    code: Any = field.element.code
    source = random.Random(f"{name} {backend}")
    for turn in range(10):
        rows = _bundles(source, lanes.width)
        numbers = [[0] * lanes.width]
        numbers += [[_inputs(code, source) for _ in range(lanes.width)] for _ in range(1, PLACES)]
        memory = _stored(code, numbers)
        program, _ = flat([rows])
        with to_nearest():
            lane_machine.run(field, np.array(program, np.int64), 0, len(program), memory)
        found = memory.reshape(PLACES, code.limbs, lanes.width)
        values = {
            (place, lane): number * scale(code) % spec.modulus
            for place, each in enumerate(numbers)
            for lane, number in enumerate(each)
        }
        bundles.evaluate(rows, values, spec.modulus, lanes.width)
        for (place, lane), value in values.items():
            raw = raw_value(code, found[place, :, lane])
            assert raw * scale(code) % spec.modulus == value, (turn, lane, place)
            if any(row[0] == place for row in rows):
                assert _within(code, raw), (turn, lane, place)


@pytest.mark.parametrize("name", FIELDS)
def test_nothing_overflows(name: str) -> None:
    """In lanes of 52 bits: the most products of the largest elements, and the heaviest small sum."""
    code = generator(FIELDS[name], IFMA_64X8.type)
    wide = WideLanes(code)  # type: ignore[arg-type]
    p, n = code.spec.modulus, code.limbs

    def largest() -> list[Any]:
        top = 2 * p >> 52 * (n - 1)
        return [(Interval(0, bound),) for bound in [*[(1 << 52) - 1] * (n - 1), top]]

    e = Alternating(Standin(modulo_word=[wide.code.minus_inverse]), code.lanes, 1)  # type: ignore[arg-type]
    columns = [(Interval(0, 0),)] * wide.size
    for _ in range(LARGEST_SUM):
        columns = wide.gather(e, columns, largest(), largest())
    assert all(limb[0].hi < 1 << 52 for limb in wide.reduce(e, columns)[:-1])
    assert LARGEST_SUM * (2 * p) ** 2 < wide.code.r * p  # so that the reduced sum is below 2p

    def total(weight: int) -> list[Interval]:
        return [
            Interval(-weight * limb[0].hi, weight * limb[0].hi) if index < n - 1 else _top(weight)
            for index, limb in enumerate(largest())
        ]

    def _top(weight: int) -> Interval:
        bound = weight * (2 * p >> 52 * (n - 1))
        return Interval(-bound, bound)

    steps = machine._LaneSteps(Standin(True), Field(FIELDS[name], IFMA_64X8).element)  # type: ignore[arg-type]
    limbs = steps.finish(total(LARGEST_WEIGHT))
    assert all(limb.lo >= 0 and limb.hi < 1 << 52 for limb in limbs)
    with pytest.raises(BoundError):
        steps.finish(total(8 * LARGEST_WEIGHT))


@pytest.mark.parametrize("name", FIELDS)
def test_the_heaviest_sums_in_lanes(name: str) -> None:
    """On integers: every sign, every limb at its end; the result is below 2p and right modulo p."""
    code: Any = generator(FIELDS[name], IFMA_64X8.type)
    p, n, source = code.spec.modulus, code.limbs, random.Random(name)
    steps = machine._LaneSteps(Standin(True), Field(FIELDS[name], IFMA_64X8).element)  # type: ignore[arg-type]
    for _ in range(300):
        terms = [
            (source.choice((1, -1)), source.choice((0, 1, p - 1, p, 2 * p, source.randrange(2 * p))))
            for _ in range(LARGEST_WEIGHT)
        ]
        if source.random() < 0.3:
            sign = source.choice((1, -1))
            terms = [(sign, 2 * p)] * LARGEST_WEIGHT
        parts = [(sign, raw_limbs(code, number)) for sign, number in terms]
        total = [Interval(*[sum(sign * limbs[index] for sign, limbs in parts)] * 2) for index in range(n)]
        found = sum(limb.lo << 52 * index for index, limb in enumerate(steps.finish(total)))
        assert found < 2 * p
        assert (found - sum(sign * number for sign, number in terms)) % p == 0


def test_flags_do_not_meet_places() -> None:
    assert DOUBLED >= 1 << 16
    assert not DOUBLED & NEGATIVE
    assert not CARRIED & (DOUBLED | NEGATIVE)
