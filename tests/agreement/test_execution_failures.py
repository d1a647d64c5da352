# SPDX-License-Identifier: GPL-3.0-or-later
"""What fails while a block is executed or committed: the state is what it was, and the next block is right."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import program_contract as program
import pytest
from block_transactions import KINDS
from blocks import Shape, drawn_scenario
from cell_census import check_cells
from engine_adapter import FEW_WAYS, Way, agree, batch_of, executed, judged, opened, set_up, state_of
from stories import Story

from supervm.crypto.sparse_merkle import SparseMerkleTree
from supervm.engine.engine import Engine
from supervm.engine.errors import StorageFailed
from supervm.engine.execution.executor import BlockExecutor

SMALL = Shape(transactions=40, blocks=4, accounts=12, kinds=tuple(KINDS), chain_id=1)


class Stop(Exception):
    """Of whatever is made to fail."""


def _position(engine: Engine) -> tuple[object, ...]:
    return engine.state.position, state_of(engine), engine.supply


@pytest.mark.parametrize("way", FEW_WAYS, ids=lambda way: way.name)
def test_an_error_while_a_block_is_executed_leaves_nothing(way: Way, monkeypatch: pytest.MonkeyPatch):
    """Whatever fails between the first transaction and the commit: the state is what it was, and the next block is right."""
    scenario = drawn_scenario(6, replace(SMALL, transactions=90, declared=("exact",)))
    expected = judged(scenario)
    with opened(scenario, way) as engine:
        for name in ("left", "written", "seal"):
            before = _position(engine)
            with monkeypatch.context() as patch:
                patch.setattr(BlockExecutor, name, _fails)
                with pytest.raises(Stop):
                    executed(engine, way, scenario.blocks[0])
            assert _position(engine) == before
        agree(engine, way, expected)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A process that a shell started in the background ignores the signal; here it is heard in any case."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("way", FEW_WAYS, ids=lambda way: way.name)
def test_an_interruption_while_a_block_is_executed_leaves_nothing(way: Way):
    """What is executed cannot be stopped, so it is waited for; then it is undone."""
    story = Story(64)
    long = [story.deed(who, "infinite_loop", gas_limit=100_000_000, declared=True) for who in story.people]
    with opened(story.scenario(), way) as engine:
        before = _position(engine)
        timer = threading.Timer(0.1, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt), way.pushed():
            engine.execute(batch_of(long))
        timer.join()
        assert _position(engine) == before
        check_cells(engine)
        calls = [story.call(who, program.add(0, 1)) for who in story.people]
        calls = [replace(tx, nonce=engine.account(tx.sender)[0]) for tx in calls]
        with way.pushed():
            assert engine.execute(batch_of(calls)).receipts.success.all()
        assert engine.get(story.program, b"\0") == (64).to_bytes(8, "little")


def _fails(itself: BlockExecutor, *_: object) -> None:
    # `undo` asks for what was written too: the first question alone fails.
    BlockExecutor.written = _WRITTEN  # type: ignore[method-assign]
    raise Stop


_WRITTEN = BlockExecutor.written


@pytest.mark.parametrize("way", FEW_WAYS, ids=lambda way: way.name)
def test_storage_that_fails_leaves_the_state_as_it_was(
    tmp_path: Path, way: Way, monkeypatch: pytest.MonkeyPatch
):
    scenario = drawn_scenario(7, replace(SMALL, transactions=80))
    expected = judged(scenario)
    with Engine.open(tmp_path / "state", way.config()) as engine:
        set_up(engine, scenario)
        before = _position(engine)
        with monkeypatch.context() as patch:
            patch.setattr(type(engine.state.storage), "commit", _refuses)
            for _ in range(2):
                with pytest.raises(StorageFailed):
                    executed(engine, way, scenario.blocks[0])
                assert _position(engine) == before
        agree(engine, way, expected)
        state = state_of(engine)
    with Engine.open(tmp_path / "state", way.config()) as again:
        assert again.state_root == expected.roots[-1]
        assert state_of(again) == state
        kept = again.receipts(expected.first_height)
        assert kept is not None


def _refuses(*_: object, **__: object) -> None:
    raise StorageFailed("state", "the disk is full", "make room")


@pytest.mark.parametrize("part", ["update", "_change_leaves", "_hash_nodes", "add_keys"])
def test_a_tree_that_is_broken_off_is_built_again(part: str, monkeypatch: pytest.MonkeyPatch):
    """Whatever of the tree was changed when the interruption came; the roots behind it are the judge's."""
    scenario = drawn_scenario(21, replace(SMALL, transactions=60))
    expected = judged(scenario)
    way = FEW_WAYS[2]
    with opened(scenario, way) as engine:
        before = _position(engine)
        with monkeypatch.context() as patch:
            original = getattr(SparseMerkleTree, part)

            def breaks_off(itself: SparseMerkleTree, *arguments: object) -> None:
                original(itself, *arguments)
                patch.undo()
                raise KeyboardInterrupt

            patch.setattr(SparseMerkleTree, part, breaks_off)
            with pytest.raises(KeyboardInterrupt):
                executed(engine, way, scenario.blocks[0])
        assert _position(engine) == before
        agree(engine, way, expected)
