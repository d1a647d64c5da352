# SPDX-License-Identifier: GPL-3.0-or-later
"""What is measured: an operation, a workload for it, and the peers that can do the same; and the suites by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from supervm.benchmarks.errors import PeerMissing
from supervm.kernels.errors import ArgumentError

SINGLE = ("signatures", "hashes", "conflicts", "msm", "ntt", "poseidon", "merkle", "prove")
"""Suites of operations each by itself, which a GPU is measured with too."""

LISTED = (*SINGLE, "pairings", "bls", "groth16", "kzg")
"""Suites of operations that the registry lists; `suites.py` has their cases."""

EXECUTION, EVM, SERVICE, SHARDS, CLUSTER = "execution", "evm", "service", "shards", "cluster"
"""Suites with runners of their own: what runs whole blocks (`execution.py`), the EVM (`evm/`), a server (`service/`),
several engines (`shards.py`), or the nodes of a compute pool (`cluster.py`)."""

ABOUT = {
    "signatures": "Checking digital signatures: Ed25519, and ECDSA and BIP-340 over secp256k1.",
    "hashes": "Digests of many short messages: SHA-2, Keccak-256, BLAKE2b, Ethereum addresses.",
    "conflicts": "Finding which transactions of a block touch the same keys, and which can run side by side.",
    "msm": "Sums of curve points times scalars, the main cost of making a zero-knowledge proof.",
    "ntt": "Number-theoretic transforms, which multiply polynomials over a finite field.",
    "poseidon": "A hash function that is cheap inside zero-knowledge proofs.",
    "merkle": "Trees of hashes, whose root commits to all leaves.",
    "pairings": "Whether products of pairings are one: what proofs, commitments and BLS signatures come down to.",
    "bls": "Checking BLS signatures on BLS12-381, as Ethereum's consensus and drand use them.",
    "groth16": "Checking Groth16 proofs of three public inputs under one key.",
    "prove": "Making Groth16 proofs: a circuit's rows a second, for circuits of 2^10 to 2^18 rows.",
    "kzg": "Committing to the blobs of Ethereum's rollups, and checking them.",
    EXECUTION: "Blocks of transactions, from the decoded batch to the committed state root.",
    EVM: "The Ethereum Virtual Machine: programs beside other EVMs, and whole blocks; an item is a unit of gas.",
    SERVICE: "The verification service: a server and its clients on the same machine, over loopback.",
    SHARDS: "A state on two shards: blocks whose transfers go from one to the other, by two-phase commit over loopback.",
    CLUSTER: "The compute pool: signatures, trees and sums on nodes of one core each, beside the library alone.",
}
"""Every suite and what it measures, in the order of reports."""

SUITES = tuple(ABOUT)
"""All of them."""

Answers = list[Any]


class Workload(Protocol):
    """Items for one operation, ready to be handed to ours and to a peer."""

    @property
    def items(self) -> int:
        """How many."""

    def run(self, backend: str) -> object:
        """Ours, through the public function; this call is what is timed."""

    def answers(self, result: object) -> Answers:
        """One plain Python value for each item of what `run` returned, comparable with a peer's."""

    def part(self, start: int, stop: int) -> Workload:
        """The items from `start` to `stop` alone."""

    def moved(self, copy: Callable[[NDArray[Any]], NDArray[Any]]) -> Workload:
        """The same items in the arrays that `copy` makes of the present ones, offsets included."""


@dataclass(frozen=True)
class Peer:
    """One function of one library.

    Args:
        name: as it appears in the row.
        version: of the package.
        prepare: builds the library's own objects for every item of a workload, outside the timed part, and
            returns the loop to time; the loop returns the answers in item order.
        finish: turns the loop's answers into values that compare with ours, outside the timed part.
        whole: it gets every item of a batch, since its rate depends on their number.
    """

    name: str
    version: str
    prepare: Callable[[Any], Callable[[], Answers]]
    finish: Callable[[Answers], Answers] = list
    whole: bool = False


@dataclass(frozen=True)
class Case:
    """One line of a suite.

    Args:
        operation: the registry's name, or one of its own where several operations work together.
        variant: what differs from the usual workload or rule; empty for the usual one.
        batch: items of one call where the user names no other number.
        slow_batch: the same for the `scalar` backend, where a smaller batch shows the same rate sooner.
        workload: makes the valid items that are timed, by count.
        corrupted: makes the items that the peers' answers are checked on, some of them damaged, by count.
        peers: measured beside ours.
        missing: packages that are not installed and whose functions therefore are not among the peers.
        singles: whether a batch of one is measured too.
        checked_items: how many damaged and sound items a peer must answer as ours does before it is timed.
        swept: whether `--sweep` measures how it grows.
        alone: why no peer stands beside it, where none does.
        on_devices: batch sizes on a device, if others than `device.sizes` takes.
        on_best: among a processor's backends it is measured on the one that a caller gets, unless another one is named.
        runs: the registry's operation whose backends it runs on, where its own name is not in the registry.
    """

    operation: str
    variant: str
    batch: int
    slow_batch: int
    workload: Callable[[int], Workload]
    corrupted: Callable[[int], Workload]
    peers: Sequence[Peer]
    missing: Sequence[str] = ()
    singles: bool = False
    checked_items: int = 256
    swept: bool = False
    alone: str = ""
    runs: str = ""
    on_devices: tuple[int, ...] = ()
    on_best: bool = False

    @property
    def listed(self) -> str:
        """The registry's operation whose backends it runs on."""
        return self.runs or self.operation

    @property
    def name(self) -> str:
        """The operation, with the variant in brackets."""
        return f"{self.operation} [{self.variant}]" if self.variant else self.operation


def installed(makers: Sequence[Callable[[], Peer]]) -> tuple[list[Peer], list[str]]:
    """The peers whose packages are here, and the names of the packages that are not."""
    peers, missing = [], []
    for make in makers:
        try:
            peers.append(make())
        except PeerMissing as error:
            missing.append(error.distribution)
    return peers, missing


def suite_cases(suite: str) -> list[Case]:
    """The cases of a suite, in the order in which they run; `execution` and `service` have none of this kind.

    Raises:
        ArgumentError: no such suite.
    """
    if suite not in SUITES:
        raise ArgumentError("suite", repr(suite), f"one of {', '.join(SUITES)}")
    if suite not in LISTED:
        return []
    from supervm.benchmarks.suites import CASES  # which loads every workload

    return CASES[suite]()


def missing_peers(suite: str, peer_python: Path | None = None) -> list[str]:
    """The packages that a suite would compare with and that are not installed, each once, by name.

    Args:
        suite: which.
        peer_python: of `evm`, the other interpreter that was asked.
    """
    if suite == EVM:
        from supervm.benchmarks.evm.peers import missing  # which starts them

        return missing(peer_python)
    return sorted({name for case in suite_cases(suite) for name in case.missing})
