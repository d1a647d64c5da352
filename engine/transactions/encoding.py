# SPDX-License-Identifier: GPL-3.0-or-later
"""The canonical encoding of transactions, version 1 (docs/execution-rules.md, "Transactions"), and its hashes.

Every field has one form only, so equal transactions have equal encodings and the other way round. Sizes are added up in
columns first; then compiled code writes, or reads, each byte once, and slices of a batch at a time where
`supervm.kernels.set_threads` allows several.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervm.crypto import hashes
from supervm.crypto.messages import Messages, MessagesLike
from supervm.engine.arrays import ragged
from supervm.engine.transactions import kernels
from supervm.engine.transactions.batch import FIXED, TransactionBatch, trusted
from supervm.kernels.array_types import Bytes, Offsets
from supervm.kernels.arrays import borrow
from supervm.kernels.cuda.runtime.arrays import DeviceArray
from supervm.kernels.threads import run_slices

SIGNING_TAG = b"supervm/transaction/1"
"""What the signed bytes begin with, so that no signature over another protocol's bytes fits."""

PROOF_TAG = b"supervm/proof/1"
"""What the bytes begin with that a proof is bound to."""

_GRAIN = 4_096
"""Transactions that a thread takes at a time."""

_NO_TAG = np.zeros(0, np.uint8)
_TAG = np.frombuffer(bytearray(SIGNING_TAG), np.uint8)
_PROOF_TAG = np.frombuffer(bytearray(PROOF_TAG), np.uint8)


class EncodingFault(IntEnum):
    """Why bytes are no encoding of a transaction."""

    NONE = 0
    VERSION = kernels.VERSION_FAULT
    FLAGS = kernels.FLAGS_FAULT
    TRUNCATED = kernels.TRUNCATED
    TRAILING = kernels.TRAILING


_FAULT_WORDS = {
    EncodingFault.VERSION: "another version than 1",
    EncodingFault.FLAGS: "a flag that version 1 does not have",
    EncodingFault.TRUNCATED: "a field that the message ends in",
    EncodingFault.TRAILING: "bytes after the last field",
}


@dataclass(frozen=True, eq=False)
class DecodeFaults:
    """What is wrong with each of n messages.

    `codes` uint8 (n,), `EncodingFault`; `places` int64 (n,), the byte of the message where the field begins that is to
    blame (a list's entry counts as a field), or the first byte too many; 0 where nothing is wrong.
    """

    codes: Bytes
    places: Offsets

    def __len__(self) -> int:
        return len(self.codes)

    def __bool__(self) -> bool:
        """Whether any message is faulty."""
        return bool(self.codes.any())

    @property
    def rows(self) -> Offsets:
        """The faulty messages, int64, ascending."""
        found: Offsets = np.flatnonzero(self.codes)
        return found

    @property
    def kept(self) -> Offsets:
        """The messages that were decoded, int64, ascending: row k of the batch is message kept[k]."""
        found: Offsets = np.flatnonzero(self.codes == EncodingFault.NONE)
        return found

    def words(self, row: int) -> str:
        """The fault of a message in words; empty if it has none."""
        code = EncodingFault(int(self.codes[row]))
        return f"message {row}, byte {self.places[row]}: {_FAULT_WORDS[code]}" if code else ""


def encode(batch: TransactionBatch) -> Messages:
    """The encoding of each transaction.

    Raises:
        MalformedBatch: a column was changed, after the batch was built, into what `TransactionBatch` refuses.
    """
    return _written(batch, _NO_TAG, signed=True)


def signing_payloads(batch: TransactionBatch) -> Messages:
    """The bytes whose Keccak-256 is signed: the tag and all fields but the signature. Errors as `encode`."""
    return _written(batch, _TAG, signed=False)


def signing_digests(batch: TransactionBatch, *, backend: str = "auto") -> Bytes:
    """What each sender signs, uint8 (n, 32). Errors as `encode`, and those of `keccak256_batch`."""
    return hashes.keccak256_batch(signing_payloads(batch), backend=backend)


def proof_bindings(batch: TransactionBatch, *, backend: str = "auto") -> Bytes:
    """What binds the proof of each transaction to it: its first public input, uint8 (n, 32), big-endian, below 2^248.

    The first 31 bytes of Keccak-256 of the tag and all fields but the signature, with an empty proof. Errors as
    `signing_digests`.
    """
    unproven = replace(batch, proof=ragged.repeated(b"", len(batch)))
    digests = hashes.keccak256_batch(_written(unproven, _PROOF_TAG, signed=False), backend=backend)
    bindings = np.zeros((len(batch), 32), np.uint8)
    bindings[:, 1:] = digests[:, :31]
    return bindings


def transaction_hashes(batch: TransactionBatch, *, backend: str = "auto") -> Bytes:
    """Keccak-256 of each encoding, uint8 (n, 32). Errors as `encode`, and those of `keccak256_batch`."""
    return hashes.keccak256_batch(encode(batch), backend=backend)


def decode(messages: MessagesLike) -> tuple[TransactionBatch, DecodeFaults]:
    """Read encodings; what is no encoding is left out and reported.

    A scheme that nobody knows, and a signature of a length that its scheme does not have, are no faults here: such a
    transaction has an encoding and a hash, and is rejected when its signature is checked.

    Args:
        messages: n messages, in any form that `Messages.of` takes.

    Returns:
        (the transactions of the well-formed messages, in order; what is wrong with each of the n messages).

    Raises:
        ArgumentError: messages in another form.
    """
    source = Messages.of(messages)
    stored: Any = source.data
    data = borrow(stored.fetched() if isinstance(stored, DeviceArray) else stored)
    offsets = borrow(source.offsets)
    count = len(source)
    faults, places = np.zeros(count, np.uint8), np.zeros(count, np.int64)
    bounds = np.zeros((kernels.SIZES, count + 1), np.int64)

    def measure(start: int, stop: int) -> None:
        kernels.measure(data, offsets, start, stop, faults, places, bounds)

    run_slices(measure, count, _GRAIN)
    found = DecodeFaults(faults, places)
    rows = found.kept
    if len(rows) < count:
        bounds = np.take(bounds, np.append(0, rows + 1), axis=1)
    columns, arguments = _columns(np.cumsum(bounds, axis=1, out=bounds))

    def read(start: int, stop: int) -> None:
        kernels.read(data, offsets, rows, *arguments, start, stop)

    run_slices(read, len(rows), _GRAIN)
    return trusted(
        columns
    ), found  # the columns were made to fit, and the encoding holds no more than a batch may


def encoded_bytes(batch: TransactionBatch) -> Offsets:
    """Bytes of each transaction's encoding, int64 (n,)."""
    signature = 2 + ragged.lengths(batch.signature)
    return _unsigned_bytes(batch) + signature


def _unsigned_bytes(batch: TransactionBatch) -> Offsets:
    size = kernels.HEAD_BYTES + 2 + 4 + 2 + 4 + 32 * np.diff(batch.object_offsets)
    for column in (batch.entry, batch.input, batch.proof):
        size += ragged.lengths(column)
    for offsets, keys in ((batch.read_offsets, batch.read_keys), (batch.write_offsets, batch.write_keys)):
        size += np.where(batch.declared, 2, 0)
        if len(keys):
            size += 2 * np.diff(offsets) + np.diff(keys.offsets[offsets])
    return size


def _written(batch: TransactionBatch, tag: Bytes, *, signed: bool) -> Messages:
    batch.check()  # the compiled code goes by the offsets without looking at them
    sizes = encoded_bytes(batch) if signed else _unsigned_bytes(batch)
    starts = ragged.offsets_of(sizes + len(tag))
    out = np.empty(int(starts[-1]), np.uint8)
    arguments = _arguments({name: getattr(batch, name) for name in batch.__dataclass_fields__})

    def write(start: int, stop: int) -> None:
        kernels.write(tag, signed, *arguments, starts, out, start, stop)

    run_slices(write, len(batch), _GRAIN)
    return Messages(out, starts)


def _arguments(columns: dict[str, Any]) -> tuple[Any, ...]:
    """Columns as the compiled code takes them: contiguous, and without the read-only mark."""

    def array(name: str) -> NDArray[Any]:
        return borrow(np.ascontiguousarray(columns[name]))

    def strings(name: str) -> tuple[Bytes, Offsets]:
        return borrow(columns[name].data), borrow(columns[name].offsets)

    return (
        (array("chain_id"), array("nonce"), array("gas_limit"), array("gas_price")),
        (array("sender"), array("to"), array("value")),
        (array("private"), array("declared"), array("scheme")),
        (strings("entry"), strings("input"), strings("proof"), strings("signature")),
        (array("object_offsets"), array("object_ids")),
        (array("read_offsets"), *strings("read_keys")),
        (array("write_offsets"), *strings("write_keys")),
    )


def _columns(bounds: Offsets) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """Empty columns for m transactions with these offsets, int64 (SIZES, m + 1), and how `read` takes them."""
    count = bounds.shape[1] - 1
    columns: dict[str, Any] = {
        name: np.empty((count, width) if width else count, dtype) for name, (dtype, width) in FIXED.items()
    }
    for name, size in (
        ("entry", kernels.ENTRY),
        ("input", kernels.INPUT),
        ("proof", kernels.PROOF),
        ("signature", kernels.SIGNATURE),
    ):
        columns[name] = Messages(np.empty(int(bounds[size, -1]), np.uint8), bounds[size])
    columns["object_offsets"] = bounds[kernels.OBJECTS]
    columns["object_ids"] = np.empty((int(bounds[kernels.OBJECTS, -1]), 32), np.uint8)
    firsts = []
    for side, size in (("read", kernels.READS), ("write", kernels.WRITES)):
        offsets, first = bounds[size], bounds[size + 1]
        columns[f"{side}_offsets"] = offsets
        keys = Messages(np.empty(int(first[-1]), np.uint8), np.zeros(int(offsets[-1]) + 1, np.int64))
        columns[f"{side}_keys"] = keys
        firsts.append(first)
    *given, reads, writes = _arguments(columns)
    with_first = [(side[0], first, *side[1:]) for side, first in zip((reads, writes), firsts, strict=True)]
    return columns, (*given, *with_first)
