# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads state-test files: an environment, the accounts before, one transaction in variants, what each fork makes of it.

The form is that of ethereum/tests and of the state tests of execution-spec-tests ("State Tests", "General State Tests"): a
file is an object of tests by name; `transaction.data`, `gasLimit` and `value` are lists, and an expected result says by
`indexes` which of each it means. A quantity may also be written `0x:bigint 0x…`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from supervm.crypto.messages import Messages
from supervm.engine.errors import InputFileError
from supervm.engine.ethereum.transactions import (
    AccessLists,
    AuthorizationInteger,
    Authorizations,
    EthereumTransactions,
    Integer,
    TransactionType,
)
from supervm.engine.ethereum.wire import AccessEntryJson, decode_json, read
from supervm.engine.evm.accounts import Account

BIG = "0x:bigint "
"""What stands before a quantity that no 256 bits hold."""


class EnvironmentJson(msgspec.Struct, gc=False):
    number: str = msgspec.field(name="currentNumber")
    timestamp: str = msgspec.field(name="currentTimestamp")
    coinbase: str = msgspec.field(name="currentCoinbase")
    gas_limit: str = msgspec.field(name="currentGasLimit")
    difficulty: str = msgspec.field(name="currentDifficulty", default="0x0")
    random: str | None = msgspec.field(name="currentRandom", default=None)
    base_fee: str | None = msgspec.field(name="currentBaseFee", default=None)
    excess_blob_gas: str | None = msgspec.field(name="currentExcessBlobGas", default=None)


class AccountJson(msgspec.Struct, gc=False):
    balance: str
    nonce: str
    code: str
    storage: dict[str, str]


class AuthorizationJson(msgspec.Struct, rename="camel", gc=False):
    chain_id: str
    address: str
    nonce: str
    r: str
    s: str
    v: str


class TransactionJson(msgspec.Struct, rename="camel", gc=False):
    data: list[str]
    gas_limit: list[str]
    value: list[str]
    nonce: str
    sender: str
    to: str = ""
    gas_price: str | None = None
    max_fee_per_gas: str | None = None
    max_priority_fee_per_gas: str | None = None
    max_fee_per_blob_gas: str | None = None
    access_lists: list[list[AccessEntryJson] | None] | None = None
    blob_versioned_hashes: list[str] | None = None
    authorization_list: list[AuthorizationJson] | None = None


class IndexesJson(msgspec.Struct, gc=False):
    data: int
    gas: int
    value: int


class PostJson(msgspec.Struct, rename="camel", gc=False):
    hash: str
    logs: str
    indexes: IndexesJson
    expect_exception: str | None = None
    state: dict[str, msgspec.Raw] | None = None


class ConfigJson(msgspec.Struct, gc=False):
    chainid: str = "0x1"


class TestJson(msgspec.Struct, gc=False):
    env: EnvironmentJson
    pre: dict[str, AccountJson]
    transaction: TransactionJson
    post: dict[str, list[PostJson]]
    config: ConfigJson | None = None


@dataclass(frozen=True)
class Expected:
    """What one fork makes of one variant.

    Args:
        fork: as the file names it.
        index: place in the file's list for this fork.
        variant: which of the test's transactions is meant.
        root: of the state after it.
        logs: Keccak-256 of the RLP list of its logs.
        exception: why the transaction is invalid, in the words of whoever wrote the test; None if it is valid.
        touched: whether the fee recipient is touched even if the transaction is invalid, as by a reward of nothing.
    """

    fork: str
    index: int
    variant: int
    root: bytes
    logs: bytes
    exception: str | None
    touched: bool


@dataclass(frozen=True)
class TestEnvironment:
    """The block that a test's transaction is in; None for what its fork may lack."""

    number: int
    timestamp: int
    coinbase: bytes
    gas_limit: int
    difficulty: int
    random: int | None
    base_fee: int | None
    excess_blob_gas: int | None
    chain_id: int


@dataclass(frozen=True)
class StateTest:
    """One test.

    Args:
        file: where it stands.
        name: its name there.
        environment: of its block.
        pre: the accounts before.
        transactions: its variants, without signatures; the senders are `sender`.
        too_large: of each variant a quantity that no transaction can hold, '' if there is none.
        sender: of all variants.
        expected: what becomes of them.
    """

    file: Path
    name: str
    environment: TestEnvironment
    pre: tuple[Account, ...]
    transactions: EthereumTransactions
    too_large: tuple[str, ...]
    sender: bytes
    expected: tuple[Expected, ...]


def read_state_tests(file: Path) -> list[StateTest]:
    """The tests of a file.

    Raises:
        InputFileError: with the file, the test's field, what was found and what is expected.
    """
    tests = decode_json(read(file), file, dict[str, TestJson])
    return [_test(_Place(file, name), test) for name, test in tests.items()]


class _Place:
    """A test in its file, for errors; it reads quantities and data."""

    def __init__(self, file: Path, name: str) -> None:
        self.file = file
        self.name = name

    def refuse(self, field: str, found: str, expected: str) -> InputFileError:
        return InputFileError(self.file, found, expected, None, f"{self.name}.{field}")

    def number(self, field: str, text: str) -> int:
        digits = text.removeprefix(BIG)
        try:
            if digits[:2] != "0x":
                raise ValueError
            return int(digits[2:] or "0", 16)
        except ValueError:
            raise self.refuse(field, repr(text), "a quantity: '0x' and hexadecimal digits") from None

    def data(self, field: str, text: str, size: int | None = None) -> bytes:
        try:
            if text[:2] != "0x":
                raise ValueError
            data = bytes.fromhex(text[2:])
            if size not in (None, len(data)):
                raise ValueError
        except ValueError:
            expected = "data: '0x' and two hexadecimal digits a byte"
            expected = expected if size is None else f"{expected}, {size} bytes"
            raise self.refuse(field, repr(text), expected) from None
        return data


def _test(at: _Place, test: TestJson) -> StateTest:
    variants: dict[tuple[int, int, int], int] = {}
    expected = []
    shown = test.transaction
    for fork, results in test.post.items():
        for index, result in enumerate(results):
            chosen = (result.indexes.data, result.indexes.gas, result.indexes.value)
            sizes = (len(shown.data), len(shown.gas_limit), len(shown.value))
            if any(not 0 <= one < size for one, size in zip(chosen, sizes, strict=True)):
                raise at.refuse(f"post.{fork}[{index}].indexes", str(chosen), f"three below {sizes}")
            expected.append(
                Expected(
                    fork,
                    index,
                    variants.setdefault(chosen, len(variants)),
                    at.data(f"post.{fork}[{index}].hash", result.hash, 32),
                    at.data(f"post.{fork}[{index}].logs", result.logs, 32),
                    result.expect_exception,
                    # Tests of execution-spec-tests have the accounts after the transaction too, and pay no reward.
                    result.state is None,
                )
            )
    transactions, too_large = _transactions(at, shown, list(variants), _chain(at, test))
    return StateTest(
        file=at.file,
        name=at.name,
        environment=_environment(at, test),
        pre=tuple(_account(at, address, account) for address, account in test.pre.items()),
        transactions=transactions,
        too_large=tuple(too_large),
        sender=at.data("transaction.sender", shown.sender, 20),
        expected=tuple(expected),
    )


def _chain(at: _Place, test: TestJson) -> int:
    return at.number("config.chainid", test.config.chainid if test.config else "0x1")


def _environment(at: _Place, test: TestJson) -> TestEnvironment:
    env = test.env

    def optional(field: str, text: str | None) -> int | None:
        return None if text is None else at.number(f"env.{field}", text)

    return TestEnvironment(
        number=at.number("env.currentNumber", env.number),
        timestamp=at.number("env.currentTimestamp", env.timestamp),
        coinbase=at.data("env.currentCoinbase", env.coinbase, 20),
        gas_limit=at.number("env.currentGasLimit", env.gas_limit),
        difficulty=at.number("env.currentDifficulty", env.difficulty),
        random=optional("currentRandom", env.random),
        base_fee=optional("currentBaseFee", env.base_fee),
        excess_blob_gas=optional("currentExcessBlobGas", env.excess_blob_gas),
        chain_id=_chain(at, test),
    )


def _account(at: _Place, address: str, account: AccountJson) -> Account:
    field = f"pre.{address}"
    return Account(
        address=at.data(field, address, 20),
        nonce=at.number(f"{field}.nonce", account.nonce),
        balance=at.number(f"{field}.balance", account.balance),
        code=at.data(f"{field}.code", account.code),
        storage={
            at.number(f"{field}.storage", slot): at.number(f"{field}.storage.{slot}", value)
            for slot, value in account.storage.items()
        },
    )


def _transactions(
    at: _Place, shown: TransactionJson, variants: Sequence[tuple[int, int, int]], chain: int
) -> tuple[EthereumTransactions, list[str]]:
    """The variants in columns, and of each what in it is too large."""
    count = len(variants)
    lists = [_access_list(shown, data) for data, _, _ in variants]
    rows = _Rows(at, count)
    rows.fill(Integer.CHAIN_ID, "config.chainid", [chain] * count)
    for column, name, text, most in (
        (Integer.NONCE, "nonce", shown.nonce, 64),
        (Integer.GAS_PRICE, "gasPrice", shown.gas_price, 256),
        (Integer.MAX_PRIORITY_FEE, "maxPriorityFeePerGas", shown.max_priority_fee_per_gas, 256),
        (Integer.MAX_FEE, "maxFeePerGas", shown.max_fee_per_gas, 256),
        (Integer.MAX_BLOB_FEE, "maxFeePerBlobGas", shown.max_fee_per_blob_gas, 256),
    ):
        rows.fill(column, name, [at.number(f"transaction.{name}", text or "0x0")] * count, most)
    gas = [at.number("transaction.gasLimit", shown.gas_limit[gas]) for _, gas, _ in variants]
    rows.fill(Integer.GAS, "gasLimit", gas, 64)
    values = [at.number("transaction.value", shown.value[value]) for _, _, value in variants]
    rows.fill(Integer.VALUE, "value", values)
    to = at.data("transaction.to", shown.to, 20) if shown.to else b""
    blobs = [
        at.data("transaction.blobVersionedHashes", text, 32) for text in shown.blob_versioned_hashes or ()
    ]
    return EthereumTransactions(
        type=np.array([_type(shown, entries is not None) for entries in lists], np.uint8),
        integers=rows.integers,
        to=np.tile(np.frombuffer(to or bytes(20), np.uint8), (count, 1)),
        has_to=np.full(count, bool(to)),
        input=Messages.of([at.data("transaction.data", shown.data[data]) for data, _, _ in variants]),
        access_lists=_access_columns(at, lists),
        blob_offsets=np.arange(count + 1, dtype=np.int64) * len(blobs),
        blob_hashes=np.tile(np.frombuffer(b"".join(blobs), np.uint8).reshape(-1, 32), (count, 1)),
        authorizations=_authorizations(at, shown, count),
        protected=np.zeros(count, np.bool_),
        recovery_id=np.zeros(count, np.uint8),
        claimed_sender=np.tile(np.frombuffer(at.data("transaction.sender", shown.sender, 20), np.uint8), (count, 1)),
        claimed_hash=np.zeros((count, 32), np.uint8),
        claims_sender=np.ones(count, np.bool_),
        claims_hash=np.zeros(count, np.bool_),
    ), rows.too_large  # fmt: skip


class _Rows:
    """The integer columns of `count` transactions; a quantity that has no room is named in `too_large`."""

    def __init__(self, at: _Place, count: int) -> None:
        self.at = at
        self.integers = np.zeros((count, len(Integer), 32), np.uint8)
        self.too_large = [""] * count

    def fill(self, column: Integer, name: str, numbers: Sequence[int], most: int = 256) -> None:
        for row, number in enumerate(numbers):
            if number >> most:
                self.too_large[row] = f"{name} of {number.bit_length()} bits"
            else:
                self.integers[row, column] = np.frombuffer(number.to_bytes(32), np.uint8)


def _type(shown: TransactionJson, listed: bool) -> TransactionType:
    """A test does not name the type: it follows from the fields that are there."""
    if shown.authorization_list is not None:
        return TransactionType.SET_CODE
    if shown.blob_versioned_hashes is not None:
        return TransactionType.BLOB
    if shown.max_fee_per_gas is not None:
        return TransactionType.DYNAMIC_FEE
    return TransactionType.ACCESS_LIST if listed else TransactionType.LEGACY


def _access_list(shown: TransactionJson, data: int) -> list[AccessEntryJson] | None:
    """The access list that goes with a variant of the data; None for a transaction that has no such field."""
    lists = shown.access_lists
    return None if lists is None or data >= len(lists) else lists[data]


def _access_columns(at: _Place, lists: Sequence[list[AccessEntryJson] | None]) -> AccessLists:
    entries = [entry for one in lists for entry in one or ()]
    addresses = [at.data("transaction.accessLists.address", entry.address, 20) for entry in entries]
    keys = [
        at.data("transaction.accessLists.storageKeys", k, 32) for entry in entries for k in entry.storage_keys
    ]
    return AccessLists(
        _offsets([len(one or ()) for one in lists]),
        np.frombuffer(b"".join(addresses), np.uint8).reshape(-1, 20),
        _offsets([len(entry.storage_keys) for entry in entries]),
        np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 32),
    )  # fmt: skip


def _authorizations(at: _Place, shown: TransactionJson, count: int) -> Authorizations:
    entries = shown.authorization_list or []
    integers = np.zeros((len(entries), len(AuthorizationInteger), 32), np.uint8)
    for row, entry in enumerate(entries):
        for column, name, text in (
            (AuthorizationInteger.CHAIN_ID, "chainId", entry.chain_id),
            (AuthorizationInteger.NONCE, "nonce", entry.nonce),
            (AuthorizationInteger.Y_PARITY, "v", entry.v),
            (AuthorizationInteger.R, "r", entry.r),
            (AuthorizationInteger.S, "s", entry.s),
        ):
            number = at.number(f"transaction.authorizationList[{row}].{name}", text)
            if number >> 256:
                raise at.refuse(f"transaction.authorizationList[{row}].{name}", text, "a number below 2^256")
            integers[row, column] = np.frombuffer(number.to_bytes(32), np.uint8)
    addresses = [at.data(f"transaction.authorizationList[{row}].address", entry.address, 20)
                 for row, entry in enumerate(entries)]  # fmt: skip
    return Authorizations(
        np.arange(count + 1, dtype=np.int64) * len(entries),
        np.tile(integers, (count, 1, 1)),
        np.tile(np.frombuffer(b"".join(addresses), np.uint8).reshape(-1, 20), (count, 1)),
    )


def _offsets(lengths: Sequence[int]) -> Any:
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(np.array(lengths, np.int64), out=offsets[1:])
    return offsets
