# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading blocks and pre-states: columns against the JSON itself, and the ways a file can be broken."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervm.engine.errors import InputFileError, UnknownTransactionType
from supervm.engine.ethereum import hex_columns
from supervm.engine.ethereum.blocks import decode_block, read_block
from supervm.engine.ethereum.pre_state import decode_pre_state, read_pre_state
from supervm.engine.ethereum.transactions import CONTRADICTION, Integer

ROOT = Path(__file__).resolve().parents[3]
BLOCKS = sorted((ROOT / "benchmarks" / "data" / "ethereum").iterdir(), key=lambda path: int(path.name))
TYPED = json.loads((ROOT / "tests" / "vectors" / "ethereum" / "typed.json").read_text())["block"]
FILE = Path("block.json")


def typed_block() -> dict[str, Any]:
    return json.loads(json.dumps(TYPED))


def decode(block: Any) -> Any:
    return decode_block(json.dumps(block).encode(), FILE)


def refused(block: Any) -> InputFileError:
    with pytest.raises(InputFileError) as caught:
        decode(block)
    return caught.value


@pytest.mark.parametrize("folder", BLOCKS, ids=lambda path: path.name)
def test_columns_hold_what_the_file_says(folder: Path) -> None:
    block = read_block(folder)
    source = json.loads((folder / "block.json").read_text())
    assert block.number == int(folder.name) == int(source["number"], 16)
    assert block.base_fee == (int(source["baseFeePerGas"], 16) if "baseFeePerGas" in source else None)
    batch = block.transactions
    assert len(batch) == len(source["transactions"])
    for i, shown in enumerate(source["transactions"]):
        assert batch.type[i] == int(shown["type"], 16)
        assert batch.input[i] == bytes.fromhex(shown["input"][2:])
        assert bool(batch.has_to[i]) == (shown["to"] is not None)
        assert batch.to[i].tobytes() == bytes.fromhex((shown["to"] or "0x" + "00" * 20)[2:])
        assert batch.claimed_sender[i].tobytes() == bytes.fromhex(shown["from"][2:])
        assert batch.claimed_hash[i].tobytes() == bytes.fromhex(shown["hash"][2:])
        for column, name in ((Integer.VALUE, "value"), (Integer.GAS_PRICE, "gasPrice"), (Integer.R, "r")):
            assert int.from_bytes(batch.words(column)[i].tobytes(), "big") == int(shown[name], 16)
        assert batch.uint64(Integer.NONCE)[i] == int(shown["nonce"], 16)
        entries = range(batch.access_lists.offsets[i], batch.access_lists.offsets[i + 1])
        for entry, listed in zip(entries, shown.get("accessList", []), strict=True):
            assert batch.access_lists.addresses[entry].tobytes().hex() == listed["address"][2:]
            first, end = batch.access_lists.key_offsets[entry : entry + 2]
            assert [row.tobytes().hex() for row in batch.access_lists.keys[first:end]] == [
                key[2:] for key in listed["storageKeys"]
            ]


@pytest.mark.parametrize("folder", BLOCKS, ids=lambda path: path.name)
def test_pre_state_columns(folder: Path) -> None:
    state = read_pre_state(folder)
    source = json.loads((folder / "pre_state.json").read_text())
    assert [row.tobytes().hex() for row in state.addresses] == [name[2:] for name in source]
    assert [int.from_bytes(row.tobytes(), "big") for row in state.balances] == [
        int(account["balance"], 16) for account in source.values()
    ]
    assert state.nonces.tolist() == [account["nonce"] for account in source.values()]
    assert state.has_code.tolist() == ["code_hash" in account for account in source.values()]


def test_missing_type_is_legacy_and_an_empty_block_is_a_block() -> None:
    block = typed_block()
    del block["transactions"][0]["type"]
    assert decode(block).transactions.type[0] == 0
    block["transactions"] = []
    assert len(decode(block).transactions) == 0


def test_unknown_type_names_itself_and_its_place() -> None:
    block = typed_block()
    block["transactions"][5]["type"] = "0x7e"
    with pytest.raises(
        UnknownTransactionType, match=r"transaction 5.*'0x7e'.*0x0, 0x1, 0x2, 0x3, 0x4"
    ) as caught:
        decode(block)
    assert (caught.value.transaction, caught.value.field) == (5, "type")


@pytest.mark.parametrize(
    ("index", "field", "value", "named", "expected"),
    [
        (3, "nonce", "12", "nonce", "a quantity"),
        (3, "nonce", "0x", "nonce", "a quantity"),
        (3, "nonce", "", "nonce", "a quantity"),
        (3, "nonce", "0xg1", "nonce", "a quantity"),
        (3, "nonce", "0x€1", "nonce", "a quantity"),
        (3, "nonce", "0x10000000000000000", "nonce", "below 2^64"),
        (0, "v", "0x" + "1" * 17, "v", "below 2^64"),
        (4, "value", "0x1" + "0" * 64, "value", "below 2^256"),
        (4, "r", "0x" + "f" * 65, "r", "below 2^256"),
        (1, "input", "0x123", "input", "two hexadecimal digits a byte"),
        (1, "input", "12", "input", "data"),
        (1, "input", "0x1x", "input", "data"),
        (2, "from", "0x1234", "from", "20 bytes"),
        (2, "hash", "0x" + "0" * 63, "hash", "two hexadecimal digits a byte"),
        (8, "to", "0x" + "00" * 21, "to", "20 bytes"),
        (3, "gas", 21000, "gas", "`str`"),
        (3, "gas", None, "gas", "`str`"),
        (9, "accessList", {}, "accessList", "`array | null`"),
    ],
)
def test_broken_field(index: int, field: str, value: Any, named: str, expected: str) -> None:
    block = typed_block()
    block["transactions"][index][field] = value
    error = refused(block)
    assert (error.transaction, error.field) == (index, named)
    assert expected in error.expected
    assert error.found
    assert all(
        part in str(error) for part in ("block.json", f"transaction {index}", named, "found", "expected")
    )


@pytest.mark.parametrize(
    ("index", "field"),
    [
        (0, name)
        for name in ("hash", "nonce", "from", "to", "value", "gas", "gasPrice", "input", "r", "s", "v")
    ]
    + [(index, name) for index in (6, 8, 10, 12) for name in ("chainId", "accessList")]
    + [(index, name) for index in (8, 10, 12) for name in ("maxFeePerGas", "maxPriorityFeePerGas")]
    + [(10, "maxFeePerBlobGas"), (10, "blobVersionedHashes"), (12, "authorizationList")],
)
def test_missing_field(index: int, field: str) -> None:
    block = typed_block()
    del block["transactions"][index][field]
    error = refused(block)
    assert (error.transaction, error.field, error.found) == (index, field, "nothing")


@pytest.mark.parametrize("index", [10, 12])
def test_blob_and_set_code_transactions_need_a_recipient(index: int) -> None:
    block = typed_block()
    block["transactions"][index]["to"] = None
    error = refused(block)
    assert (error.transaction, error.field) == (index, "to")


def test_a_typed_transaction_needs_a_parity() -> None:
    block = typed_block()
    del block["transactions"][8]["v"], block["transactions"][8]["yParity"]
    assert (refused(block).transaction, refused(block).field) == (8, "yParity")


@pytest.mark.parametrize(
    ("path", "value", "transaction", "field"),
    [
        (("accessList", 1, "address"), "0x11", 7, "accessList[1].address"),
        (("accessList", 0, "storageKeys", 1), "0x11", 7, "accessList[0].storageKeys"),
        (("blobVersionedHashes", 1), "0x01", 10, "blobVersionedHashes[1]"),
        (("authorizationList", 2, "nonce"), "0x10000000000000000", 13, "authorizationList[2].nonce"),
        (("authorizationList", 3, "address"), "0x" + "1" * 39, 13, "authorizationList[3].address"),
        (("authorizationList", 0, "r"), "", 13, "authorizationList[0].r"),
        (("authorizationList", 0, "yParity"), 1, 13, "authorizationList[0].yParity"),
    ],
)
def test_broken_list_entry(path: tuple[Any, ...], value: Any, transaction: int, field: str) -> None:
    block = typed_block()
    inner = block["transactions"][transaction]
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    error = refused(block)
    assert (error.transaction, error.field) == (transaction, field)


@pytest.mark.parametrize("field", ["number", "hash", "miner", "transactionsRoot", "transactions"])
def test_broken_header(field: str) -> None:
    block = typed_block()
    block[field] = "0xzz"
    assert (refused(block).transaction, refused(block).field) == (None, field)
    del block[field]
    assert (refused(block).found, refused(block).field) == ("nothing", field)


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"null", b'"\xff"', b"{}", b"\x00", b'{"transactions": [1]}']
)
def test_not_a_block(text: bytes) -> None:
    with pytest.raises(InputFileError, match=r"block\.json"):
        decode_block(text, FILE)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"block\.json.*No such file"):
        read_block(tmp_path)
    with pytest.raises(InputFileError, match=r"pre_state\.json.*No such file"):
        read_pre_state(tmp_path)


ADDRESS = "0x" + "ab" * 20


@pytest.mark.parametrize(
    ("state", "field"),
    [
        ({"0x12": {"balance": "0x0"}}, "0x12"),
        ({ADDRESS: {"balance": "12"}}, f"{ADDRESS}.balance"),
        ({ADDRESS: {"balance": "0x0"}, "0x12": {}}, "0x12.balance"),
        ({ADDRESS: {"balance": ""}}, f"{ADDRESS}.balance"),
        ({ADDRESS: {"balance": "0x1" + "0" * 64}}, f"{ADDRESS}.balance"),
        ({ADDRESS: {"balance": "0x0", "nonce": -1}}, f"{ADDRESS}.nonce"),
        ({ADDRESS: {"balance": "0x0", "nonce": 2**64}}, f"{ADDRESS}.nonce"),
        ({ADDRESS: {"balance": "0x0"}, ADDRESS.upper().replace("X", "x"): {"balance": "0x1"}}, None),
    ],
)
def test_broken_pre_state(state: Any, field: str | None) -> None:
    with pytest.raises(InputFileError, match="pre_state") as caught:
        decode_pre_state(json.dumps(state).encode(), Path("pre_state.json"))
    assert caught.value.field == field


def test_pre_state_defaults_and_the_empty_state() -> None:
    state = decode_pre_state(json.dumps({ADDRESS: {"balance": "0x0A"}}).encode(), Path("pre_state.json"))
    assert (state.nonces.tolist(), state.has_code.tolist(), state.balances[0, 31]) == ([0], [False], 10)
    assert len(decode_pre_state(b"{}", Path("pre_state.json"))) == 0


@pytest.mark.parametrize(
    ("changes", "recovery_id"),
    [
        ({"type": "0x0", "v": "0x1b"}, 0),
        ({"type": "0x0", "v": "0x1c"}, 1),
        ({"type": "0x0", "v": "0x1c", "chainId": "0x1"}, 1),
        ({"type": "0x0", "v": "0x25", "chainId": "0x1"}, 0),
        ({"type": "0x0", "v": "0x26", "chainId": "0x1", "yParity": "0x1"}, 1),
        ({"type": "0x0", "v": "0x23"}, 0),
        ({"type": "0x0", "v": "0x25", "chainId": "0x2"}, CONTRADICTION),
        ({"type": "0x0", "v": "0x26", "yParity": "0x0"}, CONTRADICTION),
        ({"type": "0x0", "v": "0x0"}, CONTRADICTION),
        ({"type": "0x0", "v": "0x1"}, CONTRADICTION),
        ({"type": "0x0", "v": "0x1d"}, CONTRADICTION),
        ({"type": "0x0", "v": "0x22"}, CONTRADICTION),
        ({"v": "0x1", "yParity": "0x1"}, 1),
        ({"v": "0x0", "yParity": None}, 0),
        ({"v": None, "yParity": "0x1"}, 1),
        ({"v": "0x0", "yParity": "0x1"}, CONTRADICTION),
        ({"v": "0x1b", "yParity": None}, CONTRADICTION),
        ({"v": "0x2", "yParity": "0x2"}, CONTRADICTION),
        ({"v": "0xffffffffffffffff", "yParity": None}, CONTRADICTION),
    ],
)
def test_parity(changes: dict[str, Any], recovery_id: int) -> None:
    block = typed_block()
    shown = block["transactions"][8]
    if "type" in changes:
        del shown["yParity"], shown["chainId"]
    shown |= changes
    batch = decode(block).transactions
    assert batch.recovery_id[8] == recovery_id
    assert batch.signatures()[8, 64] == recovery_id


class Refused(Exception):
    pass


def refuse(item: int, found: str, expected: str) -> Any:
    raise Refused(item)


@given(st.lists(st.integers(0, 2**256 - 1), max_size=20), st.booleans())
def test_quantities_are_integers(numbers: list[int], padded: bool) -> None:
    rows = hex_columns.quantities([f"0x{n:064x}" if padded else hex(n) for n in numbers], 32, refuse)
    assert [int.from_bytes(row.tobytes(), "big") for row in rows] == numbers


@given(st.lists(st.binary(max_size=70), max_size=20), st.booleans())
def test_ragged_data(items: list[bytes], upper: bool) -> None:
    texts = ["0x" + (item.hex().upper() if upper else item.hex()) for item in items]
    data, offsets = hex_columns.ragged(texts, refuse)
    assert [data[a:b].tobytes() for a, b in pairwise(offsets)] == items


@given(st.lists(st.text(max_size=8), min_size=1, max_size=6))
def test_hex_text_is_taken_or_refused_at_the_right_item(texts: list[str]) -> None:
    def good(text: str) -> bool:
        try:
            return (
                text[:2] == "0x"
                and text.isascii()
                and (text == "0x" or bytes.fromhex(text[2:]).hex() == text[2:].lower())
            )
        except ValueError:
            return False

    bad = [i for i, text in enumerate(texts) if not good(text)]
    if not bad:
        hex_columns.ragged(texts, refuse)
        return
    with pytest.raises(Refused) as caught:
        hex_columns.ragged(texts, refuse)
    assert caught.value.args == (bad[0],)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["0x", "0x0", "0x1ff", "0xg"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(st.integers(0, 13), st.data())
@settings(max_examples=300)
def test_any_replaced_field_is_read_or_refused_by_name(index: int, data: st.DataObject) -> None:
    block = typed_block()
    shown = block["transactions"][index]
    name = data.draw(st.sampled_from(sorted(shown)))
    shown[name] = data.draw(JSON)
    try:
        decode(block)
    except InputFileError as error:
        assert error.transaction == index  # noqa: PT017


@given(st.binary(max_size=40), st.integers(0, 2000), st.integers(0, 40))
def test_any_torn_file_is_read_or_refused(junk: bytes, at: int, cut: int) -> None:
    text = json.dumps(TYPED).encode()
    torn = text[:at] + junk + text[at + cut :]
    try:
        assert isinstance(decode_block(torn, FILE).transactions.type, np.ndarray)
    except InputFileError as error:
        assert error.file == "block.json"  # noqa: PT017
