# SPDX-License-Identifier: GPL-3.0-or-later
"""Known answers of the operations on points, from the oracle: rows for `known_answer_vectors.py`.

Points and coordinates are hexadecimal bytes of their words: little-endian, x first, c₀ first, infinity all zero.
"""

from __future__ import annotations

import random
from typing import Any

from supervm.crypto.oracle import hash_to_curve
from supervm.crypto.oracle.pairing_groups import GROUPS, Group, Point
from supervm.crypto.oracle.point_encodings import ENCODINGS, decode, encode
from supervm.kernels.spec import Coordinate

Rows = list[dict[str, Any]]


def group_rows() -> dict[str, Rows]:
    """Operation → rows, for every group."""
    rows: dict[str, Rows] = {}
    for name, group in GROUPS.items():
        points = _points(group)
        rows[f"{name}.decode"] = _decode(name, group, points)
        rows[f"{name}.subgroup"] = _subgroup(group, points)
        rows[f"{name}.add"] = _add(group, points)
        rows[f"{name}.multiply"] = _multiply(group, points)
        rows[f"{name}.normalise"] = _normalise(group, points)
        if group.spec.map is not None:
            rows[f"{name}.map"] = _map(group)
    return rows


def raw(group: Group, *coordinates: Coordinate) -> str:
    """The words of coordinates, canonical or not, as hexadecimal bytes."""
    size = 8 * group.base.words
    parts = [part for coordinate in coordinates for part in group.field.parts(coordinate)]
    return b"".join(part.to_bytes(size, "little") for part in parts).hex()


def _raw_point(group: Group, point: Point | None) -> str:
    return raw(group, *(point or (group.field.zero, group.field.zero)))


def _points(group: Group) -> dict[str, Point | None]:
    """Points of the curve by what is special about them."""
    other = group.curve_point(5)
    points = {
        "infinity": None,
        "the generator": group.generator,
        "its opposite": group.negate(group.generator),
        "its double": group.add(group.generator, group.generator),
        "a multiple": group.multiply(0x1234567_89ABCDEF, group.generator),
    }
    if group.cofactor > 1:
        points["a point outside the subgroup"] = other
        points["a point of an order that divides the cofactor"] = group.multiply(group.order, other)
        points["one outside beside the generator"] = group.add(
            group.multiply(group.order, other), group.generator
        )
    return points


def _wrong(group: Group) -> dict[str, str]:
    """Rows that are no points."""
    x, y = group.generator
    (first, *rest), one = group.field.parts(y), group.field.one
    return {
        "not on the curve": raw(group, x, group.field.add(y, one)),
        "x is y": raw(group, y, y),
        "y + p": raw(group, x, group.field.element([first + group.p, *rest]))
        if first + group.p < 1 << 64 * group.base.words
        else raw(group, x, group.field.element([group.p, *rest])),
    }


def _decode(name: str, group: Group, points: dict[str, Point | None]) -> Rows:
    rows = []
    for encoding, form in ENCODINGS.items():
        if name not in form.groups:
            continue
        given = {what: encode(name, point, encoding) for what, point in points.items()}
        good = encode(name, group.generator, encoding)
        given["a bit of the last byte"] = good[:-1] + bytes([good[-1] ^ 1])
        given["all ones"] = b"\xff" * len(good)
        given["all zero"] = bytes(len(good))
        given["the top bit of the first byte"] = bytes([good[0] ^ 0x80]) + good[1:]
        for what, data in given.items():
            verdict, point = decode(name, data, encoding)
            rows.append(
                {
                    "description": f"{encoding}: {what}",
                    "encoding": encoding,
                    "data": data.hex(),
                    "verdict": verdict,
                    "point": _raw_point(group, point),
                }
            )
    return rows


def _subgroup(group: Group, points: dict[str, Point | None]) -> Rows:
    rows: Rows = [
        {"description": what, "point": _raw_point(group, point), "verdict": int(group.in_subgroup(point))}
        for what, point in points.items()
    ]
    return rows + [{"description": what, "point": row, "verdict": -1} for what, row in _wrong(group).items()]


def _add(group: Group, points: dict[str, Point | None]) -> Rows:
    rows: Rows = []
    names = list(points)
    pairs = [(a, b) for a in names[:4] for b in names[:4]] + [(a, names[4]) for a in names[4:]]
    for a, b in pairs:
        rows.append(
            {
                "description": f"{a} and {b}",
                "first": _raw_point(group, points[a]),
                "second": _raw_point(group, points[b]),
                "verdict": 1,
                "result": _raw_point(group, group.add(points[a], points[b])),
            }
        )
    good, none = _raw_point(group, group.generator), _raw_point(group, None)
    for what, row in _wrong(group).items():
        rows.append({"description": what, "first": row, "second": good, "verdict": -1, "result": none})
        rows.append({"description": what, "first": none, "second": row, "verdict": -1, "result": none})
    return rows


def _multiply(group: Group, points: dict[str, Point | None]) -> Rows:
    source = random.Random(group.spec.name)
    scalars = [
        0,
        1,
        2,
        8,
        15,
        16,
        group.order - 1,
        group.order,
        group.order + 1,
        (1 << 256) - 1,
        8 * ((1 << 256) // 15),
    ]
    scalars += [source.getrandbits(256) for _ in range(5)]
    names = list(points)
    rows: Rows = []
    for index, scalar in enumerate(scalars):
        what = names[1 + index % (len(names) - 1)]
        rows.append(
            {
                "description": f"{scalar:#x} times {what}",
                "point": _raw_point(group, points[what]),
                "scalar": scalar.to_bytes(32, "little").hex(),
                "verdict": 1,
                "result": _raw_point(group, group.multiply(scalar, points[what])),
            }
        )
    zero, three = _raw_point(group, None), (3).to_bytes(32, "little").hex()
    rows.append({"description": "infinity", "point": zero, "scalar": three, "verdict": 1, "result": zero})
    for what, row in _wrong(group).items():
        rows.append({"description": what, "point": row, "scalar": three, "verdict": -1, "result": zero})
    return rows


def _normalise(group: Group, points: dict[str, Point | None]) -> Rows:
    source = random.Random(group.spec.name)
    f = group.field
    rows: Rows = []
    for what, point in points.items():
        z = f.element([source.randrange(group.p) for _ in range(group.degree)])
        x, y = point or (f.one, f.one)
        square = f.mul(z, z)
        cube = f.mul(square, z)
        left, right = f.mul(x, square), f.mul(y, cube)
        if point is None:
            z = square = cube = f.zero
            left, right = x, y
        for coordinates in ((left, right, z), (left, right, square, cube)):
            rows.append(
                {
                    "description": f"{what}, {len(coordinates)} coordinates",
                    "coordinates": raw(group, *coordinates),
                    "verdict": 1,
                    "result": _raw_point(group, point),
                }
            )
    zero, large = _raw_point(group, None), f.element([group.p] + [0] * (group.degree - 1))
    wrong = {
        "Z is p": (f.one, f.one, large),
        "X is p": (large, f.one, f.one),
        "ZZ³ is not ZZZ²": (f.one, f.one, f.add(f.one, f.one), f.one),
        "ZZZ is zero": (f.one, f.one, f.one, f.zero),
    }
    for what, given in wrong.items():
        rows.append({"description": what, "coordinates": raw(group, *given), "verdict": -1, "result": zero})
    return rows


def _map(group: Group) -> Rows:
    """One element an item and two, canonical and of 512 bits, and what is not canonical."""
    source, f = random.Random(group.spec.name), group.field

    def element(*parts: int) -> Coordinate:
        return f.element([*parts, *[0] * (group.degree - len(parts))])

    drawn = [f.element([source.randrange(group.p) for _ in range(group.degree)]) for _ in range(6)]
    minus = f.sub(f.zero, drawn[0])
    one = {
        "0": f.zero,
        "1": f.one,
        "p − 1": element(group.p - 1),
        "a drawn one": drawn[1],
        "another": drawn[2],
    }
    if group.degree == 2:
        one |= {"u": element(0, 1), "2u": element(0, 2), "−u": element(0, group.p - 1)}
    two = {
        "the same twice": (drawn[0], drawn[0]),
        "one and its opposite": (drawn[0], minus),
        "0 twice": (f.zero, f.zero),
        "two drawn ones": (drawn[3], drawn[4]),
    }
    rows: Rows = []

    def answer(what: str, *given: Coordinate) -> None:
        points = [hash_to_curve.map_to_curve(group, u) for u in given]
        result = hash_to_curve.clear_cofactor(group, group.sum(points))
        rows.append(_map_row(group, what, raw(group, *given), len(given), False, 1, result))

    for what, u in one.items():
        answer(what, u)
    for what, pair in two.items():
        answer(what, *pair)
    half = 1 << 256
    for what, number in (
        ("2^512 − 1", half * half - 1),
        ("p", group.p),
        ("a drawn number", source.getrandbits(512)),
    ):
        parts = [number, source.getrandbits(512)][: group.degree]
        halves = [f.element([part % half for part in parts]), f.element([part // half for part in parts])]
        result = hash_to_curve.map_to_group(group, f.element([part % group.p for part in parts]))
        rows.append(_map_row(group, f"{what}, of 512 bits", raw(group, *halves), 1, True, 1, result))
    last = f.element([*[0] * (group.degree - 1), group.p])
    rows.append(_map_row(group, "p", raw(group, last), 1, False, -1, None))
    rows.append(_map_row(group, "a drawn one and p", raw(group, drawn[5], last), 2, False, -1, None))
    return rows


def _map_row(
    group: Group, what: str, elements: str, each: int, wide: bool, verdict: int, result: Point | None
) -> dict[str, Any]:
    return {
        "description": what,
        "elements": elements,
        "each": each,
        "wide": wide,
        "verdict": verdict,
        "result": _raw_point(group, result),
    }
