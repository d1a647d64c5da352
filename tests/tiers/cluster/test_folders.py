# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm verify --cluster`: folders of files, with the verdicts of one machine, gone on with after a stop."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_line import PATIENCE, command

from supervm.kernels.errors import ArgumentError
from supervm.tiers.cluster import folders
from supervm.tiers.cluster.errors import NoNodeLeft
from supervm.tiers.cluster.folders import FolderRun, files_of, part_file
from supervm.tiers.cluster.pool import Pool
from supervm.tiers.signature_files.formats import SignatureFile, open_signature_file

RULES = {"rule": "dalek", "low_s": True, "suite": "pop", "tag": ""}


def opened(path: Path) -> SignatureFile:
    return open_signature_file(path, 17, 1 << 20)


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "PART_ROWS", 40)


@pytest.fixture
def folder(tmp_path: Path, mixed_items: list[Any], json_line: Callable[..., str]) -> Path:
    """Three files, 46 + 92 + 10 rows, one of them below another folder and one of JSON Lines."""
    place = tmp_path / "signatures"
    (place / "below").mkdir(parents=True)

    def parquet(name: str, items: list[Any]) -> None:
        columns = {"scheme": pa.array([item.scheme for item in items])}
        for column in ("public_key", "message", "digest", "signature"):
            columns[column] = pa.array([getattr(item, column) for item in items], pa.binary())
        pq.write_table(pa.table(columns), place / name)

    parquet("a.parquet", mixed_items)
    parquet("below/b.parquet", mixed_items * 2)
    (place / "c.jsonl").write_text("".join(json_line(item) + "\n" for item in mixed_items[:10]))
    (place / "notes.txt").write_text("no signatures")
    return place


def verdicts_of(output: Path, name: str) -> list[int]:
    parts = sorted((output / name).glob("*.parquet"))
    assert [part.name for part in parts] == [f"{number:08}.parquet" for number in range(len(parts))]
    found: list[int] = np.concatenate([pq.read_table(part)["verdict"].to_numpy() for part in parts]).tolist()
    return found


def test_a_folder_has_the_verdicts_of_one_machine(
    run: Callable[..., Any], pool: Pool, folder: Path, mixed_items: list[Any], tmp_path: Path
) -> None:
    output = tmp_path / "verdicts"
    command = ("verify", folder, "--cluster", pool.address, "--output", output, "--failures", 3, "--json")
    first = run(*command)
    assert first.exit_code == 1, first.output
    answer = json.loads(first.stdout)
    expected = [item.verdict for item in mixed_items]
    assert verdicts_of(output, "a.parquet") == expected
    assert verdicts_of(output, "below/b.parquet") == expected * 2
    assert verdicts_of(output, "c.jsonl") == expected[:10]
    assert answer["rows"] == len(expected) * 3 + 10
    assert answer["valid"] == expected.count(1) * 3 + expected[:10].count(1)
    bad = [index for index, verdict in enumerate(expected, 1) if verdict != 1][:3]
    assert [(one["file"], one["row"]) for one in answer["failures"]] == [("a.parquet", row) for row in bad]
    assert (answer["parts"], answer["resumed_parts"]) == (2 + 3 + 1, 0)
    assert {node["state"] for node in answer["nodes"]} == {"ready"}
    again = json.loads(run(*command).stdout)
    assert again["resumed_parts"] == 6
    same = ("rows", "valid", "invalid", "malformed", "schemes", "failures", "parts")
    assert {name: again[name] for name in same} == {name: answer[name] for name in same}


def test_a_run_that_was_stopped_goes_on(
    pool: Pool, folder: Path, mixed_items: list[Any], tmp_path: Path
) -> None:
    output = tmp_path / "verdicts"

    def files() -> list[Path]:
        return [path for path in output.rglob("*") if path.is_file()]

    def stop_when_some_are_done(fraction: float, rows: int) -> None:
        if len(files()) >= 2:
            raise KeyboardInterrupt

    options: dict[str, Any] = {"recheck": 0.01, "share_rows": 5}
    stopped = FolderRun(
        pool, files_of(folder), opened, RULES, output, progress=stop_when_some_are_done, **options
    )
    with pytest.raises(KeyboardInterrupt):
        stopped.run()
    kept = {path: path.stat().st_mtime_ns for path in files()}
    assert 2 <= len(kept) < 6
    assert {path.suffix for path in kept} == {".parquet"}
    rows: list[int] = []
    second = FolderRun(
        pool, files_of(folder), opened, RULES, output, progress=lambda _, done: rows.append(done), **options
    )
    assert second.resumed == len(kept)
    second.run()
    assert min(rows) > sum(pq.read_metadata(path).num_rows for path in kept)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    expected = [item.verdict for item in mixed_items]
    assert verdicts_of(output, "below/b.parquet") == expected * 2
    assert second.summary().rows == len(expected) * 3 + 10


def test_parts_of_a_node_that_is_found_out_are_done_again(
    pool: Pool, folder: Path, mixed_items: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, passes = tmp_path / "verdicts", []
    run = pool.run

    def doubted(*arguments: Any, **options: Any) -> Any:
        made = run(*arguments, **options)
        if not passes:
            made.suspects.add(0)
        passes.append(made)
        return made

    monkeypatch.setattr(pool, "run", doubted)
    verification = FolderRun(pool, files_of(folder), opened, RULES, output, recheck=0.01, share_rows=64)
    verification.run()
    assert len(passes) == 2
    assert verdicts_of(output, "a.parquet") == [item.verdict for item in mixed_items]
    assert verification.summary().rows == len(mixed_items) * 3 + 10


@pytest.mark.parametrize("end", [KeyboardInterrupt, NoNodeLeft(("all: gone",))])
def test_parts_that_are_doubted_are_not_there_for_who_goes_on(
    pool: Pool, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: Any
) -> None:
    output, run = tmp_path / "verdicts", pool.run

    def until_the_end(answers: Iterator[Any]) -> Iterator[Any]:
        yield from answers
        assert part_file(output, ("a.parquet", 0)).exists()
        raise end

    def ended(*arguments: Any, **options: Any) -> Any:
        made = run(*arguments, **options)
        made.suspects.add(0)
        made._iterator = until_the_end(made._iterator)
        return made

    monkeypatch.setattr(pool, "run", ended)
    options: dict[str, Any] = {"recheck": 0.01, "share_rows": 64}
    verification = FolderRun(pool, files_of(folder), opened, RULES, output, **options)
    with pytest.raises((KeyboardInterrupt, NoNodeLeft)):
        verification.run()
    assert not part_file(output, ("a.parquet", 0)).exists()
    assert FolderRun(pool, files_of(folder), opened, RULES, output, **options).resumed == len(
        verification.finished
    )


def test_verdicts_are_of_the_file_that_was_read(pool: Pool, folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "verdicts"

    def replaced(fraction: float, rows: int) -> None:
        os.utime(folder / "a.parquet", ns=(1, 1))

    options: dict[str, Any] = {"recheck": 0.01, "share_rows": 64}
    FolderRun(pool, files_of(folder), opened, RULES, output, progress=replaced, **options).run()
    with pytest.raises(ArgumentError, match="before it changed"):
        FolderRun(pool, files_of(folder), opened, RULES, output, **options)


def test_a_broken_file_is_named_and_stops_no_other(
    run: Callable[..., Any], pool: Pool, folder: Path, tmp_path: Path
) -> None:
    with (folder / "c.jsonl").open("a") as file:
        file.write('{"scheme": "ed25519"}\n')
    (folder / "d.parquet").write_bytes(b"PAR1 and no more")
    output = tmp_path / "verdicts"
    ended = run("verify", folder, "--cluster", pool.address, "--output", output, "--json")
    assert ended.exit_code == 2
    answer = json.loads(ended.stdout)
    assert len(answer["broken"]) == 2
    assert "line 11" in answer["broken"][0]
    assert "d.parquet" in answer["broken"][1]
    assert not (output / "c.jsonl").exists()
    assert answer["rows"] == len(verdicts_of(output, "a.parquet")) * 3


@pytest.mark.parametrize("change", ["rules", "file", "stranger"])
def test_verdicts_of_another_run_are_not_gone_on_with(
    pool: Pool, folder: Path, tmp_path: Path, change: str
) -> None:
    output = tmp_path / "verdicts"
    options: dict[str, Any] = {"recheck": 0.01, "share_rows": 64}
    FolderRun(pool, files_of(folder), opened, RULES, output, **options).run()
    rules = RULES | ({"rule": "strict"} if change == "rules" else {})
    if change == "file":
        os.utime(folder / "a.parquet", ns=(1, 1))
    if change == "stranger":
        pq.write_table(pa.table({"verdict": [1]}), part_file(output, ("a.parquet", 0)))
    problem = {"rules": "under other rules", "file": "before it changed", "stranger": "no file of verdicts"}
    with pytest.raises(ArgumentError, match=problem[change]):
        FolderRun(pool, files_of(folder), opened, rules, output, **options)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("-",), "found standard input"),
        (("missing",), "neither a file nor a folder"),
        ((".",), "no file of signatures in it"),
        (("file", "--key", "key.json"), "leave it out for proofs"),
    ],
)
def test_what_cannot_be_verified_is_named(
    run: Callable[..., Any],
    cluster: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    problem: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = run("verify", *arguments, "--cluster", cluster.address)
    assert ended.exit_code == 2
    assert problem in ended.stderr


# The command `cluster`


def test_the_nodes_of_a_cluster_are_shown(run: Callable[..., Any], pool: Pool) -> None:
    answer = json.loads(run("cluster", "status", pool.address, "--json").stdout)
    assert answer["address"] == pool.address
    assert [node["state"] for node in answer["nodes"]] == ["ready", "ready"]
    assert [node["about"]["threads"] for node in answer["nodes"]] == [1, 1]
    told = run("cluster", "status", SUPERVM_CLUSTER_ADDRESS=pool.address)
    assert told.exit_code == 0
    assert f"the head is at {pool.address}" in told.stdout


def test_a_machine_with_other_sources_does_not_join(
    run: Callable[..., Any], pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from supervm.tiers.cluster import connecting

    connecting.note_sources(pool.address)
    begun: list[Any] = []
    monkeypatch.setattr("supervm.tiers.commands.cluster._ray", lambda *words: begun.append(words))
    monkeypatch.setattr(connecting, "sources", lambda: "0123456789abcdef")
    ended = run("cluster", "join", pool.address)
    assert ended.exit_code == 3
    assert "its sources are 0123456789abcdef" in ended.stderr
    assert begun == []
    monkeypatch.undo()
    monkeypatch.setattr("supervm.tiers.commands.cluster._ray", lambda *words: begun.append(words))
    ended = run("cluster", "join", pool.address, "--cores", 2, "--store", "100MiB", "--json")
    assert [node["state"] for node in json.loads(ended.stdout)["nodes"]] == ["ready", "ready"]
    capacity = ["--num-cpus=2", f"--object-store-memory={100 << 20}"]
    assert begun == [(["start", f"--address={pool.address}", "--disable-usage-stats", *capacity], {})]


def test_a_head_in_the_foreground_ends_with_its_process(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = (
        "--port",
        port,
        "--host",
        "127.0.0.1",
        "--cores",
        1,
        "--store",
        "80MiB",
        "--storage",
        tmp_path / "head",
    )
    begun = command("cluster", "start", "--block", *words, "--json")
    (tmp_path / "token").write_text("0123456789abcdef" * 4)  # it is there, and nobody asked for it
    how: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    how["env"] = os.environ | {"RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")}
    with subprocess.Popen(begun, **how) as process:
        assert process.stdout is not None
        try:
            said = ""
            while not said.endswith("\n}\n"):
                line = process.stdout.readline()
                assert line, said
                said += line
        finally:
            process.terminate()
            process.communicate(timeout=PATIENCE)
    answer = json.loads(said)
    assert answer["address"] == f"127.0.0.1:{port}"
    assert [(node["state"], node["about"]["threads"]) for node in answer["nodes"]] == [("ready", 1)]
    assert (tmp_path / "head" / "session_name").exists()
    with socket.socket() as gone:
        assert gone.connect_ex(("127.0.0.1", port)) != 0


def test_a_cluster_that_is_not_there_is_named(run: Callable[..., Any]) -> None:
    for words in (("cluster", "status", "127.0.0.1:1"), ("cluster", "join", "127.0.0.1:1")):
        ended = run(*words)
        assert ended.exit_code == 3
        assert "cluster '127.0.0.1:1': nothing answers" in ended.stderr
    assert "no cluster is named" in run("cluster", "status").stderr
