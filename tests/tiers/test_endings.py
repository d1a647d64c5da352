# SPDX-License-Identifier: GPL-3.0-or-later
"""How commands end: no traceback, one object with `--json`, no control character of a stranger's, nothing half written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from command_line import PATIENCE, command, finished, start, without_progress
from typer.testing import Result

from supervm.tiers import interruption
from supervm.tiers.console import answers, notes, plain, print_json, print_pairs
from supervm.tiers.plain_text import encodable, of_json, visible

EVIL = "evil\x1b[31m\x9b2J\n\u202e\x07"
SHOWN = r"evil\x1b[31m\x9b2J\n\u202e\x07"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--json"],
        ["veryfy", "--json"],
        ["verify", "--json"],
        ["verify", "--json", "--loud", "file"],
        ["verify", "file", "--rule", "loose", "--json"],
        ["verify", "file", "--threads", "two", "--json"],
        ["verify", "file", "more", "--json"],
        ["contract", "burn", "--json"],
        ["contract", "check", "--json"],
        ["contract", "--json"],
        ["node", "burn", "--json"],
        ["node", "genesis", "--json"],
        ["run", "--mode", "fast", "--json"],
    ],
    ids=" ".join,
)
def test_wrong_use_is_one_object(run: Callable[..., Result], arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    answer = json.loads(result.stdout)
    assert answer["exit_code"] == 2
    assert answer["error"]["type"] == "UsageError"
    assert answer["error"]["message"] in " ".join(result.stderr.split("\n"))


@pytest.mark.parametrize(
    "arguments",
    [[EVIL], ["verify", f"--{EVIL}"], ["verify", "a", EVIL], ["verify", EVIL], ["contract", "check", EVIL]],
    ids=["command", "option", "surplus", "file", "contract"],
)
def test_what_is_typed_is_shown_escaped(run: Callable[..., Result], arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert SHOWN in result.stderr.replace(r"\x0a", r"\n")  # Typer writes some of them out itself
    assert not set("\x1b\x9b\u202e\x07").intersection(result.stderr)
    assert len(result.stderr.splitlines()) <= 3


def test_a_column_of_any_name_is_shown_escaped(run: Callable[..., Result], tmp_path: Path) -> None:
    path = tmp_path / "file.arrows"
    with pa.ipc.new_stream(str(path), pa.schema([(EVIL, pa.int8())])) as writer:
        writer.write_batch(pa.record_batch([pa.array([1], pa.int8())], [EVIL]))
    result = run("verify", path)
    assert (result.exit_code, "\x1b" in result.stderr) == (2, False)
    assert f"the columns are {SHOWN}" in result.stderr
    path.write_bytes(path.read_bytes().replace(b"evil", b"\xff\xfe\xff\xfe"))
    result = run("verify", path, "--json")
    assert result.exit_code == 2
    assert "a name that is not UTF-8" in json.loads(result.stdout)["error"]["message"]


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_deep_nesting_is_no_defect(run: Callable[..., Result], tmp_path: Path, opening: str) -> None:
    path = tmp_path / "deep.jsonl"
    path.write_text('{"scheme": "ed25519", "x": ' + opening * 200_000)
    result = run("verify", path)
    assert (result.exit_code, result.exception.__class__) == (2, SystemExit)
    assert "line 1: lists and objects that are nested too deeply" in result.stderr
    for name in ("block.json", "pre_state.json"):
        (tmp_path / name).write_text('{"unknown": ' + opening * 200_000)
    result = run("replay", tmp_path)
    assert result.exit_code == 2
    assert "nested too deeply" in result.stderr
    (tmp_path / "settings.toml").write_text("workers = " + "[" * 100_000)
    result = run("verify", path, "--config", tmp_path / "settings.toml")
    assert result.exit_code == 2
    assert "settings.toml: not TOML" in result.stderr


def test_text_is_shown_as_data(capsys: pytest.CaptureFixture[str]) -> None:
    answers().print(plain(f"{EVIL} [red]a[/] \\"))
    print_pairs([("name", f"[bold]{EVIL}"), ("other", "[/]")])
    notes().print(EVIL)
    notes().print("[/nothing]")
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out + shown.err
    assert shown.out.splitlines() == [
        f"{SHOWN} [red]a[/] \\\\",
        f"name   [bold]{SHOWN}",
        "other  [/]",
    ]
    assert shown.err.splitlines() == [SHOWN, "[/nothing]"]


def test_characters_that_a_terminal_obeys_or_hides() -> None:
    assert visible("plain ⟶ text, ünd 漢字 😀") == "plain ⟶ text, ünd 漢字 😀"
    assert visible("\ud800\udc80\u2028\ufeff\U000e0041\t\r") == r"\ud800\x80\u2028\ufeff\U000e0041\t\r"
    assert visible("a\nb\x00", lines=True) == "a\nb\\x00"
    assert json.loads(of_json(json.dumps(EVIL + "\U000e0041", ensure_ascii=False))) == EVIL + "\U000e0041"
    assert encodable({"\udcff": ["\udcfe", ("a\n", 1, None)]}) == {r"\xff": [r"\xfe", ["a\n", 1, None]]}


def test_names_that_are_not_utf_8_are_answered(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"file": os.fsdecode(b"a\xff"), "mark": "\x9b\u202e"})
    text = capsys.readouterr().out
    assert "\x9b" not in text
    assert json.loads(text) == {"file": r"a\xff", "mark": "\x9b\u202e"}


@pytest.mark.parametrize(
    "arguments", [["--version"], ["verify", "--help"], ["verify", "absent", "--json"]], ids=" ".join
)
def test_a_full_disk_and_a_reader_that_left(arguments: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        done = finished(*arguments, stdout=full)
    assert (done.returncode, b"Traceback" in done.stderr) == (3, False)
    assert b"No space left on device" in done.stderr
    reading, writing = os.pipe()
    os.close(reading)
    done = finished(*arguments, stdout=writing)
    os.close(writing)
    assert (done.returncode, without_progress(done.stderr.decode())) == (141, "")


def test_standard_output_that_is_closed() -> None:
    run = ["bash", "-c", '"$@" >&-', "bash", *command("--version")]
    done = subprocess.run(run, capture_output=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stderr) == (3, b"error: standard output: it is closed\n")


@pytest.mark.parametrize("seconds", [0.2, 0.5, 1.0, 2.0, 4.0])
def test_ctrl_c_while_modules_are_loaded(seconds: float) -> None:
    """At whatever it is doing by then: loading, or compiling kernels."""
    program = "from supervm.tiers import interruption\nprint(flush=True)\nfrom supervm.tiers.entry import main; main()"
    run = [*command()[:2], program, "run", "--transactions", "3000000", "--signatures"]
    child = subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert child.stdout is not None
        child.stdout.readline()  # what comes before is Python's own start
        time.sleep(0.1 + seconds)
        begun = time.monotonic()
        child.send_signal(signal.SIGINT)
        output, said = child.communicate(timeout=PATIENCE)
        assert (child.returncode, output) == (130, b"")
        assert without_progress(said.decode()) == "interrupted\n"
        assert time.monotonic() - begun < 20 * interruption.GRACE_SECONDS
    finally:
        child.kill()
        child.communicate()


def test_ctrl_c_leaves_verdicts_under_another_name(
    json_lines_file: Callable[..., Path], mixed_items: list[Any], tmp_path: Path
) -> None:
    text = json_lines_file(mixed_items).read_bytes()
    output = tmp_path / "verdicts"
    output.write_text("of an earlier run")
    child = start("verify", "-", "--batch", 8, "--output", output, "--json", stdin=subprocess.PIPE)
    assert child.stdin is not None
    assert child.stderr is not None
    try:
        child.stdin.write(text)
        child.stdin.flush()
        while b"waiting for somebody" not in child.stderr.readline():
            assert child.poll() is None
        child.send_signal(signal.SIGINT)
        answer, said = child.communicate(timeout=PATIENCE)
    finally:
        child.kill()
        child.communicate()
    assert (child.returncode, without_progress(said.decode())) == (130, "interrupted\n")
    assert json.loads(answer)["exit_code"] == 130
    assert output.read_text() == "of an earlier run"
    written = (tmp_path / "verdicts.partial").read_text().split()
    assert [int(one) for one in written] == [item.verdict for item in mixed_items][: len(written)]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_defect_is_one_object_too() -> None:
    program = (
        "import sys\nfrom supervm.tiers import cli\n"
        "def broken(*arguments): raise RuntimeError('defect\\x1b[31m')\n"
        "cli.load_command = broken\nsys.argv = ['supervm', 'status', '--json']\ncli.main()\n"
    )
    done = subprocess.run([*command()[:2], program], capture_output=True, timeout=PATIENCE, check=False)
    assert done.returncode == 3
    assert json.loads(done.stdout) == {
        "error": {"type": "RuntimeError", "message": "defect\x1b[31m"},
        "exit_code": 3,
    }
    assert b"\x1b" not in done.stderr


def test_an_interruption_that_a_library_swallows_ends_the_command() -> None:
    program = (
        "import time\nfrom supervm.tiers import cli, entry, interruption\n"
        "interruption.GRACE_SECONDS = 0.2\n"
        "def deaf(*arguments):\n"
        "    while True:\n"
        "        try:\n            print(flush=True)\n            time.sleep(600)\n"
        "        except KeyboardInterrupt:\n            pass\n"
        "cli.load_command = deaf\nimport sys\nsys.argv = ['supervm', 'status']\nentry.main()\n"
    )
    child = subprocess.Popen([*command()[:2], program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert child.stdout is not None
        child.stdout.readline()
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=PATIENCE)
        assert (child.returncode, without_progress(said.decode())) == (130, "interrupted\n")
    finally:
        child.kill()
        child.communicate()


def test_threads_are_bounded_by_the_machine(
    run: Callable[..., Result], json_lines_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervm.tiers.limits.usable_cores", lambda: 2)
    result = run("verify", json_lines_file([]), "--allow-empty", "--json", "--threads", 1_000_000)
    assert json.loads(result.stdout)["threads"] == 2
    assert "1000000 threads; this process may use 2 cores" in result.stderr
