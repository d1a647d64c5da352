# SPDX-License-Identifier: GPL-3.0-or-later
"""Which notes are spent: against all choices, and errors that name amounts."""

from __future__ import annotations

import itertools
import random

import pytest

from supervm.tiers.node.errors import WalletError
from supervm.tiers.wallet.note_store import Note
from supervm.tiers.wallet.selection import choose, merges


def notes_of(amounts):
    return [Note(place, amount, 0, b"", 0, 1, None, None) for place, amount in enumerate(amounts)]


def test_against_all_choices():
    rng = random.Random(1)
    for _ in range(400):
        notes = notes_of([rng.randint(1, 30) for _ in range(rng.randint(0, 7))])
        needed = rng.randint(1, 60)
        single = [note.amount for note in notes if note.amount >= needed]
        pairs = [
            a.amount + b.amount for a, b in itertools.combinations(notes, 2) if a.amount + b.amount >= needed
        ]
        if single or pairs:
            found = choose(notes, needed)
            assert sum(note.amount for note in found) == (min(single) if single else min(pairs))
            assert len({note.place for note in found}) == len(found) == (1 if single else 2)
        else:
            with pytest.raises(WalletError, match=f"{needed} units are needed"):
                choose(notes, needed)


def test_nothing_is_needed():
    assert choose(notes_of([1, 2]), 0) == []


def test_errors_name_amounts():
    with pytest.raises(WalletError, match="70 units are needed, and 60 are available in 3 notes"):
        choose(notes_of([10, 20, 30]), 70)
    with pytest.raises(
        WalletError,
        match=r"55 units .* largest have 30 and 20, all 3 together 60. `supervm wallet merge --amount 55`",
    ):
        choose(notes_of([10, 20, 30]), 55)
    with pytest.raises(WalletError, match="5 units are needed, and 0 are available in 0 notes"):
        choose([], 5)


def test_merging_until_two_notes_cover_it():
    rng = random.Random(2)
    for _ in range(100):
        amounts = [rng.randint(1, 9) for _ in range(rng.randint(3, 20))]
        needed = rng.randint(1, sum(amounts))
        while pairs := merges(notes_of(amounts), needed):
            assert all(len(pair) == 2 for pair in pairs)
            taken = {note.place for pair in pairs for note in pair}
            assert len(taken) == 2 * len(pairs)
            made = [sum(note.amount for note in pair) for pair in pairs]
            amounts = [amount for place, amount in enumerate(amounts) if place not in taken] + made
        assert sum(note.amount for note in choose(notes_of(amounts), needed)) >= needed
    with pytest.raises(WalletError, match="7 units are needed, and 6"):
        merges(notes_of([1, 2, 3]), 7)
