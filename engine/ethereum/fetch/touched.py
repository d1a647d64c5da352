# SPDX-License-Identifier: GPL-3.0-or-later
"""Which accounts and slots a block touches, as a node can tell.

The prestate tracer names all of them but those of the block itself: its miner, withdrawals and system contracts, which are
added here. A node without the tracer makes access lists: of each transaction alone, on the state before the block. What
an earlier transaction of the block leads a later one to is not in them, so they may be too few; a replay then names what
it lacks.

Sources: EIP-4788, EIP-2935, EIP-7002, EIP-7251 (the system contracts' addresses and storage).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from supervm.engine.errors import NodeRefused
from supervm.engine.ethereum.blocks import EthereumBlock
from supervm.engine.ethereum.fetch.answers import (
    AccessListJson,
    ChangeTraceJson,
    Reader,
    TracedAccountJson,
    TraceJson,
    keccak,
)
from supervm.engine.ethereum.fetch.rpc import Node
from supervm.engine.ethereum.rlp import encoded_list, shortest
from supervm.engine.ethereum.senders import recover_senders
from supervm.engine.ethereum.transactions import Integer

TRACE, ACCESS_LIST = "debug_traceBlockByNumber", "eth_createAccessList"
"""Methods that tell what is touched."""

BEACON_ROOTS = bytes.fromhex("000f3df6d732807ef1319fb7b8bb8522d0beac02")
BEACON_ROOTS_RING = 8191
HISTORY = bytes.fromhex("0000f90827f1c53a10cb7a02335b175320002935")
HISTORY_RING = 8191
QUEUES = {
    bytes.fromhex("00000961ef480eb55e80d19ad83579a64c007002"): (16, 3),
    bytes.fromhex("0000bbddc7ce488642fb579f8b00f3a590007251"): (2, 4),
}
"""Contracts of requests: how many of them leave the queue in a block, and slots of each; EIP-7002 and EIP-7251."""

QUEUE_HEAD, QUEUE_FIRST = 2, 4
"""Slots of the queue's head, and of its first request; below are excess, count, head and tail."""


@dataclass
class Values:
    """An account before the block, as the tracer tells."""

    balance: int = 0
    nonce: int = 0
    code: bytes = b""
    storage: dict[int, int] = field(default_factory=dict)


@dataclass
class Touched:
    """What a block touches.

    Args:
        slots: of each account, by its address.
        values: before the block, where the tracer told; None without it.
        codes: that the tracer showed, by their Keccak-256.
        method: that told.
    """

    slots: dict[bytes, set[int]] = field(default_factory=lambda: defaultdict(set))
    values: dict[bytes, Values] | None = None
    codes: dict[bytes, bytes] = field(default_factory=dict)
    method: str = TRACE

    @property
    def complete(self) -> bool:
        """Whether it is everything."""
        return self.method == TRACE


def touched(node: Node, block: EthereumBlock, given: dict[str, Any]) -> Touched:
    """Ask a node what a block touches.

    Args:
        node: that is asked.
        block: which.
        given: the same as the node gave it.

    Raises:
        NodeUnreachable, NodeRefused, NodeAnswerMalformed: the node does not tell; it has neither method, for example.
    """
    try:
        found = _traced(node, block)
    except NodeRefused as refused:
        try:
            found = _listed(node, block, given["transactions"])
        except NodeRefused as second:
            both = f"{TRACE} and {ACCESS_LIST} are refused: '{refused.message}', '{second.message}'"
            raise NodeRefused(
                node.name, TRACE, refused.code, both, "a node with one of them, and the state, is needed"
            ) from None
    _add_known(found, block)
    _add(found, (bytes.fromhex(row["address"][2:]) for row in given.get("withdrawals") or ()))
    return found


def _traced(node: Node, block: EthereumBlock) -> Touched:
    read = Reader(node.name, TRACE)
    # Accounts that were empty are wanted too: geth leaves them out unless it is told otherwise.
    asked = {"tracer": "prestateTracer", "tracerConfig": {"includeEmpty": True}}
    traces = node.ask(TRACE, [hex(block.number), asked], list[TraceJson])
    if len(traces) != len(block.transactions):
        found, expected = f"{len(traces)} traces", f"{len(block.transactions)}, one a transaction"
        raise read.wrong("", found, expected)
    changes = _changes(node, block)
    found_values: dict[bytes, Values] = {}
    codes: set[bytes] = set()
    made = _created(block)
    for at, trace in enumerate(traces):
        if trace.result is None:
            raise read.wrong(
                f"[{at}].result", trace.error or "nothing", "the accounts before the transaction"
            )
        for name, account in trace.result.items():
            address = read.data(name, f"[{at}].result", 20)
            seen = _values(read, f"[{at}].result.{name}", account)
            codes.add(seen.code)
            known = found_values.setdefault(address, seen)
            for slot, value in seen.storage.items():
                known.storage.setdefault(slot, value)
        own = made[at]
        new = {own} if own else set()
        if at < len(changes) and (result := changes[at].result):
            new |= {read.data(name, f"[{at}].result.post", 20) for name in set(result.post) - set(result.pre)}
        for each in new:  # it was nothing before, whatever a later transaction finds there
            found_values.setdefault(each, Values())
    kept = sorted(codes - {b""})
    slots: dict[bytes, set[int]] = defaultdict(set)
    slots.update({address: set(values.storage) for address, values in found_values.items()})
    return Touched(slots, found_values, dict(zip(keccak(kept), kept, strict=True)))


def _changes(node: Node, block: EthereumBlock) -> list[ChangeTraceJson]:
    """What each transaction changed; nothing where the node does not tell."""
    asked = {"tracer": "prestateTracer", "tracerConfig": {"diffMode": True}}
    try:
        return node.ask(TRACE, [hex(block.number), asked], list[ChangeTraceJson])
    except NodeRefused:
        return []


def _values(read: Reader, place: str, account: TracedAccountJson) -> Values:
    nonce = account.nonce
    return Values(
        read.number(account.balance or "0x0", f"{place}.balance"),
        nonce if isinstance(nonce, int) else read.number(nonce, f"{place}.nonce", 64),
        read.data(account.code, f"{place}.code"),
        {
            read.number(slot, f"{place}.storage"): read.number(value, f"{place}.storage.{slot}")
            for slot, value in account.storage.items()
        },
    )


def _created(block: EthereumBlock) -> list[bytes | None]:
    """Of each transaction the address that it creates, None where it has a recipient; the Yellow Paper, equation 88."""
    batch = block.transactions
    nonces = [int.from_bytes(row.tobytes()) for row in batch.words(Integer.NONCE)]
    named = [
        encoded_list([sender.tobytes(), shortest(nonce)])
        for sender, nonce in zip(batch.claimed_sender, nonces, strict=True)
    ]
    return [
        None if has_to else digest[12:] for has_to, digest in zip(batch.has_to, keccak(named), strict=True)
    ]


def _listed(node: Node, block: EthereumBlock, calls: list[dict[str, Any]]) -> Touched:
    read = Reader(node.name, ACCESS_LIST)
    wanted = ("from", "to", "gas", "value", "input", "accessList")
    asked = [{name: call[name] for name in wanted if call.get(name) is not None} for call in calls]
    before = hex(block.number - 1)
    answers = node.ask_all([(ACCESS_LIST, [call, before]) for call in asked], AccessListJson)
    found = Touched(method=ACCESS_LIST)
    for at, answer in enumerate(answers):
        for number, entry in enumerate(answer.access_list):
            place = f"[{at}].accessList[{number}]"
            address = read.data(entry.address, f"{place}.address", 20)
            found.slots[address] |= {read.number(key, f"{place}.storageKeys") for key in entry.storage_keys}
    _add(found, (made for made in _created(block) if made))
    return found


def _add_known(found: Touched, block: EthereumBlock) -> None:
    """What the block names itself, and what its system calls touch."""
    batch = block.transactions
    _add(found, [block.miner.tobytes()])
    _add(found, (row.tobytes() for row in batch.claimed_sender))
    _add(found, (row.tobytes() for row in batch.to[batch.has_to]))
    lists = batch.access_lists
    for number, row in enumerate(lists.addresses):
        keys = lists.keys[lists.key_offsets[number] : lists.key_offsets[number + 1]]
        found.slots[row.tobytes()] |= {int.from_bytes(key.tobytes()) for key in keys}
    if len(batch.authorizations.addresses):
        _add(found, (row.tobytes() for row in batch.authorizations.addresses))
        recovered = recover_senders([block]).blocks[0]
        _add(found, (row.tobytes() for row in recovered.authorities[recovered.authority_found]))
    header = block.header.fields
    if "parentBeaconBlockRoot" in header:
        place = int.from_bytes(header["timestamp"]) % BEACON_ROOTS_RING
        found.slots[BEACON_ROOTS] |= {place, place + BEACON_ROOTS_RING}
    if "requestsHash" in header:
        found.slots[HISTORY] |= {(block.number - 1) % HISTORY_RING}
        for address in QUEUES:
            found.slots[address] |= set(range(QUEUE_FIRST))


def _add(found: Touched, addresses: Iterable[bytes]) -> None:
    for address in addresses:
        found.slots[address] |= set()


def queued(storage: dict[bytes, dict[int, int]]) -> dict[bytes, set[int]]:
    """Slots of the requests that may leave their queue in a block, by contract, from its first slots."""
    wanted = {}
    for address, (most, size) in QUEUES.items():
        known = storage.get(address, {})
        head, tail = known.get(QUEUE_HEAD, 0), known.get(QUEUE_HEAD + 1, 0)
        leaving = range(head, min(tail, head + most))
        wanted[address] = {QUEUE_FIRST + size * request + at for request in leaving for at in range(size)}
    return {address: slots for address, slots in wanted.items() if slots}
