# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate: a planted regression fails it, noise of the measured size does not, and nothing is compared in secret."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from recorded_runs import row, run

from supervm.benchmarks import gate
from supervm.benchmarks.errors import NothingToCompare
from supervm.benchmarks.results import FOLDER, Recorded

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes runs into a folder of this name, or one run into a file of it."""

    def write(name: str, *runs: Recorded) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for number, each in enumerate(runs):
            (folder / f"{number}.json").write_text(each.text(), "utf-8")
        return folder / "0.json" if len(runs) == 1 else folder

    return write


def verdicts(old: Recorded | list[Recorded], new: Recorded | list[Recorded], **options: Any) -> list[str]:
    sides = [side if isinstance(side, list) else [side] for side in (old, new)]
    return [each.verdict for each in gate.compare(*sides, **options)]


@pytest.mark.parametrize(
    ("ratio", "verdict"),
    [
        (5.0, "within noise"),
        (4.3, "within noise"),
        (4.1, "regression"),
        (5.9, "within noise"),
        (6.1, "improvement"),
    ],
)
def test_a_change_counts_beyond_the_spread_of_both_sides(ratio: float, verdict: str) -> None:
    # Four figures with a spread of 5 % each: the change must be more than 20 %.
    old, new = (run([row(1e6, {"hashlib": r}, spread=0.05)]) for r in (5.0, ratio))
    assert verdicts(old, new) == [verdict]


def test_a_ratio_counts_and_not_the_rate_beside_it() -> None:
    old, slow_minute = (run([row(rate, {"hashlib": 5.0}, spread=0.01)]) for rate in (2e6, 1e6))
    assert verdicts(old, slow_minute) == ["within noise"]
    slower = run([row(2e6, {"hashlib": 2.5}, spread=0.01)])
    assert verdicts(old, slower) == ["regression"]


def test_a_peer_that_became_faster_is_no_regression_of_ours() -> None:
    old = run([row(1e6, {"a": 5.0, "b": 3.0}, spread=0.01)])
    assert verdicts(old, run([row(1e6, {"a": 2.5, "b": 3.0}, spread=0.01)])) == ["within noise"]
    assert verdicts(old, run([row(1e6, {"a": 2.5, "b": 1.5}, spread=0.01)])) == ["regression"]


def test_what_was_not_measured_is_noisier_and_equal_runs_are_never_quieter_than_the_least() -> None:
    old, new = (run([row(1e6, {"hashlib": r})]) for r in (5.0, 3.2))
    assert verdicts(old, new) == ["within noise"]
    assert verdicts(old, run([row(1e6, {"hashlib": 2.9})])) == ["regression"]
    old, new = (run([row(rate, spread=0.0)]) for rate in (1e6, 0.96e6))
    assert verdicts(old, new) == ["within noise"]


def test_repetitions_of_a_commit_are_noise_and_their_median_counts() -> None:
    old = [run([row(rate, spread=0.0)], day=day) for day, rate in enumerate((1.0e6, 1.3e6, 1.1e6), 1)]
    found = gate.compare(old, [run([row(0.9e6, spread=0.0)], day=9)])
    assert found[0].old == 1.1e6
    assert found[0].noise == pytest.approx(0.3)
    assert found[0].verdict == "within noise"
    other_commit = run([row(9e6, spread=0.0)], day=5, commit="d" * 40)
    assert verdicts([*old, other_commit], run([row(0.9e6, spread=0.0)], day=9)) == ["regression"]


def test_rows_that_vanished_and_rows_that_appeared_are_listed() -> None:
    old = run([row(1e6, batch=1), row(1e6, batch=64)])
    new = run([row(1e6, batch=64), row(1e6, batch=64, backend="scalar")])
    assert verdicts(old, new) == ["missing", "within noise", "new"]


def test_a_sweep_is_not_compared_with_a_suite() -> None:
    with pytest.raises(NothingToCompare, match="in common"):
        gate.compare([run([row(1e6)])], [run([row(1e6)], sweep=True)])


def test_another_machine_is_compared_by_ratio_and_by_rate_only_when_asked() -> None:
    rows = [row(1e6, {"hashlib": 5.0}, spread=0.01), row(1e6, batch=1, spread=0.01)]
    slower = [row(0.4e6, {"hashlib": 2.0}, spread=0.01), row(0.4e6, batch=1, spread=0.01)]
    old, new = run(rows, cpu="One"), run(slower, cpu="Other")
    assert verdicts(old, new) == ["regression", "not compared"]
    assert verdicts(old, new, rates=True) == ["regression", "regression"]
    with pytest.raises(NothingToCompare, match=r"one-2-cores and other-2-cores .*--rates"):
        gate.compare([run(rows[1:], cpu="One")], [run(slower[1:], cpu="Other")])


def test_a_run_on_the_same_machine_is_preferred_to_a_newer_one() -> None:
    old = [run([row(1e6, spread=0.0)], cpu="One"), run([row(9e6, spread=0.0)], cpu="Other", day=2)]
    assert verdicts(old, run([row(1e6, spread=0.0)], cpu="One", day=3)) == ["within noise"]


def test_the_command_names_the_row_and_fails(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    old = write("old", run([row(1e6, {"hashlib": 5.0}, spread=0.02)]))
    new = write("new", run([row(1e6, {"hashlib": 2.5}, spread=0.02, version="2")]))
    assert gate.main([str(old), str(new)]) == 1
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == (
        "regression    sha256, ifma, 1 thread, batch 65,536: ratio to hashlib (1, now 2) 5 → 2.5, -50%; noise 8%"
    )
    assert printed[-1].startswith("1 regression, 0 improvement")
    assert gate.main([str(new), str(old)]) == 0
    assert capsys.readouterr().out.startswith("improvement")


def test_the_command_answers_in_json(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = (
        write(name, run([row(rate, spread=0.02)]), run([row(rate)], suite="msm"))
        for name, rate in (("old", 1e6), ("new", 0.9e6))
    )
    assert gate.main([str(old), str(new), "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["counts"] == {
        "regression": 1, "improvement": 0, "missing": 0, "new": 0, "not compared": 0, "within noise": 1,
    }  # fmt: skip
    assert answer["exit_code"] == 1
    first = answer["rows"][0]
    assert (first["suite"], first["verdict"], first["by"]) == ("hashes", "regression", "items/s")
    assert (first["old"], first["new"]) == (1e6, 0.9e6)
    assert first["noise"] == pytest.approx(0.05)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"suite": "hashes", "rows": [{}]}'])
def test_a_broken_file_is_named(write: Write, capsys: pytest.CaptureFixture[str], text: str) -> None:
    sound = write("sound", run([row(1e6)]))
    broken = sound.with_name("broken.json")
    broken.write_text(text)
    assert gate.main([str(sound), str(broken), "--json"]) == 2
    out, err = capsys.readouterr()
    assert "broken.json" in err
    assert json.loads(out)["error"]["type"] == "ResultsMalformed"


def test_absent_files_and_empty_folders_are_named(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    sound = write("sound", run([row(1e6)]))
    empty = write("empty")
    for wrong in (sound.with_name("absent.json"), empty):
        assert gate.main([str(wrong), str(sound)]) == 2
        assert str(wrong) in capsys.readouterr().err


def test_what_is_recorded_does_not_differ_from_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert gate.main([str(FOLDER), str(FOLDER)]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("0 regression, 0 improvement, 0 missing, 0 new, 0 not compared, ")
