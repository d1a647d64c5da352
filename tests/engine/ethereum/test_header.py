# SPDX-License-Identifier: GPL-3.0-or-later
"""Headers of every fork: their hashes, and every field that somebody may alter."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from supervm.engine.errors import ForgedBlock, InputFileError
from supervm.engine.ethereum.blocks import decode_block
from supervm.engine.ethereum.header import Claim, check_header
from supervm.engine.ethereum.replay.replay import replay
from supervm.engine.ethereum.replay.report import ReplayReport
from supervm.engine.workloads import mainnet

ROOT = Path(__file__).resolve().parents[3]
DATA = ROOT / "benchmarks" / "data" / "ethereum"
BUNDLED = sorted(DATA.iterdir(), key=lambda path: int(path.name))
FRONTIER, LONDON, CANCUN = "46147", "12965000", "19469101"
COMMON = (
    "parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom", "difficulty",
    "number", "gasLimit", "gasUsed", "timestamp", "extraData", "mixHash", "nonce",
)  # fmt: skip
FORKS = {
    FRONTIER: COMMON,
    LONDON: (*COMMON, "baseFeePerGas"),
    CANCUN: (
        *COMMON, "baseFeePerGas", "withdrawalsRoot", "blobGasUsed", "excessBlobGas", "parentBeaconBlockRoot",
    ),
}  # fmt: skip
PRAGUE = (*FORKS[CANCUN], "requestsHash")


def shown(number: str) -> Any:
    return json.loads((DATA / number / "block.json").read_text())


def prague() -> Any:
    return json.loads((ROOT / "tests" / "vectors" / "ethereum" / "typed.json").read_text())["block"]


def claims(block: Any) -> tuple[Claim, Claim, Claim]:
    decoded = decode_block(json.dumps(block).encode(), Path("block.json"))
    return check_header(decoded.header, decoded.hash.tobytes())


def altered(text: str) -> str:
    """Another value of the same kind: the last digit is another one; of no digits, one more byte."""
    return text[:-1] + ("0" if text[-1] != "0" else "1") if len(text) > 2 else "0x00"


@pytest.mark.parametrize("folder", BUNDLED, ids=lambda path: path.name)
def test_bundled_headers_hash_to_what_they_state(folder: Path) -> None:
    digest, uncles, withdrawals = claims(shown(folder.name))
    assert digest.ok
    assert uncles.ok
    assert withdrawals.ok is (True if int(folder.name) >= 17_034_870 else None)


def test_a_header_of_prague_as_other_packages_encode_it() -> None:
    assert [claim.ok for claim in claims(prague())] == [True, True, True]


@pytest.mark.parametrize(
    ("make", "field"),
    [
        *((number, field) for number, fields in FORKS.items() for field in fields),
        *((None, f) for f in PRAGUE),
    ],
)
def test_every_altered_field_shows_in_the_hash(make: str | None, field: str) -> None:
    block = prague() if make is None else shown(make)
    block[field] = altered(block[field])
    digest = claims(block)[0]
    assert digest.field == "hash"
    assert digest.ok is False


@pytest.mark.parametrize("field", ["index", "validatorIndex", "address", "amount"])
def test_an_altered_withdrawal_shows_in_their_root(field: str) -> None:
    block = shown(CANCUN)
    block["withdrawals"][3][field] = altered(block["withdrawals"][3][field])
    digest, _, withdrawals = claims(block)
    assert (digest.ok, withdrawals.ok) == (True, False)


def test_withdrawals_that_come_go_or_change_places() -> None:
    block = shown(CANCUN)
    for rows in (block["withdrawals"][:-1], block["withdrawals"][::-1], []):
        assert claims({**block, "withdrawals": rows})[2].ok is False
    assert claims({**block, "withdrawals": None})[2].ok is None
    assert claims({**shown(LONDON), "withdrawals": []})[2].ok is False, "a header that knows none"


def test_uncles_are_compared_as_far_as_they_are_known() -> None:
    block = shown(FRONTIER)
    some = ["0x" + "11" * 32]
    assert claims({**block, "uncles": some})[1].ok is False
    other = {**block, "sha3Uncles": "0x" + "22" * 32}
    assert claims(other)[1].ok is False
    assert claims({**other, "uncles": some})[1].ok is None
    del other["uncles"]
    assert claims(other)[1].ok is None


@pytest.mark.parametrize("field", COMMON)
def test_a_header_lacks_no_field(field: str) -> None:
    block = shown(FRONTIER)
    del block[field]
    with pytest.raises(InputFileError, match=f"field '{field}': found nothing, expected this field"):
        claims(block)


def test_fields_of_a_fork_need_those_of_the_one_before() -> None:
    block = shown(CANCUN)
    del block["withdrawalsRoot"]
    with pytest.raises(
        InputFileError, match=r"'withdrawalsRoot': found nothing, .* header that has 'blobGasUsed'"
    ):
        claims(block)


@pytest.mark.parametrize(
    ("field", "value"),
    [("stateRoot", "0x12"), ("logsBloom", "0x00"), ("nonce", "0x1"), ("gasUsed", "0x"), ("extraData", "0x1")],
)
def test_a_field_that_is_none_is_named(field: str, value: str) -> None:
    with pytest.raises(InputFileError, match=f"field '{field}'"):
        claims({**shown(FRONTIER), field: value})


# ------------------------------------------------------------------------------------------------- whole replays


def written(folder: Path, block: Any) -> Path:
    folder.mkdir()
    (folder / "block.json").write_text(json.dumps(block))
    (folder / "pre_state.json").write_bytes((DATA / FRONTIER / "pre_state.json").read_bytes())
    return folder


def child(block: Any, **fields: str) -> Any:
    """A block of the same transactions that follows; its hash is right."""
    following = {**block, "number": hex(int(block["number"], 16) + 1), "parentHash": block["hash"], **fields}
    found = claims(following)[0].found
    assert found is not None
    return {**following, "hash": "0x" + found.hex()}


def test_parents_are_linked_in_whatever_order_they_are_given(tmp_path: Path) -> None:
    first = shown(FRONTIER)
    second = child(first)
    folders = [
        written(tmp_path / name, block) for name, block in (("a", first), ("b", second), ("c", child(second)))
    ]
    for order in (folders, folders[::-1], [folders[1], folders[0], folders[2]]):
        report = replay(order)
        linked = {block.number: block.parent_ok for block in report.blocks}
        assert linked == {46147: None, 46148: True, 46149: True}
        assert not [finding for finding in report.problems if finding.what == "parentHash"]
    assert [block.parent_ok for block in replay([folders[0], folders[2]]).blocks] == [None, None]


def test_a_forged_parent_is_named_with_both_hashes(tmp_path: Path) -> None:
    first = shown(FRONTIER)
    forged = child(first, parentHash="0x" + "77" * 32)
    for place, order in enumerate(((first, forged), (forged, first))):
        report = replay([written(tmp_path / f"{place}{at}", block) for at, block in enumerate(order)])
        assert not report.ok
        assert [str(finding) for finding in report.problems] == [
            f"block 46148: parentHash: found {first['hash']}, expected 0x{'77' * 32}"
        ]


def _forged_field(field: str) -> Callable[[Any], Any]:
    return lambda block: {**block, field: altered(block[field])}


@pytest.mark.parametrize("field", ["hash", "stateRoot", "parentHash"])
def test_a_forged_header_fails_the_replay_and_makes_no_workload(tmp_path: Path, field: str) -> None:
    forged = _forged_field(field)(shown(FRONTIER))
    folder = written(tmp_path / "forged", forged)
    report = replay([folder])
    assert not report.ok
    assert not report.blocks[0].hash_ok
    assert [(finding.what, finding.expected) for finding in report.problems] == [("hash", forged["hash"])]
    with pytest.raises(ForgedBlock, match=f"block 46147: hash: found 0x.*, expected {forged['hash']}"):
        mainnet([folder])


def test_a_forged_list_makes_no_workload(tmp_path: Path) -> None:
    block = shown(FRONTIER)
    block["transactions"][0]["value"] = "0x1"
    with pytest.raises(ForgedBlock, match="block 46147: transactionsRoot"):
        mainnet([written(tmp_path / "forged", block)])


def test_the_report_says_what_was_checked_and_what_was_not() -> None:
    report: ReplayReport = replay([DATA / FRONTIER, DATA / CANCUN])
    assert report.ok
    assert "withdrawals roots of 1" in report.checked()
    assert any("state roots" in words for words in report.unchecked())
    assert any("parents of 2 blocks" in words for words in report.unchecked())
    assert report.to_json()["checked"] == report.checked()
