# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job: bundled mainnet blocks come out right, and every corruption is reported with its place."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

import supervm.engine.ethereum.replay.replay as replay_module
from supervm.crypto.params.secp256k1 import FN
from supervm.engine.arrays import amounts
from supervm.engine.errors import InputFileError
from supervm.engine.ethereum.replay.replay import replay
from supervm.engine.ethereum.replay.report import ReplayReport
from supervm.engine.ethereum.replay.transfers import Executed
from supervm.kernels import get_threads
from supervm.kernels.errors import SupervmError

DATA = Path(__file__).resolve().parents[3] / "benchmarks" / "data" / "ethereum"
BLOCKS = sorted(DATA.iterdir(), key=lambda path: int(path.name))


def changed(tmp_path: Path, number: int, change: Any) -> Path:
    """A copy of a bundled block with `change(block, pre_state)` applied."""
    block = json.loads((DATA / str(number) / "block.json").read_text())
    state = json.loads((DATA / str(number) / "pre_state.json").read_text())
    change(block, state)
    (tmp_path / "block.json").write_text(json.dumps(block))
    (tmp_path / "pre_state.json").write_text(json.dumps(state))
    return tmp_path


@pytest.fixture(scope="module")
def everything() -> ReplayReport:
    return replay(BLOCKS)


def test_every_bundled_block_is_right(everything: ReplayReport) -> None:
    assert everything.ok
    assert [block.number for block in everything.blocks] == [int(path.name) for path in BLOCKS]
    assert everything.notes == []
    for block in everything.blocks:
        assert block.senders_recovered == block.transactions
        assert (block.senders_wrong, block.hashes_wrong, block.transfers_failed) == (0, 0, 0)
        assert block.transactions_root_ok
        assert block.sequential_equal
        assert block.conserved
        assert block.transfers + block.calls_not_executed == block.transactions


def test_transfers_and_conflicts_as_counted_from_the_files(everything: ReplayReport) -> None:
    for report, folder in zip(everything.blocks, BLOCKS, strict=True):
        block = json.loads((folder / "block.json").read_text())
        state = json.loads((folder / "pre_state.json").read_text())
        last: dict[str, int] = {}
        waves: list[int] = []
        edges = transfers = 0
        for index, shown in enumerate(block["transactions"]):
            keys = {shown["from"], shown["to"]} - {None}
            before = {last[key] for key in keys if key in last}
            waves.append(1 + max((waves[j] for j in before), default=-1))
            edges += len(before)
            last |= dict.fromkeys(keys, index)
            plain = shown["to"] is not None and shown["input"] == "0x"
            transfers += plain and "code_hash" not in state.get(shown["to"], {})
        assert report.transactions == len(waves)
        assert report.transfers == transfers
        assert report.waves_locking == report.waves_versioned == 1 + max(waves)
        assert report.edges_locking == edges


def test_json_has_the_promised_fields(everything: ReplayReport) -> None:
    answer = json.loads(json.dumps(everything.to_json()))
    assert list(answer) == ["blocks", "totals", "checked", "not_checked"]
    assert list(answer["totals"]) == ["transactions", "signatures_per_second", "seconds"]
    assert list(answer["blocks"][0]) == [
        "number", "transactions", "senders_recovered", "senders_wrong", "hashes_wrong",
        "transactions_root_ok", "hash_ok", "uncles_ok", "withdrawals_root_ok", "parent_ok",
        "waves_versioned", "waves_locking", "edges_locking", "transfers",
        "transfers_failed", "calls_not_executed", "sequential_equal", "conserved",
        "gas_ok", "receipts_ok", "bloom_ok", "requests_ok", "state_ok", "transactions_executed", "parallel_equal",
    ]  # fmt: skip
    assert (
        answer["totals"]["transactions"]
        == everything.signatures
        == sum(b.transactions for b in everything.blocks)
    )
    assert answer["totals"]["signatures_per_second"] > 0


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_thread_count_changes_nothing_and_is_put_back(everything: ReplayReport, threads: int) -> None:
    before = get_threads()
    assert replay(BLOCKS[:6], threads=threads).blocks == everything.blocks[:6]
    assert get_threads() == before


def test_groups_change_nothing(everything: ReplayReport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_module, "SIGNATURES_IN_FLIGHT", 90)
    again = replay(BLOCKS[:6])
    assert (again.blocks, again.signatures) == (
        everything.blocks[:6],
        sum(b.transactions for b in everything.blocks[:6]),
    )


def test_progress_is_told() -> None:
    told: list[tuple[str, int, int]] = []
    replay(BLOCKS[:3], progress=lambda *told_now: told.append(told_now))
    assert told[0][0] == "compiling kernels"
    assert [done for what, done, _ in told if what == "replaying blocks"] == [0, 1, 2, 3]
    assert {total for _, _, total in told} == {3}


def test_no_blocks() -> None:
    report = replay([])
    assert report.ok
    assert report.to_json()["totals"]["transactions"] == report.signatures_per_second == 0


def test_a_wrong_sender_is_reported_with_both_values(tmp_path: Path) -> None:
    other = "0x" + "12" * 20
    real = json.loads((DATA / "930196" / "block.json").read_text())["transactions"][4]["from"]
    folder = changed(tmp_path, 930196, lambda block, _: block["transactions"][4].update({"from": other}))
    report = replay([folder])
    assert not report.ok
    (problem,) = report.problems
    assert (problem.block, problem.index, problem.what) == (930196, 4, "sender")
    assert (problem.found, problem.expected) == (real, other)
    assert str(problem) == f"block 930196, transaction 4: sender: found {real}, expected {other}"
    assert (report.blocks[0].senders_wrong, report.blocks[0].senders_recovered) == (1, 18)


def test_a_wrong_hash_is_reported_with_both_values(tmp_path: Path) -> None:
    other = "0x" + "34" * 32
    real = json.loads((DATA / "930196" / "block.json").read_text())["transactions"][17]["hash"]
    folder = changed(tmp_path, 930196, lambda block, _: block["transactions"][17].update(hash=other))
    (problem,) = (report := replay([folder])).problems
    assert (problem.index, problem.what, problem.found, problem.expected) == (17, "hash", real, other)
    assert report.blocks[0].hashes_wrong == 1


def test_a_wrong_root_is_reported_with_both_values(tmp_path: Path) -> None:
    other = "0x" + "56" * 32
    real = json.loads((DATA / "2675000" / "block.json").read_text())["transactionsRoot"]
    folder = changed(tmp_path, 2675000, lambda block, _: block.update(transactionsRoot=other))
    # The header's hash commits to the root, too.
    problem, digest = (report := replay([folder])).problems
    assert (digest.index, digest.what) == (None, "hash")
    assert (problem.index, problem.what, problem.found, problem.expected) == (
        None,
        "transactions root",
        real,
        other,
    )
    assert not report.blocks[0].transactions_root_ok


@pytest.mark.parametrize("field", ["value", "nonce", "gas", "gasPrice", "input", "to"])
def test_a_change_of_what_was_signed_shows_in_sender_hash_and_root(tmp_path: Path, field: str) -> None:
    new = {"input": "0x00", "to": "0x" + "77" * 20}.get(field, "0x1234")
    folder = changed(tmp_path, 930196, lambda block, _: block["transactions"][2].update({field: new}))
    report = replay([folder])
    assert {(problem.index, problem.what) for problem in report.problems} == {
        (2, "sender"), (2, "hash"), (None, "transactions root"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("number", "field", "value", "word"),
    [
        (930196, "r", "0x0", "r and s"),
        (930196, "s", "0x0", "r and s"),
        (930196, "v", "0x5", "v, yParity"),
        (19932810, "s", hex(FN.modulus // 2 + 1), "half the group order"),
        (19932810, "yParity", "0x5", "v, yParity"),
    ],
)
def test_a_signature_without_a_sender(tmp_path: Path, number: int, field: str, value: str, word: str) -> None:
    block = json.loads((DATA / str(number) / "block.json").read_text())
    index = next(i for i, shown in enumerate(block["transactions"]) if field in shown)
    folder = changed(tmp_path, number, lambda block, _: block["transactions"][index].update({field: value}))
    report = replay([folder])
    sender = next(problem for problem in report.problems if problem.what == "sender")
    assert sender.index == index
    assert word in sender.found
    assert sender.expected == block["transactions"][index]["from"]
    assert report.blocks[0].senders_wrong == 1
    assert report.blocks[0].senders_recovered == report.blocks[0].transactions - 1
    assert report.blocks[0].sequential_equal
    assert report.blocks[0].conserved


def test_a_swapped_pair_shows_in_the_root_only(tmp_path: Path) -> None:
    def swap(block: Any, _: Any) -> None:
        shown = block["transactions"]
        shown[0], shown[5] = shown[5], shown[0]

    assert [problem.what for problem in replay([changed(tmp_path, 4370000, swap)]).problems] == [
        "transactions root"
    ]


def test_failed_transfers_are_noted_but_not_wrong(tmp_path: Path) -> None:
    block = json.loads((DATA / "5891667" / "block.json").read_text())
    sender = block["transactions"][10]["from"]
    code = json.loads((DATA / "5891667" / "pre_state.json").read_text())
    paying = [
        shown
        for shown in block["transactions"]
        if shown["from"] == sender and "code_hash" not in code.get(shown["to"], {})
    ]

    def impoverish(_: Any, state: Any) -> None:
        state[sender]["balance"] = "0x1"

    report = replay([changed(tmp_path, 5891667, impoverish)])
    failed = report.blocks[0].transfers_failed
    assert report.ok
    assert failed == len(paying) > 300
    assert sum(note.what == "transfer" for note in report.notes) == failed
    calls = sum(shown["from"] == sender for shown in block["transactions"]) - len(paying)
    assert sum(note.what == "nonce" for note in report.notes) == calls


def test_a_wrong_nonce_before_the_block_is_noted(tmp_path: Path) -> None:
    report = replay(
        [
            changed(
                tmp_path,
                46147,
                lambda _, state: state["0xa1e4380a3b1f749673e270229993ee55f35663b4"].update(nonce=1),
            )
        ]
    )
    assert report.ok
    assert report.blocks[0].transfers_failed == 1
    assert "nonce" in report.notes[0].found


def test_a_recipient_with_code_makes_a_call(tmp_path: Path) -> None:
    def give_code(_: Any, state: Any) -> None:
        state["0x5df9b87991262f6ba471f09758cde1c0fc1de734"] = {"balance": "0x0", "code_hash": "0x" + "1" * 64}

    (block,) = replay([changed(tmp_path, 46147, give_code)]).blocks
    assert (block.transfers, block.calls_not_executed) == (0, 1)


@pytest.mark.parametrize("what", ["balance", "nonce", "burned"])
def test_a_scheduler_that_errs_is_caught(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    honest = replay_module.execute_waves

    def erring(*arguments: Any) -> Executed:
        run = honest(*arguments)
        if what == "balance":
            run.balances[0, 0] += 1
        elif what == "nonce":
            run.nonces[0] += 1
        burned = run.burned + (what == "burned")
        return Executed(run.balances, run.nonces, run.outcome, burned, run.fees)

    monkeypatch.setattr(replay_module, "execute_waves", erring)
    report = replay([DATA / "930196"])
    assert not report.ok
    assert not report.blocks[0].sequential_equal
    assert report.blocks[0].conserved == (what == "nonce")


def test_burned_and_earned_fees_of_london(everything: ReplayReport, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[Executed] = []
    honest = replay_module.execute_sequential
    monkeypatch.setattr(
        replay_module, "execute_sequential", lambda block: runs.append(honest(block)) or runs[-1]
    )
    replay([DATA / "13287210"])
    block = json.loads((DATA / "13287210" / "block.json").read_text())
    state = json.loads((DATA / "13287210" / "pre_state.json").read_text())
    paying = [
        shown for shown in block["transactions"]
        if shown["to"] and shown["input"] == "0x" and "code_hash" not in state.get(shown["to"], {})
    ]  # fmt: skip
    base = int(block["baseFeePerGas"], 16)
    assert runs[-1].burned == 21_000 * base * len(paying)
    assert runs[-1].fees == 21_000 * sum(int(shown["gasPrice"], 16) - base for shown in paying)
    assert amounts.total(runs[-1].balances) + runs[-1].burned == sum(
        int(a["balance"], 16) for a in state.values()
    )


def test_a_broken_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    folder = changed(tmp_path, 930196, lambda block, _: block["transactions"][3].update(nonce="7"))
    with pytest.raises(InputFileError, match=r"block\.json, transaction 3, field 'nonce'") as caught:
        replay([DATA / "46147", folder])
    assert isinstance(caught.value, SupervmError)


def test_errors_survive_a_pickle() -> None:
    error = InputFileError("block.json", "0x", "digits", 3, "nonce")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.transaction, again.field) == (str(error), 3, "nonce")
