# SPDX-License-Identifier: GPL-3.0-or-later
"""The real command on pipes, FIFOs, devices and files without rows: nothing is lost, nothing is valid by being absent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_line import PATIENCE, command, finished, start, without_progress
from typer.testing import Result

Run = Callable[..., Result]
VERIFY = ("verify", "--backend", "scalar", "--json")


@pytest.fixture(scope="module")
def lines(mixed_items: list[Any], json_line: Callable[..., str]) -> list[bytes]:
    """Five valid rows of Ed25519, the first one spoilt."""
    items = [item for item in mixed_items if item.scheme == "ed25519" and item.verdict == 1][:5]
    spoilt = items[0]._replace(message=(items[0].message or b"") + b"!")
    return [json_line(item).encode() + b"\n" for item in (spoilt, *items[1:])]


@pytest.fixture(scope="module")
def streamed(lines: list[bytes]) -> bytes:
    return _columnar(lines, pa.ipc.new_stream)


def _columnar(lines: list[bytes], opener: Callable[..., Any]) -> bytes:
    table = pa.Table.from_pylist([json.loads(line) for line in lines])
    sink = pa.BufferOutputStream()
    with opener(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def _counts(done: subprocess.CompletedProcess[bytes]) -> tuple[int, int, int]:
    answer = json.loads(done.stdout)
    return done.returncode, answer["valid"], answer["invalid"]


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_a_bad_first_row_of_a_pipe_is_found(lines: list[bytes], name: str) -> None:
    assert _counts(finished(*VERIFY, name, input=lines[0])) == (1, 0, 1)
    assert _counts(finished(*VERIFY, name, input=b"".join(lines))) == (1, 4, 1)
    assert _counts(finished(*VERIFY, name, input=b"".join(lines[1:]))) == (0, 4, 0)


def test_an_arrow_stream_comes_through_a_pipe(lines: list[bytes], streamed: bytes) -> None:
    assert _counts(finished(*VERIFY, "-", input=streamed)) == (1, 4, 1)
    cut = finished(*VERIFY, "-", input=streamed[:-200])
    assert cut.returncode == 2
    assert b"not readable as an Arrow IPC stream" in cut.stderr


def test_a_descriptor_of_the_shell(lines: list[bytes], tmp_path: Path) -> None:
    (tmp_path / "lines").write_bytes(b"".join(lines))
    script = 'program=$1; shift; "$program" "$@" <(cat lines)'
    run = ["bash", "-c", script, "bash", *command(*VERIFY)]
    done = subprocess.run(run, capture_output=True, cwd=tmp_path, timeout=PATIENCE, check=False)
    assert _counts(done) == (1, 4, 1)


def test_a_file_as_standard_input_is_read_from_where_it_is(lines: list[bytes], tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"".join(lines))
    with path.open("rb", buffering=0) as file:
        assert _counts(finished(*VERIFY, "-", stdin=file)) == (1, 4, 1)
        file.seek(len(lines[0]))
        assert _counts(finished(*VERIFY, "-", stdin=file)) == (0, 4, 0)


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_formats_that_end_with_their_contents_are_refused_in_pipes(
    lines: list[bytes], tmp_path: Path, suffix: str
) -> None:
    if suffix == "arrow":
        content = _columnar(lines, pa.ipc.new_file)
    else:
        pq.write_table(pa.Table.from_pylist([json.loads(line) for line in lines]), tmp_path / "file")
        content = (tmp_path / "file").read_bytes()
    done = finished(*VERIFY, "-", input=content)
    assert done.returncode == 2
    assert b"a pipe does not have: write it to a file first, or pipe" in done.stderr
    (tmp_path / "file").write_bytes(content)
    with (tmp_path / "file").open("rb") as file:  # this has an end to go to
        assert _counts(finished(*VERIFY, "-", stdin=file)) == (1, 4, 1)


def told(child: subprocess.Popen[bytes]) -> bytes:
    """The next line on standard error that is not progress: a start that takes a second says that it is loading."""
    assert child.stderr is not None
    line = child.stderr.readline()
    while line.startswith(b"supervm: loading"):
        line = child.stderr.readline()
    return line


def test_a_fifo_without_a_writer_is_waited_for_with_a_word(lines: list[bytes], tmp_path: Path) -> None:
    path = tmp_path / "fifo.jsonl"
    os.mkfifo(path)
    child = start(*VERIFY, path)
    try:
        said = told(child)  # comes after a second, or never
        assert said.startswith(b"waiting for somebody to write to"), said
        path.write_bytes(b"".join(lines))
        output, _ = child.communicate(timeout=PATIENCE)
        assert child.returncode == 1
        assert json.loads(output)["invalid"] == 1
    finally:
        child.kill()
        child.communicate()


def test_a_wait_for_a_writer_ends_with_ctrl_c(tmp_path: Path) -> None:
    path = tmp_path / "fifo.jsonl"
    os.mkfifo(path)
    child = start("verify", path)
    try:
        told(child)
        child.send_signal(signal.SIGINT)
        output, said = child.communicate(timeout=PATIENCE)
        assert (child.returncode, output, said) == (130, b"", b"interrupted\n")
    finally:
        child.kill()
        child.communicate()


@pytest.fixture
def endless() -> Iterator[Callable[[bytes], int]]:
    """A pipe that something is written to for as long as somebody reads."""
    opened: list[tuple[int, threading.Thread]] = []

    def write(descriptor: int, text: bytes) -> None:
        try:
            while True:
                os.write(descriptor, text)
        except OSError:
            os.close(descriptor)

    def make(text: bytes) -> int:
        reading, writing = os.pipe()
        writer = threading.Thread(target=write, args=(writing, text * (4096 // len(text))))
        writer.start()
        opened.append((reading, writer))
        return reading

    yield make
    for reading, writer in opened:
        os.close(reading)
        writer.join(60)
        assert not writer.is_alive()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b'{"a":"', b"line 1: longer than 67108864 bytes"),
        (b"\0", b"neither the name"),
        (b'{"scheme":\n', b"line 1: "),
    ],
)
def test_an_endless_input_ends(endless: Callable[[bytes], int], text: bytes, problem: bytes) -> None:
    done = finished("verify", "-", stdin=endless(text))
    assert done.returncode == 2
    assert problem in done.stderr


def test_endless_empty_lines_end(endless: Callable[[bytes], int], tmp_path: Path) -> None:
    path = tmp_path / "link.jsonl"
    path.symlink_to("/dev/stdin")
    done = finished("verify", path, stdin=endless(b"\n"))
    assert done.returncode == 2
    assert b"nothing but empty lines" in done.stderr


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null", "/dev"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("verify",),
        ("contract", "check"),
        ("run", "--load"),
        ("verify", "absent", "--config"),
        ("node", "split", "--json"),
    ],
    ids=" ".join,
)
def test_devices_and_directories_are_refused(
    run: Run, arguments: tuple[str, ...], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*arguments, name, *(("folder",) if "split" in arguments else ()))
    assert done.exit_code == 2
    assert "expected a file or a pipe that can be read" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_block_of_a_device_is_refused(run: Run, tmp_path: Path) -> None:
    for name in ("block.json", "pre_state.json"):
        (tmp_path / name).symlink_to("/dev/zero")
    done = run("replay", tmp_path)
    assert done.exit_code == 2
    assert "block.json: found a device" in done.stderr


@pytest.mark.parametrize("content", [b"", b"\n\n"], ids=["nothing", "empty lines"])
def test_no_row_is_no_success(run: Run, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "none.jsonl"
    path.write_bytes(content)
    output = tmp_path / "verdicts"
    done = run(*VERIFY, path, "--output", output)
    assert done.exit_code == 2
    assert json.loads(done.stdout)["error"]["message"] == f"{path}: no row in it; --allow-empty takes that"
    assert not output.exists()
    done = run(*VERIFY, path, "--output", output, "--allow-empty")
    assert (done.exit_code, json.loads(done.stdout)["rows"], without_progress(done.stderr)) == (0, 0, "")
    assert output.read_bytes() == b""


def test_nothing_in_a_pipe_is_no_success() -> None:
    done = finished(*VERIFY, "-", input=b"")
    assert done.returncode == 2
    assert b"standard input: no row in it" in done.stderr


def test_a_workload_without_a_transaction_shows_nothing(run: Run, tmp_path: Path) -> None:
    made = run("node", "genesis", tmp_path / "genesis.work")
    assert made.exit_code == 0, made.stderr
    done = run("run", "--load", tmp_path / "genesis.work")
    assert done.exit_code == 2
    assert "no transaction in it" in done.stderr


def test_a_contract_comes_through_a_pipe() -> None:
    from supervm.vm import contracts

    done = finished("contract", "check", "-", "--json", input=contracts.load("token"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["accepted"]
    done = finished("contract", "check", "-", "--json", input=b"(module)")
    assert (done.returncode, json.loads(done.stdout)["rule"]) == (1, "memory")


def test_the_input_is_not_written_over_through_standard_input(lines: list[bytes], tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b"".join(lines))
    with path.open("rb") as file:
        done = finished("verify", "-", "--output", path, stdin=file)
    assert done.returncode == 2
    assert path.read_bytes() == b"".join(lines)


def test_a_pipe_for_verdicts_that_nobody_reads(lines: list[bytes], tmp_path: Path) -> None:
    path, fifo = tmp_path / "lines.jsonl", tmp_path / "fifo"
    path.write_bytes(b"".join(lines))
    os.mkfifo(fifo)
    done = finished(*VERIFY, path, "--output", fifo)
    assert done.returncode == 2
    assert b"nobody reads from this pipe" in done.stderr
    done = finished(*VERIFY, path, "--output", "/dev/stderr")
    assert (done.returncode, without_progress(done.stderr.decode())) == (1, "0\n1\n1\n1\n1\n")
