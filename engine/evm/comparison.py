# SPDX-License-Identifier: GPL-3.0-or-later
"""A block executed whole, and what its header says of that: gas, bloom, receipts, requests, the state after it."""

from __future__ import annotations

import numpy as np

from supervm.engine.ethereum.receipts import block_bloom, logs_bloom, receipts_root, requests_hash
from supervm.engine.ethereum.replay.report import Finding, WholeBlock
from supervm.engine.ethereum.senders import Recovered
from supervm.engine.ethereum.witness import Witness
from supervm.engine.evm.accounts import Codes
from supervm.engine.evm.block import BlockOutcome, execute_block
from supervm.engine.evm.session import Session
from supervm.kernels.array_types import Bytes, Flags
from supervm.vm.evm import columns as c
from supervm.vm.evm import forks
from supervm.vm.evm.rules import MEANINGS


def replay_whole(
    session: Session,
    witness: Witness,
    recovered: Recovered,
    codes: Codes,
    *,
    traced: int | None = None,
    with_memory: bool = False,
) -> WholeBlock:
    """Execute a block and compare it with its header.

    Args:
        session: that executes.
        witness: the block, and the accounts and codes that it touches.
        recovered: senders and authorities of its transactions.
        codes: of its accounts, by Keccak-256.
        traced: the position of a transaction to trace.
        with_memory: whether its trace has memory.
    """
    outcome = execute_block(session, witness, recovered, codes, traced=traced, with_memory=with_memory)
    whole = WholeBlock(outcome.executed, trace=outcome.trace)
    _note_end(whole, witness, outcome)
    whole.parallel_equal = outcome.parallel_equal
    if outcome.parallel_equal is False:
        found = "receipts, gas or accounts that differ from those of block order"
        whole.problems.append(Finding(witness.block.number, None, "execution in parallel", found, "none"))
    if outcome.executed == len(outcome.columns):
        _Comparison(whole, witness, outcome).compare()
    return whole


def _note_end(whole: WholeBlock, witness: Witness, outcome: BlockOutcome) -> None:
    """Why a block was not executed to its end."""
    number = witness.block.number
    if outcome.broken is not None:
        broken = outcome.broken
        found = f"{broken.rule.name}: {MEANINGS[broken.rule]}"
        whole.problems.append(
            Finding(number, broken.index, "transaction", found, "one that keeps to the rules")
        )
    if outcome.missing is not None:
        index = outcome.executed if outcome.executed < len(outcome.columns) else None
        left = len(outcome.columns) - outcome.executed
        found = f"{outcome.missing}; {left} transactions are not executed"
        whole.notes.append(Finding(number, index, "execution", found, _WAYS[outcome.missing.kind]))
    if outcome.absent is not None:
        found = f"the system contract 0x{outcome.absent.hex()} is not given; requests are not checked"
        whole.notes.append(Finding(number, None, "requests", found, "its account, code and storage"))
    if outcome.unproven:
        whole.notes.append(Finding(number, None, "stateRoot", outcome.unproven, "nodes that prove it"))
    if outcome.failed_call is not None:
        found = f"a call of the system contract 0x{outcome.failed_call.hex()} that fails"
        whole.problems.append(Finding(number, None, "requests", found, "an answer"))


_WAYS = {
    "code": "codes: --codes FILE, or `code` of the account",
    "slot": "`storage` of the account: give the pre-state of the whole block",
    "block_hash": "block_hashes: the hashes of the block's 256 ancestors",
}
"""How to give what is missing."""


class _Comparison:
    """One block's outcome beside its header."""

    def __init__(self, whole: WholeBlock, witness: Witness, outcome: BlockOutcome) -> None:
        self.whole, self.witness, self.outcome = whole, witness, outcome
        self.stated = witness.block.header.fields
        self.number = witness.block.number

    def compare(self) -> None:
        whole, outcome, fork = self.whole, self.outcome, self.outcome.environment.fork
        assert outcome.logs is not None
        whole.gas_ok = self._number("gasUsed", outcome.gas_used)
        if "blobGasUsed" in self.stated:
            whole.gas_ok &= self._number("blobGasUsed", outcome.blob_gas_used)
        blooms = logs_bloom(outcome.logs)
        whole.bloom_ok = self._bytes("logsBloom", block_bloom(blooms).tobytes())
        count = len(outcome.columns)
        outcomes: Flags | Bytes | None = None
        if fork[forks.HAS_STATUS]:
            outcomes = outcome.statuses.astype(np.bool_)
        elif len(outcome.roots) == count:
            outcomes = np.frombuffer(b"".join(outcome.roots), np.uint8).reshape(count, 32)
        if outcomes is not None:
            gas = np.cumsum(outcome.columns[c.GAS_USED], dtype=np.uint64)
            root = receipts_root(outcome.columns[c.TYPES], outcomes, gas, blooms, outcome.logs)
            whole.receipts_ok = self._bytes("receiptsRoot", root)
        if outcome.requests is not None and "requestsHash" in self.stated:
            whole.requests_ok = self._bytes("requestsHash", requests_hash(outcome.requests))
        # Without a system contract's account another root proves nothing; the same one does.
        if outcome.root is not None and (outcome.absent is None or outcome.root == self.stated["stateRoot"]):
            whole.state_ok = self._bytes("stateRoot", outcome.root)

    def _number(self, name: str, found: int) -> bool:
        stated = int.from_bytes(self.stated[name])
        if found != stated:
            self.whole.problems.append(Finding(self.number, None, name, f"{found:,}", f"{stated:,}"))
        return found == stated

    def _bytes(self, name: str, found: bytes) -> bool:
        stated = self.stated[name]
        if found != stated:
            shown = (f"0x{one.hex()}" for one in (found, stated))
            self.whole.problems.append(Finding(self.number, None, name, *shown))
        return found == stated
