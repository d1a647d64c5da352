# SPDX-License-Identifier: GPL-3.0-or-later
"""The known answer is the judge's, and a wrong engine does not give it."""

from __future__ import annotations

import pytest
from judge import Judge, Reason, Tx

from supervm.engine.config import Mode
from supervm.engine.workloads import known_answer
from supervm.tiers.known_answers import RIGHT, check_execution
from supervm.vm import contracts


def _transactions() -> list[Tx]:
    batch = known_answer.block()
    return [
        Tx(
            sender=batch.sender[row].tobytes(),
            nonce=int(batch.nonce[row]),
            to=batch.to[row].tobytes(),
            value=int.from_bytes(batch.value[row].tobytes()),
            gas_limit=int(batch.gas_limit[row]),
            gas_price=int(batch.gas_price[row]),
            entry=batch.entry[row],
            input=batch.input[row],
        )
        for row in range(len(batch))
    ]


def test_the_judge_comes_to_the_known_root() -> None:
    judge, genesis = Judge(), known_answer.genesis()
    for owner, amount in zip(genesis.addresses, genesis.balances, strict=True):
        judge.credit(owner.tobytes(), int.from_bytes(amount.tobytes()))
    for each in genesis.deployments:
        assert judge.deploy(contracts.load(each.contract), each.salt) == each.address
    for place in range(len(genesis.keys)):
        judge.state[genesis.keys[place]] = genesis.values[place]
    receipts = judge.execute(_transactions())
    assert judge.root().hex() == known_answer.STATE_ROOT
    assert {receipt.reason for receipt in receipts} == {Reason.NONE, Reason.BAD_NONCE, Reason.CONTRACT_ERROR}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("mode", list(Mode))
def test_the_engine_comes_to_the_known_root(mode: Mode, threads: int) -> None:
    outcome = check_execution(mode, threads)
    assert outcome.known_answer is True, outcome.detail
    assert outcome.to_json() == {"mode": mode.value, "known_answer": True, "detail": RIGHT}


def test_another_root_is_a_wrong_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_answer, "BALANCE", known_answer.BALANCE + 1)
    outcome = check_execution(Mode.SEQUENTIAL, 1)
    assert outcome.known_answer is False
    assert outcome.detail.endswith(f"expected {known_answer.STATE_ROOT}")
