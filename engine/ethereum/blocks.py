# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads blocks in the form of `eth_getBlockByNumber(n, true)` into columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, repeat
from operator import attrgetter, is_not
from pathlib import Path
from typing import Any

import numpy as np

from supervm.crypto.messages import Messages
from supervm.engine.errors import InputFileError, UnknownTransactionType
from supervm.engine.ethereum import hex_columns
from supervm.engine.ethereum.field_paths import Field, ListField, TransactionField
from supervm.engine.ethereum.header import Header, decode_header
from supervm.engine.ethereum.transactions import (
    AccessLists,
    AuthorizationInteger,
    Authorizations,
    EthereumTransactions,
    Integer,
    TransactionType,
    low_uint64,
    parity,
)
from supervm.engine.ethereum.wire import BlockJson, TransactionJson, decode_json, read
from supervm.kernels.array_types import Bytes, Flags, Offsets

BLOCK_FILE = "block.json"

_INTEGERS: dict[Integer, tuple[str, str, int]] = {
    Integer.CHAIN_ID: ("chain_id", "chainId", 8),
    Integer.NONCE: ("nonce", "nonce", 8),
    Integer.GAS_PRICE: ("gas_price", "gasPrice", 32),
    Integer.MAX_PRIORITY_FEE: ("max_priority_fee_per_gas", "maxPriorityFeePerGas", 32),
    Integer.MAX_FEE: ("max_fee_per_gas", "maxFeePerGas", 32),
    Integer.GAS: ("gas", "gas", 8),
    Integer.VALUE: ("value", "value", 32),
    Integer.MAX_BLOB_FEE: ("max_fee_per_blob_gas", "maxFeePerBlobGas", 32),
    Integer.V: ("v", "v", 8),
    Integer.Y_PARITY: ("y_parity", "yParity", 8),
    Integer.R: ("r", "r", 32),
    Integer.S: ("s", "s", 32),
}
"""Each integer column: attribute of the decoded transaction, name in the file, bytes it may have."""

_AUTHORIZATION_INTEGERS: dict[AuthorizationInteger, tuple[str, str, int]] = {
    AuthorizationInteger.CHAIN_ID: ("chain_id", "chainId", 32),
    AuthorizationInteger.NONCE: ("nonce", "nonce", 8),
    AuthorizationInteger.Y_PARITY: ("y_parity", "yParity", 8),
    AuthorizationInteger.R: ("r", "r", 32),
    AuthorizationInteger.S: ("s", "s", 32),
}

_T = TransactionType
_DEMANDED: dict[str, tuple[TransactionType, ...]] = {
    "gasPrice": (_T.LEGACY, _T.ACCESS_LIST),
    "v": (_T.LEGACY,),
    "chainId": (_T.ACCESS_LIST, _T.DYNAMIC_FEE, _T.BLOB, _T.SET_CODE),
    "maxFeePerGas": (_T.DYNAMIC_FEE, _T.BLOB, _T.SET_CODE),
    "maxPriorityFeePerGas": (_T.DYNAMIC_FEE, _T.BLOB, _T.SET_CODE),
    "maxFeePerBlobGas": (_T.BLOB,),
    "accessList": (_T.ACCESS_LIST, _T.DYNAMIC_FEE, _T.BLOB, _T.SET_CODE),
    "blobVersionedHashes": (_T.BLOB,),
    "authorizationList": (_T.SET_CODE,),
    "to": (_T.BLOB, _T.SET_CODE),
}
"""Fields that a transaction of these types cannot be without."""

_SHOWN = ("hash", "from", "gasPrice")
"""Fields that a node shows of every transaction, though they follow from the others."""

_OPTIONAL = {
    "hash": "hash",
    "from": "sender",
    "gasPrice": "gas_price",
    "to": "to",
    "v": "v",
    "yParity": "y_parity",
    "chainId": "chain_id",
    "maxFeePerGas": "max_fee_per_gas",
    "maxPriorityFeePerGas": "max_priority_fee_per_gas",
    "maxFeePerBlobGas": "max_fee_per_blob_gas",
    "accessList": "access_list",
    "blobVersionedHashes": "blob_versioned_hashes",
    "authorizationList": "authorization_list",
}
"""Fields that some transactions do not have: name in the file, attribute of the decoded transaction."""


@dataclass(frozen=True)
class EthereumBlock:
    """A block's header, the fields of it that the engine uses, and its transactions.

    `hash`, `transactions_root` uint8 (32,), `miner` uint8 (20,); `base_fee` is None before London.
    """

    file: Path
    number: int
    hash: Bytes
    miner: Bytes
    transactions_root: Bytes
    base_fee: int | None
    header: Header
    transactions: EthereumTransactions


def read_block(folder: Path | str) -> EthereumBlock:
    """Read `block.json` of a folder.

    Raises:
        InputFileError: with the file, the transaction, the field, what was found and what is expected.
        UnknownTransactionType: the same, for a type that is not one of `TransactionType`.
    """
    file = Path(folder) / BLOCK_FILE
    return decode_block(read(file), file)


def decode_block(data: bytes, file: Path, *, bare: bool = False) -> EthereumBlock:
    """A block from its JSON.

    Args:
        data: the text.
        file: where it came from, for errors, which are those of `read_block`.
        bare: whether transactions may lack what follows from their other fields: their hash, their sender, and the gas
            price of those that have a maximum fee.
    """
    return block_of(decode_json(data, file, BlockJson), file, bare=bare)


def block_of(block: BlockJson, file: Path, *, bare: bool = False) -> EthereumBlock:
    """As `decode_block`, from what its JSON holds."""
    numbers = hex_columns.quantities([block.number], 8, Field(file, ["number"]))
    fee = hex_columns.quantities([block.base_fee_per_gas or "0x0"], 32, Field(file, ["baseFeePerGas"]))
    hashes = hex_columns.rows(
        [block.hash, block.transactions_root], 32, Field(file, ["hash", "transactionsRoot"])
    )
    return EthereumBlock(
        file=file,
        number=int.from_bytes(numbers[0].tobytes()),
        hash=hashes[0],
        miner=hex_columns.rows([block.miner], 20, Field(file, ["miner"]))[0],
        transactions_root=hashes[1],
        base_fee=int.from_bytes(fee[0].tobytes()) if block.base_fee_per_gas is not None else None,
        header=decode_header(block, file),
        transactions=_columns(file, block.transactions, int.from_bytes(fee[0].tobytes()), bare),
    )


def _columns(
    file: Path, transactions: list[TransactionJson], base_fee: int, bare: bool
) -> EthereumTransactions:
    types = _types(file, transactions)
    present = {name: _present(transactions, attribute) for name, attribute in _OPTIONAL.items()}
    _demand(file, types, present, bare)
    integers = _integers(file, transactions, present)
    _fill_prices(integers, np.flatnonzero(~present["gasPrice"]), base_fee)
    signed = parity(
        types,
        low_uint64(integers[:, Integer.V]),
        present["v"],
        low_uint64(integers[:, Integer.Y_PARITY]),
        present["yParity"],
        low_uint64(integers[:, Integer.CHAIN_ID]),
        present["chainId"],
    )
    integers[:, Integer.CHAIN_ID, 24:] = signed.chain_id.astype(">u8")[:, None].view(np.uint8)
    # The encoder writes a typed transaction's parity, which older nodes give as v alone.
    only_v = present["v"] & ~present["yParity"]
    integers[only_v, Integer.Y_PARITY] = integers[only_v, Integer.V]
    given = partial(_rows, file, transactions, present)
    blob_lists = _lists(transactions, "blob_versioned_hashes")
    blob_offsets = _offsets(blob_lists)
    blob_hashes = list(chain.from_iterable(blob_lists))
    return EthereumTransactions(
        type=types,
        integers=integers,
        to=given("to", 20),
        has_to=present["to"],
        input=Messages.of(
            hex_columns.ragged(_values(transactions, "input"), TransactionField(file, "input"))
        ),
        access_lists=_access_lists(file, transactions),
        blob_offsets=blob_offsets,
        blob_hashes=hex_columns.rows(blob_hashes, 32, ListField(file, "blobVersionedHashes", blob_offsets)),
        authorizations=_authorizations(file, transactions),
        protected=signed.protected,
        recovery_id=signed.recovery_id,
        claimed_sender=given("from", 20),
        claimed_hash=given("hash", 32),
        claims_sender=present["from"],
        claims_hash=present["hash"],
    )


def _rows(
    file: Path, transactions: list[TransactionJson], present: dict[str, Flags], name: str, width: int
) -> Bytes:
    """An optional field of data, zeros where it is absent."""
    rows = np.zeros((len(transactions), width), np.uint8)
    places = np.flatnonzero(present[name])
    rows[places] = hex_columns.rows(
        _given(transactions, _OPTIONAL[name]), width, TransactionField(file, name, places)
    )
    return rows


def _types(file: Path, transactions: list[TransactionJson]) -> Bytes:
    texts = _values(transactions, "type")
    numbers = low_uint64(hex_columns.quantities(texts, 8, TransactionField(file, "type")))
    unknown = numbers > max(TransactionType)
    if unknown.any():
        item = int(np.argmax(unknown))
        known = ", ".join(f"{t:#x}" for t in TransactionType)
        raise UnknownTransactionType(file, repr(texts[item]), f"one of the types {known}", item, "type")
    return numbers.astype(np.uint8)


def _demand(file: Path, types: Bytes, present: dict[str, Flags], bare: bool) -> None:
    """Refuse a transaction that lacks a field its type must have, or that a node shows of all."""
    for name in () if bare else _SHOWN:
        if not present[name].all():
            raise InputFileError(file, "nothing", "this field", int(np.argmin(present[name])), name)
    for name, demanding in _DEMANDED.items():
        lacking = np.isin(types, demanding) & ~present[name]
        if lacking.any():
            item = int(np.argmax(lacking))
            expected = f"this field in a transaction of type {types[item]:#x}"
            raise InputFileError(file, "nothing", expected, item, name)
    unsigned = ~present["v"] & ~present["yParity"]
    if unsigned.any():
        raise InputFileError(file, "nothing", "this field or 'v'", int(np.argmax(unsigned)), "yParity")


def _integers(file: Path, transactions: list[TransactionJson], present: dict[str, Flags]) -> Bytes:
    integers = np.zeros((len(transactions), len(Integer), 32), np.uint8)
    everyone = np.ones(len(transactions), np.bool_)
    for column, (attribute, name, width) in _INTEGERS.items():
        rows = np.flatnonzero(present.get(name, everyone))
        place = TransactionField(file, name, rows)
        integers[rows, column, 32 - width :] = hex_columns.quantities(
            _given(transactions, attribute), width, place
        )
    return integers


def _fill_prices(integers: Bytes, rows: Offsets, base_fee: int) -> None:
    """The gas price that a node would show: the base fee and what is paid above it, up to the maximum (EIP-1559)."""
    for transaction in rows.tolist():
        row = integers[transaction]
        most, priority = (
            int.from_bytes(row[i].tobytes()) for i in (Integer.MAX_FEE, Integer.MAX_PRIORITY_FEE)
        )
        row[Integer.GAS_PRICE] = np.frombuffer(min(most, base_fee + priority).to_bytes(32), np.uint8)


def _access_lists(file: Path, transactions: list[TransactionJson]) -> AccessLists:
    lists = _lists(transactions, "access_list")
    offsets = _offsets(lists)
    entries = list(chain.from_iterable(lists))
    key_lists = _values(entries, "storage_keys")
    key_offsets = _offsets(key_lists)
    owners = np.repeat(np.arange(len(entries)), np.diff(key_offsets))
    keys = ListField(file, "accessList", offsets, "storageKeys", owners)
    return AccessLists(
        offsets,
        hex_columns.rows(_values(entries, "address"), 20, ListField(file, "accessList", offsets, "address")),
        key_offsets,
        hex_columns.rows(list(chain.from_iterable(key_lists)), 32, keys),
    )


def _authorizations(file: Path, transactions: list[TransactionJson]) -> Authorizations:
    lists = _lists(transactions, "authorization_list")
    offsets = _offsets(lists)
    entries = list(chain.from_iterable(lists))
    integers = np.zeros((len(entries), len(AuthorizationInteger), 32), np.uint8)
    for column, (attribute, name, width) in _AUTHORIZATION_INTEGERS.items():
        place = ListField(file, "authorizationList", offsets, name)
        integers[:, column, 32 - width :] = hex_columns.quantities(_values(entries, attribute), width, place)
    addresses = ListField(file, "authorizationList", offsets, "address")
    return Authorizations(offsets, integers, hex_columns.rows(_values(entries, "address"), 20, addresses))


def _values(objects: Sequence[Any], attribute: str) -> list[Any]:
    return list(map(attrgetter(attribute), objects))


def _given(objects: Sequence[Any], attribute: str) -> list[Any]:
    return [value for value in map(attrgetter(attribute), objects) if value is not None]


def _lists(objects: Sequence[Any], attribute: str) -> list[Sequence[Any]]:
    return [value or () for value in map(attrgetter(attribute), objects)]


def _present(objects: Sequence[Any], attribute: str) -> Flags:
    return np.fromiter(map(is_not, map(attrgetter(attribute), objects), repeat(None)), np.bool_, len(objects))


def _offsets(lists: Sequence[Sequence[Any]]) -> Offsets:
    offsets = np.zeros(len(lists) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, lists), np.int64, len(lists)), out=offsets[1:])
    return offsets
