# SPDX-License-Identifier: GPL-3.0-or-later
"""What commands tell of a wallet's transactions and notes, as `--json` has it."""

from __future__ import annotations

from typing import Any

from supervm.tiers import console
from supervm.tiers.node.limits import reason_name
from supervm.tiers.node.submission import IN_BLOCK, REFUSED, WAITING
from supervm.tiers.node.wallet import Queued
from supervm.tiers.service.v1 import node_pb2 as pb
from supervm.tiers.wallet.note_store import Note, NoteStore

_STATES = {WAITING: "waiting", IN_BLOCK: "in block", REFUSED: "refused"}


def queued_json(queued: Queued) -> dict[str, Any]:
    """A transaction of the queue."""
    return {
        "hash": queued.hash.hex(),
        "nonce": queued.nonce,
        "state": queued.state.value,
        "block": queued.number or None,
        "reason": reason_name(queued.reason) if queued.reason else None,
    }


def sent_json(reply: pb.SubmitTransactionsReply) -> list[dict[str, Any]]:
    """What a node says of transactions."""
    return [
        {
            "hash": reply.hashes[32 * row : 32 * row + 32].hex(),
            "state": _STATES[state],
            "block": reply.numbers[row] or None,
            "reason": reason_name(reply.reasons[row]) if reply.reasons[row] else None,
        }
        for row, state in enumerate(reply.states)
    ]


def balance_json(store: NoteStore) -> dict[str, Any]:
    """What notes are worth, in units of the pool, and the notes."""
    pool, notes = store.pool(), store.notes()
    free = {note.place for note in store.available()}
    unspent = [note for note in notes if note.spent is None]
    available = sum(note.amount for note in unspent if note.place in free)
    return {
        "pool": None if pool is None else pool.address.hex(),
        "unit": None if pool is None else str(pool.unit),
        "block": store.proved(),
        "available": available,
        "reserved": sum(note.amount for note in unspent) - available,
        "unspent_notes": len(unspent),
        "notes": [_note_json(note, note.place in free) for note in notes],
    }


def answer(found: dict[str, Any], as_json: bool) -> None:
    """Print what a part of `supervm wallet` found, as JSON or for readers, where a list has a paragraph a row."""
    if as_json:
        console.print_json(found)
        return
    listed = next((value for value in found.values() if isinstance(value, list)), None)
    if listed == []:
        console.answers().print(f"no {next(iter(found))}")
    for row in [found] if listed is None else listed:
        console.print_pairs((name, "none" if value is None else str(value)) for name, value in row.items())


def _note_json(note: Note, free: bool) -> dict[str, Any]:
    if note.spent is None:
        state = "available" if free else "reserved"
    else:
        state = f"spent in block {note.spent}"
    return {
        "note": note.place,
        "amount": note.amount,
        "block": note.block,
        "state": state,
        "memo": note.memo.decode("utf-8", "replace"),
    }
