# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks of mainnet executed whole give what their headers say, from Frontier to Osaka; what is changed in one is found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from evm_data import SHARED, codes_file, needs, unpacked

from supervm.engine.ethereum.replay.replay import replay
from supervm.engine.ethereum.replay.report import ReplayReport
from supervm.engine.evm.requests import (
    CONSOLIDATION,
    DEPOSIT,
    WITHDRAWAL,
    deposit_request,
    encoded_requests,
)
from supervm.engine.evm.rewards import Payment, Uncle, mining_payments
from supervm.engine.evm.whole_blocks import WholeBlocks

FOLDERS = SHARED.parent / "ethereum"
INCOMPLETE = (12965000, 19469101, 19807137, 19932810)
"""Blocks of which some codes are not given (shared/data/README.md)."""

BEFORE_STATUS = (46147, 116525, 930196, 2675000)
"""Blocks before Byzantium, whose receipts need trie nodes, which their folders do not have."""


def replay_whole(paths: list[Path], **given: Any) -> ReplayReport:
    whole = WholeBlocks(**given)
    try:
        return replay(paths, whole=whole)
    finally:
        whole.close()


WITH_REQUESTS = (22615247,)
"""Blocks since Prague whose system contracts are given; those of 24628607 are not."""


@pytest.fixture(scope="module")
def witnesses() -> ReplayReport:
    return replay_whole(sorted(unpacked("witness_give"), key=lambda file: int(file.stem)))


def test_witness_blocks_are_right_in_everything(witnesses: ReplayReport) -> None:
    assert witnesses.problems == []
    assert [block.number for block in witnesses.blocks] == sorted(block.number for block in witnesses.blocks)
    assert len(witnesses.blocks) == 7
    for block in witnesses.blocks:
        assert block.transactions_executed == block.transactions > 0
        assert (block.gas_ok, block.bloom_ok, block.receipts_ok, block.state_ok) == (True,) * 4, block.number
        assert block.requests_ok is (True if block.number in WITH_REQUESTS else None)
        assert block.parallel_equal is True


@pytest.fixture(scope="module")
def folders() -> ReplayReport:
    if not FOLDERS.exists():
        pytest.skip(f"{FOLDERS} is absent")
    given = sorted(FOLDERS.iterdir(), key=lambda path: int(path.name))
    more = sorted({file.parent for file in unpacked("pevm_blocks_give5")}, key=lambda path: int(path.name))
    return replay_whole([*given, *more], codes=codes_file(), block_hashes=needs("pevm_block_hashes.json"))


def test_blocks_in_folders_are_right_where_their_codes_are_given(folders: ReplayReport) -> None:
    assert folders.problems == []
    for block in folders.blocks:
        whole = block.transactions_executed == block.transactions
        assert whole == (block.number not in INCOMPLETE), block.number
        assert (block.gas_ok, block.bloom_ok) == ((True,) * 2 if whole else (None,) * 2), block.number
        receipts = True if whole and block.number not in BEFORE_STATUS else None
        assert block.receipts_ok is receipts, block.number
        assert block.state_ok is None


def test_what_is_missing_is_named(folders: ReplayReport) -> None:
    for number in INCOMPLETE:
        (note,) = [note for note in folders.notes if note.block == number]
        block = next(block for block in folders.blocks if block.number == number)
        assert note.index == block.transactions_executed
        assert note.what == "execution"
        assert note.found.startswith("the code of account 0x")
        assert note.found.endswith(
            f"{block.transactions - block.transactions_executed} transactions are not executed"
        )
        assert "--codes" in note.expected


def changed(tmp_path: Path, number: int, change: Any) -> Path:
    (source,) = unpacked("witness_give", lambda name: Path(name).name == f"{number}.json")
    witness = json.loads(source.read_text())
    change(witness)
    file = tmp_path / f"{number}.json"
    file.write_text(json.dumps(witness))
    return file


@pytest.mark.parametrize("field", ["gasUsed", "receiptsRoot", "logsBloom", "stateRoot"])
def test_a_header_that_lies_is_found(tmp_path: Path, field: str) -> None:
    def lie(witness: Any) -> None:
        text = witness["block"][field]
        witness["block"][field] = text[:-1] + ("0" if text[-1] != "0" else "1")

    report = replay_whole([changed(tmp_path, 1150000, lie)])
    assert {problem.what for problem in report.problems} == {"hash", field}
    assert not report.blocks[0].ok


def test_a_slot_that_is_not_given_is_named(tmp_path: Path) -> None:
    gone = []

    def take_one(witness: Any) -> None:
        witness["nodes"] = []  # which would prove the slot
        lists = [entry for one in witness["block"]["transactions"] for entry in one.get("accessList") or ()]
        listed = {(one["address"], int(key, 16)) for one in lists for key in one["storageKeys"]}
        for address, account in witness["pre_state"].items():
            slots = [slot for slot in account["storage"] if (address, int(slot, 16)) not in listed]
            if account.get("code") and len(slots) > 10:
                del account["storage"][slots[-1]]
                gone.append((address, slots[-1]))
                return

    report = replay_whole([changed(tmp_path, 18884864, take_one)])
    (address, slot), (note,) = gone[0], report.notes
    assert note.found.startswith(f"slot 0x{int(slot, 16):064x} of account {address}")
    assert report.blocks[0].transactions_executed == note.index < report.blocks[0].transactions
    assert report.blocks[0].gas_ok is None


def test_an_invalid_transaction_is_told_by_its_rule(tmp_path: Path) -> None:
    def poor(witness: Any) -> None:
        sender = witness["block"]["transactions"][3]["from"]
        witness["pre_state"][sender]["balance"] = "0x0"

    report = replay_whole([changed(tmp_path, 1150000, poor)])
    problem = next(problem for problem in report.problems if problem.what == "transaction")
    assert problem.found.startswith("INSUFFICIENT_FUNDS")
    assert report.blocks[0].transactions_executed == problem.index
    assert report.blocks[0].gas_ok is None


def test_rewards_of_miner_and_uncles() -> None:
    """Block 1 of the Yellow Paper's rule, by hand: an uncle of two blocks ago gets 6/8, the miner 1/32 for it."""
    miner, other = b"\1" * 20, b"\2" * 20
    ether = 10**18
    assert mining_payments(100, miner, [], 5 * ether) == [Payment(miner, 5 * ether)]
    assert mining_payments(100, miner, [Uncle(other, 98)], 5 * ether) == [
        Payment(miner, 5_156_250_000_000_000_000),
        Payment(other, 3_750_000_000_000_000_000),
    ]


def test_requests_are_in_the_order_of_their_types() -> None:
    requests = encoded_requests([b"ab", b"c"], [(WITHDRAWAL, b""), (CONSOLIDATION, b"z")])
    assert requests == [bytes([DEPOSIT]) + b"abc", bytes([CONSOLIDATION]) + b"z"]
    assert encoded_requests([], [(WITHDRAWAL, b"w"), (CONSOLIDATION, b"")]) == [bytes([WITHDRAWAL]) + b"w"]


def test_a_deposit_event_is_read_only_in_its_own_layout() -> None:
    fields = [bytes([n]) * size for n, size in enumerate((48, 32, 8, 96, 8), 1)]
    head, body = b"", b""
    for field in fields:
        head += (160 + len(body)).to_bytes(32)
        padding = bytes(-len(field) % 32)
        body += len(field).to_bytes(32) + field + padding
    data = head + body
    assert len(data) == 576
    assert deposit_request(data) == b"".join(fields)
    assert deposit_request(data[:-1]) is None
    assert deposit_request(data + b"\0") is None
    assert deposit_request(bytes(31) + b"\x01" + data[32:]) is None
