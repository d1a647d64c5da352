# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks of the pool that fail on demand, and what should come of them.

Which nodes are slow, wrong, short of memory or killed stands in their options.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import ray

from supervm.engine.scheduler.tasks import TaskType
from supervm.tiers.cluster.task import Columns, Options, Task, take_rows


class Stubborn(Exception):
    """One that cannot be read where it is sent to."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(one)


def here() -> str:
    """The node that this process is on."""
    return str(ray.get_runtime_context().get_node_id())


def squares(columns: Columns, options: Options) -> Columns:
    """The squares of a column, and what is asked for beside it.

    Options:
        log: a file that gets a line 'NODE FIRST-VALUE' for every share of more than a sample's size.
        pause: seconds that each share takes.
        stuck: {node: file}: a share waits there until the file exists.
        wrong: nodes whose answers are all one too high.
        die: {node: file}: the process is killed, once, when the file was not there.
        room: values of a share beyond which memory is short.
        fail: {node: name of what each share of more than a sample's size raises there}.
        form: {node: form of answers there}.
    """
    (values,) = columns
    node = here()
    whole = len(values) >= options.get("sample", 8)
    if whole and "log" in options:
        with open(options["log"], "a") as log:
            log.write(f"{node} {values[0]}\n")
    if whole:
        time.sleep(options.get("pause", 0.0))
    if whole and node in options.get("stuck", {}):
        while not Path(options["stuck"][node]).exists():
            time.sleep(0.02)
    if node in options.get("die", {}) and not Path(options["die"][node]).exists():
        Path(options["die"][node]).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if whole and node in options.get("fail", {}):
        raise _failure(options["fail"][node])
    if len(values) > options.get("room", len(values)):
        raise MemoryError(f"{len(values)} values")
    if options.get("refuse"):
        raise _failure("refusal")
    right: Any = (values * values + (node in options.get("wrong", ())),)
    return FORMS[options["form"][node]](right) if node in options.get("form", {}) else right


def _failure(name: str) -> Exception:
    from supervm.kernels.errors import ArgumentError

    failures = {
        "error": RuntimeError("no more"),
        "refusal": ArgumentError("values", "these", "others"),
        "stubborn": Stubborn("no", "more"),
    }
    return failures[name]


FORMS: dict[str, Callable[[Columns], Any]] = {
    "nothing": lambda right: None,
    "no columns": lambda right: (),
    "a list": list,
    "a number": lambda right: (np.int64(1),),
    "no side": lambda right: (np.array(1),),
    "no arrays": lambda right: (right[0].tolist(),),
    "too few rows": lambda right: (right[0][:-1],),
    "too many rows": lambda right: (np.append(right[0], 0),),
    "another dtype": lambda right: (right[0].astype(np.int32),),
    "another column": lambda right: (*right, right[0]),
    "more sides": lambda right: (right[0][:, None],),
}
"""What may come in place of an answer."""


def lying(
    name: str, nodes: Sequence[str], lie: Callable[[Columns], Columns], columns: Columns, options: Options
) -> Columns:
    """A task of the table, on whose answers some nodes lie."""
    from supervm.tiers.cluster.tasks import TASKS

    answer = TASKS[name].function(columns, options)
    return lie(answer) if here() in nodes else answer


def flipped(answer: Columns) -> Columns:
    """The lowest bit of the first number of each column is another one."""
    lies = tuple(column.copy() for column in answer)
    for column in lies:
        column.reshape(-1)[:1] ^= column.dtype.type(1)
    return lies


def shortened(answer: Columns) -> Columns:
    """The last row of each column is missing."""
    return tuple(column[:-1] for column in answer)


def another_point(answer: Columns) -> Columns:
    """A point of the same curve, BN254's G1, in place of each."""
    from supervm.crypto import curves

    return (np.repeat(curves.get("bn254").g1.generator[None], len(answer[0]), 0),)


def praised(answer: Columns) -> Columns:
    """A report that says that its blocks have one transaction more."""
    return (_report(answer, lambda blocks: blocks[0].update(transactions=blocks[0]["transactions"] + 1)),)


def forgetful(answer: Columns) -> Columns:
    """A report that leaves out a block."""
    return (_report(answer, lambda blocks: blocks.pop()),)


def _report(answer: Columns, change: Callable[[Any], object]) -> Any:
    report = json.loads(answer[0].tobytes())
    change(report["blocks"])
    return np.frombuffer(json.dumps(report).encode(), np.uint8)


def _example(items: int) -> tuple[Columns, dict[str, Any]]:
    return (np.arange(items, dtype=np.int64),), {}


SQUARES = Task(
    "test.squares",
    squares,
    items=lambda columns: len(columns[0]),
    type=TaskType.HASHING,
    take=take_rows,
    example=_example,
)


# What a run of squares is given, and what it gives

SHARE = 64
"""Values of a share."""


def parts(count: int, size: int = SHARE) -> Iterator[Columns]:
    """Shares whose first value is their index × size."""
    for index in range(count):
        yield (np.arange(index * size, (index + 1) * size, dtype=np.int64),)


def gathered(run: Any, count: int, size: int = SHARE) -> None:
    """Take every answer of a run: each share once, and right."""
    answers = list(run)
    assert sorted(index for index, _ in answers) == list(range(count))
    for index, (found,) in answers:
        expected = np.arange(index * size, (index + 1) * size, dtype=np.int64) ** 2
        assert found.tobytes() == expected.tobytes()


def computed(log: Path) -> list[tuple[str, int]]:
    """(node, index) of every share that was begun."""
    lines = log.read_text().split("\n")[:-1]
    return [(line.split()[0], int(line.split()[1]) // SHARE) for line in lines]
