# SPDX-License-Identifier: GPL-3.0-or-later
"""What commands print at 60, 80 and 160 columns: nothing is cut, no line is too long, like rows are one row."""

from __future__ import annotations

import importlib
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lanes_here import ON_PROCESSORS_ONLY
from observed import busy, served
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text
from typer.testing import Result

from supervm.benchmarks.rows import PeerRow, Row
from supervm.crypto.selftest import SelfTest
from supervm.engine.ethereum.replay.report import Finding
from supervm.engine.scheduler.report import OperationReport, RouteReport, SchedulerReport
from supervm.tiers import console, inventory, warming
from supervm.tiers.console import plain
from supervm.tiers.observability.status import State
from supervm.tiers.signature_files.verification import SignatureChecks
from supervm.tiers.status_view import ask, draw
from supervm.tiers.tables import FittedTable

WIDTHS = (60, 80, 160)
Run = Callable[..., Result]


def lines_of(text: str, width: int) -> list[str]:
    """The lines, after the check that each fits and that nothing was cut."""
    lines = [line.rstrip() for line in text.splitlines()]
    assert "…" not in text
    assert [line for line in lines if cell_len(line) > width] == []
    return [line for line in lines if line]


def rows_of(lines: list[str], head: str, tail: str) -> int:
    """Lines between the one below a table's head and the one that begins with `tail`, frames left out."""
    first = next(place for place, line in enumerate(lines) if head in line)
    rule = next(place for place in range(first, len(lines)) if re.match("[┡─]", lines[place]))
    last = next(place for place in range(rule, len(lines)) if lines[place].startswith(tail))
    return sum(not line.startswith(("└", "├")) for line in lines[rule + 1 : last])


@pytest.fixture
def _every_backend_right(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("supervm.engine.scheduler.store.cache_root", lambda: tmp_path)  # nothing was measured
    monkeypatch.setattr(
        "supervm.tiers.inventory.known_answers",
        lambda operation, backend: SelfTest(operation, backend, True, f"{operation} agrees"),
    )
    monkeypatch.setattr("supervm.engine.workloads.known_answer.wrong", lambda mode, threads: "")


@pytest.mark.usefixtures("_every_backend_right")
@pytest.mark.parametrize("width", WIDTHS)
def test_doctor(run: Run, width: int) -> None:
    operations = inventory.operations()
    result = run("doctor", "--threads", 1, COLUMNS=str(width))
    assert result.exit_code == 0, result.output
    lines = lines_of(result.stdout, width)
    assert rows_of(lines, "setting", "└") == 1
    assert rows_of(lines, "why", "execution") <= (60 if width == 60 else 40)
    assert len(lines) <= {60: 70, 80: 55, 160: 40}[width]
    words = " ".join(lines)
    assert re.search(r"\d+ other settings come from hardware and profile", words)
    assert f"of {len(operations)}" in words
    assert "bn254.poseidon.t2 to .t17" in " ".join(words.split())
    assert words.count("chosen:") <= 2


@pytest.mark.usefixtures("_every_backend_right")
@pytest.mark.parametrize("width", WIDTHS)
def test_doctor_where_operations_have_the_same_problem(run: Run, width: int) -> None:
    result = run("doctor", "--backend", "cuda", COLUMNS=str(width))
    lines = lines_of(result.stdout, width)
    every = len(inventory.operations())
    assert f"{every - len(ON_PROCESSORS_ONLY)} of {every} operations: backend 'cuda'" in " ".join(lines)
    assert len(lines) <= {60: 54, 80: 45, 160: 36}[width]


@pytest.mark.usefixtures("_every_backend_right")
@pytest.mark.parametrize("width", WIDTHS)
def test_all_settings(run: Run, width: int) -> None:
    module = importlib.import_module("supervm.tiers.commands.doctor")
    _, settings = module.options.settings_of()
    text = _printed(lambda: module._show_settings(console.answers(), settings, True), width)
    lines = lines_of(text, width)
    words = set(" ".join(lines).split())
    assert set(settings.to_json()) <= words
    assert "other settings" not in text


def _costs(names: list[str]) -> SchedulerReport:
    """As on a machine with a GPU, which takes its share of all operations but the last ones."""
    cpu = RouteReport("cpu", "cpu", "ifma", (64,), 1.5e-6, 2.5e-8, 0.0, None, None, "")
    gpu = [
        RouteReport("NVIDIA H100", "gpu", "cuda", (64,), 9e-5, 1e-9, 0.0, 4096 + place, None, "")
        for place in range(len(names) - 2)
    ]
    gpu.append(RouteReport("NVIDIA H100", "gpu", "cuda", (64,), 9e-5, 1e-9, 0.0, None, None, ""))
    gpu.append(RouteReport("NVIDIA H100", "gpu", "cuda", (), None, None, None, None, None, "out of memory"))
    routes = [(cpu, other) for other in gpu]
    reports = [OperationReport(name, "", 1, pair, ()) for name, pair in zip(names, routes, strict=True)]
    return SchedulerReport("auto", (), "", tuple(reports), "")


@pytest.mark.parametrize("width", WIDTHS)
def test_costs(width: int) -> None:
    names = inventory.operations()
    module = importlib.import_module("supervm.tiers.commands.doctor")
    lines = lines_of(
        _printed(lambda: module._show_costs(console.answers(), _costs(names), False), width), width
    )
    assert len(lines) <= 6
    text = " ".join(" ".join(lines).split())
    assert (
        f"cheaper from 4,096 to {4093 + len(names):,} items on for {len(names) - 2} of {len(names)}" in text
    )
    assert f"never: {names[-2]}; out of memory: {names[-1]}" in text
    lines = lines_of(
        _printed(lambda: module._show_costs(console.answers(), _costs(names), True), width), width
    )
    assert sum("NVIDIA" in line for line in lines) == len(names)


@pytest.mark.parametrize("width", WIDTHS)
def test_run(run: Run, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    importlib.import_module("supervm.tiers.commands.run")
    monkeypatch.setattr("supervm.tiers.commands.run.warm", lambda config, signed: None)
    small = ("--transactions", 300, "--accounts", 60, "--block-size", 120, "--threads", 2)
    result = run("run", *small, COLUMNS=str(width))
    assert result.exit_code == 0, result.output
    lines = lines_of(result.stdout, width)
    assert rows_of(lines, "parallel", "└") == 6
    root = re.search(r"state root +([0-9a-f]{2}[0-9a-f\s]+[0-9a-f])\s+gas", result.stdout)
    assert root is not None
    assert len("".join(root[1].split())) == 64
    assert width < 80 or re.search(r"[0-9a-f]{64}", result.stdout)


@pytest.mark.parametrize("width", WIDTHS)
def test_verify(
    run: Run,
    width: int,
    monkeypatch: pytest.MonkeyPatch,
    mixed_items: list[Any],
    json_lines_file: Callable[..., Path],
    oracle_checks: SignatureChecks,
) -> None:
    monkeypatch.setattr("supervm.tiers.compose.signature_checks", lambda *choice, **rules: oracle_checks)
    result = run("verify", json_lines_file(mixed_items), COLUMNS=str(width))
    assert result.exit_code == 1
    lines = lines_of(result.stdout, width)
    assert rows_of(lines, "scheme", "└") == 4


class Stated:
    """A report whose figures, but for some, are all the same."""

    def __init__(self, figure: int, **some: Any) -> None:
        vars(self).update(some)
        self._figure = figure

    def __getattr__(self, name: str) -> int:
        return self._figure


@pytest.mark.parametrize("width", WIDTHS)
def test_replay(run: Run, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = [Finding(46147, 0, "nonce", f"[1] {'and a long explanation ' * 4}", "[2]")]
    blocks = [Stated(1408, number=20046147, transactions_executed=0)] * 11
    words = ["a check of many words " * 6] * 3
    report = Stated(
        1, blocks=blocks, notes=notes, problems=[], checked=lambda: words, unchecked=lambda: words
    )
    importlib.import_module("supervm.tiers.commands.replay")
    monkeypatch.setattr(
        "supervm.tiers.commands.replay.replay_pipeline",
        lambda *settings: lambda paths, progress, **whole: report,
    )
    result = run("replay", "46147", COLUMNS=str(width))
    assert result.exit_code == 0, result.output
    lines = lines_of(result.stdout, width)
    tables = 2 if width == 60 else 1  # the columns that find no place follow below
    assert sum(line.split()[0] == "20046147" for line in lines) == 11 * tables
    assert "1,408" in result.stdout


@pytest.mark.parametrize("width", WIDTHS)
def test_status(run: Run, width: int) -> None:
    lines = lines_of(run("status", COLUMNS=str(width)).stdout, width)
    assert len(lines) <= {60: 40, 80: 30, 160: 20}[width]
    assert "bls12_381.poseidon2.t2 to .t4, .t8" in " ".join(" ".join(lines).split())


@pytest.mark.parametrize("width", WIDTHS)
def test_contracts(run: Run, width: int) -> None:
    listed = lines_of(run("contract", "list", COLUMNS=str(width)).stdout, width)
    words = set(re.split(r"[\s,│]+", " ".join(listed)))
    assert {"remove_liquidity", "withdraw_secp256k1", "balance_of"} <= words
    lines_of(run("contract", "check", "token", COLUMNS=str(width)).stdout, width)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_running_process(width: int) -> None:
    observed = busy()
    observed.metrics.verified("ed25519", "ifma", np.ones(12_345_678, np.int8))
    observed.board.become(State.FAILING, "a device that " + "does not answer and " * 9)
    with served(observed) as address:
        status = ask(address)
    page = Console(file=io.StringIO(), width=width, highlight=False, emoji=False)
    page.print(draw(status))
    lines = lines_of(page.file.getvalue(), width)  # type: ignore[attr-defined]
    text = " ".join(lines)
    for part in ("12,345,679", "010101010101", "gather", "OK 1", "why", "wrong results"):
        assert part in text
    assert sum("ed25519" in line for line in lines) == 1


@pytest.mark.parametrize("width", WIDTHS)
def test_warmup(run: Run, width: int) -> None:
    module = importlib.import_module("supervm.tiers.commands.warmup")
    groups = [
        warming.Group(name, backend, ("an operation",) * 99)
        for backend in ("ifma", "scalar")
        for name in warming.SECONDS
    ]
    warmed = [warming.Warmed(group, (1234.5,) * 99) for group in groups]
    lines = lines_of(_printed(lambda: module._show(warmed), width), width)
    assert sum(f"{1234.5 * 99:.2f}" in line for line in lines) == len(groups)


@pytest.mark.parametrize("width", WIDTHS)
def test_bench(width: int) -> None:
    module = importlib.import_module("supervm.benchmarks.bench")
    peers = tuple(PeerRow(name, "3.24.1", 1e6, 98.04) for name in ("pycryptodome", "eth-hash (pycryptodome)"))
    row = Row(
        suite="hashes",
        operation="keccak256 [1,024 bytes]",
        backend="ifma",
        threads=1,
        batch=1_048_576,
        items_per_second=22_548_858.0,
        ns_per_item=44.3,
        transfers="none",
        peers=peers,
    )
    lines = lines_of(_printed(lambda: module._show([row] * 3), width), width)
    text = " ".join(lines)
    assert text.count("22,548,858") == text.count("1,048,576") == 3
    assert "98.04x" in text


@pytest.mark.parametrize("width", WIDTHS)
def test_values_beside_their_names(width: int) -> None:
    pairs = [
        ("root", "ab" * 64),
        ("words", "several words " * 12),
        ("[x]", "[1] [bold]"),
        ("none", ""),
    ]
    lines = lines_of(_printed(lambda: console.print_pairs(pairs), width), width)
    assert len(lines) == {60: 3 + 4 + 2, 80: 2 + 3 + 2, 160: 1 + 2 + 2}[width]
    assert "[1] [bold]" in lines[-2]


def test_a_pipe_has_whole_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What another program reads is not broken for a terminal that is not there."""
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    console.print_pairs([("events", "ab" * 200), ("words", "several words " * 30)])
    assert [len(line) for line in capsys.readouterr().out.rstrip("\n").split("\n")] == [408, 7 + 30 * 14]


def _printed(show: Callable[[], object], width: int) -> str:
    with pytest.MonkeyPatch.context() as patched, io.StringIO() as out:
        patched.setattr("sys.stdout", out)
        patched.setenv("COLUMNS", str(width))
        show()
        return out.getvalue()


def test_text_between_colons_is_no_emoji() -> None:
    text = _printed(lambda: console.print_pairs([("path", "root:x:0")]), 80)
    assert text == "path  root:x:0\n"
    table = FittedTable(["path"], [["root:x:0 and:smile:"]])
    page = Console(file=io.StringIO(), width=60, emoji=False)
    page.print(table)
    assert "root:x:0 and:smile:" in page.file.getvalue()  # type: ignore[attr-defined]


WORDS = st.text(st.sampled_from("abcé漢[]"), min_size=1, max_size=9)
CELLS = st.lists(WORDS, max_size=6).map(" ".join)
NUMBERS = st.integers(0, 10**12).map("{:,}".format)


@st.composite
def some_tables(draw: st.DrawFn) -> FittedTable:
    numbers = draw(st.lists(st.booleans(), min_size=1, max_size=9))
    columns = [("#" if number else "") + draw(WORDS).replace("[", "(") for number in numbers]
    rows = [
        [draw(NUMBERS if n else CELLS.map(plain)) for n in numbers] for _ in range(draw(st.integers(0, 4)))
    ]
    return FittedTable(columns, rows, framed=draw(st.booleans()))


@given(some_tables(), st.integers(40, 160))
def test_no_word_and_no_number_is_ever_broken(table: FittedTable, width: int) -> None:
    """A first column of words of 9 or 18 columns, and a number of 17, find place in every width here."""
    page = Console(file=io.StringIO(), width=width, highlight=False, emoji=False)
    page.print(table)
    text = page.file.getvalue()  # type: ignore[attr-defined]
    found = re.split(r"[\s│┃]+", " ".join(lines_of(text, width)))
    expected = [
        word
        for row in table.rows
        for cell in row
        for word in Text.from_markup(cell, emoji=False).plain.split()
    ]
    assert [word for word in expected if word not in found] == []
