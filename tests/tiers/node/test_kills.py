# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 at random moments and between durable steps: a node goes on where it was, and ends where one by one ends."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import node_steps
import node_victim
import pytest
from node_chains import opened, write_chain

from supervm.engine.blocks.receipts import Receipts
from supervm.engine.config import EngineConfig
from supervm.engine.workloads.run import run_workload

KILLS = {"token": 12, "evm": 6}
"""By chain (`node_victim.chain_of`)."""


@pytest.mark.parametrize("name", KILLS)
def test_kills_at_random_moments(tmp_path, name):
    workload, chosen = node_victim.chain_of(name), random.Random(6)
    write_chain(tmp_path / "chain", workload)
    run = run_workload(workload, EngineConfig(mode="sequential"))
    roots = [result.state_root for result in run.results]
    environment = {**os.environ, "PYTHONPATH": str(Path(node_victim.__file__).parent)}
    victim = subprocess.Popen(
        [sys.executable, node_victim.__file__, name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert victim.stdin is not None
    assert victim.stdout is not None
    said, opened_at = 0, []
    with victim:
        assert victim.stdout.readline() == "ready\n"
        for kill in range(20 * KILLS[name]):
            if kill >= KILLS[name] and len(set(opened_at)) > KILLS[name] // 3:
                break
            victim.stdin.write(f"{tmp_path / 'node'} {tmp_path / 'chain'} {1 + kill % 2}\n")
            victim.stdin.flush()
            pid = int(victim.stdout.readline().removeprefix("pid "))
            # Some die before they have opened, most after a few blocks, at any point of one.
            lines = chosen.choice([0, 1, 3, 8, 20])
            found = []
            while len(found) < lines:
                found.append(victim.stdout.readline().split())
                if int(found[-1][1]) == len(roots):
                    break
            time.sleep(chosen.random() * 0.004)
            os.kill(pid, signal.SIGKILL)
            while (line := victim.stdout.readline()) != "ended\n":
                assert line, "the victim died"
                found.append(line.split())
            blocks = [int(number) for what, number in found if what == "block"]
            for what, number in found[:1]:
                assert what == "opened"
                opened_at.append(int(number))
                # What was said is not on disk yet for up to the blocks that wait for it.
                assert said - 8 <= int(number) <= said + 1
                assert blocks == list(range(int(number) + 1, int(number) + 1 + len(blocks)))
                said = max([int(number), *blocks])
        victim.stdin.close()
    assert len(set(opened_at)) > KILLS[name] // 3
    with opened(tmp_path / "node", tmp_path / "chain") as node:
        assert node.number < len(roots)
        node.run(until=len(roots))
        assert node.engine.state_root == roots[-1]
        for number, root in enumerate(roots, 1):
            record = node.records.block(number)
            receipts = Receipts.from_bytes(node.engine.receipts(node.height_of(number)))
            assert (record.root, record.committed) == (root, int(receipts.accepted.sum()))


@pytest.mark.parametrize("source", ["directory", "calls"])
def test_a_kill_before_each_durable_step(source):
    """Every transaction is in a block once, and the root is that of a node that nobody killed."""
    environment = {**os.environ, "PYTHONPATH": str(Path(node_steps.__file__).parent)}
    done = subprocess.run(
        [sys.executable, node_steps.__file__, source], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    first, *rest = [line.split() for line in done.stdout.splitlines()]
    step, name, *end = first
    assert (step, name, end[1:]) == ("0", "whole", [str(node_steps.BLOCKS), "30", "0"])
    assert [int(step) for step, *_ in rest] == list(range(1, len(rest) + 1))
    put = "DirectorySource.put" if source == "directory" else "SubmittedBlocks.put"
    names = [f"{kind.__name__}.{name}" for kind, name in node_steps.STEPS]
    assert {name for _, name, *_ in rest} == {name for name in names if ".put" not in name} | {put}
    assert [each[2:] for each in rest] == [end] * len(rest)
