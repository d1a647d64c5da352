# SPDX-License-Identifier: GPL-3.0-or-later
"""Random programs with calls, creations, storage and too little gas: as the execution specifications have them."""

from __future__ import annotations

import ctypes
import json
import lzma
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evm_code import CodeRunner

from supervm.vm.evm import machine as m
from supervm.vm.evm.machine import SUCCESS
from supervm.vm.evm.state.records import LOG_COUNT, REFUND

VECTORS = Path(__file__).parents[2] / "vectors" / "evm_programs.json.xz"
ROWS: dict[str, list[Any]] = json.loads(lzma.decompress(VECTORS.read_bytes()))

# No program calls a precompiled contract; one that did by mistake would not end as it should.
_FAILING = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 6)(lambda *_: -1)


@pytest.mark.parametrize("single", [False, True], ids=["blocks", "single"])
@pytest.mark.parametrize("fork", ROWS)
def test_programs(fork: str, single: bool) -> None:
    statuses = set()
    for row in ROWS[fork][:: 4 if single else 1]:
        code, other, data = (bytes.fromhex(text) for text in row[:3])
        value, gas, *expected = row[3:]
        runner = CodeRunner(fork, single, other)
        machine = runner.worker.machine
        words = machine.words
        words[m.CALL_PRECOMPILE] = ctypes.cast(_FAILING, ctypes.c_void_p).value
        words[m.CHAIN_ID] = words[m.BLOCK_NUMBER] = words[m.TIMESTAMP] = 1
        words[m.BLOCK_GAS_LIMIT] = 10**9
        machine.set_value(m.BLOB_BASE_FEE, 1)
        machine.point(m.BLOCK_HASHES, np.zeros(m.HASH_ROWS * m.HASH_ROW_BYTES, np.uint8))
        run = runner.run(code, data, gas, value)
        left = [int(words[REFUND]), int(words[LOG_COUNT])] if run.status == SUCCESS else [0, 0]
        assert [run.status, run.gas, *left] == expected, (fork, row)
        statuses.add(run.status)
    assert statuses >= {0, 2}
