# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks in files, format 1; a message of a stream is such a file, whole. Integers are little-endian.

| bytes | what |
|---|---|
| 8 | `SVMBLCK` and the format's number, `01` |
| 8 | number, from 1 |
| 32 | hash of the parent: the block before, or the genesis file |
| 8 | timestamp, seconds, not below the parent's |
| 8 | number of transactions, n |
| 8 (n + 1) | offsets of the transactions, from 0 |
| offsets[n] | transactions in their canonical encoding |
| 32 | SHA-256 of everything before: the hash of the block |

Block 17 lies in `000000000017.block`, beside `genesis.work`, a workload file (`supervm.engine.workloads.files`) of which
only the genesis counts and whose last 32 bytes are its hash.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from supervm.crypto.messages import Messages
from supervm.engine.files.whole_files import write_whole
from supervm.engine.transactions.batch import TransactionBatch
from supervm.engine.transactions.encoding import decode, encode
from supervm.tiers.node.errors import BlockRefused, BlockTooLarge

FORMAT = 1
MOST_BYTES = 1 << 30
"""Bytes of a block file: who writes one and who reads one refuses a larger one, and no message with one is refused below."""

GENESIS_FILE = "genesis.work"
SUFFIX = ".block"

_MAGIC = b"SVMBLCK" + bytes([FORMAT])
_HEAD = np.dtype(
    [("magic", "S8"), ("number", "<u8"), ("parent", "V32"), ("timestamp", "<u8"), ("count", "<u8")]
)
_DIGEST_BYTES = 32


@dataclass(frozen=True, eq=False)
class Block:
    """A block.

    Args:
        number: from 1.
        parent: hash of the block before, or of the genesis; 32 bytes.
        timestamp: seconds, below 2^63.
        transactions: in their order.
        hash: 32 bytes.
    """

    number: int
    parent: bytes
    timestamp: int
    transactions: TransactionBatch
    hash: bytes


def file_name(number: int) -> str:
    """The name of a block's file."""
    return f"{number:012d}{SUFFIX}"


def block_bytes(transactions: int, encoded: int) -> int:
    """Bytes of a block file of so many transactions whose encodings have so many bytes together."""
    return _HEAD.itemsize + 8 * (transactions + 1) + encoded + _DIGEST_BYTES


def pack_block(number: int, parent: bytes, timestamp: int, encoded: Messages) -> bytes:
    """A block file.

    Args:
        number, parent, timestamp: as in `Block`.
        encoded: the transactions in their canonical encoding.

    Raises:
        BlockTooLarge: it would have more bytes than anybody reads.
    """
    first, last = int(encoded.offsets[0]), int(encoded.offsets[-1])
    size = block_bytes(len(encoded), last - first)
    if size > MOST_BYTES:
        raise BlockTooLarge("a new block", number, size, MOST_BYTES)
    head = np.zeros(1, _HEAD)
    head[0] = (_MAGIC, number, np.void(parent), timestamp, len(encoded))
    offsets = (encoded.offsets - first).astype("<u8")
    body: bytes = head.tobytes() + offsets.tobytes() + np.asarray(encoded.data[first:last]).tobytes()
    return body + hashlib.sha256(body).digest()


def unpack_block(data: bytes | memoryview, source: str) -> Block:
    """Read a block file.

    Args:
        data: its bytes; the block does not refer to them.
        source: where they came from, for messages.

    Raises:
        BlockRefused: they are no whole and unharmed file of this format; the transaction to blame is named.
    """
    if len(data) > MOST_BYTES:
        raise BlockTooLarge(source, None, len(data), MOST_BYTES)
    if len(data) < _HEAD.itemsize + 8 + _DIGEST_BYTES or data[:8] != _MAGIC:
        found = f"{len(data):,} bytes that begin with {bytes(data[:8])!r}"
        raise BlockRefused(source, None, found, f"a block, which begins with {_MAGIC!r}")
    head = np.frombuffer(data, _HEAD, 1)[0]
    number, timestamp, count = int(head["number"]), int(head["timestamp"]), int(head["count"])
    body = memoryview(data)[:-_DIGEST_BYTES]
    digest = hashlib.sha256(body).digest()
    if digest != data[-_DIGEST_BYTES:]:
        raise BlockRefused(
            source, number, "another content than was written", "the digest in the last 32 bytes"
        )
    start = _HEAD.itemsize + 8 * (count + 1)
    if start > len(body):
        raise BlockRefused(source, number, f"{count:,} transactions", "as many as the file holds")
    offsets = np.frombuffer(data, "<i8", count + 1, _HEAD.itemsize).astype(np.int64)
    if offsets[0] != 0 or offsets[-1] != len(body) - start or (offsets[1:] < offsets[:-1]).any():
        expected = f"offsets that ascend from 0 to {len(body) - start}"
        raise BlockRefused(source, number, f"offsets from {offsets[0]} to {offsets[-1]}", expected)
    if timestamp >= 1 << 63:
        raise BlockRefused(source, number, f"timestamp {timestamp}", "below 2^63")
    rows = np.frombuffer(data, np.uint8, len(body) - start, start)
    transactions, faults = decode(Messages(rows, offsets))
    if faults:
        words = faults.words(int(faults.rows[0])).replace("message", "transaction")
        raise BlockRefused(source, number, words, "a transaction's encoding")
    return Block(number, head["parent"].tobytes(), timestamp, transactions, digest)


class BlockReader:
    """Reads block files one after the other through one buffer: nothing of a block refers to the bytes that it came from."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def read(self, path: Path) -> Block:
        """Read a block from a file. Errors as `unpack_block`, and OSError."""
        # A pipe would keep who opens it waiting for ever.
        if not stat.S_ISREG(path.stat().st_mode):
            raise BlockRefused(str(path), None, "something that is no file", "a block file")
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if size > MOST_BYTES:
                raise BlockTooLarge(str(path), None, size, MOST_BYTES)
            if len(self._buffer) < size:
                self._buffer = bytearray(size)
            whole, read = memoryview(self._buffer), 0
            while read < size and (more := file.readinto(whole[read:size])):
                read += more
        return unpack_block(whole[:read], str(path))


def write_block(folder: Path, number: int, data: bytes) -> Path:
    """Put a block file into a directory under its name, at once as a whole and safe from a power loss."""
    return write_whole(folder / file_name(number), data)


def chain_of(
    blocks: Iterator[TransactionBatch], genesis_hash: bytes, first_timestamp: int = 1
) -> Iterator[bytes]:
    """Block files of batches, one second apart, each the child of the one before."""
    parent = genesis_hash
    for place, batch in enumerate(blocks):
        data = pack_block(place + 1, parent, first_timestamp + place, encode(batch))
        parent = data[-_DIGEST_BYTES:]
        yield data


def genesis_hash_of(path: Path) -> bytes:
    """The hash of a genesis file, which `read_workload` has checked: its last 32 bytes."""
    return path.read_bytes()[-_DIGEST_BYTES:]
