# SPDX-License-Identifier: GPL-3.0-or-later
"""Known-answer tests of every operation: those of `crypto.selftest`, and conflict detection's."""

from __future__ import annotations

import numpy as np

from supervm.crypto import selftest
from supervm.crypto.selftest import SelfTest
from supervm.engine.conflicts import detect

CONFLICTS = "conflicts.detect"

# Five transactions. Reads: 1 and 3 of key 1, 4 of key 3. Writes: 0 and 2 of key 1, 3 of key 2, 4 of key 3.
READ_OFFSETS, READ_KEYS = (0, 0, 1, 1, 2, 3), (1, 1, 3)
WRITE_OFFSETS, WRITE_KEYS = (0, 1, 1, 2, 3, 4), (1, 1, 2, 3)
EXPECTED = {
    "versioned": {"wave": [0, 1, 0, 1, 0], "edge_offsets": [0, 0, 1, 1, 2, 2], "edges": [0, 2]},
    "locking": {"wave": [0, 1, 2, 3, 0], "edge_offsets": [0, 0, 1, 3, 4, 4], "edges": [0, 0, 1, 2]},
}
"""Rule → answer, from the two sentences that define the rules."""


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
