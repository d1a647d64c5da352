# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's transactions in columns, and what makes columns a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervm.crypto.messages import Messages, MessagesLike
from supervm.engine.arrays import ragged
from supervm.engine.errors import MalformedBatch
from supervm.engine.transactions.columns import AccessLike, Columns, ObjectsLike
from supervm.kernels.array_types import Bytes, Flags, Offsets
from supervm.kernels.arrays import borrow

Numbers = NDArray[np.uint64]


class Scheme(IntEnum):
    """How a transaction is signed. Other numbers are carried as they are; authentication refuses them."""

    UNSIGNED = 0
    ED25519 = 1
    ECDSA = 2
    BIP340 = 3
    ETHEREUM = 4
    """It carries an Ethereum transaction, which is signed itself."""


DEFAULT_GAS_LIMIT = 1_000_000

FIXED: dict[str, tuple[Any, int]] = {
    "chain_id": (np.uint64, 0),
    "sender": (np.uint8, 20),
    "nonce": (np.uint64, 0),
    "to": (np.uint8, 20),
    "value": (np.uint8, 32),
    "gas_limit": (np.uint64, 0),
    "gas_price": (np.uint64, 0),
    "private": (np.bool_, 0),
    "declared": (np.bool_, 0),
    "scheme": (np.uint8, 0),
}
"""Columns of one value a transaction: dtype, and bytes of a row (0: a single number)."""

RAGGED = {"entry": 0xFFFF, "input": 0xFFFFFFFF, "proof": 0xFFFFFFFF, "signature": 0xFFFF}
"""Columns of byte strings, and the longest that the encoding can hold."""

MOST_ITEMS = 0xFFFF
"""Objects, declared reads and declared writes that a transaction can have each, and bytes of a state key."""

_ANY = (1 << 63) - 1


@dataclass(frozen=True, eq=False)
class TransactionBatch:
    """n transactions.

    | column | dtype, shape | meaning |
    |---|---|---|
    | `chain_id` | uint64 (n,) | |
    | `sender` | uint8 (n, 20) | address |
    | `nonce` | uint64 (n,) | |
    | `to` | uint8 (n, 20) | recipient of a transfer, contract of a call |
    | `value` | uint8 (n, 32) | big-endian |
    | `gas_limit`, `gas_price` | uint64 (n,) | |
    | `entry` | Messages (n) | name of the entry point; empty for a transfer; at most 65,535 bytes |
    | `input` | Messages (n) | below 2^32 bytes |
    | `private` | bool (n,) | |
    | `proof` | Messages (n) | below 2^32 bytes |
    | `object_offsets`, `object_ids` | int64 (n + 1,), uint8 (o, 32) | at most 65,535 objects each |
    | `declared` | bool (n,) | whether the access sets are declared; without, both are empty |
    | `read_offsets`, `read_keys` | int64 (n + 1,), Messages (r) | state keys, at most 65,535 each |
    | `write_offsets`, `write_keys` | int64 (n + 1,), Messages (w) | likewise |
    | `scheme` | uint8 (n,) | `Scheme`, or an unknown number |
    | `signature` | Messages (n) | as the scheme has it; at most 65,535 bytes |

    What transaction i has of objects, reads and writes is offsets[i] … offsets[i + 1] − 1; these offsets begin at 0 and
    end at the number of items. The offsets inside of `Messages` need not begin at 0, and `slice` makes use of that.

    The constructor copies nothing and runs `check`; `of` builds a batch from less than all columns.

    Raises:
        MalformedBatch: a column of another type, dtype, shape or length, offsets that fall or do not end with the
            items, a byte string or a list that the encoding cannot hold, access sets of an undeclared transaction.
    """

    chain_id: Numbers
    sender: Bytes
    nonce: Numbers
    to: Bytes
    value: Bytes
    gas_limit: Numbers
    gas_price: Numbers
    entry: Messages
    input: Messages
    private: Flags
    proof: Messages
    object_offsets: Offsets
    object_ids: Bytes
    declared: Flags
    read_offsets: Offsets
    read_keys: Messages
    write_offsets: Offsets
    write_keys: Messages
    scheme: Bytes
    signature: Messages

    def __post_init__(self) -> None:
        self.check()

    @classmethod
    def of(
        cls,
        *,
        sender: Any,
        nonce: Any,
        to: Any,
        value: Any = 0,
        chain_id: Any = 1,
        gas_limit: Any = DEFAULT_GAS_LIMIT,
        gas_price: Any = 0,
        entry: bytes | MessagesLike = b"",
        input: bytes | MessagesLike = b"",
        private: Any = False,
        proof: bytes | MessagesLike = b"",
        objects: ObjectsLike = None,
        reads: AccessLike = None,
        writes: AccessLike = None,
        declared: Any = None,
        scheme: Any = Scheme.UNSIGNED,
        signature: bytes | MessagesLike = b"",
    ) -> TransactionBatch:
        """A batch of as many transactions as the columns have rows; what is given once holds for all of them.

        Args:
            sender, to: uint8 (n, 20); one address as bytes or uint8 (20,).
            value: uint8 (n, 32), non-negative integers (n,), or one integer below 2^256.
            chain_id, nonce, gas_limit, gas_price, scheme: non-negative integers (n,), or one.
            private: bool (n,), or one.
            entry, input, proof, signature: one bytes object, or n messages in any form that `Messages.of` takes.
            objects: None, or (offsets int64 (n + 1,), ids uint8 (o, 32)).
            reads, writes: None, or (offsets int64 (n + 1,), state keys in any form that `Messages.of` takes).
            declared: bool (n,), or one; without it, true if reads or writes are given.

        Where everything is given once, the batch has one transaction.

        Raises:
            MalformedBatch: as the constructor does, and for columns that disagree about n.

        >>> TransactionBatch.of(sender=bytes(20), nonce=np.arange(3), to=bytes(19) + b"x", value=7).value[:, 31]
        array([7, 7, 7], dtype=uint8)
        """
        columns = Columns()
        for name, given in (("sender", sender), ("to", to)):
            columns.rows(name, given, 20)
        columns.amounts("value", value)
        for name, given in (
            ("chain_id", chain_id),
            ("nonce", nonce),
            ("gas_limit", gas_limit),
            ("gas_price", gas_price),
        ):
            columns.numbers(name, given, np.uint64)
        columns.numbers("scheme", scheme, np.uint8)
        columns.flags("private", private)
        columns.flags("declared", (reads, writes) != (None, None) if declared is None else declared)
        for name, strings in (("entry", entry), ("input", input), ("proof", proof), ("signature", signature)):
            columns.strings(name, strings)
        columns.objects(objects)
        columns.access("read", reads)
        columns.access("write", writes)
        return cls(**columns.broadcast())

    def __len__(self) -> int:
        return len(self.sender)

    def check(self) -> None:
        """Look at every column again, since arrays may be written to after a batch is built.

        Raises:
            MalformedBatch: as the constructor does.
        """
        _check_fixed(self)
        for name, most in RAGGED.items():
            _check_strings(name, getattr(self, name), len(self), most)
        _check_array("object_ids", self.object_ids, np.uint8, (None, 32))
        for name, items in (
            ("object_offsets", len(self.object_ids)),
            ("read_offsets", _check_strings("read_keys", self.read_keys, None, _ANY)),
            ("write_offsets", _check_strings("write_keys", self.write_keys, None, _ANY)),
        ):
            _check_offsets(name, getattr(self, name), len(self), items)
        for field in ("read", "write"):
            _check_access(self, f"{field}_offsets", f"{field}_keys")

    def slice(self, start: int, stop: int) -> TransactionBatch:
        """Transactions start … stop − 1, 0 ≤ start ≤ stop ≤ n; bytes are shared, nothing but offsets is copied."""
        columns: dict[str, Any] = {name: getattr(self, name)[start:stop] for name in FIXED}
        columns |= {name: ragged.part(getattr(self, name), start, stop) for name in RAGGED}
        for offsets, items in LISTS.items():
            bounds = getattr(self, offsets)[start : stop + 1]
            first, last, held = int(bounds[0]), int(bounds[-1]), getattr(self, items)
            columns[offsets] = bounds - first
            columns[items] = (
                ragged.part(held, first, last) if isinstance(held, Messages) else held[first:last]
            )
        return trusted(columns)

    def take(self, rows: NDArray[Any]) -> TransactionBatch:
        """A copy of the transactions at these indices, integers (m,) within 0 … n − 1, or bool (n,).

        Raises:
            IndexError: an index outside of the batch.
        """
        if np.asarray(rows).dtype == np.bool_:
            rows = np.flatnonzero(rows)
        rows = np.asarray(rows, np.int64)
        if rows.size and (int(rows.min()) < 0 or int(rows.max()) >= len(self)):
            raise IndexError(f"transactions {rows.min()} to {rows.max()} of {len(self)}")
        columns: dict[str, Any] = {name: getattr(self, name)[rows] for name in FIXED}
        columns |= {name: ragged.taken(getattr(self, name), rows) for name in RAGGED}
        for offsets, items in LISTS.items():
            columns[offsets], places = ragged.spread(getattr(self, offsets), rows)
            held = getattr(self, items)
            columns[items] = ragged.taken(held, places) if isinstance(held, Messages) else held[places]
        return trusted(columns)

    @staticmethod
    def concatenate(batches: Sequence[TransactionBatch]) -> TransactionBatch:
        """All transactions of all batches, in order, as a copy."""
        if not batches:
            return TransactionBatch.of(sender=np.zeros((0, 20), np.uint8), nonce=0, to=bytes(20))
        columns: dict[str, Any] = {
            name: np.concatenate([getattr(each, name) for each in batches]) for name in (*FIXED, "object_ids")
        }
        for name in (*RAGGED, "read_keys", "write_keys"):
            columns[name] = ragged.joined([getattr(each, name) for each in batches])
        for name in LISTS:
            columns[name] = ragged.joined_offsets([getattr(each, name) for each in batches])
        return trusted(columns)

    def equals(self, other: TransactionBatch) -> bool:
        """Whether the batches hold the same transactions, wherever their bytes lie."""
        arrays = (*FIXED, *LISTS, "object_ids")
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in arrays) and all(
            ragged.equal(getattr(self, name), getattr(other, name))
            for name in (*RAGGED, "read_keys", "write_keys")
        )

    def __repr__(self) -> str:
        return f"TransactionBatch({len(self)} transactions)"


LISTS = {"object_offsets": "object_ids", "read_offsets": "read_keys", "write_offsets": "write_keys"}
"""Columns of offsets, and the column of their items."""


def trusted(columns: dict[str, Any]) -> TransactionBatch:
    """A batch of columns that cannot be wrong, such as parts of checked ones: they are not checked."""
    batch = object.__new__(TransactionBatch)
    batch.__dict__.update(columns)
    return batch


def _check_fixed(batch: TransactionBatch) -> None:
    count = len(batch.sender) if isinstance(batch.sender, np.ndarray) and batch.sender.ndim else None
    for name, (dtype, width) in FIXED.items():
        column = getattr(batch, name)
        _check_array(name, column, dtype, (count, width) if width else (count,))
        if dtype == np.bool_ and (column.view(np.uint8) > 1).any():
            # Made from other memory: NumPy takes any such byte for true, compiled code looks at one bit.
            row = int((column.view(np.uint8) > 1).argmax())
            raise MalformedBatch(name, f"the byte {column.view(np.uint8)[row]}", "0 or 1", row)


def _check_array(name: str, array: Any, dtype: Any, shape: tuple[int | None, ...]) -> None:
    """`None` in a shape stands for any length."""
    if isinstance(array, np.ndarray):
        fits = array.ndim == len(shape) and all(
            want in (None, have) for want, have in zip(shape, array.shape, strict=True)
        )
        if array.dtype == dtype and fits:
            return
        found = f"{array.dtype} {array.shape}"
    else:
        found = type(array).__name__
    wanted = f"{np.dtype(dtype)} ({', '.join('any' if n is None else str(n) for n in shape)})"
    raise MalformedBatch(name, found, wanted)


def _check_strings(name: str, column: Any, count: int | None, most: int) -> int:
    """The number of messages, if these are messages in host memory of at most `most` bytes each, and `count` of them
    unless that is None."""
    if not isinstance(column, Messages) or not isinstance(column.data, np.ndarray):
        where = "Messages on a GPU" if isinstance(column, Messages) else type(column).__name__
        raise MalformedBatch(name, where, "Messages in host memory")
    if count is not None and len(column) != count:
        raise MalformedBatch(name, f"{len(column)} messages", f"{count}, one for each sender")
    _check_ascending(name, column.offsets, len(column.data), most, "bytes")
    return len(column)


def _check_offsets(name: str, offsets: Any, count: int, items: int) -> None:
    _check_array(name, offsets, np.int64, (count + 1,))
    if offsets[0] != 0 or offsets[-1] != items:
        raise MalformedBatch(name, f"{offsets[0]} to {offsets[-1]}", f"0 to {items}, the number of items")
    _check_ascending(name, offsets, items, MOST_ITEMS, "items")


def _check_ascending(name: str, offsets: Offsets, end: int, most: int, unit: str) -> None:
    """Offsets within 0 and `end`, each at most `most` above the one before."""
    inside = offsets[0] >= 0 and offsets[-1] <= end
    if inside and ragged.ascending(borrow(np.ascontiguousarray(offsets)), most):
        return
    falls = offsets[1:] < offsets[:-1]
    if falls.any():
        row = int(falls.argmax())
        raise MalformedBatch(name, f"{offsets[row + 1]} after {offsets[row]}", "ascending offsets", row)
    if not inside:
        raise MalformedBatch(name, f"offsets {offsets[0]} to {offsets[-1]}", f"offsets within 0 and {end}")
    counts = np.diff(offsets)
    row = int((counts > most).argmax())
    raise MalformedBatch(name, f"{counts[row]:,} {unit}", f"at most {most:,}", row)


def _check_access(batch: TransactionBatch, offsets_name: str, keys_name: str) -> None:
    offsets, keys = getattr(batch, offsets_name), getattr(batch, keys_name)
    if not len(keys):
        return
    counts = np.diff(offsets)
    hidden = ~batch.declared & (counts > 0)
    if hidden.any():
        row = int(hidden.argmax())
        raise MalformedBatch(keys_name, f"{counts[row]} keys", "none where access is not declared", row)
    bytes_of = ragged.lengths(keys)
    if bytes_of.max() > MOST_ITEMS:
        key = int((bytes_of > MOST_ITEMS).argmax())
        row = int(np.searchsorted(offsets, key, "right")) - 1
        raise MalformedBatch(keys_name, f"a key of {bytes_of[key]:,} bytes", f"at most {MOST_ITEMS:,}", row)
