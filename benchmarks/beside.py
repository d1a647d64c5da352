# SPDX-License-Identifier: GPL-3.0-or-later
"""Peers beside a row: their answers compared with ours before anything is timed, then their turn in every round."""

from __future__ import annotations

from collections.abc import Sequence

from supervm.benchmarks.cases import Answers, Case, Peer, Workload
from supervm.benchmarks.errors import PeerDisagrees
from supervm.benchmarks.measure import Contender, Timing, timings
from supervm.benchmarks.rows import PeerRow

PEER_SECONDS = 0.03
"""About how long one run of one peer takes: a peer gets as many items of the batch as fit."""


def compare(case: Case, backend: str, other: str, ours: Answers, theirs: Answers) -> None:
    """Two lists of answers to the same items.

    Args:
        case: the row's.
        backend: ours.
        other: who gave `theirs`.

    Raises:
        PeerDisagrees: with the first item that differs and both answers.
    """
    if len(theirs) != len(ours):
        at = min(len(theirs), len(ours))
        raise PeerDisagrees(case.name, backend, other, at, len(ours), len(theirs))
    for index, (our, their) in enumerate(zip(ours, theirs, strict=True)):
        if our != their:
            raise PeerDisagrees(case.name, backend, other, index, our, their)


def check_peers(case: Case, backend: str) -> None:
    """Compare every peer's answers with ours, item by item, on sound and damaged items.

    Raises:
        PeerDisagrees: with the peer, the item and both answers.
    """
    workload = case.corrupted(case.checked_items)
    ours = workload.answers(workload.run(backend))
    for peer in case.peers:
        compare(case, backend, peer.name, ours, peer.finish(peer.prepare(workload)()))


def contender(peer: Peer, workload: Workload) -> Contender:
    """The peer on the first items of the workload, as many as it can do in about `PEER_SECONDS`, or on all."""
    if peer.whole:
        return Contender(peer.prepare(workload), workload.items)
    few = min(32, workload.items)
    rate = timings([Contender(peer.prepare(workload.part(0, few)), few)], budget=0.0)[0].rate
    items = max(few, min(workload.items, int(rate * PEER_SECONDS)))
    return Contender(peer.prepare(workload.part(0, items)), items)


def peer_rows(peers: Sequence[Peer], ours: Timing, theirs: Sequence[Timing]) -> tuple[PeerRow, ...]:
    """What the row says of each peer, from our times and theirs."""
    return tuple(
        PeerRow(peer.name, peer.version, its.rate, ours.rate / its.rate, its.spread)
        for peer, its in zip(peers, theirs, strict=True)
    )
