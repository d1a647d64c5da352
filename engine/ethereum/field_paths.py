# SPDX-License-Identifier: GPL-3.0-or-later
"""Where in a file an item of a column stands, for the error that refuses it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from supervm.engine.errors import InputFileError


class Field:
    """A field of the block itself or of an account: `names[item]` is its name in the file."""

    def __init__(self, file: Path, names: Sequence[str]) -> None:
        self.file = file
        self.names = names

    def __call__(self, item: int, found: str, expected: str) -> NoReturn:
        raise InputFileError(self.file, found, expected, None, self.names[item])


class SlotField:
    """A slot of the accounts `names`, or what it holds: those of account i are `offsets[i]:offsets[i + 1]`."""

    def __init__(
        self, file: Path, names: Sequence[str], offsets: NDArray[np.int64], slots: Sequence[str]
    ) -> None:
        self.file = file
        self.names = names
        self.offsets = offsets
        self.slots = slots

    def __call__(self, item: int, found: str, expected: str) -> NoReturn:
        account = self.names[int(np.searchsorted(self.offsets, item, side="right")) - 1]
        raise InputFileError(self.file, found, expected, None, f"{account}.storage.{self.slots[item]}")


class TransactionField:
    """A field of each transaction; `transactions[item]` is the position in the block, or the item itself."""

    def __init__(self, file: Path, name: str, transactions: NDArray[np.int64] | None = None) -> None:
        self.file = file
        self.name = name
        self.transactions = transactions

    def __call__(self, item: int, found: str, expected: str) -> NoReturn:
        transaction = item if self.transactions is None else int(self.transactions[item])
        raise InputFileError(self.file, found, expected, transaction, self.name)


class ListField:
    """A field of the entries of a list in each transaction: item → entry `entries[item]` (or the item
    itself), entry → transaction by `offsets`."""

    def __init__(
        self,
        file: Path,
        list_name: str,
        offsets: NDArray[np.int64],
        name: str = "",
        entries: NDArray[np.int64] | None = None,
    ) -> None:
        self.file = file
        self.list_name = list_name
        self.offsets = offsets
        self.name = name
        self.entries = entries

    def __call__(self, item: int, found: str, expected: str) -> NoReturn:
        entry = item if self.entries is None else int(self.entries[item])
        transaction = int(np.searchsorted(self.offsets, entry, side="right")) - 1
        field = f"{self.list_name}[{entry - int(self.offsets[transaction])}]"
        if self.name:
            field = f"{field}.{self.name}"
        raise InputFileError(self.file, found, expected, transaction, field)
