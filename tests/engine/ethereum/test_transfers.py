# SPDX-License-Identifier: GPL-3.0-or-later
"""Mainnet blocks as the engine's transactions, against the JSON read once more in plain Python."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from supervm.engine.ethereum.blocks import decode_block, read_block
from supervm.engine.ethereum.pre_state import decode_pre_state, read_pre_state
from supervm.engine.ethereum.senders import recover_senders
from supervm.engine.ethereum.transfers import Kind, Translated, translate_block
from supervm.kernels.errors import ArgumentError

ROOT = Path(__file__).resolve().parents[3]
BLOCKS = sorted((ROOT / "benchmarks" / "data" / "ethereum").iterdir(), key=lambda path: int(path.name))
TOKEN = b"\xee" * 20


def unhex(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def expected(shown: Any, state: Any) -> list[tuple[Kind, dict[str, Any]]]:
    """What each transaction becomes."""
    code = {unhex(name) for name, account in state.items() if account.get("code_hash")}
    nonces: Counter[bytes] = Counter(
        {unhex(name): account.get("nonce", 0) for name, account in state.items()}
    )
    found: list[tuple[Kind, dict[str, Any]]] = []
    for each in shown["transactions"]:
        data, value, sender = unhex(each["input"]), int(each["value"], 16), unhex(each["from"])
        to = unhex(each["to"]) if each["to"] else None
        made: dict[str, Any] = {"sender": sender, "nonce": nonces[sender]}
        if to is not None and not data and to not in code:
            found.append((Kind.TRANSFER, made | {"to": to, "value": value, "entry": b"", "input": b""}))
        elif (
            to in code
            and len(data) == 68
            and data[:16] == bytes.fromhex("a9059cbb") + bytes(12)
            and value == 0
            and int.from_bytes(data[36:], "big") < 2**224
        ):
            call = {"to": TOKEN, "value": 0, "entry": b"transfer", "input": data[16:36] + data[36:]}
            found.append((Kind.TOKEN_TRANSFER, made | call))
        else:
            found.append((Kind.NOT_EXECUTED, {}))
            continue
        nonces[sender] += 1
    return found


def translated(folder: Path) -> Translated:
    block = read_block(folder)
    recovered = recover_senders([block]).blocks[0]
    return translate_block(block, recovered, read_pre_state(folder), TOKEN)


def check(found: Translated, wanted: list[tuple[Kind, dict[str, Any]]], state: Any) -> None:
    assert found.kinds.tolist() == [kind for kind, _ in wanted]
    rows = [made for kind, made in wanted if kind != Kind.NOT_EXECUTED]
    batch = found.batch
    assert len(batch) == len(rows) == int(found.executed.sum())
    assert found.not_executed == len(wanted) - len(rows)
    for i, made in enumerate(rows):
        assert batch.sender[i].tobytes() == made["sender"]
        assert batch.nonce[i] == made["nonce"]
        assert batch.to[i].tobytes() == made["to"]
        assert int.from_bytes(batch.value[i].tobytes(), "big") == made["value"]
        assert batch.entry[i] == made["entry"]
        assert batch.input[i] == made["input"]
    assert not batch.gas_price.any()
    assert not batch.scheme.any()
    credits = {
        address.tobytes(): int.from_bytes(amount.tobytes(), "big")
        for address, amount in zip(found.accounts, found.balances, strict=True)
    }
    held = {unhex(name): int(account["balance"], 16) for name, account in state.items()}
    assert credits == {name: amount for name, amount in held.items() if amount}
    sent: defaultdict[bytes, int] = defaultdict(int)
    for kind, made in wanted:
        if kind == Kind.TOKEN_TRANSFER:
            sent[made["sender"]] += int.from_bytes(made["input"][20:], "big")
    tokens = {
        address.tobytes(): int.from_bytes(amount.tobytes(), "big")
        for address, amount in zip(found.holders, found.tokens, strict=True)
    }
    assert tokens == sent


@pytest.mark.parametrize("folder", BLOCKS, ids=lambda path: path.name)
def test_mainnet_blocks(folder: Path) -> None:
    shown = json.loads((folder / "block.json").read_text())
    state = json.loads((folder / "pre_state.json").read_text())
    check(translated(folder), expected(shown, state), state)


def test_what_the_bundled_blocks_come_to() -> None:
    counts: Counter[int] = Counter()
    for folder in BLOCKS:
        counts.update(translated(folder).kinds.tolist())
    assert counts == {Kind.TRANSFER: 2_216, Kind.TOKEN_TRANSFER: 436, Kind.NOT_EXECUTED: 555}


SELECTOR, TO, ONE = bytes.fromhex("a9059cbb"), b"\x07" * 20, (1).to_bytes(32, "big")
GOOD = SELECTOR + bytes(12) + TO + ONE


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({}, Kind.TOKEN_TRANSFER),
        ({"input": SELECTOR + bytes(12) + TO + b"\0\0\0\0" + b"\xff" * 28}, Kind.TOKEN_TRANSFER),
        ({"input": SELECTOR + bytes(12) + TO + b"\0\0\0\1" + bytes(28)}, Kind.NOT_EXECUTED),
        ({"input": SELECTOR + b"\1" + bytes(11) + TO + ONE}, Kind.NOT_EXECUTED),
        ({"input": SELECTOR + bytes(11) + b"\1" + TO + ONE}, Kind.NOT_EXECUTED),
        ({"input": b"\xa9\x05\x9c\xba" + GOOD[4:]}, Kind.NOT_EXECUTED),
        ({"input": GOOD[:-1]}, Kind.NOT_EXECUTED),
        ({"input": GOOD + b"\0"}, Kind.NOT_EXECUTED),
        ({"input": b""}, Kind.NOT_EXECUTED),
        ({"value": 1}, Kind.NOT_EXECUTED),
        ({"to": b"\x01" * 20}, Kind.NOT_EXECUTED),
        ({"to": b"\x01" * 20, "input": b"", "value": 5}, Kind.TRANSFER),
        ({"to": None, "input": b""}, Kind.NOT_EXECUTED),
        ({"to": None}, Kind.NOT_EXECUTED),
        ({"s": 0}, Kind.NOT_EXECUTED),
    ],
)
def test_each_condition(change: dict[str, Any], kind: Kind) -> None:
    """The adapter does not look at who signed: a claimed field may be changed under the same signature."""
    folder = next(path for path in BLOCKS if path.name == "5891667")
    shown = json.loads((folder / "block.json").read_text())
    contract = b"\xcc" * 20
    made = {"to": contract, "input": GOOD, "value": 0, **change}
    first = shown["transactions"][0]
    first["to"] = None if made["to"] is None else "0x" + made["to"].hex()
    first["input"], first["value"] = "0x" + made["input"].hex(), hex(made["value"])
    if "s" in made:
        first["s"] = "0x0"
    block = decode_block(json.dumps({**shown, "transactions": [first]}).encode(), Path("block.json"))
    state = {"0x" + contract.hex(): {"balance": "0x0", "code_hash": "0x" + "11" * 32}}
    pre_state = decode_pre_state(json.dumps(state).encode(), Path("pre_state.json"))
    recovered = recover_senders([block]).blocks[0]
    found = translate_block(block, recovered, pre_state, TOKEN, chain_id=9, gas_limit=8)
    assert found.kinds.tolist() == [kind]
    if kind != Kind.NOT_EXECUTED:
        assert found.batch.sender.tobytes() == recovered.senders.tobytes()
        assert found.batch.nonce.tolist() == [0], "an account that the pre-state lacks begins at 0"
        assert (found.batch.chain_id.tolist(), found.batch.gas_limit.tolist()) == ([9], [8])
    assert not np.any(found.accounts)


def test_a_token_that_is_no_address() -> None:
    folder = BLOCKS[-1]
    block = read_block(folder)
    recovered = recover_senders([block]).blocks[0]
    with pytest.raises(ArgumentError, match="token"):
        translate_block(block, recovered, read_pre_state(folder), b"short")
