# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks with their witnesses: mainnet's, and broken ones; what a root proves of the states that they give."""

from __future__ import annotations

import json
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rlp
from plain_trie import keccak256

from supervm.crypto.hashes import keccak256_batch
from supervm.engine.errors import InputFileError
from supervm.engine.ethereum.account_leaves import EMPTY_CODE_HASH
from supervm.engine.ethereum.encoding import encoded_transactions
from supervm.engine.ethereum.pre_state import PreState
from supervm.engine.ethereum.proven_state import ProvenState, StateChanges, proven_root
from supervm.engine.ethereum.transactions import Integer
from supervm.engine.ethereum.trie import ordered_trie_root
from supervm.engine.ethereum.witness import Witness, read_block_hashes, read_codes, read_witness
from supervm.kernels.array_types import Bytes, Flags

ROOT = Path(__file__).resolve().parents[3]
SHARED = ROOT.parent / "shared" / "data" / "evm"
DATA = ROOT / "benchmarks" / "data" / "ethereum"
TYPED = json.loads((ROOT / "tests" / "vectors" / "ethereum" / "typed.json").read_text())
WITNESSES = {
    1150000: 17,
    1920000: 123,
    2675000: 22,
    18884864: 113,
    19426587: 83,
    22615247: 60,
    24628607: 195,
}
"""The given blocks, and how many accounts each touches."""
SPURIOUS_DRAGON = 2675000


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    archive = SHARED / "witness_give.tar.xz"
    if not archive.exists():
        pytest.skip(f"{archive.name} is not here")
    folder = tmp_path_factory.mktemp("witnesses")
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    return next(folder.rglob("1150000.json")).parent


def differing(witness: Witness, state: PreState) -> dict[str, str]:
    """Fields of a pre-state that the parent's root does not prove."""
    assert witness.root_before
    proven = ProvenState(witness.nodes, witness.root_before)
    found = proven.accounts(state.addresses).accounts
    wrong = {
        "balance": (found.balances != state.balances).any(axis=1),
        "nonce": found.nonces != state.nonces,
        "code": (found.code_hashes != state.code_hashes).any(axis=1),
    }
    named = {
        f"0x{state.addresses[i].tobytes().hex()}": name for name in wrong for i in np.flatnonzero(wrong[name])
    }
    slots = (proven.slots(state.addresses, state.offsets, state.slots) != state.values).any(axis=1)
    return named | {f"slot {i}": "value" for i in np.flatnonzero(slots)}


@pytest.mark.parametrize("number", WITNESSES)
def test_mainnet_blocks(given: Path, number: int) -> None:
    witness = read_witness(given / f"{number}.json")
    block = witness.block
    assert block.number == number
    assert block.header.hash() == block.hash.tobytes()
    encoded = encoded_transactions(block.transactions)
    assert np.array_equal(ordered_trie_root(encoded), block.transactions_root)
    hashed = keccak256_batch(encoded)
    claims = block.transactions.claims_hash
    assert np.array_equal(hashed[claims], block.transactions.claimed_hash[claims])
    assert witness.parent
    assert witness.parent.number("number") == number - 1
    assert witness.block_hashes[number - 1] == witness.parent.hash()
    assert witness.uncles == ()
    assert len(witness.pre_state) == WITNESSES[number]
    assert witness.codes.keys() >= witness.pre_state.codes.keys()
    # One account of that block is a contract that nobody calls; the file does not say that it has code.
    uncalled = {"0xf897e5cbab216805ded275c3d8caf0a3477e3400": "code"} if number == 22615247 else {}
    assert differing(witness, witness.pre_state) == uncalled


def test_a_pre_state_that_is_not_the_parents(given: Path) -> None:
    witness = read_witness(given / "1150000.json")
    state = witness.pre_state
    state.nonces[3] += 1
    state.values[5, 31] ^= 1
    assert differing(witness, state) == {
        f"0x{state.addresses[3].tobytes().hex()}": "nonce",
        "slot 5": "value",
    }


def changes_to(state: PreState, exists: Flags) -> StateChanges:
    kept = np.zeros(len(state), np.bool_)
    columns = state.nonces, state.balances, state.code_hashes, kept, state.offsets, state.slots, state.values
    return StateChanges(state.addresses, exists, *columns)


@pytest.mark.parametrize("number", [1150000, 1920000, 2675000, 18884864, 19426587])
def test_states_after_mainnet_blocks(given: Path, number: int) -> None:
    """The accounts after the block, as the file has them, lead from the parent's root to the block's."""
    witness = read_witness(given / f"{number}.json")
    state = witness.post_state
    assert state
    assert witness.root_before
    proven = ProvenState(witness.nodes, witness.root_before)
    exists = state.has_code | (state.nonces > 0) | state.balances.any(axis=1)
    if number < SPURIOUS_DRAGON:
        exists |= proven.accounts(state.addresses).exists
    right = changes_to(state, exists)
    assert proven.root_after(right) == witness.block.header.fields["stateRoot"]
    state.balances[np.argmax(exists), 31] ^= 1
    assert proven.root_after(right) != witness.block.header.fields["stateRoot"]


def test_state_after_a_block_of_prague(given: Path) -> None:
    """Of this one the file has what changed in another form."""
    path = given / "22615247.json"
    witness = read_witness(path)
    changed = json.loads(path.read_text())["state_diffs"]
    after = [account["postAccount"] for account in changed]
    slots = [slot for account in changed for slot in account.get("storage", [])]
    nobody = np.zeros(len(changed), np.bool_)
    changes = StateChanges(
        words([account["address"] for account in changed], 20),
        ~nobody,
        np.array([int(account["nonce"], 16) for account in after], np.uint64),
        words([account["balance"] for account in after]),
        words([account["codeHash"] for account in after]),
        nobody,
        np.cumsum([0, *(len(account.get("storage", [])) for account in changed)]),
        words([slot["storageKey"] for slot in slots]),
        words([slot["postValue"] for slot in slots]),
    )
    assert witness.root_before
    root = proven_root(witness.nodes, witness.root_before, changes)
    assert root == witness.block.header.fields["stateRoot"]


def words(texts: list[str], width: int = 32) -> Bytes:
    data = b"".join(int(text, 16).to_bytes(width) for text in texts)
    return np.frombuffer(bytearray(data), np.uint8).reshape(-1, width)


@pytest.mark.parametrize("folder", sorted(DATA.iterdir()), ids=lambda path: path.name)
def test_bundled_folders(folder: Path) -> None:
    """Folders of a block and a pre-state alone; the pre-state once more in plain Python."""
    witness = read_witness(folder)
    state = witness.pre_state
    shown = json.loads((folder / "pre_state.json").read_text())
    assert [f"0x{row.tobytes().hex()}" for row in state.addresses] == [name.lower() for name in shown]
    stored = [storage for account in shown.values() for storage in account.get("storage", {}).items()]
    assert np.array_equal(state.slots, words([slot for slot, _ in stored]))
    assert np.array_equal(state.values, words([held for _, held in stored]))
    counts = [len(account.get("storage", {})) for account in shown.values()]
    assert np.diff(state.offsets).tolist() == counts
    empty = f"0x{EMPTY_CODE_HASH.hex()}"
    assert np.array_equal(
        state.code_hashes, words([each.get("code_hash") or empty for each in shown.values()])
    )
    assert (witness.parent, witness.codes, len(witness.nodes)) == (None, {}, 0)


def test_given_codes_and_hashes() -> None:
    if not SHARED.exists():
        pytest.skip("the data of the EVM is not here")
    codes = read_codes(SHARED / "pevm_codes_give.bin.xz")
    assert all(keccak256(code) == digest for digest, code in list(codes.items())[:20])
    folder = DATA / "13287210"
    stated = {
        bytes.fromhex(account["code_hash"][2:])
        for account in json.loads((folder / "pre_state.json").read_text()).values()
        if "code_hash" in account
    }
    assert stated
    assert stated <= codes.keys()
    assert len(read_block_hashes(SHARED / "pevm_block_hashes.json")[7279999]) == 32


ADDRESS = "0x" + "ab" * 20
CODE = "0x6001"


def header(shown: Any) -> Any:
    return {name: held for name, held in shown.items() if name not in ("transactions", "hash")}


def whole() -> dict[str, Any]:
    """A witness of every part, whose block is the one of all transaction types."""
    block = json.loads(json.dumps(TYPED["block"]))
    return {
        "number": 1,
        "block": block,
        "pre_state": {
            ADDRESS: {"balance": "0x5", "nonce": 2, "code": CODE, "storage": {"0x2": "0x39", "0x03": "0x0"}},
            "0x" + "cd" * 20: {"balance": "0x0"},
        },
        "block_hashes": {"17": "0x" + "11" * 32},
        "nodes": ["0xc0", "0x"],
        "extra_codes": ["0x00"],
        "chain": {"chain_id": 31337, "fork": "osaka"},
    }


def written(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_both_forms_give_the_same(tmp_path: Path) -> None:
    one = read_witness(written(tmp_path / "one.json", whole()))
    folder = tmp_path / "folder"
    folder.mkdir()
    for part, held in whole().items():
        written(folder / f"{part}.json", held)
    for witness in (one, read_witness(folder)):
        state = witness.pre_state
        assert state.addresses.tobytes().hex() == "ab" * 20 + "cd" * 20
        assert (state.nonces.tolist(), state.offsets.tolist()) == ([2, 0], [0, 2, 2])
        assert [int.from_bytes(row.tobytes()) for row in state.slots] == [2, 3]
        assert [int.from_bytes(row.tobytes()) for row in state.values] == [0x39, 0]
        digest = keccak256(b"\x60\x01")
        assert [row.tobytes() for row in state.code_hashes] == [digest, EMPTY_CODE_HASH]
        assert state.has_code.tolist() == [True, False]
        assert witness.codes == {digest: b"\x60\x01", keccak256(b"\0"): b"\0"}
        assert witness.block_hashes == {17: b"\x11" * 32}
        assert [witness.nodes[i] for i in range(2)] == [b"\xc0", b""]
        assert (witness.chain_id, witness.fork) == (31337, "osaka")
        assert (witness.parent, witness.root_before, witness.post_state) == (None,) * 3
        assert witness.uncles == ()


def test_block_and_accounts_are_enough(tmp_path: Path) -> None:
    parts = {name: held for name, held in whole().items() if name in ("block", "pre_state")}
    witness = read_witness(written(tmp_path / "one.json", parts))
    assert len(witness.nodes) == len(witness.block_hashes) == 0
    assert (witness.chain_id, witness.fork) == (None, None)


def test_what_follows_from_other_fields_may_be_left_out(tmp_path: Path) -> None:
    shown = whole()
    for transaction in shown["block"]["transactions"]:
        del transaction["hash"], transaction["from"]
        if "maxFeePerGas" in transaction:
            transaction["wasPrice"] = transaction.pop("gasPrice")
    batch = read_witness(written(tmp_path / "one.json", shown)).block.transactions
    assert not batch.claims_hash.any()
    assert not batch.claims_sender.any()
    base = int(shown["block"]["baseFeePerGas"], 16)
    for i, transaction in enumerate(shown["block"]["transactions"]):
        price = int.from_bytes(batch.words(Integer.GAS_PRICE)[i].tobytes())
        if "wasPrice" in transaction:
            most, above = (int(transaction[name], 16) for name in ("maxFeePerGas", "maxPriorityFeePerGas"))
            assert price == min(most, base + above)
        else:
            assert price == int(transaction["gasPrice"], 16)


def with_parent(shown: dict[str, Any], parent: Any) -> None:
    shown["parent"] = parent
    shown["block"]["parentHash"] = header_hash(parent)


def header_hash(shown: Any) -> str:
    """Of a header of every field up to Prague."""
    names = (
        "parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom", "difficulty",
        "number", "gasLimit", "gasUsed", "timestamp", "extraData", "mixHash", "nonce", "baseFeePerGas", "withdrawalsRoot",
        "blobGasUsed", "excessBlobGas", "parentBeaconBlockRoot", "requestsHash",
    )  # fmt: skip
    numbers = {
        "difficulty", "number", "gasLimit", "gasUsed", "timestamp", "baseFeePerGas", "blobGasUsed", "excessBlobGas",
    }  # fmt: skip
    given = {name: shown[name] for name in names if name in shown}
    fields = [int(text, 16) if name in numbers else bytes.fromhex(text[2:]) for name, text in given.items()]
    return "0x" + keccak256(rlp.encode(fields)).hex()


def test_parent_and_uncles(tmp_path: Path) -> None:
    shown = whole()
    with_parent(shown, header(TYPED["block"]))
    shown["uncles"] = []
    shown["block"]["uncles"] = []
    witness = read_witness(written(tmp_path / "one.json", shown))
    assert witness.parent
    assert witness.root_before == witness.parent.fields["stateRoot"]
    assert witness.uncles == ()
    uncle = header(TYPED["block"])
    shown["uncles"] = [uncle]
    shown["block"]["uncles"] = [header_hash(uncle)]
    with pytest.raises(InputFileError, match="sha3Uncles"):
        read_witness(written(tmp_path / "one.json", shown))
    del shown["uncles"]
    shown["block"]["sha3Uncles"] = "0x" + "11" * 32
    assert read_witness(written(tmp_path / "one.json", shown)).uncles is None


def put(*path: str, value: Any) -> Callable[[Any], None]:
    def change(shown: Any) -> None:
        for step in path[:-1]:
            shown = shown[step]
        shown[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "field", "expected"),
    [
        (put("pre_state", value=[]), "pre_state", "object"),
        (put("pre_state", "0xab", value={"balance": "0x0"}), "pre_state.0xab", "20 bytes"),
        (
            put("pre_state", ADDRESS.upper().replace("X", "x"), value={"balance": "0x0"}),
            None,
            "each account once",
        ),
        (put("pre_state", ADDRESS, value={}), f"pre_state.{ADDRESS}.balance", "this field"),
        (put("pre_state", ADDRESS, "nonce", value="2"), f"pre_state.{ADDRESS}.nonce", "int"),
        (put("pre_state", ADDRESS, value=5), f"pre_state.{ADDRESS}", "object"),
        (put("post_state", value={ADDRESS: {"balance": 5}}), f"post_state.{ADDRESS}.balance", "str"),
        (put("block_hashes", value={"5": 6}), "block_hashes.5", "str"),
        (put("pre_state", ADDRESS, "balance", value="5"), f"pre_state.{ADDRESS}.balance", "a quantity"),
        (put("pre_state", ADDRESS, "nonce", value=-1), f"pre_state.{ADDRESS}.nonce", "2^64"),
        (
            put("pre_state", ADDRESS, "code", value="0x6"),
            f"pre_state.{ADDRESS}.code",
            "two hexadecimal digits",
        ),
        (
            put("pre_state", ADDRESS, "code_hash", value="0x" + "11" * 32),
            f"pre_state.{ADDRESS}.code",
            "code_hash",
        ),
        (put("pre_state", ADDRESS, "code_hash", value="0x11"), f"pre_state.{ADDRESS}.code_hash", "32 bytes"),
        (
            put("pre_state", ADDRESS, "storage", "zz", value="0x0"),
            f"pre_state.{ADDRESS}.storage.zz",
            "a quantity",
        ),
        (
            put("pre_state", ADDRESS, "storage", "0x2", value="x"),
            f"pre_state.{ADDRESS}.storage.0x2",
            "a quantity",
        ),
        (put("pre_state", ADDRESS, "storage", "0x02", value="0x1"), None, "each slot once"),
        (put("post_state", value={ADDRESS: {"balance": "x"}}), f"post_state.{ADDRESS}.balance", "a quantity"),
        (put("nodes", value=["0x", "0x1"]), "nodes[1]", "two hexadecimal digits"),
        (put("nodes", value={}), "nodes", "array"),
        (put("extra_codes", value=["6001"]), "extra_codes[0]", "data"),
        (put("block_hashes", value={"x": "0x" + "11" * 32}), "block_hashes.x", "decimal number"),
        (put("block_hashes", value={"5": "0x11"}), "block_hashes.5", "32 bytes"),
        (put("parent", value=header(TYPED["block"])), "parent", "parentHash"),
        (put("parent", value={**header(TYPED["block"]), "gasLimit": "x"}), "parent.gasLimit", "a quantity"),
        (put("uncles", value=[{**header(TYPED["block"]), "miner": "0x"}]), "uncles[0].miner", "20 bytes"),
        (put("block", "transactions", value=[]), None, None),
        (put("chain", value={"chain_id": "1"}), "chain.chain_id", "int"),
    ],
    ids=lambda held: held if isinstance(held, str) else "",
)
def test_broken_files(
    tmp_path: Path, change: Callable[[Any], None], field: str | None, expected: str | None
) -> None:
    shown = whole()
    change(shown)
    path = written(tmp_path / "one.json", shown)
    if expected is None:
        assert len(read_witness(path).block.transactions) == 0
        return
    with pytest.raises(InputFileError) as refused:
        read_witness(path)
    assert refused.value.file == str(path)
    assert refused.value.field == field
    assert expected in refused.value.expected
    assert refused.value.found


def test_files_that_lack(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"block\.json.*No such file"):
        read_witness(tmp_path)
    written(tmp_path / "block.json", TYPED["block"])
    with pytest.raises(InputFileError, match=r"pre_state\.json.*No such file"):
        read_witness(tmp_path)
    with pytest.raises(InputFileError) as refused:
        read_witness(written(tmp_path / "one.json", {"block": TYPED["block"]}))
    assert (refused.value.field, refused.value.found) == ("pre_state", "nothing")
    written(tmp_path / "pre_state.json", {ADDRESS: {"balance": "y"}})
    with pytest.raises(InputFileError, match=r"pre_state\.json, field '0xabab.*balance'"):
        read_witness(tmp_path)


def packed(codes: list[bytes]) -> bytes:
    return b"".join(len(code).to_bytes(4, "little") + code for code in codes)


def test_files_of_codes(tmp_path: Path) -> None:
    codes = [b"", b"\x60", b"\x61" * 300]
    plain, small = tmp_path / "codes.bin", tmp_path / "codes.bin.xz"
    plain.write_bytes(packed(codes))
    small.write_bytes(lzma.compress(packed(codes)))
    assert read_codes(plain) == read_codes(small) == {keccak256(code): code for code in codes}
    plain.write_bytes(b"")
    assert read_codes(plain) == {}


@pytest.mark.parametrize(
    ("name", "data", "found"),
    [
        ("codes.bin", packed([b"abc", b"defg"])[:-1], "code 1 of 4 bytes with 3 left"),
        ("codes.bin", b"\1\0", "code 0"),
        ("codes.bin.xz", b"abc", "Input format"),
        ("codes.bin.xz", lzma.compress(packed([b"abc"]))[:-4], "an end"),
    ],
)
def test_broken_files_of_codes(tmp_path: Path, name: str, data: bytes, found: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(InputFileError) as refused:
        read_codes(path)
    assert found in refused.value.found
