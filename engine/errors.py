# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of the engine.

    SupervmError
    └── EngineError
        ├── ForgedBlock (ValueError)        a block whose own bytes show that something it states is wrong
        ├── InputFileError (ValueError)     a file that cannot be used: file, place, field, found, expected
        │   └── UnknownTransactionType      a transaction of a type that no adapter knows
        ├── MalformedBatch (ValueError)     columns that are no batch of transactions: row, field, found, expected
        ├── MissingPackage (ImportError)    a package that only generating load needs, and what brings it
        ├── EngineClosed                    an engine that was closed is asked to change its state
        ├── HostFunctionFailed              a host function could not compute; the block was not executed
        └── StorageError                    the state on disk: path, reason, what to do
            ├── StorageUnavailable          it cannot be opened: locked, not a storage, another version, closed
            ├── StorageCorrupt              what is stored is damaged or contradicts itself
            └── StorageFailed               a write failed; nothing is taken any more until it is opened again

What a well-formed block *claims* and fails to show (a sender, a hash, a root) is not an error of a replay but a finding
of its report; only what cannot be read at all is raised there. A workload is not made of such a block: `ForgedBlock`.
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


class EngineClosed(EngineError):
    """An engine that was closed is asked to change its state."""

    def __init__(self) -> None:
        super().__init__("the engine is closed; open another one")

    def __reduce__(self) -> tuple[type[EngineClosed], tuple[()]]:
        return type(self), ()


class HostFunctionFailed(EngineError):
    """What a contract asked for could not be computed on this machine; nothing is left of the block.

    Args:
        problem: why, in words.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(f"a host function could not compute, and the block was not executed: {problem}")
        self.problem = problem

    def __reduce__(self) -> tuple[type[HostFunctionFailed], tuple[str]]:
        return type(self), (self.problem,)


class ForgedBlock(EngineError, ValueError):
    """A block that does not hold what it states.

    Args:
        block: its number.
        field: the header's field.
        computed: what its own bytes give, in words.
        stated: what the block says.
    """

    def __init__(self, block: int, field: str, computed: str, stated: str) -> None:
        super().__init__(f"block {block}: {field}: found {computed}, expected {stated}, as the block states")
        self.block = block
        self.field = field
        self.computed = computed
        self.stated = stated

    def __reduce__(self) -> tuple[type[ForgedBlock], tuple[int, str, str, str]]:
        return type(self), (self.block, self.field, self.computed, self.stated)


class UnknownTransactionType(InputFileError):
    """A transaction whose type no adapter knows; `found` names the type."""


class MalformedBatch(EngineError, ValueError):
    """Columns that are no batch of transactions.

    Args:
        field: the column, as in `TransactionBatch`.
        found: what is there, in words.
        expected: what is accepted.
        row: position of the transaction in the batch, if one is to blame.
    """

    def __init__(self, field: str, found: str, expected: str, row: int | None = None) -> None:
        self.field = field
        self.found = found
        self.expected = expected
        self.row = row
        place = "" if row is None else f"transaction {row}, "
        super().__init__(f"{place}column '{field}': found {found}, expected {expected}")

    def __reduce__(self) -> tuple[type[MalformedBatch], tuple[str, str, str, int | None]]:
        return type(self), (self.field, self.found, self.expected, self.row)


class MissingPackage(EngineError, ImportError):
    """A package is not installed that nothing but the generation of load needs.

    Args:
        package: its name.
        purpose: what asked for it.
    """

    def __init__(self, package: str, purpose: str) -> None:
        self.package = package
        self.purpose = purpose
        super().__init__(
            f"{purpose} needs the package '{package}', which is not installed; "
            "pip install 'supervm-engine[bench]' brings it"
        )

    def __reduce__(self) -> tuple[type[MissingPackage], tuple[str, str]]:
        return type(self), (self.package, self.purpose)


class StorageError(EngineError):
    """The stored state cannot be read or written.

    Args:
        path: the storage's directory.
        reason: what happened, with the record or file to blame.
        remedy: what the operator can do about it.
    """

    def __init__(self, path: Path | str, reason: str, remedy: str) -> None:
        self.path = str(path)
        self.reason = reason
        self.remedy = remedy
        super().__init__(f"storage {self.path}: {reason}; {remedy}")

    def __reduce__(self) -> tuple[type[StorageError], tuple[str, str, str]]:
        return type(self), (self.path, self.reason, self.remedy)


class StorageUnavailable(StorageError):
    """The storage cannot be opened, or is closed; what is stored was not touched."""


class StorageCorrupt(StorageError):
    """A record or file is missing, damaged or at odds with another; no value of it was delivered."""


class StorageFailed(StorageError):
    """A write failed (disk full, input or output error). Nothing more is taken until the storage is opened again."""
