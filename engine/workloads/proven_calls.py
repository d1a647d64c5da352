# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls of a shielded pool whose proofs the prover makes: one owner's notes, shielded, sent on and unshielded.

The traffic is that of `pool_calls`, but for calls that would spend where no note is left: they shield.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from supervm.crypto import circuits, notes
from supervm.crypto.groth16_prove import ProvingKey
from supervm.crypto.params.notes import TREE_DEPTH
from supervm.engine.arrays import ragged
from supervm.engine.privacy.pool_proofs import prove_calls, require_key
from supervm.engine.privacy.shielded_calls import CIRCUIT, NOTES
from supervm.engine.transactions.batch import TransactionBatch
from supervm.engine.workloads import pool_calls
from supervm.engine.workloads.pool_calls import CHAIN_ID, FEE, MOST_UNSHIELD, SHIELD, TRANSFER, PoolCalls
from supervm.engine.workloads.signing import Progress
from supervm.engine.workloads.traffic import generator, random_rows
from supervm.engine.workloads.workload import Parameters, block_offsets
from supervm.kernels.array_types import Bytes, Words
from supervm.kernels.arrays import integers

AT_ONCE = 16
"""Proofs that are made together, and told as progress."""


@dataclass(frozen=True, eq=False)
class HonestCalls:
    """Calls whose proofs are still missing.

    Args:
        calls: as those with simulated proofs.
        inputs: of the circuit, for each call, without the binding.
    """

    calls: PoolCalls
    inputs: list[dict[str, Any]]


@dataclass(frozen=True)
class _Note:
    """A note of the owner's; a place below 0 is that of a dummy."""

    amount: int
    secret: int
    blinding: int
    place: int = -1


@dataclass(frozen=True)
class _Plan:
    """What a call spends, makes and moves."""

    spent: tuple[_Note, _Note]
    made: tuple[int, int]
    come: int = 0
    goes: int = 0
    fee: int = 0


def honest_calls(parameters: Parameters, accounts: Bytes) -> HonestCalls:
    """Shields, transfers and unshields by accounts, uint8 (a, 20), in blocks of `parameters.block_size`."""
    random = generator(parameters, "pool")
    wanted = pool_calls.wanted(random, parameters)
    drawn = _elements(generator(parameters, "notes"))
    own, deployment = next(drawn), pool_calls.deployment()
    pool = notes.pool_id(CHAIN_ID, deployment.address)
    held: deque[_Note] = deque()
    rows: list[dict[str, Any]] = []
    leaves = np.empty((0, 4), np.uint64)
    blocks = block_offsets(parameters.transactions, parameters.block_size)
    for start, stop in zip(blocks[:-1].tolist(), blocks[1:].tolist(), strict=True):
        plans = [
            _plan(int(wanted.kinds[row]), int(wanted.come[row]), int(wanted.goes[row]), held, drawn)
            for row in range(start, stop)
        ]
        blindings = [next(drawn) for _ in range(NOTES * len(plans))]
        made = _proved_block(plans, leaves, pool, own, blindings)
        amounts = [amount for plan in plans for amount in plan.made]
        for number, (amount, blinding) in enumerate(zip(amounts, blindings, strict=True)):
            if amount > MOST_UNSHIELD + FEE:
                held.append(_Note(amount, own, blinding, len(leaves) + number))
        for row, plan, inputs in zip(range(start, stop), plans, made.rows, strict=True):
            recipient = accounts[wanted.recipient[row]].tobytes() if plan.goes else bytes(20)
            rows.append(inputs | {"recipient": int.from_bytes(recipient)})
        leaves = np.concatenate((leaves, made.leaves))
    stated = b"".join(_stated(inputs) for inputs in rows)
    public = np.frombuffer(stated, np.uint8).reshape(parameters.transactions, -1, 32)
    return HonestCalls(pool_calls.called(parameters, accounts, wanted, public, random, deployment), rows)


def proven(
    honest: HonestCalls, batch: TransactionBatch, key: ProvingKey, progress: Progress | None
) -> TransactionBatch:
    """The batch with the proofs of its transactions, of which nothing but those and the signature is missing.

    Args:
        honest: as `honest_calls` made them.
        batch: these, with nonces.
        key: of the pools' circuit.
        progress: called as proofs are made.

    Raises:
        ArgumentError: a key of another circuit.
    """
    require_key(key)
    columns = [ragged.repeated(b"", 0)]
    for start in range(0, len(batch), AT_ONCE):
        rows = np.arange(start, min(start + AT_ONCE, len(batch)))
        columns.append(prove_calls(key, [honest.inputs[row] for row in rows], batch.take(rows)))
        if progress is not None:
            progress(int(rows[-1]) + 1, len(batch))
    return replace(batch, proof=ragged.joined(columns))


def _plan(kind: int, come: int, goes: int, held: deque[_Note], drawn: Iterator[int]) -> _Plan:
    """What a call does, with the oldest note where it spends one."""
    if kind == SHIELD or not held:
        amount = come or pool_calls.LEAST_SHIELD
        return _Plan((_dummy(drawn), _dummy(drawn)), (amount, 0), come=amount)
    note = held.popleft()
    if kind == TRANSFER:
        left = note.amount - FEE
        return _Plan((note, _dummy(drawn)), (left // 2, left - left // 2), fee=FEE)
    return _Plan((note, _dummy(drawn)), (note.amount - FEE - goes, 0), goes=goes, fee=FEE)


def _dummy(drawn: Iterator[int]) -> _Note:
    return _Note(0, next(drawn), next(drawn))


@dataclass(frozen=True, eq=False)
class _Made:
    """The inputs of a block's calls but for recipients, and the leaves that they append, uint64 (2 n, 4)."""

    rows: list[dict[str, Any]]
    leaves: Words


def _proved_block(plans: list[_Plan], leaves: Words, pool: int, own: int, blindings: list[int]) -> _Made:
    """Everything that the calls of a block are to prove, against the tree before it."""
    tree = notes.note_tree(leaves)
    [root] = integers(np.asarray(tree.root.value)[None])
    spent = [note for plan in plans for note in plan.spent]
    keys = notes.keys(_words([note.secret for note in spent]))
    amounts = np.array([note.amount for note in spent], np.uint64)
    opened = notes.commitments(amounts, keys.owner, _words([note.blinding for note in spent]))
    places = [max(note.place, 0) for note in spent]
    nullifiers = integers(notes.nullifiers(keys.nullifier, pool, np.array(places, np.int64), opened))
    paths = [[0] * TREE_DEPTH for _ in spent]
    for number, note in enumerate(spent):
        if note.place >= 0:
            [siblings] = tree.prove(note.place).siblings
            paths[number] = integers(siblings[:, 0])
    [owner] = integers(notes.keys(_words([own])).owner)
    made = np.array([amount for plan in plans for amount in plan.made], np.uint64)
    appended = notes.commitments(made, _words([owner] * len(made)), _words(blindings))
    commitments = integers(appended)
    rows = []
    for number, plan in enumerate(plans):
        pair = slice(NOTES * number, NOTES * (number + 1))
        rows.append(
            {
                "pool": pool,
                "root": root,
                "nullifier": nullifiers[pair],
                "commitment": commitments[pair],
                "public_in": plan.come,
                "public_out": plan.goes,
                "fee": plan.fee,
                "in_amount": [note.amount for note in plan.spent],
                "in_secret": [note.secret for note in plan.spent],
                "in_blinding": [note.blinding for note in plan.spent],
                "in_index": places[pair],
                "in_path": paths[pair],
                "out_amount": list(plan.made),
                "out_owner": [owner] * NOTES,
                "out_blinding": blindings[pair],
            }
        )
    return _Made(rows, appended)


def _stated(inputs: dict[str, Any]) -> bytes:
    """The public inputs behind the binding, in order."""
    numbers: list[int] = []
    for name in list(circuits.get(CIRCUIT).public)[1:]:
        value = inputs[name]
        numbers += value if isinstance(value, list) else [value]
    return b"".join(number.to_bytes(32) for number in numbers)


def _elements(random: np.random.Generator) -> Iterator[int]:
    """Elements of 248 bits, which are below r."""
    while True:
        yield int.from_bytes(random_rows(random, 1, 31).tobytes())


def _words(numbers: list[int]) -> Words:
    return np.frombuffer(b"".join(number.to_bytes(32, "little") for number in numbers), "<u8").reshape(-1, 4)
