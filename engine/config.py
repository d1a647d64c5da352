# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of an engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, StrEnum

import numpy as np
from numpy.typing import NDArray

from supervm.crypto.sparse_merkle import HASHES
from supervm.engine.storage import CHECKPOINT_BYTES
from supervm.engine.transactions.batch import TransactionBatch
from supervm.kernels.errors import ArgumentError
from supervm.vm.evm.forks import DESTROYS_NEW_ONLY, fork_named

FEE_COLLECTOR = bytes(19) + b"\xfe"
"""The account that fees go to unless said otherwise."""

MOST_THREADS = 255
"""Threads of an engine."""

Verifier = Callable[[TransactionBatch], NDArray[np.int8] | NDArray[np.bool_]]
"""Verdicts of the proofs of n private transactions: int8 (n,), 1 valid, 0 invalid, −1 malformed; or bool (n,)."""

OnVerified = Callable[[str, str, NDArray[np.int8]], None]
"""Takes the scheme ("ed25519", "ecdsa", "schnorr"), the backend that computed, and the verdicts of a batch of signatures."""


class Mode(StrEnum):
    """How blocks are executed; the results are the same."""

    PARALLEL = "parallel"
    """On all threads, unless the block conflicts too much with itself."""
    SEQUENTIAL = "sequential"
    """One by one, on one thread."""


class Schedule(StrEnum):
    """How a parallel block is scheduled."""

    AUTO = "auto"
    """Speculation, which is the faster one where it was measured."""
    WAVES = "waves"
    """Waves from the declared access sets, where all transactions declare them; else speculation."""
    SPECULATION = "speculation"


@dataclass(frozen=True)
class Collection:
    """When old versions of values are dropped. What a reader or a named snapshot sees always stays.

    Args:
        versions: of a key, the newest included; older ones go at the next pass.
        seconds: for which a replaced version stays in any case, up to that number.
        threshold: replaced versions below which no pass is made.
        least_interval, most_interval: seconds between passes; the time adapts to what they find.
        history_bytes: memory of replaced versions above which each commit drops at once what it replaces. Nobody can
            ask for a version that no snapshot names, and memory that is used again is memory that the cache knows.
    """

    versions: int = 10
    seconds: float = 60.0
    threshold: int = 1_000
    least_interval: float = 10.0
    most_interval: float = 300.0
    history_bytes: int = 1 << 20

    def __post_init__(self) -> None:
        for name, least in (("versions", 1), ("seconds", 0), ("threshold", 0), ("history_bytes", 0)):
            if getattr(self, name) < least:
                raise ArgumentError(name, repr(getattr(self, name)), f"at least {least}")
        if not 0 <= self.least_interval <= self.most_interval:
            raise ArgumentError("least_interval", repr(self.least_interval), "0 to most_interval")


@dataclass(frozen=True)
class Router:
    """The adaptive router, off unless an engine is given one: it holds the fast path's share near a target.

    The share of transfers that are tried on the fast path moves by `step` every `every` transactions: down when their
    success falls below `success` or the conflict rate is above `high_conflict`, up when it is below `low_conflict`.

    Args:
        target, least, most: of the fast path's share.
        step: by which the target moves.
        every: transactions between two moves.
        low_conflict, high_conflict, success: see above.
    """

    target: float = 0.70
    least: float = 0.10
    most: float = 0.90
    step: float = 0.05
    every: int = 100
    low_conflict: float = 0.05
    high_conflict: float = 0.25
    success: float = 0.80

    def __post_init__(self) -> None:
        if not 0 <= self.least <= self.target <= self.most <= 1:
            raise ArgumentError("target", repr(self.target), "between least and most, which lie in 0 to 1")
        if self.every < 1 or not 0 < self.step <= 1:
            raise ArgumentError("step", f"{self.step} every {self.every}", "above 0 up to 1, every 1 or more")


@dataclass(frozen=True)
class EngineConfig:
    """Settings of an engine.

    Args:
        threads: that execute and hash.
        mode, schedule: how blocks are executed.
        signatures: whether signatures are checked.
        backend: where batches of cryptography run.
        chain_id: transactions of others are rejected.
        hash: of the state root: "sha256", "keccak256", "poseidon_bn254" or "poseidon_bls12_381".
        fee_collector: the account that fees go to, 20 bytes.
        fee_split: percentages of tiers L1 to L4 that a block's fees are reported with.
        verifier: of private transactions' proofs, such as `supervm.engine.privacy.transaction_proofs.TransactionProofs`;
            without, they are rejected.
        on_verified: told of every batch of signatures: scheme, backend, int8 verdicts; from the thread that verifies.
        collection: of old versions.
        router: the adaptive router; None leaves every transfer that can take the fast path on it.
        sync: whether a persisted commit waits for the disk.
        keep_receipts: blocks whose receipts are stored, 0 for none.
        checkpoint_bytes: least log of a persisted state that is folded into a checkpoint.
        queue_depth: blocks that wait between two stages of the pipeline.
        instances: contract instances that live at once, over all threads.
        evm: the fork, Cancun or later, under whose rules Ethereum transactions are executed; '' rejects them.
    """

    threads: int = 1
    mode: Mode = Mode.PARALLEL
    schedule: Schedule = Schedule.AUTO
    signatures: bool = False
    backend: str = "auto"
    chain_id: int = 1
    hash: str = "sha256"
    fee_collector: bytes = FEE_COLLECTOR
    fee_split: tuple[int, int, int, int] = (40, 30, 20, 10)
    verifier: Verifier | None = None
    on_verified: OnVerified | None = None
    collection: Collection = field(default_factory=Collection)
    router: Router | None = None
    sync: bool = False
    keep_receipts: int = 10_000
    checkpoint_bytes: int = CHECKPOINT_BYTES
    queue_depth: int = 2
    instances: int = 1_024
    evm: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "mode", _member("mode", Mode, self.mode))
        object.__setattr__(self, "schedule", _member("schedule", Schedule, self.schedule))
        for name, least, most in (
            ("threads", 1, MOST_THREADS),
            ("chain_id", 0, (1 << 64) - 1),
            ("keep_receipts", 0, 1 << 40),
            ("checkpoint_bytes", 1, 1 << 50),
            ("queue_depth", 1, 1 << 10),
            ("instances", 1, 1 << 16),
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
                raise ArgumentError(name, repr(value), f"a whole number from {least} to {most}")
        if not isinstance(self.fee_collector, bytes) or len(self.fee_collector) != 20:
            raise ArgumentError("fee_collector", repr(self.fee_collector), "an address, 20 bytes")
        if len(self.fee_split) != 4 or min(self.fee_split) < 0 or sum(self.fee_split) != 100:
            raise ArgumentError("fee_split", repr(self.fee_split), "four percentages that add up to 100")
        if self.evm and not fork_named(self.evm)[DESTROYS_NEW_ONLY]:
            raise ArgumentError("evm", repr(self.evm), "Cancun, or a later fork")
        if self.hash not in HASHES:
            raise ArgumentError("hash", repr(self.hash), f"one of {', '.join(HASHES)}")


def _member(name: str, kind: type[Enum], value: object) -> Enum:
    try:
        return kind(value)
    except ValueError:
        raise ArgumentError(name, repr(value), " or ".join(repr(each.value) for each in kind)) from None
