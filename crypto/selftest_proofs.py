# SPDX-License-Identifier: GPL-3.0-or-later
"""Known-answer tests of Groth16 proofs; `selftest` runs them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from supervm.crypto.circom_witness import load_witness
from supervm.crypto.groth16_proving_key import ProvingKey, load_zkey
from supervm.crypto.groth16_work import ProofCall, Sums
from supervm.crypto.polynomials.arguments import SPECS
from supervm.kernels.registry import run
from supervm.kernels.transform import words_of

Row = dict[str, Any]
Comparison = tuple[str, Row, Any, Any]
Check = Callable[[list[Row], str], Iterable[Comparison]]


@functools.cache
def _key(data: str, backend: str) -> ProvingKey:
    return load_zkey(bytes.fromhex(data), allow_test_only=True, backend=backend)


def _prove(curve: str, rows: list[Row], backend: str) -> Iterable[Comparison]:
    """Proofs of the first row's witness under its key, with the blinding of each row, as a batch."""
    key = _key(rows[0]["key"], backend)
    values = load_witness(bytes.fromhex(rows[0]["witness"])).values
    order, numbers = SPECS[curve].modulus, []
    for row in rows:
        r, s = (int(each, 16) for each in row["blinding"])
        numbers += [r, s, -r * s % order]
    blinding = words_of(numbers).reshape(-1, 3, 4)
    call = ProofCall(key, np.stack([values] * len(rows)), blinding, Sums.empty(curve, len(rows)))
    run(call, backend)
    proofs, _, verdicts = call.checked()
    for index, row in enumerate(rows):
        for name in "abc":
            point = getattr(proofs, name)[index]
            yield f"point {name}", row, point.astype("<u8").tobytes().hex(), row[name]
        yield "verdict", row, int(verdicts[index]), 1


CHECKS: dict[str, Check] = {f"{curve}.groth16.prove": functools.partial(_prove, curve) for curve in SPECS}
"""The test of every operation, by its name in the registry."""
