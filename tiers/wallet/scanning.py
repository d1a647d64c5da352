# SPDX-License-Identifier: GPL-3.0-or-later
"""A wallet follows a pool: it asks a node for the receipts of every block, finds its notes, and checks the tree by a proof.

A node that is asked may lie. What it says is kept only as far as it is one chain, and at the end Merkle proofs must show,
against a root that the caller trusts or that the node states, that the state has the same note tree, and that a pool stands
at the address.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from supervm.crypto import notes
from supervm.crypto.note_encryption import Found, scan
from supervm.crypto.params.notes import TREE_DEPTH
from supervm.crypto.shielded_keys import ViewKey
from supervm.crypto.sparse_merkle import HASHES, verify_proof
from supervm.engine.blocks.pool_events import NewNotes, new_notes
from supervm.engine.blocks.receipts import Receipts
from supervm.engine.state.keys import CODE, STORAGE
from supervm.engine.state.pools import rules_hash
from supervm.kernels.array_types import Bytes, Words
from supervm.kernels.arrays import number_words
from supervm.kernels.errors import ArgumentError
from supervm.tiers.node.errors import ProofRefused, UpstreamFailed, WalletError
from supervm.tiers.service.v1 import node_pb2 as pb
from supervm.tiers.wallet.note_store import NoteStore, Pool, PoolBlocks, Position
from supervm.tiers.wallet.note_tree import root_of_frontier

AT_ONCE_NOTES, AT_ONCE_BLOCKS = 1 << 15, 1_000
"""What is scanned and kept together."""

ATTEMPTS = 5
"""How often a scan begins again where the chain turned meanwhile."""

_COUNT_BYTES, _ROW_BYTES = 8, 32
_TREE_BYTES = 2 * _COUNT_BYTES + TREE_DEPTH * _ROW_BYTES


class Node(Protocol):
    """What is asked of an upstream; `Upstream` is one."""

    address: str

    def get_status(self) -> pb.NodeStatus: ...

    def get_proof(self, key: bytes) -> pb.GetProofReply: ...

    def call(self, method: str, request: Any) -> Any: ...


@dataclass(frozen=True)
class Scanned:
    """What a scan came to.

    Args:
        position: where the wallet is.
        blocks, leaves: that were scanned.
        found: own notes among them.
        rolled_back: blocks that the wallet had to forget, since the chain turned.
    """

    position: Position
    blocks: int
    leaves: int
    found: int
    rolled_back: int


@dataclass(eq=False)
class _Count:
    blocks: int = 0
    leaves: int = 0
    found: int = 0
    rolled_back: int = 0


@dataclass(eq=False)
class _Gathered:
    """Blocks that are to be scanned together, which follow `first − 1`."""

    first: int
    hashes: list[bytes] = field(default_factory=list)
    events: list[NewNotes] = field(default_factory=list)

    @property
    def leaves(self) -> int:
        return sum(map(len, self.events))

    def blocks(self) -> PoolBlocks:
        """All of them in columns."""
        offsets = np.cumsum([0, *map(len, self.events)], dtype=np.int64)
        columns = (
            np.concatenate([getattr(each, name) for each in self.events])
            for name in ("commitments", "nullifiers", "notes")
        )
        return PoolBlocks(self.first, self.hashes, offsets, *columns)


class _Turned(Exception):
    """The chain is another one than a moment ago."""


class _Unfitting(Exception):
    """What a block did to the pool does not continue the tree that the wallet has; the argument is the block's number."""


def start_following(
    store: NoteStore, upstream: Node, address: bytes, chain_id: int, *, root: bytes | None = None
) -> Pool:
    """Have a wallet follow the pool at an address, once it is proved to be one; the pool.

    Args:
        root: as for `follow`.

    Raises:
        WalletError: there is no pool, or the wallet follows another one.
        ProofRefused: a proof shows something else, or the upstream is at another root than the trusted one.
        UpstreamFailed: no answer.
    """
    _require_root(root)
    genesis = upstream.get_status().genesis_hash
    request = pb.GetStorageRequest(contract=address, key=b"unit")
    stated = upstream.call("GetStorage", request)
    unit = int.from_bytes(stated.value) if stated.HasField("value") and len(stated.value) == 8 else 0
    if not unit:
        raise WalletError(f"no shielded pool stands at {address.hex()} of the chain of {upstream.address}")
    pool = Pool(chain_id, address, unit, genesis)
    _require_pool(pool, upstream, root)
    store.follow(pool)
    return pool


def follow(
    store: NoteStore,
    view_key: ViewKey,
    upstream: Node,
    *,
    root: bytes | None = None,
    again: bool = False,
    tell: Callable[[float], None] = lambda part: None,
) -> Scanned:
    """Scan all blocks behind those that the wallet has; then have its tree proved, and that it is a pool's.

    Args:
        root: the state root of the upstream's last block, if the caller has it from where it trusts it; 32 bytes.
        again: forget everything that was scanned, and begin with the first block. A node that gave a leaf to another block
            than its own is not found out before a turn between the two, and then no scan goes on from there. Keys, the
            pool and payments are kept; those that were in blocks count as sent.
        tell: told how far it is, 0 … 1.

    Raises:
        WalletError: the wallet follows no pool, or what is proved to be none, is ahead of the upstream, or the receipts do
            not fit the pool.
        ProofRefused: the tree is not the one that the state has, or a proof shows something else. The wallet goes back to
            the last block that was proved. Or the upstream is at another root than the trusted one.
        UpstreamFailed: no answer. What was scanned is kept, and counts once a later scan has proved it.
    """
    pool = store.pool()
    if pool is None:
        raise WalletError("the wallet follows no pool; name it once: --pool ADDRESS")
    _require_root(root)
    count = _Count()
    if again:
        _forget(store, pool, upstream, count)
    before = store.position().number
    for _ in range(ATTEMPTS):
        try:
            before = min(before, _agree(store, pool, upstream, count))
            number = _advance(store, pool, view_key, upstream, count, tell)
            if _check(store, pool, upstream, root, number, before):
                store.note_proved(number)
                return Scanned(store.position(), count.blocks, count.leaves, count.found, count.rolled_back)
        except _Turned:
            continue
        except _Unfitting as error:
            _go_back(store, upstream, error.args[0], before)
        before = min(before, store.position().number)
    raise WalletError(f"the chain of {upstream.address} turned {ATTEMPTS} times during the scan; scan again")


def _forget(store: NoteStore, pool: Pool, upstream: Node, count: _Count) -> None:
    """Forget all blocks, unless the upstream does not have the first one's receipts any more."""
    if _height(pool, upstream):
        _receipts(upstream, pool, 1)
    count.rolled_back += store.position().number
    store.roll_back(0)


def _agree(store: NoteStore, pool: Pool, upstream: Node, count: _Count) -> int:
    """Go back to the last block that both have; its number."""
    height, here = _height(pool, upstream), store.position()
    if height < store.oldest():
        raise _behind(upstream, height, here.number)
    number = min(here.number, height)
    while number and store.hash_of(number) != _block(upstream, number).hash:
        number = number - 1 if number > store.oldest() else 0
    if number == height < here.number:
        raise _behind(upstream, height, here.number)
    if number < here.number:
        store.roll_back(number)
        count.rolled_back += here.number - number
    return number


def _height(pool: Pool, upstream: Node) -> int:
    """The number of the upstream's last block, if it is of the pool's chain."""
    status = upstream.get_status()
    if status.genesis_hash != pool.genesis:
        raise WalletError(
            f"{upstream.address} is of a chain whose genesis is {status.genesis_hash.hex()}, the wallet's is "
            f"{pool.genesis.hex()}"
        )
    return status.number


def _behind(upstream: Node, number: int, here: int) -> WalletError:
    return WalletError(
        f"{upstream.address} is at block {number}, the wallet at {here}; wait until it has caught up"
    )


def _advance(
    store: NoteStore,
    pool: Pool,
    view_key: ViewKey,
    upstream: Node,
    count: _Count,
    tell: Callable[[float], None],
) -> int:
    """Scan up to the upstream's last block; its number."""
    here, last = store.position(), upstream.get_status().number
    begun, hash, size = here.number, here.hash, here.size
    gathered = _Gathered(here.number + 1)
    for number in range(here.number + 1, last + 1):
        block = _block(upstream, number)
        if number > 1 and block.parent != hash:
            raise _Turned
        events = _events(upstream, pool, block, size)
        gathered.hashes.append(block.hash)
        gathered.events.append(events)
        hash, size = block.hash, size + len(events)
        full = gathered.leaves >= AT_ONCE_NOTES or len(gathered.hashes) >= AT_ONCE_BLOCKS
        if full or number == last:
            _keep(store, pool, view_key, gathered.blocks(), count)
            gathered = _Gathered(number + 1)
            tell((number - begun) / (last - begun))
    return last


def _keep(store: NoteStore, pool: Pool, view_key: ViewKey, blocks: PoolBlocks, count: _Count) -> None:
    """Find the wallet's notes in blocks, and keep all of it."""
    own = notes.pool_id(pool.chain_id, pool.address)
    found = _with_value(scan(view_key, own, blocks.leaves, blocks.encrypted))
    places = store.position().size + found.rows
    keys = np.repeat(number_words(view_key.nullifier_key, 4)[None], len(found), axis=0)
    leaves = np.ascontiguousarray(blocks.leaves[found.rows][:, ::-1]).view("<u8").astype(np.uint64)
    nullifiers = notes.nullifiers(keys, own, places, leaves)
    store.extend(blocks, found, _big_endian(nullifiers))
    count.blocks += len(blocks.hashes)
    count.leaves += len(blocks.leaves)
    count.found += len(found)


def _with_value(found: Found) -> Found:
    """Without what fills up own transactions."""
    kept = found.amounts > 0
    memos = [memo for memo, good in zip(found.memos, kept, strict=True) if good]
    return Found(found.rows[kept], found.amounts[kept], found.blindings[kept], memos)


def _check(
    store: NoteStore, pool: Pool, upstream: Node, root: bytes | None, number: int, before: int
) -> bool:
    """Whether the tree is proved to be the state's; False if there is more to scan: the upstream has gone on, or what an
    earlier scan left without a proof, from behind block `before` on, is to be asked for again."""
    key = bytes([STORAGE]) + pool.address + b"tree"
    reply = upstream.get_proof(key)
    if reply.number != number:
        return False
    shown, value = _shown(reply, key, root)
    position = store.position()
    if not shown or value is None or not _same_tree(store, position, value):
        _go_back(store, upstream, number, before)
        return False
    _require_pool(pool, upstream, root)
    return True


def _go_back(store: NoteStore, upstream: Node, number: int, before: int) -> None:
    """Go back to the last block that was proved: what was told of those behind it, up to block `number`, is not so.

    Raises:
        ProofRefused: this upstream told all of it; else what an earlier scan left, up to block `before`, is asked for again.
    """
    proved = store.proved()
    store.roll_back(proved if store.hash_of(proved) is not None else 0)
    if before <= proved:
        raise ProofRefused(
            f"the receipts that the upstream {upstream.address} gave do not make up the note tree of block {number}, or its "
            "proof does not show it; do not trust it. If others are refused too, an earlier one lied about a block: "
            "`supervm wallet scan --again` forgets what was scanned, and begins with the first block"
        )


def _require_pool(pool: Pool, upstream: Node, root: bytes | None) -> None:
    """Have it proved that the pool is one. A contract may store a unit and a tree, but it has another hash of its code."""
    key = bytes([CODE]) + pool.address
    reply = upstream.get_proof(key)
    shown, value = _shown(reply, key, root)
    if not shown:
        raise ProofRefused(
            f"the proof of block {reply.number} does not show what the upstream {upstream.address} says stands at "
            f"{pool.address.hex()}; do not trust it"
        )
    if value != rules_hash(pool.unit):
        raise WalletError(
            f"no shielded pool of unit {pool.unit} stands at {pool.address.hex()} of the chain of {upstream.address}, but "
            f"{'nothing' if value is None else 'a contract, or a pool of another unit'}: block {reply.number} proves it"
        )


def _require_root(root: bytes | None) -> None:
    if root is not None and len(root) != 32:
        raise ArgumentError("root", f"{len(root)} bytes", "32 bytes")


def _shown(reply: pb.GetProofReply, key: bytes, root: bytes | None) -> tuple[bool, bytes | None]:
    """Whether a proof shows the value of a key, and the value. Raises: ProofRefused: it is not under the trusted root."""
    if root is not None and reply.state_root != root:
        raise ProofRefused(
            f"the upstream is at block {reply.number} with root {reply.state_root.hex()}, not at the trusted {root.hex()}; "
            "take the root of that block from where you trust it"
        )
    value = reply.value if reply.HasField("value") else None
    known = reply.hash_function in HASHES and len(reply.state_root) == 32
    return known and verify_proof(reply.state_root, key, value, reply.proof, hash=reply.hash_function), value


def _same_tree(store: NoteStore, position: Position, value: bytes) -> bool:
    """Whether the stored tree is the one that the state has."""
    if len(value) != _TREE_BYTES:
        return False
    size = int.from_bytes(value[:_COUNT_BYTES])
    rows = np.frombuffer(value[2 * _COUNT_BYTES :], np.uint8).reshape(TREE_DEPTH, _ROW_BYTES)[:, ::-1]
    frontier = np.ascontiguousarray(rows).view("<u8").astype(np.uint64)
    return size == position.size and np.array_equal(root_of_frontier(size, frontier), store.root())


def _block(upstream: Node, number: int) -> pb.BlockInfo:
    block: pb.BlockInfo = upstream.call("GetBlock", pb.GetBlockRequest(number=number))
    if block.number != number or len(block.hash) != 32:
        raise UpstreamFailed(
            upstream.address, "GetBlock", "INTERNAL", f"an answer that is not block {number}"
        )
    return block


def _events(upstream: Node, pool: Pool, block: pb.BlockInfo, size: int) -> NewNotes:
    """What a block did to the pool, whose tree had `size` leaves before.

    Raises:
        _Turned: they do not continue the tree, since they are of another branch.
        _Unfitting: they do not continue it.
    """
    found = _receipts(upstream, pool, block.number)
    if np.array_equal(found.indices, np.arange(size, size + len(found), dtype=np.uint64)):
        return found
    if _block(upstream, block.number).hash != block.hash:
        raise _Turned
    raise _Unfitting(block.number)


def _receipts(upstream: Node, pool: Pool, number: int) -> NewNotes:
    reply = upstream.call("GetReceipts", pb.GetReceiptsRequest(number=number))
    try:
        return new_notes(Receipts.from_bytes(reply.receipts), pool.address)
    except ArgumentError as error:
        raise UpstreamFailed(
            upstream.address, "GetReceipts", "INTERNAL", f"block {number}: {error}"
        ) from None


def _big_endian(words: Words) -> Bytes:
    """Elements as rows of bytes, uint8 (n, 32)."""
    return np.ascontiguousarray(np.ascontiguousarray(words, "<u8").view(np.uint8)[:, ::-1])
