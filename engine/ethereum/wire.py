# SPDX-License-Identifier: GPL-3.0-or-later
"""The JSON of `eth_getBlockByNumber(n, true)` and of a pre-state, as it stands in a file.

Only the fields that the engine uses are declared; others are skipped without being built. A field that some
transaction types lack is None there, and the reader asks for it where the type demands it. Source:
Ethereum execution-apis, schemas `Block` and `TransactionInfo`; the pre-state has the shape of geth's
`prestateTracer`, with `code_hash` in place of the code or beside it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import msgspec

from supervm.engine.errors import InputFileError
from supervm.engine.files.input_files import read_input

MOST_BYTES = 1 << 30
"""Bytes of a file; a larger one is refused."""

T = TypeVar("T")

_SOME_KEY = "[...]"
_PLACE = re.compile(r" - at `(?:key in )?\$(.*)`$")
_TRANSACTION = re.compile(r"^\.transactions\[(\d+)\]\.?(.*)$")
_MISSING = re.compile(r"^Object missing required field `([^`]+)`")
_EXPECTED = re.compile(r"^Expected (.*), got (.*)$")


class AccessEntryJson(msgspec.Struct, rename="camel", gc=False):
    address: str
    storage_keys: list[str]


class AuthorizationJson(msgspec.Struct, rename="camel", gc=False):
    chain_id: str
    address: str
    nonce: str
    r: str
    s: str
    y_parity: str


class TransactionJson(msgspec.Struct, rename="camel", gc=False):
    nonce: str
    to: str | None
    value: str
    gas: str
    input: str
    r: str
    s: str
    type: str = "0x0"
    hash: str | None = None
    sender: str | None = msgspec.field(name="from", default=None)
    gas_price: str | None = None
    v: str | None = None
    y_parity: str | None = None
    chain_id: str | None = None
    max_fee_per_gas: str | None = None
    max_priority_fee_per_gas: str | None = None
    max_fee_per_blob_gas: str | None = None
    access_list: list[AccessEntryJson] | None = None
    blob_versioned_hashes: list[str] | None = None
    authorization_list: list[AuthorizationJson] | None = None


class WithdrawalJson(msgspec.Struct, rename="camel", gc=False):
    index: str
    validator_index: str
    address: str
    amount: str


class HeaderJson(msgspec.Struct, rename="camel", gc=False):
    number: str
    parent_hash: str
    sha3_uncles: str
    miner: str
    state_root: str
    transactions_root: str
    receipts_root: str
    logs_bloom: str
    difficulty: str
    gas_limit: str
    gas_used: str
    timestamp: str
    extra_data: str
    mix_hash: str
    nonce: str
    uncles: list[str] | None = None
    withdrawals: list[WithdrawalJson] | None = None
    base_fee_per_gas: str | None = None
    withdrawals_root: str | None = None
    blob_gas_used: str | None = None
    excess_blob_gas: str | None = None
    parent_beacon_block_root: str | None = None
    requests_hash: str | None = None


class BlockJson(HeaderJson, rename="camel", gc=False, kw_only=True):
    hash: str
    transactions: list[TransactionJson]


class AccountJson(msgspec.Struct, gc=False):
    balance: str
    nonce: int = 0
    code_hash: str | None = None
    code: str | None = None
    storage: dict[str, str] = msgspec.field(default_factory=dict)


def read(file: Path) -> bytes:
    """The bytes of `file`.

    Raises:
        InputFileError: it cannot be read, is a directory or a device, or has more than `MOST_BYTES`.
    """
    return bytes(read_input(file, MOST_BYTES))


def decode_json(data: bytes, file: Path, shape: type[T]) -> T:
    """Decode JSON into `shape`.

    Args:
        data: the text.
        file: where it came from, for the error.
        shape: one of the structures above, or a container of them.

    Raises:
        InputFileError: it is not JSON, lacks a field or has one of another kind; the transaction and the
            field are named where one is to blame.
    """
    try:
        return msgspec.json.decode(data, type=shape)
    except msgspec.ValidationError as error:
        raise _named(file, _with_key(str(error), data, shape)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputFileError(file, str(error), "JSON") from error
    except RecursionError:
        raise InputFileError(file, "lists and objects that are nested too deeply", "JSON") from None


def _with_key(message: str, data: bytes, shape: Any) -> str:
    """The message with a key in it where msgspec writes `[...]` for some entry of an object: the first bad one's."""
    problem, _, path = message.rpartition(" - at `$")
    before, found, _ = path.partition(_SOME_KEY)
    if not found:
        return message
    content = msgspec.json.decode(data)
    for name in filter(None, before.split(".")):
        content = content[name]
        shape = {field.encode_name: field.type for field in msgspec.structs.fields(shape)}[name]
    # The object itself, or one of what may stand there.
    objects = [option for option in (shape, *get_args(shape)) if get_origin(option) is dict]
    for key, held in content.items():
        try:
            msgspec.convert(held, get_args(objects[0])[1])
        except msgspec.ValidationError as error:
            problem, at, inner = str(error).rpartition(" - at `$")
            return f"{problem} - at `${before}.{key}{inner}" if at else f"{inner} - at `${before}.{key}`"
    return message


def _named(file: Path, message: str) -> InputFileError:
    """The error for a message such as 'Expected `str`, got `int` - at `$.transactions[3].nonce`'."""
    place = _PLACE.search(message)
    path = place.group(1) if place else ""
    message = message[: place.start()] if place else message
    transaction: int | None = None
    inside = _TRANSACTION.match(path)
    if inside:
        transaction, path = int(inside.group(1)), inside.group(2)
    path = path.lstrip(".")
    missing = _MISSING.match(message)
    if missing:
        field = f"{path}.{missing.group(1)}" if path else missing.group(1)
        return InputFileError(file, "nothing", "this field", transaction, field)
    kinds = _EXPECTED.match(message)
    found, expected = (kinds.group(2), kinds.group(1)) if kinds else (message, "another value")
    return InputFileError(file, found, expected, transaction, path or None)
