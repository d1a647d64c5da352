# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes `tests/vectors/ethereum/typed.json`: a block with every transaction type, signed by eth-account.

eth-account signs and encodes, rlp and trie (the packages) give the roots and the header's hash; nothing here comes from
the code under test. Run it with this project's Python.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import rlp
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils import keccak
from trie import HexaryTrie

TARGET = Path(__file__).resolve().parents[1] / "vectors" / "ethereum" / "typed.json"
NUMBER = 22_431_084  # Prague's first mainnet block
BASE_FEE = 7 * 10**8
MINER = "0x" + "c0" * 20
RECIPIENT = Account.from_key(keccak(b"recipient")).address
STORAGE_KEYS = ["0x" + "00" * 32, "0x" + "ff" * 31 + "01"]


def account(name: str) -> LocalAccount:
    return Account.from_key(keccak(name.encode()))


def authorizations() -> list[Any]:
    """Four authorizations: any chain, this chain, nonce 0, the largest nonce."""
    return [
        account(f"authority {i}").sign_authorization(
            {"chainId": chain, "address": "0x" + f"{i + 1:02x}" * 20, "nonce": nonce}
        )
        for i, (chain, nonce) in enumerate([(0, 0), (1, 1), (1, 127), (2**64, 2**64 - 2)])
    ]


def unsigned() -> list[dict[str, Any]]:
    """The transactions, with fields at the places where encodings change: 0, 127, 128, 55 and 56 bytes."""
    to = {"to": RECIPIENT}
    fees = {"maxFeePerGas": 10**10, "maxPriorityFeePerGas": 10**9, "chainId": 1, "gas": 300_000}
    access = [
        {"address": "0x" + "11" * 20, "storageKeys": STORAGE_KEYS},
        {"address": "0x" + "22" * 20, "storageKeys": []},
    ]
    blobs = ["0x01" + "5a" * 31, "0x01" + "00" * 31]
    code = authorizations()
    legacy = {"gasPrice": 10**10, "gas": 21_000}
    return [
        {"nonce": 0, "value": 0, **legacy, **to},
        {"nonce": 127, "value": 128, **legacy, **to, "data": "0x7f"},
        {"nonce": 128, "value": 2**64, **legacy, **to, "data": "0x80"},
        {"nonce": 2**32, "value": 10**18, **legacy, "chainId": 1, **to, "data": "0x" + "ab" * 55},
        {"nonce": 5, "value": 1, **legacy, "chainId": 137, "data": "0x" + "60" * 56},
        {"nonce": 6, "value": 1, **legacy, "chainId": 2**53 - 1, **to, "data": "0x" + "cd" * 300},
        {"nonce": 0, "value": 7, **legacy, "chainId": 1, **to, "accessList": [], "type": 1},
        {"nonce": 1, "value": 0, **legacy, "chainId": 1, "data": "0x6001", "accessList": access, "type": 1},
        {"nonce": 2, "value": 3, **fees, **to, "type": 2},
        {"nonce": 3, "value": 3, **fees, "data": "0x00", "accessList": access * 3, "type": 2},
        {"nonce": 4, "value": 0, **fees, **to, "maxFeePerBlobGas": 1,
         "blobVersionedHashes": blobs, "type": 3},
        {"nonce": 5, "value": 0, **fees, **to, "accessList": access, "maxFeePerBlobGas": 0,
         "blobVersionedHashes": blobs[:1] * 6, "type": 3},
        {"nonce": 6, "value": 0, **fees, **to, "authorizationList": code[:1], "type": 4},
        {"nonce": 7, "value": 9, **fees, **to, "accessList": access, "data": "0x1234",
         "authorizationList": code, "type": 4},
    ]  # fmt: skip


def in_rpc_form(index: int, fields: dict[str, Any]) -> tuple[dict[str, Any], bytes, str]:
    """One transaction as a node returns it, its encoding, and its sender."""
    signer = account(f"sender {index}")
    signed = signer.sign_transaction({"data": "0x", **fields})
    kind = fields.get("type", 0)
    shown: dict[str, Any] = {
        "hash": signed.hash.to_0x_hex(),
        "from": signer.address.lower(),
        "to": fields["to"].lower() if "to" in fields else None,
        "input": fields.get("data", "0x"),
        "gasPrice": hex(fields.get("gasPrice", BASE_FEE + 10**9)),
        "type": hex(kind),
        **{name: hex(fields[name]) for name in ("nonce", "gas", "value")},
        **{name: hex(getattr(signed, name)) for name in ("v", "r", "s")},
    }
    shown |= {name: hex(fields[name]) for name in fields if name.startswith("max")}
    if "chainId" in fields:
        shown["chainId"] = hex(fields["chainId"])
    if kind:
        shown["yParity"] = shown["v"]
        shown["accessList"] = fields.get("accessList", [])
    if kind == 3:
        shown["blobVersionedHashes"] = fields["blobVersionedHashes"]
    if kind == 4:
        shown["authorizationList"] = [
            {
                "chainId": hex(entry.chain_id),
                "address": "0x" + entry.address.hex(),
                "nonce": hex(entry.nonce),
                "yParity": hex(entry.y_parity),
                "r": hex(entry.r),
                "s": hex(entry.s),
            }
            for entry in fields["authorizationList"]
        ]
    return shown, bytes(signed.raw_transaction), signer.address.lower()


def withdrawals() -> list[dict[str, str]]:
    """Three, with numbers at the places where encodings change."""
    return [
        {
            "index": hex(index),
            "validatorIndex": hex(validator),
            "address": "0x" + f"{place + 1:02x}" * 20,
            "amount": hex(amount),
        }
        for place, (index, validator, amount) in enumerate([(0, 127, 0), (1, 128, 2**32), (2**40, 2**20, 1)])
    ]


def header(transactions_root: bytes, rows: list[dict[str, str]]) -> tuple[dict[str, str], str]:
    """Every field of a Prague header in the order of its encoding, and the hash of it."""
    fields: dict[str, bytes | int] = {
        "parentHash": keccak(b"parent"),
        "sha3Uncles": keccak(rlp.encode([])),
        "miner": bytes.fromhex(MINER[2:]),
        "stateRoot": keccak(b"state"),
        "transactionsRoot": transactions_root,
        "receiptsRoot": keccak(b"receipts"),
        "logsBloom": keccak(b"logs") * 8,
        "difficulty": 0,
        "number": NUMBER,
        "gasLimit": 36_000_000,
        "gasUsed": 127,
        "timestamp": 1_746_612_311,
        "extraData": b"",
        "mixHash": keccak(b"randao"),
        "nonce": bytes(8),
        "baseFeePerGas": BASE_FEE,
        "withdrawalsRoot": root_of(
            [
                rlp.encode([*(int(row[name], 16) for name in ("index", "validatorIndex")), bytes.fromhex(row["address"][2:]),
                            int(row["amount"], 16)])
                for row in rows
            ]
        ),
        "blobGasUsed": 131_072 * 8,
        "excessBlobGas": 0,
        "parentBeaconBlockRoot": keccak(b"beacon"),
        "requestsHash": keccak(b"requests"),
    }  # fmt: skip
    shown = {
        name: hex(value) if isinstance(value, int) else "0x" + value.hex() for name, value in fields.items()
    }
    return shown, "0x" + keccak(rlp.encode(list(fields.values()))).hex()


def root_of(values: list[bytes]) -> bytes:
    """The root of the trie that maps rlp(i) to value i."""
    trie = HexaryTrie({})
    for index, value in enumerate(values):
        trie[rlp.encode(index)] = value
    return bytes(trie.root_hash)


def main() -> None:
    rows = [in_rpc_form(index, fields) for index, fields in enumerate(unsigned())]
    fields, digest = header(root_of([encoded for _, encoded, _ in rows]), withdrawals())
    block = {
        **fields,
        "hash": digest,
        "uncles": [],
        "withdrawals": withdrawals(),
        "transactions": [shown for shown, _, _ in rows],
    }
    authorities = [account(f"authority {i}").address.lower() for i in (0, 0, 1, 2, 3)]
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    answer = {"block": block, "encoded": ["0x" + e.hex() for _, e, _ in rows], "authorities": authorities}
    TARGET.write_text(json.dumps(answer, indent=1) + "\n")


if __name__ == "__main__":
    main()
