# SPDX-License-Identifier: GPL-3.0-or-later
"""The canonical encoding of receipts, read back."""

from __future__ import annotations

import pytest
from engine_runs import begin, blocks_of

from supervm.engine.blocks.receipts import Receipts
from supervm.engine.engine import Engine
from supervm.kernels.errors import ArgumentError


@pytest.fixture(scope="module")
def receipts() -> list[Receipts]:
    """Of transfers alone, and of calls with events and outputs."""
    found = []
    for name in ("transfers", "mixed"):
        workload = blocks_of(name, transactions=120, accounts=30, block_size=120)
        with Engine.open() as engine:
            begin(engine, workload)
            found += [engine.execute(block).receipts for block in workload.blocks]
    return found


def test_they_come_back(receipts):
    for each in receipts:
        again = Receipts.from_bytes(each.to_bytes())
        assert again.equals(each)
        assert list(again) == list(each)
    assert any(receipt.events for receipt in receipts[1])


def test_what_is_no_encoding(receipts):
    data = receipts[1].to_bytes()
    lengths = 24 + 18 * len(receipts[1])
    spoilt = {
        "nothing": b"",
        "half a head": data[:20],
        "cut": data[:-1],
        "cut in the columns": data[:100],
        "longer": data + b"\0",
        "another version": b"\2" + data[1:],
        "more receipts": data[:8] + (1 << 40).to_bytes(8, "little") + data[16:],
        "a length below zero": data[:lengths] + b"\xff" * 8 + data[lengths + 8 :],
        "lengths that overflow": data[:lengths]
        + ((1 << 62).to_bytes(8, "little")) * 4
        + data[lengths + 32 :],
    }
    for each in spoilt.values():
        with pytest.raises(ArgumentError, match="data"):
            Receipts.from_bytes(each)
