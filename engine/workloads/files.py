# SPDX-License-Identifier: GPL-3.0-or-later
"""Workloads in files, format 1.

| bytes | what |
|---|---|
| 8 | `SVMWORK` and the format's number, `01` |
| 13 × (8 + length) | sections, each its length and its bytes |
| 32 | SHA-256 of everything before |

| section | holds |
|---|---|
| 0 | JSON: name, parameters, deployments (contract, salt and address in hexadecimal); what it came to, if it was run; the
EVM's fork, if the chain has one |
| 1, 2 | credits: addresses (20 each), balances (32 each, big-endian) |
| 3, 4, 5 | objects: ids (32 each), owners (20 each), kinds (1 each) |
| 6, 7 | keys of state entries: offsets, bytes |
| 8, 9 | their values: offsets, bytes |
| 10 | offsets of the blocks in the transactions |
| 11, 12 | transactions in their canonical encoding: offsets, bytes |

Lengths and offsets are 8 bytes, little-endian; offsets begin at 0 and are one more than what they delimit.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from supervm.crypto.messages import Messages
from supervm.engine.errors import InputFileError
from supervm.engine.files.input_files import open_input
from supervm.engine.files.whole_files import whole_file
from supervm.engine.transactions.encoding import decode, encode
from supervm.engine.workloads.workload import Announced, Deployment, Genesis, Parameters, Workload
from supervm.kernels.array_types import Bytes, Offsets
from supervm.kernels.errors import ArgumentError
from supervm.vm.evm.forks import fork_named

_MAGIC, FORMAT = b"SVMWORK", 1

MOST_BYTES = 4 << 30
"""Bytes of a workload file; a larger one is refused unread."""

_HEAD_BYTES, _LENGTH_BYTES, _DIGEST_BYTES = 8, 8, 32
_SECTIONS = (
    "header",
    "credit addresses",
    "credit balances",
    "object ids",
    "object owners",
    "object kinds",
    "entry key offsets",
    "entry keys",
    "entry value offsets",
    "entry values",
    "block offsets",
    "transaction offsets",
    "transactions",
)


class _DeploymentJson(msgspec.Struct, forbid_unknown_fields=True):
    contract: str
    salt: str
    address: str


class _AnnouncedJson(msgspec.Struct, forbid_unknown_fields=True):
    blocks: int
    hash: str
    state_root: str


class _HeaderJson(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    name: str
    parameters: Parameters
    deployments: list[_DeploymentJson]
    announced: _AnnouncedJson | None = None
    evm: str = ""


def write_workload(path: Path | str, workload: Workload) -> None:
    """Write a workload to a file, which is replaced, when the new one is whole, if there is one.

    Raises:
        OSError: it cannot be written.
    """
    genesis, encoded = workload.genesis, encode(workload.transactions)
    deployments = [
        _DeploymentJson(each.contract, each.salt.hex(), each.address.hex()) for each in genesis.deployments
    ]
    told = workload.announced
    announced = None if told is None else _AnnouncedJson(told.blocks, told.hash, told.state_root.hex())
    fields = (workload.name, workload.parameters, deployments, announced, genesis.evm)
    header = msgspec.json.encode(_HeaderJson(*fields))
    sections: list[Any] = [
        header,
        genesis.addresses,
        genesis.balances,
        genesis.object_ids,
        genesis.object_owners,
        genesis.object_kinds,
        *_strings(genesis.keys),
        *_strings(genesis.values),
        workload.block_offsets.astype("<i8"),
        *_strings(encoded),
    ]
    digest = hashlib.sha256()
    with whole_file(path) as file:

        def put(data: Any) -> None:
            digest.update(data)
            file.write(data)

        put(_MAGIC + bytes([FORMAT]))
        for section in sections:
            data = section if isinstance(section, bytes) else _flat(section)
            put(len(data).to_bytes(_LENGTH_BYTES, "little"))
            put(data)
        file.write(digest.digest())


def read_workload(path: Path | str) -> Workload:
    """Read a workload from a file or a pipe, at most `MOST_BYTES`.

    Raises:
        InputFileError: it cannot be read, or is no whole and unharmed file of this format; the section, and the
            transaction where one is to blame, are named.
    """
    file = Path(path)
    with open_input(path) as opened:
        _check_head(file, opened.peek(_HEAD_BYTES))
        data = np.frombuffer(opened.read_all(MOST_BYTES), np.uint8)
    sections = dict(zip(_SECTIONS, _cut(file, data), strict=True))
    header = _header(file, sections["header"].tobytes())
    messages = _messages(file, sections, "transaction offsets", "transactions")
    transactions, faults = decode(messages)
    if faults:
        row = int(faults.rows[0])
        raise InputFileError(file, faults.words(row), "a transaction's encoding", row, "transactions")
    offsets = _offsets(file, sections, "block offsets", len(transactions))
    genesis = _genesis(file, sections, header)
    return Workload(header.name, header.parameters, genesis, transactions, offsets, _announced(file, header))


def _flat(array: NDArray[Any]) -> memoryview:
    """The bytes of an array."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _strings(messages: Messages) -> tuple[NDArray[Any], Bytes]:
    first, last = int(messages.offsets[0]), int(messages.offsets[-1])
    return (messages.offsets - first).astype("<i8"), messages.data[first:last]


def _check_head(file: Path, head: bytes) -> None:
    if head[:-1] != _MAGIC[: len(head[:-1])] or not head:
        raise InputFileError(file, repr(head), f"a workload, which begins with {_MAGIC!r}")
    if len(head) == _HEAD_BYTES and head[-1] != FORMAT:
        raise InputFileError(file, f"format {head[-1]}", f"format {FORMAT}")


def _cut(file: Path, data: Bytes) -> list[Bytes]:
    """The sections of a file whose frame and digest are right."""
    end = len(data) - _DIGEST_BYTES
    at, sections = _HEAD_BYTES, []
    for name in _SECTIONS:
        length = int.from_bytes(data[at : at + _LENGTH_BYTES].tobytes(), "little")
        if at + _LENGTH_BYTES + length > end:
            raise InputFileError(file, f"the end after {len(data):,} bytes", "a whole file", None, name)
        at += _LENGTH_BYTES
        sections.append(data[at : at + length])
        at += length
    if at != end:
        raise InputFileError(file, f"{end - at:,} bytes more", "the end after the digest")
    if hashlib.sha256(_flat(data[:end])).digest() != data[end:].tobytes():
        raise InputFileError(file, "another content than was written", "the digest in the last 32 bytes")
    return sections


def _header(file: Path, data: bytes) -> _HeaderJson:
    try:
        return msgspec.json.decode(data, type=_HeaderJson)
    except (msgspec.DecodeError, ArgumentError, UnicodeDecodeError, RecursionError) as error:
        raise InputFileError(file, str(error), "the header of a workload", None, "header") from error


def _genesis(file: Path, sections: dict[str, Bytes], header: _HeaderJson) -> Genesis:
    addresses = _rows(file, sections, "credit addresses", 20)
    ids = _rows(file, sections, "object ids", 32)
    keys = _messages(file, sections, "entry key offsets", "entry keys")
    values = _messages(file, sections, "entry value offsets", "entry values")
    genesis = Genesis(
        addresses=addresses,
        balances=_rows(file, sections, "credit balances", 32),
        object_ids=ids,
        object_owners=_rows(file, sections, "object owners", 20),
        object_kinds=sections["object kinds"],
        deployments=tuple(_deployment(file, each) for each in header.deployments),
        evm=_evm(file, header),
        keys=keys,
        values=values,
    )
    for name, found, wanted in (
        ("credit balances", len(genesis.balances), len(addresses)),
        ("object owners", len(genesis.object_owners), len(ids)),
        ("object kinds", len(genesis.object_kinds), len(ids)),
        ("entry value offsets", len(values), len(keys)),
    ):
        if found != wanted:
            raise InputFileError(file, f"{found:,} rows", f"{wanted:,}", None, name)
    return genesis


def _deployment(file: Path, given: _DeploymentJson) -> Deployment:
    try:
        found = Deployment(given.contract, bytes.fromhex(given.salt), bytes.fromhex(given.address))
    except ValueError as error:
        raise InputFileError(file, str(error), "hexadecimal digits", None, "header") from error
    if (len(found.salt), len(found.address)) != (32, 20):
        found_bytes = f"{len(found.salt)} and {len(found.address)} bytes"
        raise InputFileError(file, found_bytes, "a salt of 32 and an address of 20 bytes", None, "header")
    return found


def _evm(file: Path, header: _HeaderJson) -> str:
    try:
        return fork_named(header.evm).name if header.evm else ""
    except ArgumentError as error:
        raise InputFileError(file, error.found, error.expected, None, "header") from error


def _announced(file: Path, header: _HeaderJson) -> Announced | None:
    told = header.announced
    if told is None:
        return None
    try:
        root = bytes.fromhex(told.state_root)
    except ValueError as error:
        raise InputFileError(file, str(error), "hexadecimal digits", None, "header") from error
    if len(root) != 32 or told.blocks < 0:
        found = f"a state root of {len(root)} bytes after {told.blocks} blocks"
        raise InputFileError(file, found, "32 bytes after 0 blocks or more", None, "header")
    return Announced(told.blocks, told.hash, root)


def _rows(file: Path, sections: dict[str, Bytes], name: str, width: int) -> Bytes:
    data = sections[name]
    if len(data) % width:
        raise InputFileError(file, f"{len(data):,} bytes", f"rows of {width} bytes", None, name)
    return data.reshape(-1, width)


def _offsets(file: Path, sections: dict[str, Bytes], name: str, end: int) -> Offsets:
    data = sections[name]
    if len(data) % 8 or not len(data):
        raise InputFileError(file, f"{len(data):,} bytes", "numbers of 8 bytes, at least one", None, name)
    offsets = np.frombuffer(data.tobytes(), "<i8").astype(np.int64)
    if offsets[0] != 0 or offsets[-1] != end or (offsets[1:] < offsets[:-1]).any():
        expected = f"numbers that ascend from 0 to {end}"
        raise InputFileError(file, f"from {offsets[0]} to {offsets[-1]}", expected, None, name)
    return offsets


def _messages(file: Path, sections: dict[str, Bytes], offsets: str, data: str) -> Messages:
    return Messages(sections[data], _offsets(file, sections, offsets, len(sections[data])))
