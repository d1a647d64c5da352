# SPDX-License-Identifier: GPL-3.0-or-later
"""A block's header: every field, the hash that commits to them, and what else of it the block's own bytes can prove.

A header is a list of fields in a fixed order; forks add fields at its end. Its Keccak-256 is the block's hash. Sources:
the Yellow Paper, section 4.4; EIP-1559 (base fee), EIP-4895 (withdrawals), EIP-4844 (blob gas), EIP-4788 (parent beacon
block root), EIP-7685 (requests hash).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from supervm.crypto import hashes
from supervm.crypto.messages import Messages
from supervm.engine.errors import InputFileError
from supervm.engine.ethereum import hex_columns
from supervm.engine.ethereum.field_paths import Field
from supervm.engine.ethereum.rlp import encoded_list, shortest
from supervm.engine.ethereum.trie import ordered_trie_root
from supervm.engine.ethereum.wire import HeaderJson, WithdrawalJson

ANY, NUMBER = 0, -1
"""Kinds of a field besides data of so many bytes: data of any length, and a quantity."""

_FRONTIER: tuple[tuple[str, str, int], ...] = (
    ("parentHash", "parent_hash", 32),
    ("sha3Uncles", "sha3_uncles", 32),
    ("miner", "miner", 20),
    ("stateRoot", "state_root", 32),
    ("transactionsRoot", "transactions_root", 32),
    ("receiptsRoot", "receipts_root", 32),
    ("logsBloom", "logs_bloom", 256),
    ("difficulty", "difficulty", NUMBER),
    ("number", "number", NUMBER),
    ("gasLimit", "gas_limit", NUMBER),
    ("gasUsed", "gas_used", NUMBER),
    ("timestamp", "timestamp", NUMBER),
    ("extraData", "extra_data", ANY),
    ("mixHash", "mix_hash", 32),
    ("nonce", "nonce", 8),
)
_LATER: tuple[tuple[str, str, int], ...] = (
    ("baseFeePerGas", "base_fee_per_gas", NUMBER),
    ("withdrawalsRoot", "withdrawals_root", 32),
    ("blobGasUsed", "blob_gas_used", NUMBER),
    ("excessBlobGas", "excess_blob_gas", NUMBER),
    ("parentBeaconBlockRoot", "parent_beacon_block_root", 32),
    ("requestsHash", "requests_hash", 32),
)
"""Fields in the order of their encoding: name in the file, attribute of what is decoded, kind. Those of London, Shanghai,
Cancun (three) and Prague stand behind those that every header has, none without the ones before it."""

_QUANTITY_BYTES = 32


@dataclass(frozen=True)
class Header:
    """A header as its file states it.

    Args:
        fields: the RLP string of each field, by its name in the file, in the order of the encoding.
        uncles: how many uncles the file names, None if it does not say.
        withdrawals: each withdrawal's RLP list; None if the file has no list of them.
    """

    fields: dict[str, bytes]
    uncles: int | None
    withdrawals: tuple[bytes, ...] | None

    def encoded(self) -> bytes:
        """The RLP list of all fields."""
        return encoded_list(list(self.fields.values()))

    def hash(self) -> bytes:
        """The block's hash, from all fields."""
        return hashes.keccak256(self.encoded())

    def number(self, name: str) -> int | None:
        """A field that is a quantity, None where the header does not have it."""
        text = self.fields.get(name)
        return None if text is None else int.from_bytes(text)


@dataclass(frozen=True)
class Claim:
    """A value that a block states, and what was computed.

    Args:
        field: its name in the file.
        found: what was computed, None where the file does not have what that needs.
        stated: what the file says, empty where it says nothing.
    """

    field: str
    found: bytes | None
    stated: bytes

    @property
    def ok(self) -> bool | None:
        """Whether both are the same; None if that was not to be checked."""
        return None if self.found is None else self.found == self.stated


NO_UNCLES = bytes.fromhex("1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347")
"""`sha3Uncles` of a block without uncles: the Keccak-256 of an empty RLP list."""


def decode_header(block: HeaderJson, file: Path, at: str = "") -> Header:
    """A decoded header.

    Args:
        block: the header, or the block.
        file: where it came from, for errors.
        at: what stands in the file before the name of a field.

    Raises:
        InputFileError: a field that is no such thing, or one of a later fork without those before it.
    """
    fields = {
        name: _field(file, at + name, getattr(block, attribute), kind) for name, attribute, kind in _FRONTIER
    }
    lacking = ""
    for name, attribute, kind in _LATER:
        text = getattr(block, attribute)
        if text is None:
            lacking = lacking or name
            continue
        if lacking:
            raise InputFileError(
                file, "nothing", f"this field in a header that has '{name}'", None, at + lacking
            )
        fields[name] = _field(file, at + name, text, kind)
    withdrawals = block.withdrawals
    return Header(
        fields,
        None if block.uncles is None else len(block.uncles),
        None
        if withdrawals is None
        else tuple(
            _withdrawal(file, f"{at}withdrawals[{place}].", row) for place, row in enumerate(withdrawals)
        ),
    )


def _field(file: Path, name: str, text: str, kind: int) -> bytes:
    """The RLP string of a field."""
    place = Field(file, [name])
    if kind == NUMBER:
        return shortest(int.from_bytes(hex_columns.quantities([text], _QUANTITY_BYTES, place).tobytes()))
    if kind == ANY:
        return hex_columns.ragged([text], place)[0].tobytes()
    return hex_columns.rows([text], kind, place).tobytes()


def _withdrawal(file: Path, at: str, row: WithdrawalJson) -> bytes:
    return encoded_list(
        [
            _field(file, at + "index", row.index, NUMBER),
            _field(file, at + "validatorIndex", row.validator_index, NUMBER),
            _field(file, at + "address", row.address, 20),
            _field(file, at + "amount", row.amount, NUMBER),
        ]
    )


def check_header(header: Header, stated: bytes) -> tuple[Claim, Claim, Claim]:
    """What a header claims and its block's own bytes can prove: hash, uncles, withdrawals, in this order.

    Args:
        stated: the hash that the block gives itself.
    """
    return Claim("hash", header.hash(), stated), _uncles(header), _withdrawals(header)


def _uncles(header: Header) -> Claim:
    """Without uncles their hash is known; of those that there are the file has only the names."""
    stated = header.fields["sha3Uncles"]
    if header.uncles == 0:
        return Claim("sha3Uncles", NO_UNCLES, stated)
    if header.uncles and stated == NO_UNCLES:
        return Claim("sha3Uncles", b"", stated)  # whatever it is, it is not that of none
    return Claim("sha3Uncles", None, stated)


def _withdrawals(header: Header) -> Claim:
    stated = header.fields.get("withdrawalsRoot", b"")
    if header.withdrawals is None:
        return Claim("withdrawalsRoot", None, stated)
    root = ordered_trie_root(Messages.of(list(header.withdrawals)))
    return Claim("withdrawalsRoot", root.tobytes(), stated)
