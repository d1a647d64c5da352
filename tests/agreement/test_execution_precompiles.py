# SPDX-License-Identifier: GPL-3.0-or-later
"""Precompiled contracts of Ethereum as contracts call them: the same in every way of execution, and after a restart."""

from __future__ import annotations

import functools
import hashlib
import random
import threading
from typing import Any

import pytest
from blocks import Scenario
from contracts_for_tests import compiled, imports
from engine_adapter import (
    FEW_WAYS,
    SEQUENTIAL,
    batch_of,
    opened,
    run_all,
    set_up,
    speculation,
    state_of,
    waves,
)
from judge import Reason, precompiles
from py_ecc import optimized_bls12_381 as bls
from py_ecc import optimized_bn128 as bn
from stories import Story, person

from supervm.crypto import precompiles as ours
from supervm.crypto import secp256k1
from supervm.engine.config import EngineConfig
from supervm.engine.engine import Engine
from supervm.engine.errors import HostFunctionFailed

PEOPLE = 24
GAS = 3_000_000


@functools.cache
def calling() -> bytes:
    """A contract with an entry point for each function: it keeps answer and output under the caller's address."""
    functions = "".join(
        f"""(func (export "{name}") (result i32)
            (drop (call $caller (i32.const 8192)))
            (drop (call $input_read (i32.const 0) (i32.const 0) (i32.const 8192)))
            (i32.store (i32.const 9000) (call ${name} (i32.const 0) (call $input_len) (i32.const 9004)))
            (drop (call $storage_set (i32.const 8192) (i32.const 20) (i32.const 9000) (i32.const 260)))
            (drop (call $set_output (i32.const 9000) (i32.const 260)))
            (i32.const 0))"""
        for name in precompiles.FUNCTIONS
    )
    return compiled(f'(module {imports()} (memory (export "memory") 1 1) {functions})')


def number(value: int, size: int = 32) -> bytes:
    return value.to_bytes(size, "big")


@functools.cache
def inputs() -> list[tuple[str, bytes]]:
    """Valid and failing calls, cheap for the judge: no pairing but those of infinity and one of each curve."""
    drawn = random.Random(5)
    one, two = (precompiles._written(bn, bn.multiply(bn.G1, k), 32, 2) for k in (3, 5))
    first, other = (precompiles._written(bls, bls.multiply(bls.G1, k), 64, 2) for k in (3, 5))
    second, further = (precompiles._written(bls, bls.multiply(bls.G2, k), 64, 4) for k in (3, 5))
    spoilt = first[:-1] + bytes([first[-1] ^ 1])
    pair = precompiles._written(bls, bls.neg(bls.multiply(bls.G1, 3)), 64, 2) + further
    return [
        ("bn254_add", one + two),
        ("bn254_add", one + number(1) + number(3)),
        ("bn254_mul", one + number(drawn.getrandbits(256))),
        ("bn254_mul", b""),
        ("bn254_pairing_check", bytes(384)),
        ("bn254_pairing_check", bytes(383)),
        ("bn254_pairing_check", b""),
        ("bls12_g1add", first + other),
        ("bls12_g1add", first + spoilt),
        ("bls12_g1msm", b"".join(first + number(drawn.getrandbits(256)) for _ in range(4))),
        ("bls12_g1msm", first + number(5) + spoilt + number(1)),
        ("bls12_g2add", second + further),
        ("bls12_g2msm", second + number(7) + further + number(0)),
        ("bls12_g2msm", bytes(287)),
        ("bls12_pairing_check", first + further + pair),
        ("bls12_pairing_check", b""),
        ("bls12_map_fp_to_g1", number(drawn.getrandbits(380), 64)),
        ("bls12_map_fp_to_g1", b"\xff" * 64),
        ("bls12_map_fp2_to_g2", number(drawn.getrandbits(380), 64) * 2),
        ("point_evaluation", opening()),
        ("point_evaluation", opening()[:-1] + b"\0"),
    ]


def opening() -> bytes:
    """The polynomial 7: its value at 5 is 7, and the proof is infinity."""
    commitment = bls.normalize(bls.multiply(bls.G1, 7))
    x, y = int(commitment[0]), int(commitment[1])
    encoded = bytearray(number(x, 48))
    encoded[0] |= 0x80 | (0x20 if 2 * y > bls.field_modulus else 0)
    versioned = b"\1" + hashlib.sha256(encoded).digest()[1:]
    return versioned + number(5) + number(7) + bytes(encoded) + b"\xc0" + bytes(47)


@functools.cache
def scenario() -> Scenario:
    """Each call by somebody else, among transfers; some with a limit at which the price is just not paid, and some short of
    more; in two blocks, of which the second repeats the first's in another order."""
    story = Story(PEOPLE, others=[calling()])
    [contract] = story.others
    for turn in range(2):
        calls = inputs() if turn == 0 else inputs()[::-1]
        steps = []
        for place, (name, data) in enumerate(calls):
            who = person(place % PEOPLE)
            steps.append(story.enter(who, contract, name.encode(), data, gas_limit=GAS, gas_price=1))
            steps.append(story.transfer(who, person((place + 1) % PEOPLE), 3))
            if place % 4 == 0:
                poor = story.enter(
                    who, contract, name.encode(), data, gas_limit=1_000 + 4 * len(data) + 4_500
                )
                steps.append(poor)
        story.block(steps)
    return story.scenario()


def test_every_way_agrees_with_the_judge() -> None:
    stats = run_all(scenario(), FEW_WAYS)
    assert {block.committed for blocks in stats.values() for block in blocks} == {48}


def test_calls_fail_and_succeed_and_run_out_of_gas() -> None:
    """So that the agreement is one about something."""
    with opened(scenario(), SEQUENTIAL) as engine:
        receipts = engine.execute(batch_of(scenario().blocks[0].transactions)).receipts
        answers = [receipt.output[:4] for receipt in receipts if receipt.success and receipt.output]
        reasons = [receipts[row].reason for row in range(len(receipts))]
    assert answers.count(b"\0\0\0\0") >= 12
    assert answers.count(b"\xff\xff\xff\xff") >= 7
    assert reasons.count(Reason.OUT_OF_GAS) == 6


def test_a_restart_goes_on_as_if_nothing_had_been(tmp_path) -> None:
    first, second = scenario().blocks
    with opened(scenario(), SEQUENTIAL) as engine:
        roots = [engine.execute(batch_of(block.transactions)).state_root for block in (first, second)]
    config = EngineConfig(threads=2)
    with Engine.open(tmp_path / "state", config) as engine:
        set_up(engine, scenario())
        assert engine.execute(batch_of(first.transactions)).state_root == roots[0]
    with Engine.open(tmp_path / "state", config) as engine:
        assert engine.execute(batch_of(second.transactions)).state_root == roots[1]


def test_engines_on_several_threads_beside_each_other() -> None:
    """Two engines with two threads each: what one asks Python for is not answered to another."""
    batches = [batch_of(block.transactions) for block in scenario().blocks]
    roots: list[list[bytes]] = [[], []]

    def run(place: int) -> None:
        with opened(scenario(), speculation(2)) as engine:
            roots[place] = [engine.execute(batch).state_root for batch in batches]

    threads = [threading.Thread(target=run, args=(place,)) for place in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(roots[0]) == 2
    assert roots[0] == roots[1]


@pytest.mark.parametrize("way", [SEQUENTIAL, speculation(3), waves(2)], ids=lambda way: way.name)
def test_a_machine_that_cannot_answer_executes_nothing(way: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block is an error, nothing is left of it, and the next try succeeds."""
    block = batch_of(scenario().blocks[0].transactions)
    with opened(scenario(), way) as engine:
        before, root = state_of(engine), engine.state_root

        def fail(*_: Any, **__: Any) -> bytes:
            raise MemoryError("no room")

        monkeypatch.setattr(ours, "bls12_g2add", fail)
        with pytest.raises(HostFunctionFailed, match="MemoryError: no room") as caught:
            engine.execute(block)
        assert isinstance(caught.value.__cause__, MemoryError)
        assert (state_of(engine), engine.state_root) == (before, root)
        monkeypatch.undo()
        again = engine.execute(block)
    with opened(scenario(), SEQUENTIAL) as engine:
        assert engine.execute(block).state_root == again.state_root


@pytest.mark.parametrize("way", [SEQUENTIAL, waves(2)], ids=lambda way: way.name)
def test_an_interruption_is_no_failure_of_a_host_function(way: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    block = batch_of(scenario().blocks[0].transactions)
    with opened(scenario(), way) as engine:
        before = engine.state_root

        def interrupt(*_: Any, **__: Any) -> bytes:
            raise KeyboardInterrupt

        monkeypatch.setattr(ours, "bls12_g2add", interrupt)
        with pytest.raises(KeyboardInterrupt):
            engine.execute(block)
        assert engine.state_root == before
        monkeypatch.undo()
        again = engine.execute(block)
    with opened(scenario(), SEQUENTIAL) as engine:
        assert engine.execute(block).state_root == again.state_root


@pytest.mark.parametrize("name", ["ecdsa_verify_batch", "ecdsa_recover_batch"])
def test_signatures_that_cannot_be_checked_are_no_verdicts(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    function = "verify_secp256k1" if "verify" in name else "recover_secp256k1_pubkey"
    arguments = "(i32.const 0) " * 3 + ("(i32.const 33)" if "verify" in function else "")
    code = compiled(f"""(module {imports()} (memory (export "memory") 1 1)
        (func (export "check") (result i32) (call ${function} {arguments})))""")
    story = Story(2, others=[code])
    story.block([story.enter(person(0), story.others[0], b"check")])
    with opened(story.scenario(), SEQUENTIAL) as engine:

        def fail(*_: Any, **__: Any) -> None:
            raise OSError("gone")

        root = engine.state_root
        monkeypatch.setattr(secp256k1, name, fail)
        with pytest.raises(HostFunctionFailed, match="OSError: gone"):
            engine.execute(batch_of(story.scenario().blocks[0].transactions))
        assert engine.state_root == root
