# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads blocks with all that executing them needs: parent, uncles, accounts, code, ancestors' hashes, trie nodes.

Two forms hold the same parts under the same names: one JSON object, and a folder with one `<part>.json` for each.

| part | content |
|---|---|
| `block` | as `eth_getBlockByNumber(n, true)`; transactions may lack `hash`, `from`, and beside a maximum fee `gasPrice` |
| `pre_state`, `post_state` | address → `balance`, `nonce`, `code` or `code_hash`, `storage`; the second may be absent |
| `parent`, `uncles` | a header; a list of them |
| `block_hashes` | number → hash, of ancestors |
| `nodes` | encodings of nodes of the parent's tries, in any order |
| `extra_codes` | code that is no account's before the block |
| `chain` | `chain_id` and `fork`, of a chain that is not mainnet |

Only `block` and `pre_state` must be there.
"""

from __future__ import annotations

import lzma
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from supervm.crypto import hashes
from supervm.crypto.messages import Messages
from supervm.engine.errors import InputFileError
from supervm.engine.ethereum import hex_columns
from supervm.engine.ethereum.blocks import EthereumBlock, block_of
from supervm.engine.ethereum.field_paths import Field
from supervm.engine.ethereum.header import NO_UNCLES, Header, decode_header
from supervm.engine.ethereum.pre_state import PreState, state_of
from supervm.engine.ethereum.rlp import listed
from supervm.engine.ethereum.wire import MOST_BYTES, AccountJson, BlockJson, HeaderJson, decode_json, read

_HASH = 32
_LENGTH_BYTES = 4


class ChainJson(msgspec.Struct, gc=False):
    chain_id: int | None = None
    fork: str | None = None


class WitnessJson(msgspec.Struct, gc=False):
    block: BlockJson
    pre_state: dict[str, AccountJson]
    post_state: dict[str, AccountJson] | None = None
    parent: HeaderJson | None = None
    uncles: list[HeaderJson] | None = None
    block_hashes: dict[str, str] = msgspec.field(default_factory=dict)
    nodes: list[str] = msgspec.field(default_factory=list)
    extra_codes: list[str] = msgspec.field(default_factory=list)
    chain: ChainJson = msgspec.field(default_factory=ChainJson)


@dataclass(frozen=True)
class Witness:
    """A block and what it needs.

    Args:
        file: the file or folder.
        block: the block.
        parent: the parent's header, None where the file has none; else its hash is what the block names.
        uncles: the uncles' headers, None where the file does not have them; else they are what the block names.
        pre_state: accounts before the block.
        post_state: accounts after it, None where the file does not say.
        codes: code by hash, of accounts and extra ones.
        block_hashes: hashes of ancestors by number.
        nodes: encodings of trie nodes; none of them where the file has none.
        chain_id: of another chain than mainnet.
        fork: name of its rules.
    """

    file: Path
    block: EthereumBlock
    parent: Header | None
    uncles: tuple[Header, ...] | None
    pre_state: PreState
    post_state: PreState | None
    codes: Mapping[bytes, bytes]
    block_hashes: Mapping[int, bytes]
    nodes: Messages
    chain_id: int | None
    fork: str | None

    @property
    def root_before(self) -> bytes | None:
        """The state root before the block, None without the parent's header."""
        return None if self.parent is None else self.parent.fields["stateRoot"]


def read_witness(path: Path | str) -> Witness:
    """Read a block from a file of all its parts, or a folder with a file for each.

    Raises:
        InputFileError: with the file, the field, what was found and what is expected; also where the parent, an uncle or a
            code is not the one that its hash names.
    """
    path = Path(path)
    if not path.is_dir():
        return _Reader(path, {}).witness(decode_json(read(path), path, WitnessJson))
    parts: dict[str, Any] = {}
    files: dict[str, Path] = {}
    for part in msgspec.structs.fields(WitnessJson):
        file = path / f"{part.name}.json"
        if part.required or file.exists():
            parts[part.name] = decode_json(read(file), file, part.type)
            files[part.name] = file
    return _Reader(path, files).witness(WitnessJson(**parts))


class _Reader:
    """From JSON to columns; `files` are those of the parts, empty where all stand in `path`."""

    def __init__(self, path: Path, files: Mapping[str, Path]) -> None:
        self.path = path
        self.files = files

    def place(self, part: str) -> tuple[Path, str]:
        """The file of a part, and what stands in it before the names of its fields."""
        file = self.files.get(part)
        return (file, "") if file else (self.path, f"{part}.")

    def names(self, part: str, count: int) -> tuple[Path, list[str]]:
        file, at = self.place(part)
        return file, [f"{at.removesuffix('.')}[{item}]" for item in range(count)]

    def witness(self, json: WitnessJson) -> Witness:
        block = block_of(json.block, self.place("block")[0], bare=True)
        state = state_of(json.pre_state, *self.place("pre_state"))
        post = None if json.post_state is None else state_of(json.post_state, *self.place("post_state"))
        return Witness(
            file=self.path,
            block=block,
            parent=None if json.parent is None else self.parent(json.parent, block),
            uncles=self.uncles(json.uncles or [], block),
            pre_state=state,
            post_state=post,
            codes={**state.codes, **by_hash(self.data("extra_codes", json.extra_codes))},
            block_hashes=_block_hashes(json.block_hashes, *self.place("block_hashes")),
            nodes=self.data("nodes", json.nodes),
            chain_id=json.chain.chain_id,
            fork=json.chain.fork,
        )

    def data(self, part: str, texts: list[str]) -> Messages:
        return Messages.of(hex_columns.ragged(texts, Field(*self.names(part, len(texts)))))

    def parent(self, json: HeaderJson, block: EthereumBlock) -> Header:
        file, at = self.place("parent")
        header = decode_header(json, file, at)
        found, stated = header.hash(), block.header.fields["parentHash"]
        if found != stated:
            self.refuse(
                "parent",
                f"a header of hash 0x{found.hex()}",
                f"that of the block's parentHash, 0x{stated.hex()}",
            )
        return header

    def uncles(self, json: list[HeaderJson], block: EthereumBlock) -> tuple[Header, ...] | None:
        file, names = self.names("uncles", len(json))
        headers = tuple(
            decode_header(uncle, file, f"{name}.") for uncle, name in zip(json, names, strict=True)
        )
        stated = block.header.fields["sha3Uncles"]
        if not headers and stated != NO_UNCLES:
            return None
        found = hashes.keccak256(listed([header.encoded() for header in headers]))
        if found != stated:
            self.refuse(
                "uncles",
                f"{len(headers)} headers of hash 0x{found.hex()}",
                f"those of the block's sha3Uncles, 0x{stated.hex()}",
            )
        return headers

    def refuse(self, part: str, found: str, expected: str) -> None:
        raise InputFileError(self.place(part)[0], found, expected, None, part)


def read_codes(path: Path | str) -> dict[bytes, bytes]:
    """Code by its Keccak-256, from a file of codes: each behind its length, four bytes little-endian.

    Args:
        path: the file; where its name ends in `.xz` it is compressed.

    Raises:
        InputFileError: it cannot be read, is not compressed so, or ends in the middle of a code.
    """
    path = Path(path)
    data = read(path)
    if path.suffix == ".xz":
        data = _decompressed(data, path)
    codes: list[bytes] = []
    place = 0
    while place < len(data):
        size = int.from_bytes(data[place : place + _LENGTH_BYTES], "little")
        place += _LENGTH_BYTES
        if place + size > len(data):
            found = f"code {len(codes)} of {size:,} bytes with {max(len(data) - place, 0):,} left in the file"
            raise InputFileError(path, found, "codes, each behind its length in four bytes, little-endian")
        codes.append(data[place : place + size])
        place += size
    return by_hash(Messages.of(codes))


def _decompressed(data: bytes, file: Path) -> bytes:
    decompressor = lzma.LZMADecompressor()
    try:
        plain = decompressor.decompress(data, MOST_BYTES)
    except lzma.LZMAError as error:
        raise InputFileError(file, str(error), "a file that xz compressed") from None
    if not decompressor.eof:
        found = (
            f"more than {MOST_BYTES:,} bytes"
            if len(plain) == MOST_BYTES
            else "an end before that of the content"
        )
        raise InputFileError(file, found, f"a whole file that xz compressed, of at most {MOST_BYTES:,} bytes")
    return plain


def read_block_hashes(path: Path | str) -> dict[int, bytes]:
    """Hashes of blocks by number, from a JSON object of decimal numbers and hashes.

    Raises:
        InputFileError: it cannot be read, or a field is no such thing.
    """
    path = Path(path)
    return _block_hashes(decode_json(read(path), path, dict[str, str]), path, "")


def by_hash(codes: Messages) -> dict[bytes, bytes]:
    """Codes by their Keccak-256."""
    if not len(codes):
        return {}
    digests = hashes.keccak256_batch(codes)
    return {digest.tobytes(): codes[item] for item, digest in enumerate(digests)}


def _block_hashes(texts: Mapping[str, str], file: Path, at: str) -> dict[int, bytes]:
    names = [at + number for number in texts]
    for number, name in zip(texts, names, strict=True):
        if not (number.isascii() and number.isdigit()):
            raise InputFileError(file, repr(number), "the decimal number of a block", None, name)
    rows = hex_columns.rows(list(texts.values()), _HASH, Field(file, names))
    return {int(number): row.tobytes() for number, row in zip(texts, rows, strict=True)}


def bare_witness(block: EthereumBlock, state: PreState) -> Witness:
    """A block and its accounts, with nothing else."""
    nothing = Messages.of([])
    return Witness(block.file, block, None, None, state, None, state.codes, {}, nothing, None, None)
