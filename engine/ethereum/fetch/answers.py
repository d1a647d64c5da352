# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of a node, as they stand in its JSON, and the numbers and bytes in them.

Sources: Ethereum execution-apis; geth's documentation of its prestate tracer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec

from supervm.crypto import hashes
from supervm.crypto.messages import Messages
from supervm.engine.errors import NodeAnswerMalformed
from supervm.engine.ethereum.wire import AccessEntryJson

_HEX = re.compile(r"0x[0-9a-fA-F]*")


class SlotProofJson(msgspec.Struct, gc=False):
    key: str
    value: str
    proof: list[str]


class ProofJson(msgspec.Struct, rename="camel", gc=False):
    """`eth_getProof`."""

    address: str
    balance: str
    code_hash: str
    nonce: str
    account_proof: list[str]
    storage_proof: list[SlotProofJson]


class TracedAccountJson(msgspec.Struct, gc=False):
    balance: str | None = None
    nonce: int | str = 0
    code: str = "0x"
    storage: dict[str, str] = {}


class TraceJson(msgspec.Struct, gc=False):
    """One transaction of `debug_traceBlockByNumber` with the prestate tracer."""

    result: dict[str, TracedAccountJson] | None = None
    error: str | None = None


class ChangesJson(msgspec.Struct, gc=False):
    pre: dict[str, TracedAccountJson]
    post: dict[str, TracedAccountJson]


class ChangeTraceJson(msgspec.Struct, gc=False):
    """The same in the tracer's mode of differences."""

    result: ChangesJson | None = None
    error: str | None = None


class AccessListJson(msgspec.Struct, rename="camel", gc=False):
    """`eth_createAccessList`."""

    access_list: list[AccessEntryJson]
    error: str | None = None


class HeaderJson(msgspec.Struct, rename="camel", gc=False):
    """Of a block without its transactions what is looked at."""

    hash: str
    number: str
    parent_hash: str
    state_root: str


@dataclass(frozen=True)
class Reader:
    """Numbers and bytes of one method's answers.

    Args:
        node: its host, for messages.
        method: that was called.
    """

    node: str
    method: str

    def number(self, text: str, field: str, bits: int = 256) -> int:
        """A quantity; leading zeros are taken, since several nodes write them.

        Raises:
            NodeAnswerMalformed: another text, or a number of more bits.
        """
        if not _HEX.fullmatch(text) or len(text) < 3 or int(text, 16) >> bits:
            raise self.wrong(
                field, repr(text), f"a quantity of at most {bits} bits: 0x and hexadecimal digits"
            )
        return int(text, 16)

    def data(self, text: str, field: str, size: int | None = None) -> bytes:
        """Bytes, of a length if one is given; raises as `number`."""
        whole = _HEX.fullmatch(text) and len(text) % 2 == 0
        if not whole or size not in (None, len(text) // 2 - 1):
            expected = "0x and two hexadecimal digits a byte" + (
                f", {size} bytes" if size is not None else ""
            )
            raise self.wrong(field, repr(text), expected)
        return bytes.fromhex(text[2:])

    def wrong(self, field: str, found: str, expected: str) -> NodeAnswerMalformed:
        """The error that says so."""
        return NodeAnswerMalformed(self.node, self.method, field, found, expected)


def keccak(parts: list[bytes]) -> list[bytes]:
    """The Keccak-256 of each."""
    if not parts:
        return []
    return [row.tobytes() for row in hashes.keccak256_batch(Messages.of(parts))]


def shown(data: bytes) -> str:
    """Bytes as nodes write them."""
    return f"0x{data.hex()}"
