# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of the engine.

    SupervmError
    └── EngineError
        ├── ForgedBlock (ValueError)        a block whose own bytes show that something it states is wrong
        ├── InputFileError (ValueError)     a file that cannot be used: file, place, field, found, expected
        │   └── UnknownTransactionType      a transaction of a type that no adapter knows
        ├── MalformedBatch (ValueError)     columns that are no batch of transactions: row, field, found, expected
        ├── MissingNodes (LookupError)      trie nodes that a proof needs and a witness lacks: hash, path, whose trie
        ├── MalformedNode (ValueError)      what a root commits to is no trie node: hash, path, whose trie
        ├── UnreadableLeaf (ValueError)     what a root commits to for an account or slot is none
        ├── MissingPackage (ImportError)    a package that only generating load needs, and what brings it
        ├── NodeUnreachable                 another chain's node that gives no answer over HTTP, and why
        ├── NodeRefused                     such a node's answer that it will not or cannot tell: method, code, message
        ├── NodeAnswerMalformed (ValueError)  such a node's answer that is not what was asked for: method, field
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

from dataclasses import dataclass
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


class NodeUnreachable(EngineError):
    """A node gave no answer to a JSON-RPC call, however often it was tried.

    Args:
        node: its host.
        problem: what happened at last, in words.
        tries: how many there were.
    """

    def __init__(self, node: str, problem: str, tries: int) -> None:
        super().__init__(
            f"{node}: {problem}, after {tries} tr{'y' if tries == 1 else 'ies'}; is a node there?"
        )
        self.node = node
        self.problem = problem
        self.tries = tries

    def __reduce__(self) -> tuple[type[NodeUnreachable], tuple[str, str, int]]:
        return type(self), (self.node, self.problem, self.tries)


class NodeRefused(EngineError):
    """A node answered a JSON-RPC call with an error.

    Args:
        node: its host.
        method: that was called.
        code: the error's.
        message: the node's own words.
        advice: what to do, if that is known.
    """

    def __init__(self, node: str, method: str, code: int, message: str, advice: str = "") -> None:
        self.message = message if len(message) <= SHOWN else f"{message[:SHOWN]}…"
        told = f"{node}, {method}: the node refuses: {self.message} ({code})"
        super().__init__(f"{told}; {advice}" if advice else told)
        self.node = node
        self.method = method
        self.code = code
        self.advice = advice

    def __reduce__(self) -> tuple[type[NodeRefused], tuple[str, str, int, str, str]]:
        return type(self), (self.node, self.method, self.code, self.message, self.advice)


class NodeAnswerMalformed(EngineError, ValueError):
    """A node's answer to a JSON-RPC call is not what was asked for.

    Args:
        node: its host.
        method: that was called.
        field: of the answer; '' for all of it.
        found: what is there.
        expected: what is accepted.
    """

    def __init__(self, node: str, method: str, field: str, found: str, expected: str) -> None:
        self.found = found if len(found) <= SHOWN else f"{found[:SHOWN]}… ({len(found)} characters)"
        place = f"{node}, {method}" + (f", field '{field}'" if field else "")
        super().__init__(f"{place}: found {self.found}, expected {expected}")
        self.node = node
        self.method = method
        self.field = field
        self.expected = expected

    def __reduce__(self) -> tuple[type[NodeAnswerMalformed], tuple[str, str, str, str, str]]:
        return type(self), (self.node, self.method, self.field, self.found, self.expected)


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


@dataclass(frozen=True)
class MissingNode:
    """A node of a Merkle Patricia trie, by where it stands.

    Args:
        hash: its Keccak-256.
        path: the nibbles that lead to it, as hexadecimal digits.
        account: the address whose storage the trie is; None: it is the state.
        beside: whether it is needed because the last key beside it goes.
    """

    hash: bytes
    path: str
    account: bytes | None = None
    beside: bool = False

    def __str__(self) -> str:
        trie = f"the storage of 0x{self.account.hex()}" if self.account else "the state"
        why = ", which is left alone in its branch" if self.beside else ""
        return f"node 0x{self.hash.hex()} at path '{self.path}' of {trie}{why}"


class MissingNodes(EngineError, LookupError):
    """Nodes that a proof or a change needs and that were not given.

    Args:
        nodes: all of them that could be named; opening them may show more.
    """

    def __init__(self, nodes: tuple[MissingNode, ...]) -> None:
        more = f" and {len(nodes) - 1} more" if len(nodes) > 1 else ""
        super().__init__(f"the witness lacks {nodes[0]}{more}; add the encoding of each to its nodes")
        self.nodes = nodes

    def __reduce__(self) -> tuple[type[MissingNodes], tuple[tuple[MissingNode, ...]]]:
        return type(self), (self.nodes,)


class MalformedNode(EngineError, ValueError):
    """What a root commits to at some place is no node of a trie of 32-byte keys.

    Args:
        node: which.
    """

    def __init__(self, node: MissingNode) -> None:
        super().__init__(
            f"{node}: found other bytes, expected RLP of a branch of at least two children, an extension above a branch, or "
            "a leaf"
        )
        self.node = node

    def __reduce__(self) -> tuple[type[MalformedNode], tuple[MissingNode]]:
        return type(self), (self.node,)


class UnreadableLeaf(EngineError, ValueError):
    """A trie proves bytes for an account or a slot that are no RLP of one.

    Args:
        place: which account or slot.
        value: the bytes.
    """

    def __init__(self, place: str, value: bytes) -> None:
        text = value.hex()
        found = text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(value)} bytes)"
        super().__init__(
            f"{place}: found 0x{found}, expected RLP of nonce, balance, storage root and code hash, or of a storage value"
        )
        self.place = place
        self.value = value

    def __reduce__(self) -> tuple[type[UnreadableLeaf], tuple[str, bytes]]:
        return type(self), (self.place, self.value)


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
