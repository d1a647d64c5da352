# SPDX-License-Identifier: GPL-3.0-or-later
"""State tests of other clients pass; what is wrong in one is told; files that are none are refused by field."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from evm_data import LEFT_OUT, STATE_TESTS, sampled, unpacked

from supervm.engine.errors import InputFileError
from supervm.engine.evm.session import Session
from supervm.engine.evm.state_test_files import read_state_tests
from supervm.engine.evm.state_tests import EXCEPTIONS, run_state_tests
from supervm.kernels.errors import ArgumentError
from supervm.vm.evm.rules import Rule

SHARES = {"general_state_tests": 32, "eest_state": 8}
"""One file in so many is run here; `supervm evm statetest` runs the rest (docs/evm.md)."""

ADD = {
    "env": {
        "currentCoinbase": "0x2adc25665018aa1fe0e6bc666dac8fc2697ff9ba",
        "currentGasLimit": "0x989680",
        "currentNumber": "0x1",
        "currentTimestamp": "0x3e8",
        "currentDifficulty": "0x20000",
        "currentRandom": "0x20000",
        "currentBaseFee": "0xa",
        "currentExcessBlobGas": "0x0",
    },
    "pre": {
        "0xa94f5374fce5edbc8e2a8697c15331677e6ebf0b": {
            "nonce": "0x0",
            "balance": "0xde0b6b3a7640000",
            "code": "0x",
            "storage": {},
        },
        # PUSH1 1, PUSH1 1, ADD, PUSH1 0, SSTORE
        "0xcccccccccccccccccccccccccccccccccccccccc": {
            "nonce": "0x1",
            "balance": "0x0",
            "code": "0x6001600101600055",
            "storage": {},
        },
    },
    "transaction": {
        "data": ["0x"],
        "gasLimit": ["0x186a0", "0x5208"],
        "value": ["0x0"],
        "nonce": "0x0",
        "gasPrice": "0xa",
        "sender": "0xa94f5374fce5edbc8e2a8697c15331677e6ebf0b",
        "secretKey": "0x45a915e4d060149eb4365960e6a7a45f334393093061116b197e3240065ff2d8",
        "to": "0xcccccccccccccccccccccccccccccccccccccccc",
    },
    "post": {
        "Cancun": [
            {
                "hash": "0x" + "00" * 32,
                "logs": "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347",
                "indexes": {"data": 0, "gas": 0, "value": 0},
            },
        ],
    },
}
"""A test in the form of ethereum/tests, written for this page; the root is filled in by what a test needs."""


@pytest.fixture(scope="module")
def session() -> Session:
    return Session()


def written(tmp_path: Path, change: Any = lambda test: None) -> Path:
    test = json.loads(json.dumps(ADD))
    change(test)
    file = tmp_path / "add.json"
    file.write_text(json.dumps({"add": test}))
    return file


@pytest.mark.parametrize("archive", STATE_TESTS)
def test_a_sample_of_all_forks_passes(archive: str, session: Session) -> None:
    results = list(run_state_tests(unpacked(archive, sampled(SHARES[archive])), session=session))
    failed = [f"{one.name} {one.fork} {one.index}: {one.error}" for one in results if not one.passed]
    assert [one for one in failed if one.split()[0] not in LEFT_OUT] == []
    assert len(results) > 200
    assert len(Counter(one.fork for one in results)) >= 6


def test_every_case_left_out_has_a_reason() -> None:
    assert all(LEFT_OUT.values())


def test_every_expected_exception_is_known() -> None:
    names = {
        one.exception
        for archive in STATE_TESTS
        for file in unpacked(archive, sampled(SHARES[archive]))
        for test in read_state_tests(file)
        for one in test.expected
        if one.exception
    }
    plain = {name.removeprefix("TransactionException.") for all_ in names for name in all_.split("|")}
    assert plain - {"TR_RLP_WRONGVALUE"} <= set(EXCEPTIONS)
    assert all(rule in Rule for rules in EXCEPTIONS.values() for rule in rules)


def test_a_wrong_root_or_hash_of_logs_is_told_with_both(tmp_path: Path, session: Session) -> None:
    (wrong,) = run_state_tests([written(tmp_path)], session=session)
    assert not wrong.passed
    assert wrong.error.endswith("expected 0x" + "00" * 32)
    root = wrong.error.split()[2].rstrip(",")

    def right(test: Any) -> None:
        test["post"]["Cancun"][0]["hash"] = root

    (passed,) = run_state_tests([written(tmp_path, right)], session=session)
    assert passed.to_json() == {"name": "add", "fork": "Cancun", "index": 0, "pass": True, "error": ""}

    def other_logs(test: Any) -> None:
        right(test)
        test["post"]["Cancun"][0]["logs"] = "0x" + "11" * 32

    (wrong,) = run_state_tests([written(tmp_path, other_logs)], session=session)
    assert wrong.error.startswith("logs hash 0x1dcc4de8")
    # The same transaction with less gas leaves another state.
    (wrong,) = run_state_tests(
        [written(tmp_path, lambda test: (right(test), test["transaction"].update(gasLimit=["0x5209"])))],
        session=session,
    )
    assert wrong.error.startswith("state root")


def test_expected_exceptions_are_held_against_the_rule(tmp_path: Path, session: Session) -> None:
    def with_exception(name: str | None, gas: str) -> str:
        def change(test: Any) -> None:
            test["transaction"]["gasLimit"] = [gas]
            test["post"]["Cancun"][0]["expectException"] = name

        (result,) = run_state_tests([written(tmp_path, change)], session=session)
        return result.error

    assert "INTRINSIC_GAS_TOO_LOW" in with_exception(None, "0x5207")
    assert with_exception("SenderNotEOA", "0x5207").startswith("INTRINSIC_GAS_TOO_LOW")
    assert with_exception("IntrinsicGas", "0x5208").startswith("a valid transaction")
    assert with_exception("IntrinsicGas", "0x5207").startswith("state root")  # that of the accounts before


def test_a_fork_is_chosen_by_any_of_its_names(tmp_path: Path, session: Session) -> None:
    def two(test: Any) -> None:
        test["post"]["Merge"] = test["post"]["Cancun"]

    file = written(tmp_path, two)
    assert [one.fork for one in run_state_tests([file], fork="Paris", session=session)] == ["Merge"]
    assert [one.fork for one in run_state_tests([tmp_path], session=session)] == ["Cancun", "Merge"]
    with pytest.raises(ArgumentError, match="Cancun"):
        list(run_state_tests([file], fork="Nowhere", session=session))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda test: test["env"].update(currentNumber="1"), "add.env.currentNumber"),
        (lambda test: test["transaction"].update(sender="0x00"), "add.transaction.sender"),
        (lambda test: test["transaction"].update(data=["0x0"]), "add.transaction.data"),
        (lambda test: test["post"]["Cancun"][0]["indexes"].update(gas=2), "add.post.Cancun[0].indexes"),
        (lambda test: test["post"]["Cancun"][0].update(hash="0x12"), "add.post.Cancun[0].hash"),
        (lambda test: test["pre"].update({"0x12": test["pre"].popitem()[1]}), "add.pre.0x12"),
    ],
)
def test_what_is_no_state_test_is_refused_by_field(tmp_path: Path, change: Any, field: str) -> None:
    with pytest.raises(InputFileError) as caught:
        read_state_tests(written(tmp_path, change))
    assert caught.value.field == field


def test_a_quantity_that_nothing_can_hold(tmp_path: Path, session: Session) -> None:
    def large(test: Any) -> None:
        test["transaction"]["value"] = ["0x:bigint 0x1" + "00" * 32]
        test["post"]["Cancun"][0]["expectException"] = "TR_RLP_WRONGVALUE"

    (result,) = run_state_tests([written(tmp_path, large)], session=session)
    assert result.error.startswith("state root")  # nothing else is wrong with it
