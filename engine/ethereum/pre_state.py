# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the accounts before a block into columns."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from supervm.engine.errors import InputFileError
from supervm.engine.ethereum import hex_columns
from supervm.engine.ethereum.field_paths import Field
from supervm.engine.ethereum.wire import AccountJson, decode_json, read
from supervm.kernels.array_types import Bytes, Flags

PRE_STATE_FILE = "pre_state.json"


@dataclass(frozen=True)
class PreState:
    """Accounts before a block: `addresses` uint8 (m, 20), `balances` uint8 (m, 32) big-endian, `nonces`
    uint64 (m,), `has_code` bool (m,). No address stands twice."""

    addresses: Bytes
    balances: Bytes
    nonces: NDArray[np.uint64]
    has_code: Flags

    def __len__(self) -> int:
        return len(self.addresses)


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
    state = decode_json(data, file, dict[str, AccountJson])
    names, accounts = list(state), list(state.values())
    addresses = hex_columns.rows(names, 20, Field(file, names))
    places = Field(file, [f"{name}.balance" for name in names])
    balances = hex_columns.quantities(list(map(attrgetter("balance"), accounts)), 32, places)
    has_code = np.fromiter(map(bool, map(attrgetter("code_hash"), accounts)), np.bool_, len(accounts))
    sorted_rows = np.sort(addresses.view("V20")[:, 0])
    if (sorted_rows[1:] == sorted_rows[:-1]).any():
        raise InputFileError(file, "one address in two spellings", "each account once")
    return PreState(addresses, balances, _nonces(file, names, accounts), has_code)


def _nonces(file: Path, names: list[str], accounts: list[AccountJson]) -> NDArray[np.uint64]:
    nonces = list(map(attrgetter("nonce"), accounts))
    try:
        return np.array(nonces, np.uint64)
    except OverflowError:
        item = next(i for i, nonce in enumerate(nonces) if not 0 <= nonce < 1 << 64)
        raise InputFileError(
            file, str(nonces[item]), "a number from 0 to 2^64 − 1", None, f"{names[item]}.nonce"
        ) from None
