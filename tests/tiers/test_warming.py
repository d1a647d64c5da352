# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiling ahead: groups, the estimate, processes that fail; and what commands say while they compile."""

from __future__ import annotations

import importlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE
from typer.testing import Result

from supervm.engine.config import EngineConfig
from supervm.engine.execution import host_crypto
from supervm.kernels.threads import get_threads
from supervm.tiers import inventory, warming
from supervm.tiers.errors import CompilerEnded, exit_code
from supervm.tiers.hardware import detect
from supervm.tiers.settings import load
from supervm.tiers.warming import (
    COMMON,
    EVM,
    EXECUTION,
    PROVING,
    REPLAY,
    SECONDS,
    Going,
    Group,
    Warmed,
    groups_of,
)

JOB = warming.job_of("L3", None, "scalar")
HASHES = Group("hashes", "scalar", ("sha256", "eth_address"))


def test_every_operation_is_in_one_group() -> None:
    wanted = [(name, "scalar") for name in inventory.operations()]
    wanted += [(REPLAY, "auto"), (EXECUTION, "cpu"), (PROVING, "auto"), (EVM, "cpu")]
    groups = groups_of(wanted)
    assert sorted((task, group.backend) for group in groups for task in group.tasks) == sorted(wanted)
    assert [group.name for group in groups] == list(SECONDS)
    assert set(COMMON) <= set(SECONDS)
    hashes = next(group for group in groups if group.name == "hashes")
    assert set(hashes.tasks) == {"sha256", "sha512", "keccak256", "blake2b", "eth_address"}


def test_backends_are_groups_of_their_own() -> None:
    groups = groups_of([("sha256", "ifma"), ("ed25519.verify", "ifma"), ("sha256", "scalar")])
    assert groups == [
        Group("hashes", "ifma", ("sha256",)),
        Group("hashes", "scalar", ("sha256",)),
        Group("ed25519", "ifma", ("ed25519.verify",)),
    ]


def test_the_estimate_follows_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warming, "SECONDS", {"first": 10.0, "second": 30.0, "third": 20.0})
    first, second, third = (Group(name, "scalar", ("x",)) for name in ("first", "second", "third"))
    going = Going(2, [first, second, third])
    assert (going.fraction, going.remaining) == (0.0, 30.0)
    going.finish(Warmed(first, (12.0, 8.0)))
    assert going.fraction == pytest.approx(1 / 6)
    assert going.remaining == pytest.approx(2 * 30)  # twice as slow; the longest group bounds it
    going.current[0] = second, time.monotonic() - 2 * 5
    assert going.remaining == pytest.approx(2 * 25, rel=0.01)
    going.current[0] = second, time.monotonic() - 1000
    assert going.remaining == pytest.approx(2 * 20, rel=0.01)
    for group in (second, third):
        going.finish(Warmed(group, (0.0,)))
    assert (going.fraction, going.remaining) == (1.0, 0.0)


@pytest.mark.slow
def test_two_processes_compile_groups_into_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUPERVM_CACHE_DIR", str(tmp_path))
    other = Group("conflicts", "scalar", ("conflicts.detect",))
    seen: list[dict[int, str]] = []
    done = warming.warm_groups([HASHES, other], JOB, 2, lambda going: seen.append(dict(going.compiling)))
    assert {warmed.group for warmed in done} == {HASHES, other}
    assert [len(warmed.seconds) for warmed in done] == [len(warmed.group.tasks) for warmed in done]
    assert any(text.endswith(" (hashes)") for at in seen for text in at.values())
    assert any(text.endswith(" (conflicts)") for at in seen for text in at.values())
    assert list(tmp_path.rglob("batch.hash_slice-*.nbc"))
    assert list(tmp_path.rglob("partition*.nbc"))


def test_what_a_process_cannot_do_is_named() -> None:
    with pytest.raises(CompilerEnded, match=r"hashes: UnknownOperation: .*'sha0'") as caught:
        warming.warm_groups([Group("hashes", "scalar", ("sha0",))], JOB, 1, lambda going: None)
    assert exit_code(caught.value) == 3


def test_a_process_that_is_killed_is_told_and_the_others_end(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[str]] = []
    original = subprocess.Popen

    def popen(*arguments: Any, **options: Any) -> subprocess.Popen[str]:
        started.append(original(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(warming.subprocess, "Popen", popen)
    groups = [HASHES, Group("conflicts", "scalar", ("conflicts.detect",))]

    def kill(going: Going) -> None:
        started[0].kill()

    with pytest.raises(CompilerEnded, match="hashes: the process that compiles ended with status -9"):
        warming.warm_groups(groups, JOB, 2, kill)
    assert all(process.poll() is not None for process in started)


def test_warmup_says_how_long_before_it_begins(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[list[Group], int]] = []

    def warm(groups: list[Group], job: Any, processes: int, tell: Any) -> list[Warmed]:
        asked.append((groups, processes))
        return [Warmed(group, tuple(1.0 for _ in group.tasks)) for group in groups]

    monkeypatch.setattr(warming, "warm_groups", warm)
    monkeypatch.setattr("supervm.tiers.limits.usable_cores", lambda: 2)
    result = run("warmup", "--backend", "scalar", "--common")
    assert result.exit_code == 0, result.output
    seconds = [SECONDS[name] for name in COMMON]
    minutes = max(sum(seconds) / 2, *seconds) / 60
    assert f"in 2 processes: about {minutes:.1f} min if nothing is compiled" in result.stderr
    assert [group.name for group in asked[0][0]] == list(COMMON)
    assert "ready after" in result.stdout
    compared: list[list[str]] = []
    command = importlib.import_module("supervm.tiers.commands.warmup")
    monkeypatch.setattr(command, "_compare", lambda names, *_: compared.append(names))
    answer = json.loads(run("warmup", "--json", "--all").stdout)
    assert set(compared[0]) >= set(inventory.operations()), "all are compiled: time them"
    run("warmup", "--json", "--all", "--backend", "scalar")
    assert len(compared) == 1, "there is nothing to choose"
    assert {row["operation"] for row in answer["warmed"]} == {
        *inventory.operations(),
        REPLAY,
        EXECUTION,
        PROVING,
        EVM,
    }
    assert answer["processes"] == 2
    assert "about" in run("warmup", "--json").stderr


@pytest.mark.parametrize("backend", ["scalar", "auto"])
def test_what_host_functions_compute_with_is_warmed(backend: str) -> None:
    """On their own backend, whichever one is chosen; and in `--common`, with what proofs and blobs need on that one."""
    found = warming.tasks(load(detect(), flags={"backend": backend}, environment={}), False)
    assert {(name, host_crypto.BACKEND) for name in host_crypto.OPERATIONS} <= set(found)
    assert len(found) == len(set(found))
    common = {
        task
        for group in groups_of(found)
        if group.name in COMMON
        for task in ((each, group.backend) for each in group.tasks)
    }
    assert {(name, host_crypto.BACKEND) for name in host_crypto.OPERATIONS} <= common
    chosen = {name for name, _ in common}
    for curve in ("bn254", "bls12_381"):
        assert {f"{curve}.pairing.miller_loop", f"{curve}.pairing.final_exponentiation"} <= chosen
        for group in ("g1", "g2"):
            assert {f"{curve}.{group}.{each}" for each in ("decode", "add", "msm")} <= chosen
    assert {"bls12_381.g1.map", "bls12_381.g2.map", "bls12_381.ntt"} <= chosen
    assert "bn254.ntt" not in chosen
    assert not any("poseidon" in name for name in chosen)


def test_execution_warms_what_blocks_on_shards_need(monkeypatch: pytest.MonkeyPatch) -> None:
    from supervm.engine.workloads import private_transfers
    from supervm.engine.workloads import run as workloads
    from supervm.tiers.shards import planning, shard_map

    called: set[str] = set()
    threads = get_threads()

    def counted(module: Any, name: str) -> None:
        kernel = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *given: (called.add(name), kernel(*given))[1])

    counted(shard_map, "owners_of")
    for name in ("list_accesses", "close_over", "foreign_keys"):
        counted(planning, name)
    monkeypatch.setattr(workloads, "warm", lambda config: None)
    monkeypatch.setattr(private_transfers, "benchmark_verifier", lambda backend: None)
    monkeypatch.setattr(host_crypto, "compile_host_functions", lambda: None)
    warming.warm_task(EXECUTION, "cpu", EngineConfig())
    assert called == {"owners_of", "list_accesses", "close_over", "foreign_keys"}
    assert get_threads() == threads


@contextmanager
def _running(*arguments: str, **variables: str) -> Iterator[tuple[subprocess.Popen[str], Callable[[], str]]]:
    """A command in a process; the next line of its standard error, waited for with patience."""
    program = "from supervm.tiers.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        env=os.environ | variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines: queue.Queue[str] = queue.Queue()
    assert process.stderr is not None
    reader = threading.Thread(target=lambda: [lines.put(line) for line in process.stderr or ()], daemon=True)
    reader.start()
    try:
        yield process, lambda: lines.get(timeout=PATIENCE)
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reader.join()
        process.stderr.close()


def _first(line: Callable[[], str], text: str) -> str:
    while text not in (found := line()):
        continue
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "text"),
    [
        (["warmup", "--common"], "operations in "),
        (["warmup", "--common"], " ready: compiling "),
        (
            ["serve", "--grpc", "127.0.0.1:0", "--http", "off"],
            '"logger":"supervm.progress","message":"starting: compiling ',
        ),
    ],
    ids=["warmup", "warmup compiling", "serve compiling"],
)
def test_a_cold_command_says_what_it_compiles(command: list[str], text: str, tmp_path: Path) -> None:
    """In an empty cache, and long before it is done: the command is ended as soon as it has said so."""
    with _running(*command, SUPERVM_CACHE_DIR=str(tmp_path)) as (process, line):
        assert _first(line, text)
        assert process.poll() is None


def test_a_cold_node_says_what_it_compiles(tmp_path: Path, run: Callable[..., Result]) -> None:
    genesis = tmp_path / "one.genesis"
    assert run("node", "genesis", genesis).exit_code == 0
    places = ("--genesis", str(genesis), "--state", str(tmp_path / "state"), "--grpc", "127.0.0.1:0")
    command = ("node", "--tier", "L2", *places, "--http", "off")
    with _running(*command, SUPERVM_CACHE_DIR=str(tmp_path / "cache")) as (_, line):
        assert _first(line, '"logger":"supervm.progress","message":"starting')
