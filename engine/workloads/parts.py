# SPDX-License-Identifier: GPL-3.0-or-later
"""Transactions of one kind each, with the state that they need; nonces are set when a workload is put together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from supervm.crypto import hashes
from supervm.crypto.messages import Messages
from supervm.engine.arrays import amounts, ragged
from supervm.engine.state.keys import account_keys, code_keys, object_keys, storage_keys
from supervm.engine.transactions.addresses import contract_addresses
from supervm.engine.transactions.batch import TransactionBatch
from supervm.engine.transactions.columns import big_endian
from supervm.engine.transactions.contract_calls import (
    MARKET_MOST,
    MARKET_POOL_KEY,
    MARKET_TOTALS_KEY,
    SWAP,
    TOKEN_SUPPLY_KEY,
    TRANSFER,
    market_balance_keys,
    market_stored_amounts,
    market_swap_input,
    nft_transfer_input,
    token_balance_keys,
    token_stored_amounts,
    token_transfer_input,
)
from supervm.engine.workloads.traffic import (
    generator,
    hot_rows,
    ordinary_accounts,
    pairs,
    passed_on,
    random_rows,
)
from supervm.engine.workloads.workload import Deployment, Parameters
from supervm.kernels.array_types import Bytes, Indices
from supervm.kernels.errors import ArgumentError
from supervm.vm import contracts

MOST_VALUE = 1_000
"""Amounts are 1 to this."""

TOKENS_EACH = 10**18
"""Tokens that an account has at first: more than 10^15 transfers can take."""

MARKET_EACH, MARKET_RESERVE = 10**9, 10**12
"""What an account has of each side of the market at first (10^6 swaps' worth), and what the pool has."""

TRANSFER_GAS, PRIVATE_GAS, CALL_GAS = 10_000, 150_000, 1_000_000
"""Gas limits."""

OWNED = 0
"""Kind of an object that one account owns."""

_SALT = bytes(32)


@dataclass(frozen=True, eq=False)
class Part:
    """Transactions, all with nonce 0, and what they find in the state: entries, objects, one contract at most."""

    batch: TransactionBatch
    keys: list[Bytes]
    values: list[Bytes]
    object_ids: Bytes
    object_owners: Bytes
    deployment: Deployment | None


def deployment(contract: str) -> Deployment:
    """A sample contract under the salt zero."""
    code = np.frombuffer(contracts.load(contract), np.uint8)
    code_hash = hashes.sha256_batch(Messages.of([code.tobytes()]))
    address = contract_addresses(np.frombuffer(_SALT, np.uint8)[None], code_hash)
    return Deployment(contract, _SALT, address.tobytes())


def transfers(parameters: Parameters, accounts: Bytes) -> Part:
    """Plain transfers of 1 to 1,000 units; a share of them also moves an object that no other transaction moves."""
    count, random = parameters.transactions, generator(parameters, "transfers")
    sender, recipient = pairs(random, count, parameters)
    with_object = hot_rows(random, count, parameters.object_share)
    ids = random_rows(random, int(np.count_nonzero(with_object)), 32)
    objects = ragged.offsets_of(with_object.astype(np.int64))
    touched = [account_keys(accounts[sender]), account_keys(accounts[recipient])]
    access = None
    if parameters.declared:
        held = Messages(object_keys(ids).reshape(-1), 33 * objects)
        access = _listed([*(Messages.of(rows) for rows in touched), held])
    batch = TransactionBatch.of(
        sender=accounts[sender],
        nonce=0,
        to=accounts[recipient],
        value=random.integers(1, MOST_VALUE + 1, count),
        gas_limit=TRANSFER_GAS,
        gas_price=parameters.gas_price,
        objects=(objects, ids),
        reads=access,
        writes=access,
    )
    return Part(batch, [], [], ids, accounts[sender[with_object]], None)


def token(parameters: Parameters, accounts: Bytes) -> Part:
    """Transfers of a token of which every account has plenty."""
    count, random, made = parameters.transactions, generator(parameters, "token"), deployment("token")
    sender, recipient = pairs(random, count, parameters)
    contract = np.frombuffer(made.address, np.uint8)
    balances = storage_keys(contract, token_balance_keys(accounts))
    sent = big_endian(random.integers(1, MOST_VALUE + 1, count).astype(np.uint64))
    batch = _calls(
        parameters,
        accounts[sender],
        made,
        TRANSFER,
        token_transfer_input(accounts[recipient], sent),
        [balances[sender], balances[recipient]],
    )
    each = np.tile(np.frombuffer(TOKENS_EACH.to_bytes(32), np.uint8), (len(accounts), 1))
    none = np.zeros((0, 32), np.uint8)
    return Part(batch, *token_entries(contract, accounts, each), none, none[:, :20], made)


def token_entries(contract: Bytes, owners: Bytes, balances: Bytes) -> tuple[list[Bytes], list[Bytes]]:
    """Keys and values of the state where the token at `contract`, uint8 (20,), has these balances.

    Owners uint8 (n, 20), each once, and big-endian amounts uint8 (n, 32), whose sum is below 2^256.
    """
    everyone = np.zeros(len(owners), np.int64)
    supply, _ = amounts.totals(amounts.from_big_endian(balances), everyone, 1)
    keys = [token_balance_keys(owners), np.frombuffer(TOKEN_SUPPLY_KEY, np.uint8)[None]]
    values = [balances, amounts.to_big_endian(supply)]
    return [storage_keys(contract, rows) for rows in keys], [token_stored_amounts(rows) for rows in values]


def nft(parameters: Parameters, accounts: Bytes) -> Part:
    """Unique tokens passed on by their owners; the hot keys are tokens, and there are as many others as accounts."""
    count, random, made = parameters.transactions, generator(parameters, "nft"), deployment("nft")
    contract = np.frombuffer(made.address, np.uint8)
    ids = random_rows(random, parameters.hot_keys + len(accounts), 32)
    items = random.integers(parameters.hot_keys, len(ids), count)
    if parameters.hot_keys:
        hot = hot_rows(random, count, parameters.hot_share)
        items = np.where(hot, random.integers(0, parameters.hot_keys, count), items)
    sender, other = random.integers(0, len(accounts), (2, count))
    recipient, first = passed_on(items, sender, other)
    keys = storage_keys(contract, ids)
    batch = _calls(
        parameters,
        accounts[sender],
        made,
        TRANSFER,
        nft_transfer_input(accounts[recipient], ids[items]),
        [keys[items]],
    )
    none = np.zeros((0, 32), np.uint8)
    return Part(batch, [keys[items[first]]], [accounts[sender[first]]], none, none[:, :20], made)


def amm(parameters: Parameters, accounts: Bytes) -> Part:
    """Swaps of 1 to 1,000 units, either way, that all meet at one pool; a share of them is the hot accounts'.

    Raises:
        ArgumentError: fewer than two ordinary accounts, or more than the market's 2^53 units are enough for.
    """
    count, random, made = parameters.transactions, generator(parameters, "amm"), deployment("amm")
    total = MARKET_EACH * len(accounts) + MARKET_RESERVE
    if total > MARKET_MOST:
        most = (MARKET_MOST - MARKET_RESERVE) // MARKET_EACH
        raise ArgumentError("accounts", f"{len(accounts):,}", f"at most {most:,} for the market")
    hot_keys = parameters.hot_keys
    sender = hot_keys + random.integers(0, ordinary_accounts(parameters), count)
    if hot_keys:
        hot = hot_rows(random, count, parameters.hot_share)
        sender = np.where(hot, random.integers(0, hot_keys, count), sender)
    sides = random.integers(0, 2, count, dtype=np.uint8)
    given = random.integers(1, MOST_VALUE + 1, count).astype(np.uint64)
    contract = np.frombuffer(made.address, np.uint8)
    balances = [storage_keys(contract, market_balance_keys(side, accounts)) for side in (0, 1)]
    pool, totals = (
        storage_keys(contract, np.frombuffer(key, np.uint8)[None])
        for key in (MARKET_POOL_KEY, MARKET_TOTALS_KEY)
    )
    shares = storage_keys(contract, market_balance_keys(2, accounts[:1]))
    batch = _calls(
        parameters,
        accounts[sender],
        made,
        SWAP,
        market_swap_input(sides, given, np.zeros(count, np.uint64)),
        [balances[0][sender], balances[1][sender], np.tile(pool, (count, 1))],
    )
    each = market_stored_amounts(np.full((len(accounts), 1), MARKET_EACH, np.uint64))
    single = [
        np.full((1, width), amount, np.uint64)
        for width, amount in ((3, MARKET_RESERVE), (2, total), (1, MARKET_RESERVE))
    ]
    none = np.zeros((0, 32), np.uint8)
    return Part(
        batch,
        [*balances, pool, totals, shares],
        [each, each, *map(market_stored_amounts, single)],
        none,
        none[:, :20],
        made,
    )


def _calls(
    parameters: Parameters,
    senders: Bytes,
    called: Deployment,
    entry: bytes,
    inputs: Bytes,
    stored: list[Bytes],
) -> TransactionBatch:
    """Calls that read and write the entries `stored` besides the sender's account, and read the code's hash."""
    reads = writes = None
    if parameters.declared:
        contract = np.tile(np.frombuffer(called.address, np.uint8), (len(senders), 1))
        written = [account_keys(senders), *stored]
        reads = _listed([Messages.of(rows) for rows in (*written, code_keys(contract))])
        writes = _listed([Messages.of(rows) for rows in written])
    return TransactionBatch.of(
        sender=senders,
        nonce=0,
        to=called.address,
        entry=entry,
        input=inputs,
        gas_limit=CALL_GAS,
        gas_price=parameters.gas_price,
        reads=reads,
        writes=writes,
    )


def _listed(columns: list[Messages]) -> tuple[Indices, Messages]:
    """Lists of keys: of each column the transaction's key, an empty one left out."""
    count = len(columns[0])
    whole = ragged.joined(columns)
    places = np.arange(len(whole), dtype=np.int64).reshape(len(columns), count).T.reshape(-1)
    places = places[ragged.lengths(whole)[places] > 0]
    per_transaction = np.stack([ragged.lengths(column) > 0 for column in columns]).sum(axis=0)
    return ragged.offsets_of(per_transaction), ragged.taken(whole, places)
