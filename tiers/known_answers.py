# SPDX-License-Identifier: GPL-3.0-or-later
"""Known-answer tests: of every operation those of `crypto.selftest`, and conflict detection's; of execution the root of a
block."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from supervm.crypto import selftest
from supervm.crypto.selftest import SelfTest
from supervm.engine.config import Mode
from supervm.engine.conflicts import detect
from supervm.tiers.extras import missing
from supervm.vm.errors import RuntimeProblem

CONFLICTS = "conflicts.detect"

# Five transactions. Reads: 1 and 3 of key 1, 4 of key 3. Writes: 0 and 2 of key 1, 3 of key 2, 4 of key 3.
READ_OFFSETS, READ_KEYS = (0, 0, 1, 1, 2, 3), (1, 1, 3)
WRITE_OFFSETS, WRITE_KEYS = (0, 1, 1, 2, 3, 4), (1, 1, 2, 3)
EXPECTED = {
    "versioned": {"wave": [0, 1, 0, 1, 0], "edge_offsets": [0, 0, 1, 1, 2, 2], "edges": [0, 2]},
    "locking": {"wave": [0, 1, 2, 3, 0], "edge_offsets": [0, 0, 1, 3, 4, 4], "edges": [0, 0, 1, 2]},
}
"""Rule → answer, from the two sentences that define the rules."""

RIGHT = "the state root of the known block is right"


def known_answers(operation: str, backend: str) -> SelfTest:
    """Run the known-answer test of `operation` on `backend`; a backend that fails to run is a failed test.

    Raises:
        UnknownOperation: there are no known answers for this operation.
    """
    if operation != CONFLICTS:
        return selftest.known_answers(operation, backend)
    try:
        wrong = _wrong_conflicts(backend)
    except Exception as error:  # whatever goes wrong in a backend is the answer to the question asked
        return SelfTest(operation, backend, False, f"{type(error).__name__}: {error}")
    return SelfTest(operation, backend, not wrong, wrong or "waves and edges of both rules are right")


def warm(operation: str, backend: str) -> None:
    """Run `operation` once on a few items, which compiles it or loads it from the cache.

    Raises:
        UnknownOperation: there are no known answers for this operation.
        BackendUnavailable: the backend cannot run here.
    """
    if operation == CONFLICTS:
        _wrong_conflicts(backend)
    else:
        selftest.warm(operation, backend)


def _wrong_conflicts(backend: str) -> str:
    """The first difference, or ''."""
    offsets = [np.array(column, np.int64) for column in (READ_OFFSETS, WRITE_OFFSETS)]
    numbers = [np.array(column, np.uint64) for column in (READ_KEYS, WRITE_KEYS)]
    addresses = [np.repeat(column.astype(np.uint8)[:, None], 32, axis=1) for column in numbers]
    for kind, keys in (("uint64 keys", numbers), ("32-byte keys", addresses)):
        for rule, expected in EXPECTED.items():
            found = detect(offsets[0], keys[0], offsets[1], keys[1], rule=rule, edges=True, backend=backend)
            for name, answer in expected.items():
                came = np.asarray(getattr(found, name)).tolist()
                if came != answer:
                    return f"{kind}, rule {rule}: {name} is {came}, expected {answer}"
    return ""


@dataclass(frozen=True)
class ExecutionState:
    """Execution in one mode.

    Args:
        mode: of the engine.
        known_answer: whether the block gave the root that it must; None if nothing could run.
        detail: what came out, or what stands in the way.
    """

    mode: str
    known_answer: bool | None
    detail: str

    def to_json(self) -> dict[str, Any]:
        """Plain types, for `--json`."""
        return asdict(self)


def check_execution(mode: Mode, threads: int) -> ExecutionState:
    """Execute the block of `supervm.engine.workloads.known_answer`.

    A runtime of contracts that is missing or of another version is no wrong answer.
    """
    try:
        from supervm.engine.workloads.known_answer import wrong

        problem = wrong(mode, threads)
    except ModuleNotFoundError as absent:
        return ExecutionState(mode.value, None, str(missing(absent) or absent))
    except (ImportError, RuntimeProblem) as error:
        return ExecutionState(mode.value, None, str(error))
    except Exception as error:  # whatever goes wrong in it is the answer to the question asked
        return ExecutionState(mode.value, False, f"{type(error).__name__}: {error}")
    return ExecutionState(mode.value, not problem, problem or RIGHT)
