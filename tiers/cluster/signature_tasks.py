# SPDX-License-Identifier: GPL-3.0-or-later
"""Verification of signatures as tasks: a batch of one scheme, or the rows of a file, whatever schemes they have."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from supervm.crypto.messages import Messages
from supervm.crypto.schemes import FILE_SCHEMES, SCHEMES, SignatureScheme
from supervm.engine.scheduler.tasks import TaskType
from supervm.kernels.errors import ArgumentError
from supervm.kernels.work import Batch, Ragged
from supervm.tiers.cluster.task import NO_OPTIONS, Columns, Options, Task, take_rows
from supervm.tiers.signature_files.rows import Rows, of_ragged, ragged

# A batch of one scheme


def _verify(scheme: SignatureScheme, columns: Columns, options: Options) -> Columns:
    keys, *signed, signatures = columns
    messages = tuple(signed) if scheme.signs == "message" else signed[0]
    return (scheme.verify_batch(keys, messages, signatures, **options),)


def _take(scheme: SignatureScheme, columns: Columns, rows: npt.NDArray[np.int64]) -> Columns:
    if scheme.signs == "digest":
        return take_rows(columns, rows)
    keys, data, offsets, signatures = columns
    return (keys[rows], *Ragged(data, offsets).take(rows), signatures[rows])


def _are_verdicts(columns: Columns, options: Options, answer: Columns) -> bool:
    return len(answer) == 1 and answer[0].dtype == np.int8 and answer[0].ndim == 1


def _example(scheme: SignatureScheme, items: int) -> tuple[Columns, Options]:
    from supervm.engine.scheduler.workloads import workload

    batch = workload(scheme.operation, items)
    assert isinstance(batch, Batch)
    keys, signed, signatures = batch.inputs
    return (keys, *(signed if isinstance(signed, Ragged) else (signed,)), signatures), NO_OPTIONS


def _of_scheme(scheme: SignatureScheme) -> Task:
    """The task of one scheme.

    Columns: keys uint8 (n, k); messages as data and offsets, or digests uint8 (n, 32); signatures uint8 (n, s). Options: as
    the scheme's `verify_batch` has them. Answer: verdicts, int8 (n,).
    """
    return Task(
        f"verify.{scheme.name}",
        functools.partial(_verify, scheme),
        items=count_rows,
        type=TaskType.SIGNATURE_VERIFICATION,
        take=functools.partial(_take, scheme),
        form=_are_verdicts,
        example=functools.partial(_example, scheme) if scheme in SCHEMES else None,
    )


def count_rows(columns: Columns) -> int:
    """Rows of the first column."""
    return len(columns[0])


# Rows of a file


def columns_of(rows: Rows) -> Columns:
    """Scheme codes int8 (n,), then data and offsets of the public keys, of what was signed, and of the signatures."""
    fields = (ragged(field) for field in (rows.public_key, rows.signed, rows.signature))
    return (rows.scheme, *(column for field in fields for column in field))


def _rows_of(columns: Columns) -> Rows:
    """The rows of columns that may come from anywhere: Arrow takes offsets as they are.

    Raises:
        ArgumentError: other columns, or offsets that leave the data.
    """
    scheme, *fields = columns
    if len(fields) != 6 or scheme.dtype != np.int8 or scheme.ndim != 1:
        came = f"{len(columns)} columns, the first {scheme.dtype} {scheme.shape}"
        raise ArgumentError("columns", came, "seven, the first int8 (n,)")
    names = ("public keys", "what was signed", "signatures")
    found = [Messages.of(tuple(fields[2 * at : 2 * at + 2]), name) for at, name in enumerate(names)]
    for name, each in zip(names, found, strict=True):
        if len(each.offsets) != len(scheme) + 1:
            raise ArgumentError(name, f"{len(each.offsets) - 1} rows", f"{len(scheme)}, as schemes")
    return Rows(np.arange(len(scheme)), scheme, *(of_ragged(each.data, each.offsets) for each in found))


def _verify_rows(columns: Columns, options: Options) -> Columns:
    from supervm.tiers.compose import signature_checks  # which asks for every room

    return (signature_checks("auto", **options).verify(_rows_of(columns)),)


def _take_file_rows(columns: Columns, rows: npt.NDArray[np.int64]) -> Columns:
    scheme, *fields = columns
    taken: list[npt.NDArray[Any]] = [scheme[rows]]
    for at in (0, 2, 4):
        taken.extend(Ragged(*fields[at : at + 2]).take(rows))
    return tuple(taken)


def _example_rows(items: int) -> tuple[Columns, Options]:
    (keys, data, offsets, signatures), _ = _example(FILE_SCHEMES[0], items)

    def flat(matrix: npt.NDArray[Any]) -> Columns:
        return matrix.reshape(-1), np.arange(len(matrix) + 1, dtype=np.int64) * matrix.shape[1]

    return (np.zeros(items, np.int8), *flat(keys), data, offsets, *flat(signatures)), NO_OPTIONS


SIGNATURE_ROWS = Task(
    "verify.rows",
    _verify_rows,
    items=count_rows,
    type=TaskType.SIGNATURE_VERIFICATION,
    take=_take_file_rows,
    form=_are_verdicts,
    example=_example_rows,
)
"""Columns: as `columns_of` makes them. Options: `rule`, `low_s`, `suite` and `tag`, as `compose.signature_checks` has them.
Answer: verdicts, int8 (n,)."""

TASKS = (*map(_of_scheme, FILE_SCHEMES), SIGNATURE_ROWS)
