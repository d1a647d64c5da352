# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls of a shielded pool for load: shields, transfers and unshields whose proofs are simulated (`simulated_proofs`).

Nullifiers and commitments are random elements, since no circuit looks at them; the roots that proofs are about are those
that the pool has, and every call succeeds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from supervm.crypto.messages import Messages
from supervm.engine.arrays import amounts, ragged
from supervm.engine.privacy import shielded_calls as calls_of
from supervm.engine.privacy.shielded_calls import NOTES, PUBLIC_INPUTS
from supervm.engine.privacy.transaction_proofs import encode_proofs
from supervm.engine.state import pools
from supervm.engine.transactions.batch import TransactionBatch
from supervm.engine.transactions.encoding import proof_bindings
from supervm.engine.workloads.private_transfers import POOL_SIMULATOR
from supervm.engine.workloads.signing import Progress
from supervm.engine.workloads.traffic import generator, pairs, random_rows
from supervm.engine.workloads.workload import Deployment, Parameters, block_offsets
from supervm.kernels.array_types import Bytes, Numbers

CONTRACT = "pool"
"""The name of a pool among a genesis' contracts."""

CHAIN_ID = 1
GAS_LIMIT = 200_000

SHIELDS, UNSHIELDS = 0.3, 0.2
"""Shares of the calls; the others are transfers. The first block has shields alone."""

LEAST_SHIELD, MOST_SHIELD, MOST_UNSHIELD, FEE = 10_000, 1_000_000, 1_000, 1
"""Units: what is shielded, what is unshielded at most, and the fee of what is not a shield."""

_SALT = bytes(32)
SHIELD, TRANSFER, UNSHIELD = range(3)
"""Kinds of calls."""


@dataclass(frozen=True, eq=False)
class PoolCalls:
    """Calls whose proofs are still missing, and the pool.

    Args:
        batch: n calls, all with nonce 0.
        inputs: uint8 (n, `PUBLIC_INPUTS`, 32), the public inputs behind the binding, in block order.
        deployment: of the pool.
    """

    batch: TransactionBatch
    inputs: Bytes
    deployment: Deployment


@dataclass(frozen=True, eq=False)
class Wanted:
    """What n calls are to be.

    Args:
        sender, recipient: int64 (n,), numbers of accounts.
        kinds: int64 (n,), `SHIELD`, `TRANSFER` or `UNSHIELD`.
        come, goes: int64 (n,), units of shields and of unshields, 0 elsewhere.
    """

    sender: Numbers
    recipient: Numbers
    kinds: Numbers
    come: Numbers
    goes: Numbers


def deployment() -> Deployment:
    """A pool of the usual unit under the salt zero."""
    return Deployment(CONTRACT, _SALT, pools.pool_address(_SALT))


def wanted(random: np.random.Generator, parameters: Parameters) -> Wanted:
    """The calls of a workload: who, what and how much."""
    count = parameters.transactions
    sender, recipient = pairs(random, count, parameters)
    kinds = random.choice(3, count, p=[SHIELDS, 1 - SHIELDS - UNSHIELDS, UNSHIELDS])
    kinds[: parameters.block_size] = SHIELD
    come = np.where(kinds == SHIELD, random.integers(LEAST_SHIELD, MOST_SHIELD + 1, count), 0)
    goes = np.where(kinds == UNSHIELD, random.integers(1, MOST_UNSHIELD + 1, count), 0)
    return Wanted(sender, recipient, kinds, come, goes)


def pool_calls(parameters: Parameters, accounts: Bytes) -> PoolCalls:
    """Shields, transfers and unshields by accounts, uint8 (a, 20), in blocks of `parameters.block_size`."""
    count, random = parameters.transactions, generator(parameters, "pool")
    calls, made = wanted(random, parameters), deployment()
    inputs = np.zeros((count, PUBLIC_INPUTS, 32), np.uint8)
    inputs[:, calls_of.POOL, 4:12] = np.frombuffer(CHAIN_ID.to_bytes(8), np.uint8)
    inputs[:, calls_of.POOL, 12:] = np.frombuffer(made.address, np.uint8)
    for first in (calls_of.NULLIFIER, calls_of.COMMITMENT):
        drawn = random_rows(random, NOTES * count, 31).reshape(count, NOTES, 31)
        inputs[:, first : first + NOTES, 1:] = drawn
    fees = np.where(calls.kinds == SHIELD, 0, FEE)
    for place, column in (
        (calls_of.PUBLIC_IN, calls.come),
        (calls_of.PUBLIC_OUT, calls.goes),
        (calls_of.FEE, fees),
    ):
        inputs[:, place, -8:] = column.astype(">u8").view(np.uint8).reshape(count, 8)
    inputs[:, calls_of.RECIPIENT, 12:] = np.where((calls.goes > 0)[:, None], accounts[calls.recipient], 0)
    inputs[:, calls_of.ROOT] = _roots(inputs, block_offsets(count, parameters.block_size))
    return called(parameters, accounts, calls, inputs, random, made)


def called(
    parameters: Parameters,
    accounts: Bytes,
    calls: Wanted,
    inputs: Bytes,
    random: np.random.Generator,
    made: Deployment,
) -> PoolCalls:
    """Calls with these public inputs behind the binding, uint8 (n, `PUBLIC_INPUTS`, 32), of the pool `made`."""
    count = len(inputs)
    come = np.ascontiguousarray(inputs[:, calls_of.PUBLIC_IN, -8:]).view(">u8")[:, 0]
    units = np.full(count, pools.UNIT, np.uint64)
    batch = TransactionBatch.of(
        sender=accounts[calls.sender],
        nonce=0,
        to=made.address,
        chain_id=CHAIN_ID,
        value=amounts.to_big_endian(amounts.products(come.astype(np.uint64), units)),
        entry=calls_of.ENTRY,
        input=random_rows(random, count, calls_of.INPUT_BYTES),
        gas_limit=GAS_LIMIT,
        gas_price=parameters.gas_price,
        private=True,
    )
    return PoolCalls(batch, inputs, made)


def proven(
    calls: PoolCalls, batch: TransactionBatch, parameters: Parameters, progress: Progress | None
) -> TransactionBatch:
    """The batch with the proofs of its transactions, of which nothing but those and the signature is missing.

    Args:
        calls: as `pool_calls` made them.
        batch: these, with nonces.
        parameters: of the workload.
        progress: called when all proofs are made.
    """
    stated = np.concatenate([proof_bindings(batch)[:, None], calls.inputs], axis=1)
    proofs = POOL_SIMULATOR.prove(stated, generator(parameters, "proofs"))
    if progress is not None:
        progress(len(batch), len(batch))
    if not len(batch):
        return replace(batch, proof=ragged.repeated(b"", 0))
    made: Messages = encode_proofs(calls_of.CIRCUIT, proofs, calls.inputs)
    return replace(batch, proof=made)


def _roots(inputs: Bytes, blocks: Numbers) -> Bytes:
    """The newest root before the block of each call, uint8 (n, 32)."""
    roots = np.zeros((len(inputs), 32), np.uint8)
    state = pools.new_state(pools.UNIT)
    for start, stop in zip(blocks[:-1].tolist(), blocks[1:].tolist(), strict=True):
        roots[start:stop] = np.frombuffer(state.root, np.uint8)
        commitments = inputs[start:stop, calls_of.COMMITMENT : calls_of.COMMITMENT + NOTES]
        state = state.appended(commitments.reshape(-1, 32))
    return roots
