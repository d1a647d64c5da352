# SPDX-License-Identifier: GPL-3.0-or-later
"""The replay of blocks: every claim of a block that its own bytes can prove is checked, and its balance
transfers are executed twice, by waves and in order.

No claim of a block is trusted: senders are recovered from signatures, the hashes of transactions and header and the
roots of transactions and withdrawals are computed, and a block whose parent is given must name its hash. Where the codes
of its accounts are given too, a block can be executed whole (`supervm.engine.evm`), and gas used, logs bloom, receipts
root and, with a witness's trie nodes, the state root are compared with the header. Without that these are covered by the
header's hash alone; `supervm.engine.ethereum.replay.transfers` says what is executed then, what counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervm.crypto import hashes
from supervm.engine.arrays.amounts import total
from supervm.engine.conflicts import detect
from supervm.engine.ethereum.blocks import EthereumBlock, decode_block
from supervm.engine.ethereum.encoding import encoded_transactions
from supervm.engine.ethereum.first_block import FIRST_BLOCK, FIRST_PRE_STATE
from supervm.engine.ethereum.header import Claim, check_header
from supervm.engine.ethereum.pre_state import decode_pre_state
from supervm.engine.ethereum.replay.report import BlockReport, Finding, Link, ReplayReport, WholeBlock
from supervm.engine.ethereum.replay.sequential import execute_sequential
from supervm.engine.ethereum.replay.transfers import Executed, Outcome, Transfers, balance_movements
from supervm.engine.ethereum.replay.waves import execute_waves
from supervm.engine.ethereum.senders import FAULT_WORDS, Recovered, SignatureFault, recover_senders
from supervm.engine.ethereum.trie import ordered_trie_root
from supervm.engine.ethereum.witness import Witness, bare_witness, read_witness
from supervm.kernels.array_types import Bytes
from supervm.kernels.registry import backends
from supervm.kernels.threads import get_threads, set_threads

SIGNATURES_IN_FLIGHT = 65_536
"""Blocks are read and verified together until their signatures reach this number."""

Progress = Callable[[str, int, int], None]
"""`progress(what, done, total)`: called before the first and after every block."""

_OUTCOME_WORDS = {
    Outcome.CALL_WRONG_NONCE: ("nonce", "another nonce at the sender", "the transaction's nonce"),
    Outcome.NO_SENDER: ("transfer", "no sender", "a sender"),
    Outcome.FEE_BELOW_BASE: ("transfer", "a gas price below the base fee", "at least the base fee"),
    Outcome.WRONG_NONCE: ("transfer", "another nonce at the sender", "the transaction's nonce"),
    Outcome.INSUFFICIENT: ("transfer", "a balance below value and fee", "a balance that pays both"),
    Outcome.OVERFLOW: ("transfer", "a recipient that would reach 2^256", "a smaller sum"),
}


def replay(
    paths: Iterable[Path | str],
    *,
    whole: Callable[[Witness, Recovered, Bytes], WholeBlock | None] | None = None,
    threads: int | None = None,
    backend: str = "auto",
    progress: Progress | None = None,
) -> ReplayReport:
    """Verify and replay blocks, each a folder with `block.json` and `pre_state.json`, or one file with all its parts.

    Args:
        paths: the folders and files (`supervm.engine.ethereum.witness`).
        whole: executes a block whole: (what is given with it, senders and authorities, its transactions' hashes) → what came
            out, None where not enough is given (`supervm.engine.evm.whole_blocks`).
        threads: how many threads batches use; None leaves the setting of `supervm.kernels` as it is.
        backend: where signatures are recovered; hashing and conflict detection run there too if they can,
            else where `auto` puts them.
        progress: told what has been done.

    Raises:
        InputFileError: a file that cannot be used; nothing is reported then.
        BackendUnavailable: the named backend cannot recover signatures here.
    """
    return linked(replay_part(paths, whole=whole, threads=threads, backend=backend, progress=progress))


def replay_part(
    paths: Iterable[Path | str],
    *,
    whole: Callable[[Witness, Recovered, Bytes], WholeBlock | None] | None = None,
    threads: int | None = None,
    backend: str = "auto",
    progress: Progress | None = None,
) -> ReplayReport:
    """Some of the blocks of a replay, whose parents may be among the others: `linked` looks for them when all are there.

    Arguments and errors as `replay`.
    """
    folders = list(paths)
    tell = progress or (lambda what, done, total: None)
    with _using(threads):
        tell("compiling kernels", 0, len(folders))
        warm(backend)
        run = _Run(backend)
        run.whole = whole
        began = perf_counter()
        tell("replaying blocks", 0, len(folders))
        for group in _groups(folders):
            for done in run.replay_group(group):
                tell("replaying blocks", done, len(folders))
        return ReplayReport(
            run.blocks,
            run.signatures,
            run.recovery_seconds,
            perf_counter() - began,
            run.problems,
            run.notes,
            run.trace,
            run.links,
        )


def linked(report: ReplayReport) -> ReplayReport:
    """The report with whether each block whose parent is among the blocks names its hash, in whatever order they stand."""
    known: dict[int, list[bytes]] = {}
    for link in report.links:
        known.setdefault(link.number, []).append(link.hash)
    blocks, problems = list(report.blocks), list(report.problems)
    for place, link in enumerate(report.links):
        parents = known.get(link.number - 1)
        if not parents:
            continue
        if link.parent not in parents:
            problems.append(Finding(link.number, None, "parentHash", _shown(parents[0]), _shown(link.parent)))
        blocks[place] = replace(blocks[place], parent_ok=link.parent in parents)
    return replace(report, blocks=blocks, problems=problems)


def warm(backend: str = "auto") -> None:
    """Compile every kernel that a replay uses: replay mainnet's first transaction, twice in one block."""
    block = decode_block(FIRST_BLOCK, Path("first block"))
    state = decode_pre_state(FIRST_PRE_STATE, Path("first pre-state"))
    for _ in _Run(backend).replay_group([bare_witness(block, state)]):
        pass


class _Run:
    """One replay as it goes: findings and sums so far."""

    def __init__(self, backend: str) -> None:
        self.backend = backend
        self.hash_backend = _follow(backend, "keccak256", "eth_address")
        self.conflict_backend = _follow(backend, "conflicts.detect")
        self.blocks: list[BlockReport] = []
        self.problems: list[Finding] = []
        self.notes: list[Finding] = []
        self.signatures = 0
        self.recovery_seconds = 0.0
        self.links: list[Link] = []
        self.whole: Callable[[Witness, Recovered, Bytes], WholeBlock | None] | None = None
        self.trace: list[dict[str, Any]] = []

    def replay_group(self, group: Sequence[Witness]) -> Iterator[int]:
        """Verify the group's signatures in one batch, then replay block by block; yields the blocks done."""
        recovery = recover_senders(
            [witness.block for witness in group], backend=self.backend, hash_backend=self.hash_backend
        )
        self.signatures += recovery.signatures
        self.recovery_seconds += recovery.seconds
        for witness, recovered in zip(group, recovery.blocks, strict=True):
            self.blocks.append(self._block(witness, recovered))
            yield len(self.blocks)

    def _block(self, witness: Witness, recovered: Recovered) -> BlockReport:
        block, state = witness.block, witness.pre_state
        encoded = encoded_transactions(block.transactions)
        digests = hashes.keccak256_batch(encoded, backend=self.hash_backend)
        root = ordered_trie_root(encoded, backend=self.hash_backend)
        root_ok = bool(np.array_equal(root, block.transactions_root))
        if not root_ok:
            self._problem(block, None, "transactions root", _hex(root), _hex(block.transactions_root))
        claims = check_header(block.header, block.hash.tobytes())
        self.links.append(Link(block.number, claims[0].found or b"", block.header.fields["parentHash"]))
        hash_ok, uncles_ok, withdrawals_ok = (self._check_claim(block, claim) for claim in claims)
        movements = balance_movements(block, recovered, state)
        offsets, keys = movements.keys()
        versioned = detect(offsets, keys, offsets, keys, rule="versioned", backend=self.conflict_backend)
        locking = detect(
            offsets, keys, offsets, keys, rule="locking", edges=True, backend=self.conflict_backend
        )
        in_order = execute_sequential(movements)
        by_waves = execute_waves(movements, locking.wave)
        whole = self._whole(witness, recovered, digests)
        if whole is None:
            self._note_outcomes(block, in_order)
        calls = int((~movements.transfer).sum())
        failed = movements.transfer & (in_order.outcome != Outcome.TRANSFERRED)
        return BlockReport(
            number=block.number,
            transactions=len(block.transactions),
            senders_recovered=int((recovered.faults == SignatureFault.NONE).sum()),
            senders_wrong=self._check_senders(block, recovered),
            hashes_wrong=self._check_hashes(block, digests),
            transactions_root_ok=root_ok,
            hash_ok=bool(hash_ok),
            uncles_ok=uncles_ok,
            withdrawals_root_ok=withdrawals_ok,
            parent_ok=None,
            waves_versioned=int(versioned.wave_count),
            waves_locking=int(locking.wave_count),
            edges_locking=len(locking.edges),
            transfers=len(movements) - calls,
            transfers_failed=int(failed.sum()),
            calls_not_executed=calls,
            sequential_equal=self._check_equal(block, in_order, by_waves),
            conserved=self._check_conserved(block, movements, in_order, by_waves),
            gas_ok=whole.gas_ok if whole else None,
            receipts_ok=whole.receipts_ok if whole else None,
            bloom_ok=whole.bloom_ok if whole else None,
            requests_ok=whole.requests_ok if whole else None,
            state_ok=whole.state_ok if whole else None,
            transactions_executed=whole.executed if whole else 0,
            parallel_equal=whole.parallel_equal if whole else None,
        )

    def _whole(self, witness: Witness, recovered: Recovered, digests: Bytes) -> WholeBlock | None:
        """Execute a block whole; None where that is not wanted, or not enough is given."""
        whole = None if self.whole is None else self.whole(witness, recovered, digests)
        if whole is not None:
            self.problems += whole.problems
            self.notes += whole.notes
            self.trace += whole.trace
        return whole

    def _check_claim(self, block: EthereumBlock, claim: Claim) -> bool | None:
        if claim.ok is False:
            self._problem(block, None, claim.field, _shown(claim.found), _shown(claim.stated))
        return claim.ok

    def _check_senders(self, block: EthereumBlock, recovered: Recovered) -> int:
        claimed = block.transactions.claimed_sender
        differs = (recovered.senders != claimed).any(axis=1) & block.transactions.claims_sender
        wrong = (recovered.faults != SignatureFault.NONE) | differs
        for index in np.flatnonzero(wrong).tolist():
            fault = SignatureFault(int(recovered.faults[index]))
            found = FAULT_WORDS.get(fault) or _hex(recovered.senders[index])
            self._problem(block, index, "sender", found, _hex(claimed[index]))
        return int(wrong.sum())

    def _check_hashes(self, block: EthereumBlock, digests: NDArray[np.uint8]) -> int:
        claimed = block.transactions.claimed_hash
        wrong = (digests != claimed).any(axis=1) & block.transactions.claims_hash
        for index in np.flatnonzero(wrong).tolist():
            self._problem(block, index, "hash", _hex(digests[index]), _hex(claimed[index]))
        return int(wrong.sum())

    def _check_equal(self, block: EthereumBlock, in_order: Executed, by_waves: Executed) -> bool:
        equal = in_order.equals(by_waves)
        if not equal:
            accounts = (in_order.balances != by_waves.balances).any(axis=1) | (
                in_order.nonces != by_waves.nonces
            )
            found = f"{int(accounts.sum())} accounts that differ between waves and block order"
            self._problem(block, None, "execution by waves", found, "none")
        return equal

    def _check_conserved(
        self, block: EthereumBlock, movements: Transfers, in_order: Executed, by_waves: Executed
    ) -> bool:
        before = total(movements.balances)
        sums = [total(run.balances) + run.burned for run in (in_order, by_waves)]
        for what, after in zip(("in block order", "by waves"), sums, strict=True):
            if after != before:
                self._problem(
                    block, None, f"sum of balances and burned fees, {what}", f"{after} wei", f"{before} wei"
                )
        return sums == [before, before]

    def _note_outcomes(self, block: EthereumBlock, run: Executed) -> None:
        for index in np.flatnonzero(run.outcome > Outcome.CALL).tolist():
            what, found, expected = _OUTCOME_WORDS[Outcome(int(run.outcome[index]))]
            self.notes.append(Finding(block.number, index, what, found, expected))

    def _problem(self, block: EthereumBlock, index: int | None, what: str, found: str, expected: str) -> None:
        self.problems.append(Finding(block.number, index, what, found, expected))


def _groups(folders: Sequence[Path | str]) -> Iterator[list[Witness]]:
    """Blocks and what is given with them, read in groups of about `SIGNATURES_IN_FLIGHT` signatures."""
    group: list[Witness] = []
    signatures = 0
    for folder in folders:
        witness = read_witness(folder)
        block = witness.block
        group.append(witness)
        signatures += len(block.transactions) + len(block.transactions.authorizations.addresses)
        if signatures >= SIGNATURES_IN_FLIGHT:
            yield group
            group, signatures = [], 0
    if group:
        yield group


def _follow(backend: str, *operations: str) -> str:
    """`backend` if all of the operations can run there, else `auto`."""
    able = all(
        any(row.name == backend and row.available for row in backends(operation)) for operation in operations
    )
    return backend if able else "auto"


@contextmanager
def _using(threads: int | None) -> Iterator[None]:
    before = get_threads()
    if threads is not None:
        set_threads(threads)
    try:
        yield
    finally:
        set_threads(before)


def _hex(row: NDArray[np.uint8]) -> str:
    return "0x" + row.tobytes().hex()


def _shown(value: bytes | None) -> str:
    return f"0x{value.hex()}" if value else "none"
