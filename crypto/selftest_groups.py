# SPDX-License-Identifier: GPL-3.0-or-later
"""The known-answer tests of the operations on points, of their sums and of pairings, for `selftest`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervm.crypto import curves, msm
from supervm.crypto.calls import compute
from supervm.crypto.group_operations import GROUPS, MAPS, OPERATIONS
from supervm.crypto.msm_work import GROUPS as SUMS
from supervm.crypto.pairing_operations import PAIRINGS, Prepared, nothing_prepared
from supervm.crypto.signatures.batch import VERDICT

Row = dict[str, Any]
Comparison = tuple[str, Row, Any, Any]
Check = Callable[[list[Row], str], Iterable[Comparison]]

_INPUTS = {
    "subgroup": ("point",),
    "add": ("first", "second"),
    "multiply": ("point", "scalar"),
    "normalise": ("coordinates",),
}
"""Fields of a row that are an operation's columns."""


def _column(rows: list[Row], name: str, dtype: type) -> NDArray[Any]:
    return np.array([np.frombuffer(bytes.fromhex(row[name]), dtype) for row in rows])


def _decode(name: str, rows: list[Row], backend: str) -> Iterable[Comparison]:
    curve, _, which = name.partition(".")
    group = getattr(curves.get(curve), which)
    for encoding in dict.fromkeys(row["encoding"] for row in rows):
        own = [row for row in rows if row["encoding"] == encoding]
        points, verdicts = group.from_bytes(_column(own, "data", np.uint8), encoding, backend=backend)
        for row, point, verdict in zip(own, points, verdicts.tolist(), strict=True):
            yield "", row, (verdict, point.tobytes().hex()), (row["verdict"], row["point"])


def _columns(name: str, operation: str, rows: list[Row], backend: str) -> Iterable[Comparison]:
    fields = _INPUTS[operation]
    for length in sorted({len(row[fields[0]]) for row in rows}):
        own = [row for row in rows if len(row[fields[0]]) == length]
        columns = tuple(_column(own, field, np.uint64) for field in fields)
        points = () if operation == "subgroup" else (((2 * GROUPS[name].field.words,), np.uint64),)
        found = compute(f"{name}.{operation}", columns, len(own), (*points, VERDICT), backend=backend)
        for index, row in enumerate(own):
            verdict = int(found[-1][index])
            if points:
                yield "", row, (verdict, found[0][index].tobytes().hex()), (row["verdict"], row["result"])
            else:
                yield "", row, verdict, row["verdict"]


def _map(operation: str, rows: list[Row], backend: str) -> Iterable[Comparison]:
    size = GROUPS[operation.removesuffix(".map")].field.words
    for each, wide in sorted({(row["each"], row["wide"]) for row in rows}):
        own = [row for row in rows if (row["each"], row["wide"]) == (each, wide)]
        columns = (_column(own, "elements", np.uint64),)
        outputs = (((2 * size,), np.uint64), VERDICT)
        points, verdicts = compute(
            operation, columns, len(own), outputs, options=(each, wide), backend=backend
        )
        for row, point, verdict in zip(own, points, verdicts.tolist(), strict=True):
            yield "", row, (verdict, point.tobytes().hex()), (row["verdict"], row["result"])


def _words(text: str) -> NDArray[np.uint64]:
    return np.frombuffer(bytes.fromhex(text), "<u8").astype(np.uint64)


def _sum(operation: str, rows: list[Row], backend: str) -> Iterable[Comparison]:
    """Sums of some of the points that the first row holds."""
    curve, group = operation.split(".")[0], "g2" if ".g2." in operation else "g1"
    count = len(rows[0]["points"])
    shape = (count, 2, 2, -1) if group == "g2" else (count, 2, -1)
    points = np.array([_words(text) for text in rows[0]["points"]]).reshape(shape)
    for row in rows:
        scalars = _words(row["scalars"]).reshape(-1, 4)
        chosen = points[np.array(row["chosen"], np.int64)]
        found = msm.msm(curve, chosen, scalars, group=group, backend=backend)
        yield "", row, found.astype("<u8").tobytes().hex(), row["sum"]


def _miller_loop(name: str, rows: list[Row], backend: str) -> Iterable[Comparison]:
    """What comes out of the last power, since a loop's value by itself may differ by factors that the power makes one.

    The second row's pairs are also computed with points that are prepared.
    """
    size = PAIRINGS[name].field.words
    rows = _lanes_and_one(rows)
    first = _column(rows, "first", np.uint64).reshape(len(rows), -1, 2, size)
    second = _column(rows, "second", np.uint64).reshape(len(rows), -1, 2, 2, size)
    same = np.ones(len(rows), np.int64)
    for given, points, against, prepared in (
        (rows, (first, second), first[:, :0], nothing_prepared(PAIRINGS[name])),
        (
            [rows[1]] * len(rows),
            (first[:, :0], second[:, :0]),
            first[same],
            Prepared(PAIRINGS[name], second[1]),
        ),
    ):
        output = ((12, size), np.uint64)
        operation = f"{name}.pairing.miller_loop"
        (loops,) = compute(
            operation, (*points, against), len(rows), (output,), options=(prepared,), backend=backend
        )
        yield from _powers(name, given, loops[:, None], backend)


def _lanes_and_one(rows: list[Row]) -> list[Row]:
    """Rows for lanes and one more, which has all of them to itself: the same again."""
    return [rows[index % len(rows)] for index in range(9)]


def _final_exponentiation(name: str, rows: list[Row], backend: str) -> Iterable[Comparison]:
    rows = _lanes_and_one(rows)
    values = _column(rows, "values", np.uint64).reshape(len(rows), -1, 12, PAIRINGS[name].field.words)
    return _powers(name, rows, values, backend)


def _powers(name: str, rows: list[Row], values: NDArray[Any], backend: str) -> Iterable[Comparison]:
    output = (values.shape[2:], np.uint64)
    operation = f"{name}.pairing.final_exponentiation"
    (found,) = compute(operation, (values,), len(rows), (output,), backend=backend)
    for row, value in zip(rows, found, strict=True):
        yield "", row, value.tobytes().hex(), row["value"]


CHECKS: dict[str, Check] = {
    **{
        f"{name}.{operation}": partial(_decode, name)
        if operation == "decode"
        else partial(_columns, name, operation)
        for name in GROUPS
        for operation in OPERATIONS
    },
    **{operation: partial(_map, operation) for operation in MAPS},
    **{operation: partial(_sum, operation) for operation in SUMS},
    **{f"{name}.pairing.miller_loop": partial(_miller_loop, name) for name in PAIRINGS},
    **{f"{name}.pairing.final_exponentiation": partial(_final_exponentiation, name) for name in PAIRINGS},
}
"""The test of every operation, by its name in the registry."""
