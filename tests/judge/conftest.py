# SPDX-License-Identifier: GPL-3.0-or-later
"""A judge with two rich accounts, and a way to run one small module on it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from contracts_for_tests import compiled, imports, misbehaving
from judge import Judge, Receipt, Tx

ALICE, BOB, CAROL = b"\xa1" * 20, b"\xb0" * 20, b"\xca" * 20
SALT = bytes(32)
Runs = Callable[..., Receipt]


@pytest.fixture
def judge() -> Judge:
    judge = Judge(log_access=True)
    judge.credit(ALICE, 10**15)
    judge.credit(BOB, 10**15)
    return judge


@pytest.fixture
def send(judge: Judge) -> Runs:
    """One transaction of Alice's in a block of its own, with her next nonce."""

    def sent(to: bytes, **fields: object) -> Receipt:
        nonce, _ = judge.account(ALICE)
        return judge.execute([Tx(ALICE, nonce, to, **fields)])[0]  # type: ignore[arg-type]

    return sent


@pytest.fixture
def bad(judge: Judge) -> bytes:
    """Address of the contract that misbehaves."""
    return judge.deploy(misbehaving(), SALT)


@pytest.fixture
def run(judge: Judge, send: Runs) -> Runs:
    """Run the entry point `f` with this body in a module that imports every host function."""

    def ran(body: str, data: str = "", value: int = 0, gas_limit: int = 10**6, **fields: object) -> Receipt:
        text = f"""(module {imports()} (memory (export "memory") 2 2) {data}
            (func (export "f") (result i32) {body}))"""
        address = judge.deploy(compiled(text), SALT)
        return send(address, entry=b"f", value=value, gas_limit=gas_limit, **fields)

    return ran
