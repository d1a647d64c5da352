# SPDX-License-Identifier: GPL-3.0-or-later
"""The suite `evm`: programs beside other EVMs, and whole blocks, in gas a second.

An item is a unit of gas, so a rate is gas a second, and `batch` is the gas of the call or the block. A program is one
transaction that runs on the same state again and again; what it did is undone outside the clock, on both sides. Before
anything is timed its success, gas and output must be those of every peer. Ours and the peers take turns; the best time of
each counts. A block is timed with the recovery of its senders, and must give the header's receipts root, gas and bloom.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from supervm.benchmarks.cases import EVM
from supervm.benchmarks.errors import PeerDisagrees
from supervm.benchmarks.evm.blocks import block_rows
from supervm.benchmarks.evm.ours import OurEvm
from supervm.benchmarks.evm.peers import Answer, PeerProcess, started
from supervm.benchmarks.evm.programs import Program, programs
from supervm.benchmarks.measure import Timing
from supervm.benchmarks.rows import PeerRow, Row

ROUNDS = 3

ROUND_SECONDS = 0.1
"""About how long each side takes in a round, or one run where that is longer."""

MOST_TIMES = 200
"""Runs of a short program in a round."""

LONG_SECONDS = 1.0
"""A peer that takes longer for a call is timed once, when its answer is compared."""

BACKEND = "scalar"
"""The interpreter has one form: its words are in registers, not in lanes."""

Progress = Callable[[int, int, str], None]
Side = OurEvm | PeerProcess


def run_evm(
    *,
    threads: int | None = None,
    transactions: int | None = None,
    python: Path | None = None,
    seconds: float | None = None,
    progress: Progress | None = None,
) -> list[Row]:
    """Measure the suite.

    Args:
        threads: only rows with this number.
        transactions: of each workload of blocks; by default its own number.
        python: an interpreter whose packages are peers that do not go with this one's.
        seconds: of each side in a round, in place of `ROUND_SECONDS`.
        progress: told about each step before it runs: done, in all, name.

    Raises:
        PeerDisagrees: a peer and ours gave different answers.
        RunsDisagree: a program breaks a rule, or a block did not give what its header says.
    """
    tell = progress or (lambda done, total, name: None)
    listed = list(programs())
    steps = len(listed) + 1
    rows = []
    if threads in (None, 1):
        with ExitStack() as stack:
            peers = [stack.enter_context(peer) for peer in started(python)[0]]
            ours = OurEvm()
            for done, program in enumerate(listed):
                tell(done, steps, program.name)
                rows.append(program_row(program, ours, peers, ROUND_SECONDS if seconds is None else seconds))
    tell(steps - 1, steps, "blocks")
    rows += block_rows(threads=threads, transactions=transactions)
    return rows


def program_row(program: Program, ours: OurEvm, peers: Sequence[PeerProcess], seconds: float) -> Row:
    """Compare, then time one program; a peer for which it is too long is left out.

    Raises:
        PeerDisagrees: with both answers.
    """
    name = f"evm.call [{program.name}]"
    own, first = ours.run(program, 1)
    beside = [peer for peer in peers if own[1] <= peer.known.most_gas]
    sides: list[Side] = [ours, *beside]
    taken = [first]
    for peer in beside:
        theirs, seconds_of_peer = peer.run(program, 1)
        if theirs != own:
            raise PeerDisagrees(name, BACKEND, peer.known.name, 0, _words(own), _words(theirs))
        taken.append(seconds_of_peer)
    _time(program, sides, taken, seconds)
    timed = [Timing.of(own[1], each) for each in taken]
    rows = tuple(
        PeerRow(peer.known.name, peer.version, its.rate, timed[0].rate / its.rate, its.spread)
        for peer, its in zip(beside, timed[1:], strict=True)
    )
    mine = timed[0]
    return Row(EVM, name, BACKEND, 1, own[1], mine.rate, 1e9 / mine.rate, "none", rows, mine.spread)


def _time(program: Program, sides: Sequence[Side], taken: list[list[float]], seconds: float) -> None:
    """Let the sides take turns, and add the seconds of every run to `taken`, which begins with one run of each.

    The first run of a side is forgotten unless the side is so slow that there is no other: it warms up.
    """
    turns = [place for place, first in enumerate(taken) if place == 0 or first[0] <= LONG_SECONDS]
    once = {place: min(sides[place].run(program, 2)[1]) for place in turns}
    times = {place: max(1, min(MOST_TIMES, int(seconds / max(once[place], 1e-9)))) for place in turns}
    for place in turns:
        taken[place].clear()
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for _ in range(ROUNDS):
            for place in turns:
                taken[place] += sides[place].run(program, times[place])[1]
    finally:
        if collecting:
            gc.enable()


def _words(answer: Answer) -> str:
    success, gas, output = answer
    shown = output if len(output) <= 64 else f"{output[:64]}…"
    return f"{'success' if success else 'failure'}, {gas:,} gas, 0x{shown}"
