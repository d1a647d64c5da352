# SPDX-License-Identifier: GPL-3.0-or-later
"""Which notes a payment spends: two at most, as little as covers it; and which are to be merged before."""

from __future__ import annotations

from collections.abc import Sequence

from supervm.engine.privacy.shielded_calls import NOTES
from supervm.tiers.node.errors import WalletError
from supervm.tiers.wallet.note_store import Note


def choose(notes: Sequence[Note], needed: int) -> list[Note]:
    """One or two notes that cover an amount: the smallest one, or else the two that leave the least; none for 0.

    Raises:
        WalletError: none do; it names amounts, and whether merging notes would help.
    """
    if not needed:
        return []
    ordered = sorted(notes, key=lambda note: (note.amount, note.place))
    for note in ordered:
        if note.amount >= needed:
            return [note]
    best, low, high = None, 0, len(ordered) - 1
    while low < high:
        total = ordered[low].amount + ordered[high].amount
        if total >= needed:
            if best is None or total < best[0]:
                best = total, ordered[low], ordered[high]
            high -= 1
        else:
            low += 1
    if best is None:
        raise _lacking(ordered, needed)
    return [best[1], best[2]]


def merges(notes: Sequence[Note], needed: int) -> list[list[Note]]:
    """Pairs of notes, each to be made one, so that fewer cover an amount; none where two notes cover it.

    The fewest notes that cover it are paired, the largest first.

    Raises:
        WalletError: all notes together do not cover it.
    """
    ordered = sorted(notes, key=lambda note: (-note.amount, note.place))
    taken: list[Note] = []
    for note in ordered:
        if sum(each.amount for each in taken) >= needed:
            break
        taken.append(note)
    if sum(each.amount for each in taken) < needed:
        raise _lacking(ordered[::-1], needed)
    if len(taken) <= NOTES:
        return []
    return [taken[at : at + NOTES] for at in range(0, len(taken) - 1, NOTES)]


def _lacking(ordered: Sequence[Note], needed: int) -> WalletError:
    """What is missing, of notes by amount, ascending."""
    amounts = [note.amount for note in ordered]
    whole = sum(amounts)
    if whole < needed:
        return WalletError(f"{needed} units are needed, and {whole} are available in {len(amounts)} notes")
    largest = amounts[-NOTES:]
    return WalletError(
        f"{needed} units are needed, and a transaction spends two notes at most: the largest have {largest[1]} and "
        f"{largest[0]}, all {len(amounts)} together {whole}. `supervm wallet merge --amount {needed}` makes them fewer"
    )
