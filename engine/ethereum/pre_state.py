# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the accounts before a block into columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from supervm.crypto import hashes
from supervm.crypto.messages import Messages
from supervm.engine.errors import InputFileError
from supervm.engine.ethereum import hex_columns
from supervm.engine.ethereum.account_leaves import EMPTY_CODE_HASH
from supervm.engine.ethereum.field_paths import Field, SlotField
from supervm.engine.ethereum.wire import AccountJson, decode_json, read
from supervm.kernels.array_types import Bytes, Flags, Offsets

PRE_STATE_FILE = "pre_state.json"


@dataclass(frozen=True)
class PreState:
    """n accounts before a block, none twice, with k slots of their storage.

    | column | dtype, shape | meaning |
    |---|---|---|
    | `addresses` | uint8 (n, 20) | |
    | `balances` | uint8 (n, 32) | big-endian |
    | `nonces` | uint64 (n,) | |
    | `code_hashes` | uint8 (n, 32) | `EMPTY_CODE_HASH` where there is no code |
    | `offsets` | int64 (n + 1,) | slots of account i are `offsets[i]:offsets[i + 1]`, none twice |
    | `slots`, `values` | uint8 (k, 32) | big-endian; zero: the slot is empty |
    | `codes` | | code by its hash, as far as the file has it |
    """

    addresses: Bytes
    balances: Bytes
    nonces: NDArray[np.uint64]
    code_hashes: Bytes
    offsets: Offsets
    slots: Bytes
    values: Bytes
    codes: Mapping[bytes, bytes]

    def __len__(self) -> int:
        return len(self.addresses)

    @property
    def has_code(self) -> Flags:
        """Which accounts have code, bool (n,)."""
        flags: Flags = (self.code_hashes != np.frombuffer(EMPTY_CODE_HASH, np.uint8)).any(axis=1)
        return flags


def read_pre_state(folder: Path | str) -> PreState:
    """Read `pre_state.json` of a folder.

    Raises:
        InputFileError: with the file, the account, what was found and what is expected.
    """
    file = Path(folder) / PRE_STATE_FILE
    return decode_pre_state(read(file), file)


def decode_pre_state(data: bytes, file: Path) -> PreState:
    """A pre-state from its JSON; `file` is where it came from, for errors, which are those of
    `read_pre_state`."""
    return state_of(decode_json(data, file, dict[str, AccountJson]), file)


def state_of(state: dict[str, AccountJson], file: Path, at: str = "") -> PreState:
    """As `decode_pre_state`, from what the JSON holds; `at` stands in the file before the address."""
    accounts = list(state.values())
    names = [at + address for address in state] if at else list(state)
    addresses = hex_columns.rows(list(state), 20, Field(file, names))
    places = Field(file, [f"{name}.balance" for name in names])
    balances = hex_columns.quantities(list(map(attrgetter("balance"), accounts)), 32, places)
    _refuse_twice(addresses, file, "one address in two spellings", "each account once")
    code_hashes, codes = _codes(file, names, accounts)
    offsets, slots, values = _storage(file, names, accounts)
    nonces = _nonces(file, names, accounts)
    return PreState(addresses, balances, nonces, code_hashes, offsets, slots, values, codes)


def _codes(file: Path, names: list[str], accounts: list[AccountJson]) -> tuple[Bytes, dict[bytes, bytes]]:
    """Code hashes, as stated or of the code that stands there, which then must agree; and the codes by their hashes."""
    digests = np.tile(np.frombuffer(EMPTY_CODE_HASH, np.uint8), (len(accounts), 1))
    stated = [item for item, account in enumerate(accounts) if account.code_hash]
    texts = [accounts[item].code_hash or "" for item in stated]
    rows = hex_columns.rows(texts, 32, Field(file, [f"{names[item]}.code_hash" for item in stated]))
    # A hash of zeros is what some nodes state of an account that does not exist.
    digests[stated] = np.where(rows.any(axis=1, keepdims=True), rows, digests[stated])
    with_code = [item for item, account in enumerate(accounts) if account.code]
    fields = Field(file, [f"{names[item]}.code" for item in with_code])
    codes = Messages.of(hex_columns.ragged([accounts[item].code or "" for item in with_code], fields))
    if not len(codes):
        return digests, {}
    hashed = hashes.keccak256_batch(codes)
    wrong = np.isin(with_code, stated) & (hashed != digests[with_code]).any(axis=1)
    if wrong.any():
        item = int(np.argmax(wrong))
        fields(item, f"code whose Keccak-256 is 0x{hashed[item].tobytes().hex()}", "the code of 'code_hash'")
    digests[with_code] = hashed
    return digests, {digest.tobytes(): codes[item] for item, digest in enumerate(hashed)}


def _storage(file: Path, names: list[str], accounts: list[AccountJson]) -> tuple[Offsets, Bytes, Bytes]:
    storages = list(map(attrgetter("storage"), accounts))
    offsets = np.zeros(len(accounts) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, storages), np.int64, len(accounts)), out=offsets[1:])
    texts = list(chain.from_iterable(storages))
    place = SlotField(file, names, offsets, texts)
    slots = hex_columns.quantities(texts, 32, place)
    values = hex_columns.quantities(list(chain.from_iterable(map(dict.values, storages))), 32, place)
    owners = np.repeat(np.arange(len(accounts)), np.diff(offsets)).astype(">i8")[:, None].view(np.uint8)
    owned = np.concatenate([owners, slots], axis=1)
    _refuse_twice(owned, file, "one slot of an account in two spellings", "each slot once")
    return offsets, slots, values


def _refuse_twice(rows: Bytes, file: Path, found: str, expected: str) -> None:
    whole = np.sort(np.ascontiguousarray(rows).view(np.dtype((np.void, rows.shape[1])))[:, 0])
    if (whole[1:] == whole[:-1]).any():
        raise InputFileError(file, found, expected)


def _nonces(file: Path, names: list[str], accounts: list[AccountJson]) -> NDArray[np.uint64]:
    nonces = list(map(attrgetter("nonce"), accounts))
    try:
        return np.array(nonces, np.uint64)
    except OverflowError:
        item = next(i for i, nonce in enumerate(nonces) if not 0 <= nonce < 1 << 64)
        raise InputFileError(
            file, str(nonces[item]), "a number from 0 to 2^64 − 1", None, f"{names[item]}.nonce"
        ) from None
