# SPDX-License-Identifier: GPL-3.0-or-later
"""Seeded workloads by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from supervm.crypto.groth16_proving_key import ProvingKey
from supervm.crypto.messages import Messages
from supervm.engine.arrays import ragged
from supervm.engine.arrays.ranks import ranks_within
from supervm.engine.ethereum.replay.transfers import intern_rows
from supervm.engine.transactions.batch import Scheme, TransactionBatch
from supervm.engine.workloads import parts, pool_calls, proven_calls
from supervm.engine.workloads.parts import Part
from supervm.engine.workloads.private_transfers import chosen, with_proofs
from supervm.engine.workloads.signing import Keys, Progress
from supervm.engine.workloads.traffic import generator, random_rows
from supervm.engine.workloads.workload import Genesis, Parameters, Workload, block_offsets
from supervm.kernels.array_types import Bytes
from supervm.kernels.errors import ArgumentError

BALANCE = 10**30
"""What an account has at first: 2^32 transactions of the highest gas limit and price here cost less."""

MIXED = MappingProxyType({"transfers": 0.4, "token": 0.4, "nft": 0.1, "amm": 0.1})
"""Shares of `mixed`."""

_PARTS: dict[str, Callable[[Parameters, Bytes], Part]] = {
    "transfers": parts.transfers,
    "token": parts.token,
    "nft": parts.nft,
    "amm": parts.amm,
}

NAMES = (*_PARTS, "mixed")
"""The workloads of `generate` whose transactions are public, unless asked otherwise."""

PRIVATE = "private"
"""One more workload, whose transactions are private by themselves."""


def generate(
    name: str, parameters: Parameters, progress: Progress | None = None, *, key: ProvingKey | None = None
) -> Workload:
    """Make a workload.

    | name | transactions |
    |---|---|
    | `transfers` | plain transfers between accounts, some with objects: `object_share` |
    | `token` | the token's `transfer` |
    | `nft` | the collection's `transfer`: every sender owns what it passes on |
    | `amm` | the exchange's `swap` |
    | `mixed` | 40 % transfers, 40 % token, 10 % nft, 10 % amm, at random places |
    | `private` | a shielded pool's: shields, transfers and unshields, with simulated proofs, or with a `key` real ones |

    In block order every transaction succeeds: nonces count up from 0, and balances last. With a `private_share` that many of
    the plain transfers are private, some of them with a wrong proof (`private_transfers`): these are rejected, if the engine
    has the verifier of that module, and the others succeed.

    Args:
        name: one of `NAMES`, or `PRIVATE`.
        parameters: what it is like.
        progress: called while transactions are signed, and when proofs are made.
        key: of the pools' circuit, for proofs of `PRIVATE`; without, they are simulated.

    Raises:
        ArgumentError: an unknown name, parameters that do not go together, or a key for another workload or circuit.
        MissingPackage: it is to be signed, and `cryptography` is not installed.
    """
    if name not in (*NAMES, PRIVATE):
        raise ArgumentError("name", repr(name), f"one of {', '.join((*NAMES, PRIVATE))}")
    keys = Keys(parameters.seed, parameters.accounts) if parameters.signed else None
    accounts = (
        random_rows(generator(parameters, "accounts"), parameters.accounts, 20)
        if keys is None
        else keys.addresses
    )
    if name == PRIVATE:
        return _private(parameters, accounts, keys, progress, key)
    if key is not None:
        raise ArgumentError("key", f"one for {name}", f"none: only {PRIVATE} has calls of a pool")
    wanted = _counts(parameters) if name == "mixed" else {name: parameters.transactions}
    made = [_PARTS[part](replace(parameters, transactions=count), accounts) for part, count in wanted.items()]
    batch = _shuffled([part.batch for part in made], generator(parameters, "order"))
    senders, _ = intern_rows(batch.sender)
    private, wrong = chosen(batch, parameters)
    batch = replace(batch, nonce=ranks_within(senders, ~wrong).astype(np.uint64))
    if keys is not None:
        batch = replace(batch, scheme=np.full(len(batch), Scheme.ED25519, np.uint8))
    if (
        private.any()
    ):  # what a proof is bound to includes scheme and gas, and what is signed includes the proof
        batch = replace(batch, gas_limit=np.where(private, np.uint64(parts.PRIVATE_GAS), batch.gas_limit))
        batch = with_proofs(batch, private, wrong, parameters, progress)
    if keys is not None:
        batch = keys.sign(batch, progress)
    return Workload(
        name,
        parameters,
        _genesis(made, accounts),
        batch,
        block_offsets(len(batch), parameters.block_size),
    )


def _private(
    parameters: Parameters,
    accounts: Bytes,
    keys: Keys | None,
    progress: Progress | None,
    key: ProvingKey | None,
) -> Workload:
    if parameters.private_share:
        raise ArgumentError("private_share", repr(parameters.private_share), f"0: {PRIVATE} is private")
    honest = None if key is None else proven_calls.honest_calls(parameters, accounts)
    calls = pool_calls.pool_calls(parameters, accounts) if honest is None else honest.calls
    senders, _ = intern_rows(calls.batch.sender)
    everyone = np.ones(len(senders), np.bool_)
    batch = replace(calls.batch, nonce=ranks_within(senders, everyone).astype(np.uint64))
    if keys is not None:
        batch = replace(batch, scheme=np.full(len(batch), Scheme.ED25519, np.uint8))
    if key is None or honest is None:
        batch = pool_calls.proven(calls, batch, parameters, progress)
    else:
        batch = proven_calls.proven(honest, batch, key, progress)
    if keys is not None:
        batch = keys.sign(batch, progress)
    balances = np.tile(np.frombuffer(BALANCE.to_bytes(32), np.uint8), (len(accounts), 1))
    genesis = Genesis(accounts, balances, deployments=(calls.deployment,))
    return Workload(PRIVATE, parameters, genesis, batch, block_offsets(len(batch), parameters.block_size))


def _counts(parameters: Parameters) -> dict[str, int]:
    """How many transactions of each kind `mixed` has."""
    counts = {name: int(parameters.transactions * share) for name, share in MIXED.items()}
    counts["transfers"] += parameters.transactions - sum(counts.values())
    return counts


def _shuffled(batches: list[TransactionBatch], random: np.random.Generator) -> TransactionBatch:
    """The transactions of all batches at random places, those of one batch in their order."""
    if len(batches) == 1:
        return batches[0]
    kinds = np.repeat(np.arange(len(batches)), [len(batch) for batch in batches])
    random.shuffle(kinds)
    starts = ragged.offsets_of(np.array([len(batch) for batch in batches], np.int64))
    return TransactionBatch.concatenate(batches).take(starts[kinds] + ranks_within(kinds))


def _genesis(made: list[Part], accounts: Bytes) -> Genesis:
    balance = np.frombuffer(BALANCE.to_bytes(32), np.uint8)
    nothing = ragged.repeated(b"", 0)
    object_ids = np.concatenate([part.object_ids for part in made])
    return Genesis(
        addresses=accounts,
        balances=np.tile(balance, (len(accounts), 1)),
        object_ids=object_ids,
        object_owners=np.concatenate([part.object_owners for part in made]),
        object_kinds=np.full(len(object_ids), parts.OWNED, np.uint8),
        deployments=tuple(part.deployment for part in made if part.deployment is not None),
        keys=ragged.joined([nothing, *(Messages.of(rows) for part in made for rows in part.keys)]),
        values=ragged.joined([nothing, *(Messages.of(rows) for part in made for rows in part.values)]),
    )
