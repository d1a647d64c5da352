# SPDX-License-Identifier: GPL-3.0-or-later
"""Known-answer tests of the multi-scalar multiplication."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervm.crypto import msm
from supervm.crypto.msm_work import GROUPS

Row = dict[str, Any]


def _words(text: str) -> NDArray[np.uint64]:
    return np.frombuffer(bytes.fromhex(text), "<u8").astype(np.uint64)


def _check(operation: str, rows: list[Row], backend: str) -> Iterable[tuple[str, Row, Any, Any]]:
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


CHECKS: dict[str, Callable[[list[Row], str], Iterable[tuple[str, Row, Any, Any]]]] = {
    operation: partial(_check, operation) for operation in GROUPS
}
