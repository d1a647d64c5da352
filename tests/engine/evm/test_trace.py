# SPDX-License-Identifier: GPL-3.0-or-later
"""Traces, opcode by opcode and gas by gas, beside those of the Ethereum execution specifications (`tests/generators`)."""

from __future__ import annotations

import ctypes
import hashlib
import json
import lzma
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evm_code import CodeRunner
from evm_data import unpacked

from supervm.engine.ethereum.senders import recover_senders
from supervm.engine.ethereum.witness import read_witness
from supervm.engine.evm.block import execute_block
from supervm.engine.evm.session import Session
from supervm.engine.evm.trace import Tracer
from supervm.vm.evm import machine as m
from supervm.vm.evm.opcodes import NUMBERS

VECTORS = Path(__file__).parents[2] / "vectors"
TRACES: dict[str, Any] = json.loads(lzma.decompress((VECTORS / "evm_traces.json.xz").read_bytes()))
PROGRAMS: dict[str, Any] = json.loads(lzma.decompress((VECTORS / "evm_programs.json.xz").read_bytes()))
EVERY = 4

LONGEST = 6_000
"""Opcodes of a transaction that is traced here: a trace takes some 30 µs for each."""

BYZANTIUM = 4_370_000
"""The first block in which code can read what a call returned."""

_FAILING = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 6)(lambda *_: -1)


def row(line: dict[str, Any], return_data: bool = True) -> list[Any]:
    """A line as the vectors have it: the cost of an opcode at which the frame halts is not said there."""
    gas, cost = int(line["gas"], 16), int(line["gasCost"], 16)
    halts = "error" in line and cost == gas
    return [
        line["pc"],
        line["op"],
        gas,
        None if halts else cost,
        line["depth"],
        int(line["refund"], 16),
        line["stack"],
        "".join(word.removeprefix("0x") for word in line["memory"]),
        line["returnData"].removeprefix("0x") if return_data else None,
    ]


def digest(rows: list[list[Any]]) -> list[Any]:
    return [len(rows), hashlib.sha256("\n".join(map(json.dumps, rows)).encode()).hexdigest()]


def traced(fork: str, case: list[Any]) -> list[dict[str, Any]]:
    """The lines of a program."""
    code, other, data = (bytes.fromhex(text) for text in case[:3])
    runner = CodeRunner(fork, True, other)
    machine = runner.worker.machine
    words = machine.words
    words[m.CALL_PRECOMPILE] = ctypes.cast(_FAILING, ctypes.c_void_p).value
    words[m.CHAIN_ID] = words[m.BLOCK_NUMBER] = words[m.TIMESTAMP] = 1
    words[m.BLOCK_GAS_LIMIT] = 10**9
    machine.set_value(m.BLOB_BASE_FEE, 1)
    machine.point(m.BLOCK_HASHES, np.zeros(m.HASH_ROWS * m.HASH_ROW_BYTES, np.uint8))
    tracer = Tracer(machine, memory=True)
    tracer.install()
    runner.run(code, data, case[4], case[3])
    assert tracer.failure is None
    return tracer.lines


@pytest.mark.parametrize("fork", TRACES["programs"])
def test_programs(fork: str) -> None:
    opcodes = set()
    for case, expected in zip(PROGRAMS[fork][::EVERY], TRACES["programs"][fork], strict=True):
        if expected is None:
            continue
        rows = [row(line) for line in traced(fork, case)]
        assert [each[1:4] for each in rows] == expected[0], case
        assert digest(rows) == expected[1:], case
        opcodes |= {each[1] for each in rows}
    assert opcodes >= {
        NUMBERS[name] for name in ("CALL", "DELEGATECALL", "CREATE", "SSTORE", "REVERT", "RETURN")
    }


@pytest.mark.parametrize("number", TRACES["blocks"])
def test_a_block_of_mainnet(number: str) -> None:
    (file,) = unpacked("witness_give", lambda name: Path(name).name == f"{number}.json")
    witness = read_witness(file)
    recovered = recover_senders([witness.block]).blocks[0]
    expected = TRACES["blocks"][number]
    session = Session(2)
    try:
        for place, (opcodes, sha256) in enumerate(expected):
            if not 0 < opcodes <= LONGEST:
                continue
            outcome = execute_block(
                session, witness, recovered, witness.codes, traced=place, with_memory=True
            )
            *lines, end = outcome.trace
            rows = [row(line, int(number) >= BYZANTIUM) for line in lines]
            assert digest(rows) == [opcodes, sha256], place
            assert (end["stateRoot"] or "").startswith("0x")
    finally:
        session.close()
