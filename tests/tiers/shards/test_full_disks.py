# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that are full, or that fail, under votes and the log of decisions; a log that changes while it is opened."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from shard_runs import Cluster
from two_accounts import MAP, balances, transfer

from supervm.tiers.service.v1 import shard_pb2 as pb
from supervm.tiers.shards.errors import CoordinatorLogDamaged, VoteDamaged
from supervm.tiers.shards.records import DecisionLog


def name_of(handle: int) -> str:
    return Path(os.readlink(f"/proc/self/fd/{handle}")).name


def full(name: str, written: int) -> Callable[[int, bytes, int], int]:
    """A disk that has room for the first bytes of a write to files that begin so."""
    room, pwrite = [written], os.pwrite

    def write(handle: int, data: bytes, at: int) -> int:
        if not name_of(handle).startswith(name):
            return pwrite(handle, data, at)
        if not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = pwrite(handle, data[: room[0]], at)
        room[0] -= done
        return done

    return write


def test_a_write_that_ends_early_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supervm.tiers.shards.records.LOG_BYTES", 1_000)
    write, pwrite = os.write, os.pwrite
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[: len(data) // 2 + 1]))
    monkeypatch.setattr(os, "pwrite", lambda handle, data, at: pwrite(handle, data[: len(data) // 2 + 1], at))
    log = DecisionLog(tmp_path / "log", MAP.digest)
    for height in range(1, 40):
        log.decide(pb.LogRecord(height=height, attempt=height))
    log.close()
    log = DecisionLog(tmp_path / "log", MAP.digest)
    assert (log.height, log.epoch) == (39, 2)
    log.close()


def test_a_log_that_cannot_be_written_anew_grows_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supervm.tiers.shards.records.LOG_BYTES", 500)
    log = DecisionLog(tmp_path / "log", MAP.digest)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full("log.new", 300))
        for height in range(1, 40):
            log.decide(pb.LogRecord(height=height, attempt=height))
    log.decide(pb.LogRecord(height=40, attempt=40))
    log.close()
    log = DecisionLog(tmp_path / "log", MAP.digest)
    assert (log.height, log.epoch) == (40, 2)
    log.close()


@pytest.mark.parametrize("written", [0, 30])
def test_a_full_disk_under_the_log(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, written: int) -> None:
    """What was to be decided is not: the log that is opened again says so."""
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full("log", written))
        with pytest.raises(CoordinatorLogDamaged, match="No space left on device; open it again"):
            cluster.revive().execute(transfer(0))
    with pytest.raises(CoordinatorLogDamaged, match="a write to it failed"):
        cluster.revive().execute(transfer(0))
    cluster.stop_coordinator()
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full("log", written))
        with pytest.raises(CoordinatorLogDamaged, match="No space left"):
            cluster.revive()
    assert balances(cluster) == (100, 100)  # which also opens the log: whoever failed has let go of it
    cluster.revive().execute(transfer(0))
    assert balances(cluster) == (95, 105)


def test_a_decision_that_may_not_have_reached_the_disk(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in the log that is opened again; had the coordinator gone on, it would have ended the votes."""
    fdatasync = os.fdatasync

    def fails(handle: int) -> None:
        if name_of(handle) == "log":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fdatasync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fails)
        with pytest.raises(CoordinatorLogDamaged, match="Input/output error; open it again"):
            cluster.revive().execute(transfer(0))
    with pytest.raises(CoordinatorLogDamaged, match="open it again"):
        cluster.revive().execute(transfer(0))
    cluster.stop_coordinator()
    assert cluster.revive().height == 2
    assert balances(cluster) == (95, 105)


@pytest.mark.parametrize("written", [0, 30])
def test_a_full_disk_under_a_vote(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, written: int) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full("vote-", written))
        with pytest.raises(VoteDamaged, match="No space left on device; the shard has not voted"):
            cluster.revive().execute(transfer(0))
    cluster.kill(0)
    assert balances(cluster) == (100, 100)
    cluster.revive().execute(transfer(0))
    assert balances(cluster) == (95, 105)


def test_a_log_that_is_written_anew_while_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, lock = tmp_path / "log", fcntl.flock
    DecisionLog(path, MAP.digest).close()

    def late(handle: int, how: int) -> None:
        (tmp_path / "log.new").write_bytes(path.read_bytes())
        (tmp_path / "log.new").replace(path)
        lock(handle, how)

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", late)
        with pytest.raises(CoordinatorLogDamaged, match="a coordinator has it open; end that one first"):
            DecisionLog(path, MAP.digest)
    DecisionLog(path, MAP.digest).close()
