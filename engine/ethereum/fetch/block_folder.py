# SPDX-License-Identifier: GPL-3.0-or-later
"""A block from a node, with the state that it runs on, as a folder that `supervm replay` reads.

| file | what |
|---|---|
| `block.json` | the block as the node gave it |
| `pre_state.json` | of each account that it touches: balance, nonce, code with its hash, the slots that it touches |
| `parent.json`, `uncles.json` | headers; the second one where there are uncles |
| `block_hashes.json` | of ancestors, by number, which BLOCKHASH may ask for |
| `nodes.json` | of the tries before the block, where the node proves what it says |
| `chain.json` | chain ID, and the fork by name where it is known |
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from supervm.engine.errors import NodeRefused
from supervm.engine.ethereum.blocks import BLOCK_FILE, EthereumBlock, decode_block
from supervm.engine.ethereum.fetch.accounts import accounts_before
from supervm.engine.ethereum.fetch.answers import HeaderJson, Reader, keccak, shown
from supervm.engine.ethereum.fetch.rpc import Node
from supervm.engine.ethereum.fetch.touched import Touched, Values, touched
from supervm.engine.ethereum.header import check_header
from supervm.engine.ethereum.pre_state import PRE_STATE_FILE
from supervm.engine.files.whole_files import whole_folder
from supervm.kernels.errors import ArgumentError

BLOCK, UNCLE = "eth_getBlockByNumber", "eth_getUncleByBlockNumberAndIndex"

ANCESTORS = 256
"""Blocks whose hash BLOCKHASH tells; the Yellow Paper, appendix H."""

MAINNET = 1
"""Chain ID of the chain whose forks need no name: numbers and times of its blocks say them."""

PARENT_FILE, UNCLES_FILE = "parent.json", "uncles.json"
HASHES_FILE, NODES_FILE, CHAIN_FILE = "block_hashes.json", "nodes.json", "chain.json"


@dataclass(frozen=True)
class Fetched:
    """A block and what it runs on.

    Args:
        block: as the engine reads it.
        files: what stands in the folder, by name.
        touched: what was asked for.
        method: by which the accounts were told.
        accounts, slots, codes, nodes: how many there are.
        notes: what the node could not tell, in words.
    """

    block: EthereumBlock
    files: dict[str, Any]
    touched: Touched
    method: str
    accounts: int
    slots: int
    codes: int
    nodes: int
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Chain:
    """What a node says of its chain: its ID, and the fork whose rules hold, None where blocks or nobody tell."""

    id: int
    fork: str | None


def chain_of(node: Node, fork: str | None = None) -> Chain:
    """Ask a node for its chain.

    Args:
        fork: what is known of it; None to ask, which only nodes for tests answer.

    Raises:
        NodeUnreachable, NodeRefused, NodeAnswerMalformed: see `Node`.
    """
    text = node.ask("eth_chainId", [], str)
    number = Reader(node.name, "eth_chainId").number(text, "result", 64)
    if fork is None and number != MAINNET:
        try:
            info = node.ask("anvil_nodeInfo", [], dict[str, Any])
        except NodeRefused:
            info = {}
        told = info.get("hardFork")
        fork = told.lower() if isinstance(told, str) else None
    return Chain(number, fork)


def latest(node: Node, tag: str = "latest") -> int:
    """The number of the last block, or of that with another of the names that nodes know.

    Raises:
        NodeUnreachable, NodeRefused, NodeAnswerMalformed: see `Node`.
    """
    header = node.ask(BLOCK, [tag, False], HeaderJson)
    return Reader(node.name, BLOCK).number(header.number, "number", 64)


def fetch_block(node: Node, number: int, chain: Chain, *, ancestors: int = ANCESTORS) -> Fetched:
    """Fetch a block and the state before it; a few dozen calls, more where the node has no proofs.

    Args:
        node: that is asked.
        number: of the block, at least 1.
        chain: of the node.
        ancestors: how many blocks' hashes, at most 256; the parent's is always there.

    Raises:
        ArgumentError: number or ancestors out of range.
        NodeUnreachable: no answer.
        NodeRefused: the node does not have the block or the state, or a method.
        NodeAnswerMalformed: an answer that is not what was asked for; the field is named.
    """
    if number < 1:
        raise ArgumentError("number", str(number), "1 or more: the first block runs on no state")
    if not 0 <= ancestors <= ANCESTORS:
        raise ArgumentError("ancestors", str(ancestors), f"0 to {ANCESTORS}")
    block, given = _block(node, number)
    parent, parent_raw = _header(node, number - 1, given["parentHash"])
    found = touched(node, block, given)
    uncles = _uncles(node, block, found)
    root = Reader(node.name, BLOCK).data(parent.state_root, "stateRoot", 32)
    accounts = accounts_before(node, number - 1, root, found)
    files: dict[str, Any] = {
        BLOCK_FILE: given,
        PRE_STATE_FILE: _pre_state(accounts.values),
        PARENT_FILE: parent_raw,
        HASHES_FILE: _hashes(node, parent, number - 1, ancestors),
        CHAIN_FILE: {"chain_id": chain.id} | ({"fork": chain.fork} if chain.fork else {}),
    }
    if uncles:
        files[UNCLES_FILE] = uncles
    if accounts.nodes:
        files[NODES_FILE] = [shown(data) for data in accounts.nodes.values()]
    notes = list(accounts.notes)
    if not found.complete:
        notes.append(
            f"{found.method} names what each transaction touches by itself: something may be lacking"
        )
    return Fetched(
        block,
        files,
        found,
        accounts.method,
        len(accounts.values),
        sum(len(each.storage) for each in accounts.values.values()),
        len({each.code for each in accounts.values.values()} - {b""}),
        len(accounts.nodes),
        tuple(notes),
    )


def write_block(folder: Path, fetched: Fetched) -> Path:
    """Write a block's folder, whole or not at all.

    Args:
        folder: nothing, or an empty folder, is there.

    Raises:
        OSError: it cannot be written, or something is there.
    """
    with whole_folder(folder) as unfinished:
        for name, content in fetched.files.items():
            (unfinished / name).write_bytes(msgspec.json.encode(content))
    return folder


def _block(node: Node, number: int) -> tuple[EthereumBlock, dict[str, Any]]:
    """A block, whose header must have the hash that it states, and what the node gave."""
    raw = node.raw([(BLOCK, [hex(number), True])])[0]
    read = Reader(node.name, BLOCK)
    if raw == b"null":
        raise read.wrong("result", "null", f"block {number}: the node does not have it")
    with node.told_of(BLOCK):
        block = decode_block(raw, Path(BLOCK))
    if block.number != number:
        raise read.wrong("number", str(block.number), str(number))
    for claim in check_header(block.header, block.hash.tobytes()):
        if claim.ok is False:
            raise read.wrong(
                claim.field, shown(claim.stated), f"{shown(claim.found or b'')}, as its fields give"
            )
    given: dict[str, Any] = msgspec.json.decode(raw)
    return block, given


def _header(node: Node, number: int, expected: str) -> tuple[HeaderJson, dict[str, Any]]:
    raw = node.raw([(BLOCK, [hex(number), False])])[0]
    header = node.decode(BLOCK, raw, HeaderJson)
    if header.hash.lower() != expected.lower():
        raise Reader(node.name, BLOCK).wrong(
            "hash", header.hash, f"{expected}, the parent of block {number + 1}"
        )
    given: dict[str, Any] = msgspec.json.decode(raw)
    return header, given


def _hashes(node: Node, parent: HeaderJson, number: int, count: int) -> dict[str, str]:
    """Hashes of a block's parent and of its ancestors, each of which names its parent."""
    known = {number: parent.hash}
    if number:
        known[number - 1] = parent.parent_hash
    read = Reader(node.name, BLOCK)
    wanted = range(number - 1, max(0, number + 1 - count), -1)
    headers = node.ask_all([(BLOCK, [hex(each), False]) for each in wanted], HeaderJson)
    for each, header in zip(wanted, headers, strict=True):
        if header.hash.lower() != known[each].lower():
            raise read.wrong("hash", header.hash, f"{known[each]}, the parent of block {each + 1}")
        known[each - 1] = header.parent_hash
    first = number + 1 - max(1, count)
    for each, text in known.items():
        read.data(text, f"hash of block {each}", 32)
    return {str(each): text for each, text in known.items() if each >= first}


def _uncles(node: Node, block: EthereumBlock, found: Touched) -> list[dict[str, Any]]:
    """Headers of a block's uncles, whose miners it pays."""
    count = block.header.uncles or 0
    read = Reader(node.name, UNCLE)
    calls = [(UNCLE, [hex(block.number), hex(at)]) for at in range(count)]
    uncles = node.ask_all(calls, dict[str, Any])
    for at, uncle in enumerate(uncles):
        miner = uncle.get("miner")
        if not isinstance(miner, str):
            raise read.wrong(f"[{at}].miner", repr(miner), "an address")
        found.slots[read.data(miner, f"[{at}].miner", 20)] |= set()
    return uncles


def _pre_state(values: dict[bytes, Values]) -> dict[str, Any]:
    """Accounts as files of pre-states have them."""
    codes = sorted({account.code for account in values.values()} - {b""})
    hashes = dict(zip(codes, map(shown, keccak(codes)), strict=True))
    state = {}
    for address in sorted(values):
        account = values[address]
        fields: dict[str, Any] = {"balance": hex(account.balance), "nonce": account.nonce}
        if account.code:
            fields |= {"code_hash": hashes[account.code], "code": shown(account.code)}
        fields["storage"] = {hex(slot): hex(value) for slot, value in sorted(account.storage.items())}
        state[shown(address)] = fields
    return state
