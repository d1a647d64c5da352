# SPDX-License-Identifier: GPL-3.0-or-later
"""Random blocks of calls, from no conflict to nothing but conflicts: in parallel they leave what block order leaves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from evm_transactions import Transaction, transaction_columns

from supervm.engine.evm.accounts import Account, in_columns
from supervm.engine.evm.environment import Environment
from supervm.engine.evm.logs import equal_logs
from supervm.engine.evm.session import Session
from supervm.engine.evm.speculation import HOTTEST
from supervm.engine.evm.world import World
from supervm.engine.state.store import key_numbers
from supervm.vm.evm import columns as c
from supervm.vm.evm.columns import TransactionColumns
from supervm.vm.evm.forks import fork_named
from supervm.vm.evm.rules import Rule

COINBASE = 0xC0
SENDERS = range(0x1000, 0x1000 + 24)

CODES = {
    # Count in slot 0: every call of it conflicts with every other.
    0xA1: "6000546001016000556000546000526020600060003760206000a0",
    # Count in the caller's own slot.
    0xA2: "33546001013355",
    # Note what the fee recipient has: SSTORE(0, BALANCE(COINBASE)).
    0xA3: "4131600055",
    # Create a contract of five bytes of code, which costs the creator's nonce: CREATE(0, 0, 12).
    0xA4: "6b6005600c60003960056000f3600052600c60146000f060005500",
    # SELFDESTRUCT in favour of the caller.
    0xA5: "33ff",
    # Log the caller.
    0xA6: "3360005260206000a0",
    # Fail, after a write.
    0xA7: "6001600055fe",
    # Send a wei to the fee recipient.
    0xA8: "600060006000600060014161fffff1600055",
}
"""Address → code in hexadecimal."""


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    made = Session(threads=3)
    yield made
    made.close()


def environment(fork: str) -> Environment:
    return Environment(
        fork=fork_named(fork),
        chain_id=1,
        number=100,
        timestamp=1_000,
        coinbase=COINBASE.to_bytes(20),
        gas_limit=1 << 40,
        base_fee=7,
        random=5,
    )


def world() -> World:
    made = World()
    accounts = [Account(sender.to_bytes(20), 0, 10**18) for sender in SENDERS]
    accounts += [
        Account(address.to_bytes(20), 1, 1_000, bytes.fromhex(code)) for address, code in CODES.items()
    ]
    made.load(*in_columns(accounts))
    return made


def block(seed: int, targets: list[int], count: int = 70) -> list[Transaction]:
    random = Random(seed)
    nonces = dict.fromkeys(SENDERS, 0)
    made = []
    for _ in range(count):
        sender = random.choice(SENDERS)
        target = random.choice([*targets, random.choice(SENDERS), None] if random.random() < 0.2 else targets)
        data = bytes.fromhex("6001600055") if target is None else b""
        made.append(
            Transaction(
                sender,
                target,
                2,
                nonces[sender],
                random.randrange(3),
                200_000,
                50,
                random.randrange(4),
                data=data,
            )
        )
        nonces[sender] += 1
    return made


def in_order(session: Session, columns: TransactionColumns, env: Environment) -> tuple[int, object, object]:
    session.begin(env)
    done, missing = session.run(columns, np.zeros(len(columns), np.int64), 0, len(columns))
    assert missing is None
    changed = session.world.changed(key_numbers(session.worker.written()))
    logs = session.logs(columns, range(done))
    session.undo()
    return done, changed, logs


def check_equal(session: Session, given: list[Transaction], fork: str = "Cancun") -> int:
    """Execute a block both ways and compare; how many transactions of it are valid."""
    env = environment(fork)
    session.attach(world())
    first, second = transaction_columns(given), transaction_columns(given)
    done, changed, logs = in_order(session, first, env)
    session.begin(env)
    team = session.team(env)
    course = team.run(second, env, fewest=0)
    found = session.world.changed(key_numbers(team.written()))
    assert course.executed == done
    for word in (c.RULES, c.SUCCESS, c.GAS_USED, c.CREATED):
        assert np.array_equal(first[word][: done + 1], second[word][: done + 1])
    assert found.equals(changed)  # type: ignore[arg-type]
    assert equal_logs(team.logs(second, done), logs)  # type: ignore[arg-type]
    team.undo()
    return done


def test_a_small_block_is_executed_in_order(session: Session) -> None:
    env, given = environment("Cancun"), block(1, [0xA1])
    session.attach(world())
    first, second = transaction_columns(given), transaction_columns(given)
    done, _, _ = in_order(session, first, env)
    session.begin(env)
    team = session.team(env)
    course = team.run(second, env)
    assert (course.executed, course.repeated) == (done, 0)
    assert np.array_equal(first[c.GAS_USED], second[c.GAS_USED])
    assert not second[c.OWNERS].any()
    team.undo()


def test_a_block_of_little_gas_is_executed_in_order(session: Session) -> None:
    """However many transactions it has: transfers take no time."""
    env = environment("Cancun")
    given = [replace(one, data=b"", to=one.to or 1, gas=90_000) for one in block(1, list(SENDERS), 140)]
    session.attach(world())
    columns = transaction_columns(given)
    session.begin(env)
    team = session.team(env)
    course = team.run(columns, env)
    assert (course.executed, course.repeated) == (140, 0)
    assert not columns[c.OWNERS].any()
    team.undo()


@pytest.mark.parametrize(
    "targets",
    [[0xA2], [0xA1], [0xA3], [0xA4, 0xA6], [0xA8, 0xA3], [*CODES], list(SENDERS)],
    ids=[
        "own slots",
        "one slot",
        "recipient's balance",
        "creations",
        "fees are spent",
        "everything",
        "transfers",
    ],
)
def test_random_blocks(session: Session, targets: list[int]) -> None:
    for seed in range(12):
        given = block(seed, targets)
        assert check_equal(session, given, "Cancun" if seed % 3 else "London") == len(given)


def test_hot_functions_are_executed_in_order_and_cool(session: Session) -> None:
    """What is skipped comes out as what is executed ahead, and nothing is skipped for ever."""
    for seed in range(4):
        given = block(seed, [*CODES], 50)
        heat = session.team(environment("Cancun"))._heat
        heat[:] = HOTTEST
        assert check_equal(session, given) == len(given)
        assert heat.max() == HOTTEST  # of what nobody calls
        assert heat.min() < HOTTEST
        # None of them stood, which would have cooled it faster.
        assert HOTTEST - heat.min() <= len(given)
        heat[:] = 0


def test_a_broken_rule_ends_both_at_the_same_transaction(session: Session) -> None:
    given = block(1, [0xA1, 0xA2])
    wrong = given[41]
    given[41] = Transaction(wrong.sender, wrong.to, 2, wrong.nonce + 1, 0, 200_000, 50, 1)
    assert check_equal(session, given) == 41


def test_gas_that_the_block_does_not_have(session: Session) -> None:
    given = block(2, [0xA2], 30)
    env = environment("Cancun")
    session.attach(world())
    columns = transaction_columns(given)
    session.begin(env)
    few = Environment(**{**vars(env), "gas_limit": 1_000_000})
    course = session.team(few).run(columns, few)
    session.team(few).undo()
    assert 10 < course.executed < 30
    assert columns[c.RULES][course.executed] == Rule.GAS_ABOVE_BLOCK
