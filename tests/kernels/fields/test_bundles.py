# SPDX-License-Identifier: GPL-3.0-or-later
"""Operations of one item side by side: bundles compute what was written, and the programs of pairings what their rows do."""

from __future__ import annotations

import random

import pytest

from supervm.crypto.params import bls12_381, bn254
from supervm.kernels import bundles, straight_line
from supervm.kernels.pairing_layout import bundles as pairing_bundles
from supervm.kernels.pairing_layout import layout
from supervm.kernels.pairing_programs import PLACES, WORKING, constants, segments
from supervm.kernels.straight_line import LARGEST_SUM, Row, Writer

PAIRINGS = {spec.name: spec for spec in (bn254.PAIRING, bls12_381.PAIRING)}


def _drawn(source: random.Random) -> Writer:
    """A formula of sums and products on places 0 to 20, which writes to 1 to 20."""
    writer = Writer()
    values = [writer.read(place) for place in range(21)]
    for _ in range(30):
        kind = source.randrange(4)
        if kind < 2:
            count = source.choice((1, 2, 3, LARGEST_SUM))
            common = source.choice(values)
            pairs = [
                (source.choice(values), source.choice((common, source.choice(values)))) for _ in range(count)
            ]
            values.append(writer.dot(pairs))
        elif kind == 2:
            terms = [
                (source.choice((-3, -2, -1, 1, 2, 4)), source.choice(values))
                for _ in range(source.randint(1, 3))
            ]
            values.append(writer.sum(*terms))
        else:
            values.append(writer.negative(source.choice(values)))
    for place in source.sample(range(1, 21), source.randint(1, 12)):
        writer.write(place, source.choice(values))
    return writer


def _homes(source: random.Random, width: int) -> dict[int, bundles.Home]:
    """Place 0 alone, the others in any order in lanes of the following places, some of which stay empty."""
    lanes = [(place, lane) for place in range(1, 2 + 32 // width) for lane in range(width)]
    return {0: (0, 0), **dict(zip(range(1, 21), source.sample(lanes, 20), strict=True))}


@pytest.mark.parametrize("width", [2, 4, 8])
def test_bundles_compute_what_was_written(width: int) -> None:
    p, source = bn254.FP.modulus, random.Random(width)
    for _ in range(200):
        writer, homes = _drawn(source), _homes(source, width)
        start = {place: source.randrange(p) if place else 0 for place in range(21)}
        expected = _expected(writer, start, p)
        rows = bundles.bundled(writer, width, homes, range(40, 140))
        memory = {(place, lane): 0 for place in range(140) for lane in range(width)}
        memory |= {homes[place]: value for place, value in start.items()}
        bundles.evaluate(rows, memory, p, width)
        assert {place: memory[home] for place, home in homes.items()} == expected


def _expected(writer: Writer, start: dict[int, int], p: int) -> dict[int, int]:
    """What stands at every place in the end, by the operations."""
    results: list[int] = []
    for kind, operands, numbers in writer.operations:
        known = [results[value] for value in operands]
        if kind == "read":
            results.append(start[numbers[0]])
        elif kind == "dot":
            results.append(sum(a * b for a, b in zip(known[::2], known[1::2], strict=True)) % p)
        elif kind == "sum":
            results.append(sum(k * a for k, a in zip(numbers, known, strict=True)) % p)
        else:
            results.append(-known[0] % p)
    return start | {place: results[value] for place, value in writer.outputs.items()}


@pytest.mark.parametrize("width", [2, 4, 8])
@pytest.mark.parametrize("name", PAIRINGS)
def test_programs_of_pairings(name: str, width: int) -> None:
    """Each program in bundles and in rows, on the same random numbers: all that is kept is the same after it."""
    spec, there = PAIRINGS[name], layout(width)
    p, source = spec.field.modulus, random.Random(f"{name} {width}")
    for program, rows in pairing_bundles(spec, width).items():
        single = {place: source.randrange(p) for place in range(PLACES["working"] + WORKING)}
        single |= dict(enumerate(constants(spec)))
        memory = {(place, lane): 0 for place in range(there.begins["end"]) for lane in range(width)}
        memory |= {home: single[place] for place, home in there.homes.items()}
        straight_line.evaluate(segments(spec)[program], single, p)
        bundles.evaluate(rows, memory, p, width)
        for place, home in there.homes.items():
            assert memory[home] == single[place], (program, place)
        _require_no_place_beyond(rows, there.begins["end"])


def _require_no_place_beyond(rows: list[Row], end: int) -> None:
    assert all(0 <= row[0] < end for row in rows)


def test_products_fill_the_lanes() -> None:
    """A product in Fp12 is two sums of twelve products in eight lanes, and three in four lanes."""
    for width, count in ((8, 2), (4, 3)):
        rows = pairing_bundles(bls12_381.PAIRING, width)["multiply"]
        assert [row[1] for row in rows if row[1] > 0] == [12] * count


def test_too_few_places_are_refused() -> None:
    writer = Writer()
    a = writer.read(1)
    writer.write(2, writer.dot([(writer.dot([(a, a)]), a)]))
    with pytest.raises(ValueError, match="more places"):
        bundles.bundled(writer, 4, {0: (0, 0), 1: (1, 0), 2: (2, 1)}, [])


def test_values_that_change_places() -> None:
    writer = Writer()
    writer.write(1, writer.read(2))
    writer.write(2, writer.read(1))
    rows = bundles.bundled(writer, 2, {0: (0, 0), 1: (1, 0), 2: (2, 0)}, range(5, 9))
    memory = {(place, lane): 10 * place + lane for place in range(9) for lane in range(2)}
    bundles.evaluate(rows, memory, 101, 2)
    assert (memory[1, 0], memory[2, 0]) == (20, 10)
