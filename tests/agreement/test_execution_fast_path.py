# SPDX-License-Identifier: GPL-3.0-or-later
"""Transfers of the fast path and contracts that touch the same accounts, with declarations right, wrong and missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import program_contract as program
import pytest
from engine_adapter import WAYS, Engines, declaring, run_all
from judge import Receipt, Tx
from judge.rules import CODE
from stories import RICH, Story, person

CROWD = 80
Stats = dict[str, list]


def _declared(*reads: bytes, writes: tuple[bytes, ...] = ()) -> dict[str, object]:
    return {"declared": True, "reads": [*reads, *writes], "writes": list(writes)}


def _quiet(story: Story, first: int, count: int) -> list[Tx]:
    """Calls that declare all, and meet nobody."""
    found = []
    for n in range(first, first + count):
        keys = (story.account(person(n)), story.key(n))
        found.append(story.call(person(n), program.add(n, 1), **_declared(writes=keys)))
    return found


def _looks(story: Story, who: bytes, at: bytes, **declared: object) -> Tx:
    return story.call(who, program.balance(at) + program.output(), **declared)


def _every(stats: Stats, field: str) -> list[object]:
    return [getattr(block, field) for blocks in stats.values() for block in blocks]


def test_a_contract_that_may_look_anywhere_keeps_transfers_off_the_fast_path(engines: Engines):
    story = Story(CROWD)
    pays = [story.transfer(person(n), person(n + 1), 7) for n in range(0, 40, 2)]
    story.block([*pays, _looks(story, person(60), person(1)), *pays[:1], *_quiet(story, 62, 10)])
    stats = engines.run_all(story.scenario())
    assert set(_every(stats, "fast")) == {0}
    assert not any(_every(stats, "touched_fast"))
    output = engines.last.receipts[0][20].output
    assert int.from_bytes(output, "little") == RICH + 7


def test_what_a_contract_declares_keeps_only_that_off(engines: Engines):
    """The transfers that hang on the declared account, through others too, take the consensus path; the rest is fast."""
    story = Story(CROWD)
    chain = [story.transfer(person(n), person(n + 1), 7, gas_price=1) for n in range(5)]
    apart = [story.transfer(person(n), person(n + 1), 7, gas_price=1) for n in range(10, 40, 2)]
    look = _looks(
        story,
        person(60),
        person(5),
        **_declared(story.account(person(5)), writes=(story.account(person(60)),)),
    )
    later = [story.transfer(person(5), person(0), 1)]
    story.block([*chain, look, *apart, *later, *_quiet(story, 62, 15)])
    stats = engines.run_all(story.scenario())
    assert set(_every(stats, "fast")) == {len(apart)}
    assert not any(_every(stats, "touched_fast"))
    assert int.from_bytes(engines.last.receipts[0][5].output, "little") == RICH + 7


@pytest.mark.parametrize("victim", ["sender", "receiver", "both", "stranger"])
@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_a_wrong_declaration_about_balances_is_found_out(engines: Engines, victim: str, place: str):
    """The contract looks at an account that the fast path moved ahead of its turn."""
    story = Story(CROWD)
    stranger = b"\xcc" * 20
    pays = [story.transfer(person(2 * n), person(2 * n + 1), 7 + n) for n in range(15)]
    pays.append(story.transfer(person(50), stranger, 5))
    at = {"sender": person(0), "receiver": person(1), "stranger": stranger, "both": person(1)}[victim]
    if victim == "both":
        pays.append(story.transfer(person(1), person(2), 1))
    lie = _looks(story, person(60), at, **_declared(writes=(story.account(person(60)),)))
    where = {"first": 0, "middle": 8, "last": len(pays)}[place]
    story.block([*pays[:where], lie, *pays[where:], *_quiet(story, 62, 12)])
    stats = engines.run_all(story.scenario())
    assert all(_every(stats, "touched_fast"))
    assert set(_every(stats, "fell_back")) == {len(pays)}
    assert set(_every(stats, "fast")) == {0}


@pytest.mark.parametrize("declares", [True, False])
def test_a_contract_pays_accounts_that_transfers_move(engines: Engines, declares: bool):
    story = Story(CROWD)
    story.block([story.transfer(person(70), story.program, 10**6)])
    steps: list[Tx] = []
    for n in range(30):
        steps.append(story.transfer(person(n), person(n + 1), 3, gas_price=1))
        keys = (person(n + 31), story.program, person(n + 1))
        known = _declared(writes=tuple(map(story.account, keys[: 3 if declares else 1])))
        steps.append(story.call(person(n + 31), program.transfer(person(n + 1), 11), **known))
    story.block(steps)
    stats = engines.run_all(story.scenario())
    assert all(blocks[1].touched_fast is not declares for blocks in stats.values())


def test_the_balance_of_a_contract_that_is_not_declared(engines: Engines):
    """Calls that move no value themselves, but pay out of one pot that nobody declares: they would share a wave."""
    story = Story(CROWD)
    story.block([story.transfer(person(0), story.program, 1_000)])
    calls = []
    for n in range(1, 70):
        to = b"\xcd" + bytes(18) + bytes([n])
        known = _declared(writes=(story.account(person(n)), story.account(to)))
        body = program.transfer(to, 15) + program.balance(story.program) + program.output()
        calls.append(story.call(person(n), body, **known))
    story.block(calls)
    stats = engines.run_all(story.scenario())
    assert [stats[name][1].undeclared for name in ("waves on 2", "waves on 4")] == [True, True]
    returned = [receipt.return_value for receipt in engines.last.receipts[1]]
    assert returned == [max(1_000 - 15 * n, 1_000 % 15) for n in range(1, 70)]


def _missing_reads(tx: Tx, receipt: Receipt) -> Tx:
    return replace(tx, declared=True, reads=[], writes=[*receipt.writes])


def _missing_writes(tx: Tx, receipt: Receipt) -> Tx:
    return replace(tx, declared=True, reads=[*receipt.reads, *receipt.writes], writes=[])


def _nothing(tx: Tx, receipt: Receipt) -> Tx:
    return replace(tx, declared=True, reads=[], writes=[])


def _swapped(tx: Tx, receipt: Receipt) -> Tx:
    only_read = [key for key in receipt.reads if key not in receipt.writes]
    return replace(tx, declared=True, reads=[*receipt.writes], writes=only_read)


def _odd_keys(tx: Tx, receipt: Receipt) -> Tx:
    """Everything, and keys that no state has: empty, of unknown kinds, very long."""
    odd = [b"", b"\x07", bytes(300), b"\x01" + b"x" * 60_000, CODE + tx.to]
    return replace(tx, declared=True, reads=[*receipt.reads, *odd], writes=[*receipt.writes, *odd[:3]])


def _many_keys(tx: Tx, receipt: Receipt) -> Tx:
    """Everything behind so many others that comparing is not worth it."""
    many = [b"\x01" + tx.to + n.to_bytes(4, "big") for n in range(3_000)]
    return replace(tx, declared=True, reads=[*many, *receipt.reads], writes=[*receipt.writes])


LIES = {
    "no reads": (_missing_reads, True),
    "no writes": (_missing_writes, True),
    "nothing": (_nothing, True),
    "swapped": (_swapped, True),
    "odd keys besides": (_odd_keys, False),
    "many keys besides": (_many_keys, True),
}


@pytest.mark.parametrize("name", list(LIES))
def test_wrong_declarations_of_storage(engines: Engines, name: str):
    """One liar among honest ones, which copies a number that others write, in every place of the block."""
    lie: Callable[[Tx, Receipt], Tx]
    lie, found = LIES[name]
    story = Story(CROWD)
    story.block([story.call(person(0), b"".join(program.set_number(n, n) for n in range(80)))])
    liar = story.call(person(79), program.get(20) + program.put(40) + program.add(41, 5))
    honest = [
        story.call(person(n), program.add(n, 1) + (program.get(n - 1) if n % 2 else b""))
        for n in range(1, 70)
    ]
    story.block([*honest[:35], liar, *honest[35:]])
    scenario = story.scenario()

    def declare(tx: Tx, receipt: Receipt) -> Tx:
        exact = replace(tx, declared=True, reads=[*receipt.reads], writes=[*receipt.writes])
        return lie(tx, receipt) if tx == liar else exact

    stats = engines.run_all(declaring(scenario, declare))
    for way in ("waves on 2", "waves on 4"):
        assert stats[way][1].undeclared is found
        assert (stats[way][1].way == "waves") is not found


def test_accounts_that_come_into_being_beyond_every_table():
    """A call reads thousands of balances of nobody, and one that the fast path moved: the tables of accounts grow while the
    block is executed, and the fast path's are still known then."""
    story = Story(CROWD)
    nobody = [b"\xcd" + n.to_bytes(19, "big") for n in range(2_500)]
    everywhere = b"".join(map(program.balance, nobody))
    own = _declared(writes=(story.account(person(60)),))
    pays = [story.transfer(person(2 * n), person(2 * n + 1), 7) for n in range(10)]
    for last in (person(1), person(0), nobody[-1]):
        body = everywhere + program.balance(last) + program.output()
        story.block(
            [
                *pays[:5],
                story.call(person(60), body, gas_limit=5_000_000, **own),
                *pays[5:],
                *_quiet(story, 62, 15),
            ]
        )
        pays = [story.transfer(person(2 * n), person(2 * n + 1), 7) for n in range(10)]
    stats = run_all(story.scenario(), WAYS)
    for blocks in stats.values():
        assert [block.touched_fast for block in blocks] == [True, True, False]


def test_transfers_among_rejected_and_failing_ones(engines: Engines):
    """What is rejected beforehand touches nothing, so it keeps nobody off the fast path."""
    story = Story(CROWD)
    pays = [story.transfer(person(n), person(n + 40), 7) for n in range(40)]
    wrong = [replace(tx, chain_id=9, to=person(n + 1)) for n, tx in enumerate(pays)]
    late = [replace(tx, nonce=5) for tx in pays]
    story.block([tx for three in zip(wrong, pays, late, strict=True) for tx in three])
    stats = engines.run_all(story.scenario())
    assert set(_every(stats, "fast")) == {80}


def test_a_private_transfer_is_not_fast(engines: Engines):
    story = Story(4)
    first = story.transfer(person(0), person(1), 3)
    story.block([first, replace(first, private=True, nonce=1), story.transfer(person(0), person(1), 3)])
    stats = engines.run_all(story.scenario())
    assert set(_every(stats, "fast")) == {2}
