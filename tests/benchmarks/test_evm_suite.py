# SPDX-License-Identifier: GPL-3.0-or-later
"""The suite `evm`: programs, other EVMs that answer them, and rows that compare before they time."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from supervm.benchmarks import runner
from supervm.benchmarks.errors import PeerDisagrees, PeerMissing, RunsDisagree
from supervm.benchmarks.evm import blocks, suite
from supervm.benchmarks.evm.ours import OurEvm
from supervm.benchmarks.evm.peers import KNOWN, Known, PeerProcess, started
from supervm.benchmarks.evm.programs import ARCHIVE, CHOSEN, Program, archived_programs, own_programs
from supervm.kernels.errors import ArgumentError

OWN = {program.name: program for program in own_programs()}

GAS = {
    "erc20 transfer": 34_236,
    "erc20 transfer to nobody": 51_336,
    "erc20 approve": 46_079,
    "exchange swap": 97_741,
}
"""That pyrevm 0.3.7, py-evm 0.12.1b1 and EELS 2.20.0 agree on."""


@pytest.fixture(scope="module")
def peers() -> Any:
    """The peers that are installed here: EELS has an environment of its own."""
    processes, missing = started()
    if not processes:
        pytest.skip(f"no other EVM is installed: {', '.join(missing)}")
    yield processes
    for process in processes:
        process.close()


@pytest.mark.parametrize("name", GAS)
def test_programs_do_what_they_say(peers: list[PeerProcess], name: str) -> None:
    for peer in peers:
        (success, gas, output), seconds = peer.run(OWN[name], 2)
        assert (success, gas) == (True, GAS[name])
        assert int(output, 16) > 0
        assert len(seconds) == 2


def test_ours_answers_as_the_others(peers: list[PeerProcess]) -> None:
    ours = OurEvm()
    for program in OWN.values():
        own, seconds = ours.run(program, 2)
        assert len(seconds) == 2
        for peer in peers:
            assert peer.run(program, 1)[0] == own, program.name


def test_the_archive_has_every_program() -> None:
    if not ARCHIVE.exists():
        pytest.skip(f"{ARCHIVE} is not there")
    found = list(archived_programs(ARCHIVE))
    assert [program.name for program in found] == [name.removeprefix("evm-benchmarks/") for name in CHOSEN]
    assert all(program.places[program.call.sender].balance for program in found)


class Sides:
    """What answers as it is told, and takes the seconds that it is told."""

    def __init__(self, answer: Any, second: float, most: int = 1 << 62) -> None:
        self.answer, self.second = answer, second
        self.known, self.version = Known("other", most), "1.0"
        self.times = 0

    def run(self, program: Program, times: int) -> tuple[Any, list[float]]:
        self.times += times
        return self.answer, [self.second] * times


def test_a_row() -> None:
    answer = (True, 50_000, "01")
    ours: Any = Sides(answer, 0.001)
    slow: Any = Sides(answer, 0.004)
    short: Any = Sides(answer, 0.001, most=10_000)
    row = suite.program_row(OWN["erc20 transfer"], ours, [slow, short], 0.01)
    assert (row.suite, row.operation, row.batch) == ("evm", "evm.call [erc20 transfer]", 50_000)
    assert row.items_per_second == pytest.approx(50e6)
    (peer,) = row.peers
    assert (peer.name, peer.ratio) == ("other", pytest.approx(4.0))


def test_a_slow_peer_is_timed_once() -> None:
    answer = (True, 50_000, "01")
    ours: Any = Sides(answer, 0.001)
    slow: Any = Sides(answer, 2.0)
    (peer,) = suite.program_row(OWN["erc20 transfer"], ours, [slow], 0.01).peers
    assert (slow.times, peer.ratio, peer.spread) == (1, pytest.approx(2_000.0), 0.0)
    assert ours.times > 10


@pytest.mark.parametrize("wrong", [(False, 50_000, "01"), (True, 50_001, "01"), (True, 50_000, "02")])
def test_nothing_is_timed_where_answers_differ(wrong: Any) -> None:
    ours: Any = Sides((True, 50_000, "01"), 0.001)
    peer: Any = Sides(wrong, 0.001)
    with pytest.raises(PeerDisagrees, match="erc20 transfer"):
        suite.program_row(OWN["erc20 transfer"], ours, [peer], 0.01)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    broken.chmod(0o755)
    with pytest.raises(PeerMissing, match="pyrevm"):
        PeerProcess(KNOWN[0], broken)


def test_workloads_in_blocks() -> None:
    rows = [row for name in blocks.TRANSACTIONS for row in blocks._workload_rows(name, 200)]
    assert [row.threads for row in rows] == [1, 2] * 3
    assert all(row.batch > 200 * 21_000 for row in rows)
    assert [bool(row.peers) for row in rows] == [False, True] * 3


def test_runs_that_differ_make_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    good = blocks.run_evm

    def bad(*arguments: Any, **how: Any) -> Any:
        run = good(*arguments, **how)
        return type(run)(**{**vars(run), "equal": False})

    monkeypatch.setattr(blocks, "run_evm", bad)
    with pytest.raises(RunsDisagree, match="not equal"):
        list(blocks._workload_rows("erc20", 50))


@pytest.mark.parametrize("how", [{"sweep": True}, {"backend": "cuda"}])
def test_what_the_suite_has_not(how: Any) -> None:
    with pytest.raises(ArgumentError, match=next(iter(how))):
        runner.run_suite("evm", **how)
