# SPDX-License-Identifier: GPL-3.0-or-later
"""What a state begins with, on shards: the same commits as `supervm.engine.engine.Engine` makes, each one a block of all
shards.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from supervm.crypto.messages import Messages
from supervm.engine.state import genesis as rules
from supervm.engine.state.keys import account_keys, code_keys, object_keys
from supervm.engine.transactions.addresses import contract_addresses
from supervm.engine.workloads.workload import Genesis
from supervm.kernels.array_types import Bytes
from supervm.kernels.errors import ArgumentError
from supervm.tiers.shards.coordinator import Coordinator
from supervm.tiers.shards.messages import Entries
from supervm.vm import contracts
from supervm.vm.modules import ModuleCache


def place_genesis(coordinator: Coordinator, genesis: Genesis) -> int:
    """Make a genesis the state of shards that have none, or go on where that was broken off; the height after it.

    Raises:
        ArgumentError: an unknown contract, or entries that cannot be.
        ContractRejected: code that breaks a rule.
    """
    steps: list[tuple[Any, ...]] = [(_deploy, each.contract, each.salt) for each in genesis.deployments]
    if len(genesis.addresses):
        steps.append((credit, genesis.addresses, genesis.balances))
    if len(genesis.object_ids):
        steps.append((_create_objects, genesis.object_ids, genesis.object_owners, genesis.object_kinds))
    if len(genesis.keys):
        steps.append((_preset, genesis.keys, genesis.values))
    for step, *arguments in steps[coordinator.height :]:
        step(coordinator, *arguments)
    return len(steps)


def deploy(coordinator: Coordinator, code: bytes, salt: bytes = bytes(32)) -> bytes:
    """Deploy a contract on all shards; its address, 20 bytes.

    Raises:
        ContractRejected: the code breaks a rule.
    """
    cache = ModuleCache(1)
    try:
        digest = cache.contract(code).info.code_hash
    finally:
        cache.close()
    addresses: Bytes = contract_addresses(_row(salt), _row(digest))
    coordinator.put(_entries(code_keys(addresses), _row(digest)), (code,))
    address: bytes = addresses[0].tobytes()
    return address


def credit(coordinator: Coordinator, addresses: Bytes, balances: Bytes) -> None:
    """Add to the balances of accounts.

    Args:
        addresses: uint8 (k, 20), each once.
        balances: uint8 (k, 32), big-endian.

    Raises:
        ArgumentError: an address that comes twice, or more than 2^256 − 1 in all, which no sum of balances may pass.
    """
    if len(np.unique(addresses, axis=0)) != len(addresses):
        raise ArgumentError("addresses", "an address that comes twice", "each address once")
    total = coordinator.supply() + rules.total(balances)
    if total >= 1 << 256:
        raise ArgumentError("balances", f"{total} in all", "at most 2^256 − 1")
    keys = Messages.of(account_keys(addresses))
    before = coordinator.read(keys)
    accounts = np.zeros((len(keys), rules.ACCOUNT_BYTES), np.uint8)
    accounts[before.present] = before.values.data.reshape(-1, rules.ACCOUNT_BYTES)
    accounts[:, 8:] = _sums(accounts[:, 8:], balances)
    present = np.flatnonzero(accounts.any(axis=1))
    coordinator.put(_entries(account_keys(addresses)[present], accounts[present]))


def _sums(one: Bytes, other: Bytes) -> Bytes:
    """Row by row, big-endian."""
    words = np.ascontiguousarray(one).view(">u4").astype(np.uint64)
    words += np.ascontiguousarray(other).view(">u4").astype(np.uint64)
    for place in range(words.shape[1] - 1, 0, -1):
        words[:, place - 1] += words[:, place] >> np.uint64(32)
    return (words & np.uint64(0xFFFFFFFF)).astype(">u4").view(np.uint8)


def _create_objects(coordinator: Coordinator, ids: Bytes, owners: Bytes, kinds: Bytes) -> None:
    values = np.concatenate([np.asarray(kinds, np.uint8)[:, None], owners], axis=1)
    coordinator.put(_entries(object_keys(ids), values))


def _preset(coordinator: Coordinator, keys: Messages, values: Messages) -> None:
    rules.check_entries(keys, values)
    coordinator.put(Entries(keys, values, np.ones(len(keys), np.bool_)))


def _deploy(coordinator: Coordinator, contract: str, salt: bytes) -> None:
    deploy(coordinator, contracts.load(contract), salt)


def _entries(keys: Bytes, values: Bytes) -> Entries:
    return Entries(Messages.of(keys), Messages.of(values), np.ones(len(keys), np.bool_))


def _row(data: bytes) -> Bytes:
    return np.frombuffer(data, np.uint8).reshape(1, -1)
