# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of the engine.

    SupervmError
    └── EngineError
        └── InputFileError (ValueError)     a file that cannot be used: file, place, field, found, expected
            └── UnknownTransactionType      a transaction of a type that no adapter knows

What a well-formed block *claims* and fails to show (a sender, a hash, a root) is not an error but a finding
of the report; only what cannot be read at all is raised.
"""

from __future__ import annotations

from pathlib import Path

from supervm.kernels.errors import SupervmError

SHOWN = 80
"""How many characters of an offending text a message repeats."""


class EngineError(SupervmError):
    """Base of the engine's errors."""


class InputFileError(EngineError, ValueError):
    """A file that cannot be used.

    Args:
        file: the file.
        found: what is there, in words or as the offending text.
        expected: what is accepted.
        transaction: position of the transaction in its block, if one is to blame.
        field: name of the field, as in the file, if one is to blame.
    """

    def __init__(
        self,
        file: Path | str,
        found: str,
        expected: str,
        transaction: int | None = None,
        field: str | None = None,
    ) -> None:
        self.file = str(file)
        self.found = found if len(found) <= SHOWN else f"{found[:SHOWN]}… ({len(found)} characters)"
        self.expected = expected
        self.transaction = transaction
        self.field = field
        place = [self.file]
        if transaction is not None:
            place.append(f"transaction {transaction}")
        if field is not None:
            place.append(f"field '{field}'")
        super().__init__(f"{', '.join(place)}: found {self.found}, expected {expected}")

    def __reduce__(self) -> tuple[type[InputFileError], tuple[str, str, str, int | None, str | None]]:
        return type(self), (self.file, self.found, self.expected, self.transaction, self.field)


class UnknownTransactionType(InputFileError):
    """A transaction whose type no adapter knows; `found` names the type."""
