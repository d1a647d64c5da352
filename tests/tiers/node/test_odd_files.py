# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are none, gaps, a directory that vanishes, and a clock that goes back."""

from __future__ import annotations

import os
import shutil
import threading
from types import SimpleNamespace

import pytest
from engine_runs import blocks_of
from node_chains import SMALL, write_chain
from patience import PATIENCE

from supervm.engine.config import EngineConfig
from supervm.engine.transactions.encoding import encode
from supervm.kernels.errors import ArgumentError
from supervm.tiers.node.blocks import file_name
from supervm.tiers.node.errors import BlockRefused
from supervm.tiers.node.full_node import FullNode
from supervm.tiers.node.packing import Packer
from supervm.tiers.node.sources import DirectorySource, Tip

WORKLOAD = blocks_of("transfers", **SMALL)
LAST = len(WORKLOAD)


@pytest.mark.parametrize("kind", ["pipe", "directory"])
def test_what_is_no_file_is_refused(tmp_path, kind):
    path = tmp_path / file_name(1)
    os.mkfifo(path) if kind == "pipe" else path.mkdir()
    found = []

    def take():
        try:
            DirectorySource(tmp_path, Tip(0, bytes(32), 0)).take()
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    [error] = found
    assert isinstance(error, BlockRefused)
    assert str(path) in str(error)


@pytest.mark.parametrize("kind", ["pipe", "directory"])
def test_a_genesis_that_is_no_file_is_refused(tmp_path, kind):
    path = tmp_path / "genesis.work"
    os.mkfifo(path) if kind == "pipe" else path.mkdir()
    with pytest.raises(ArgumentError, match="which is no file"):
        FullNode(tmp_path / "node", path, EngineConfig())
    assert not (tmp_path / "node").exists()


def test_a_directory_that_vanishes_is_told_once(tmp_path, caplog):
    folder = tmp_path / "chain"
    write_chain(folder, WORKLOAD)
    source = DirectorySource(folder, Tip(LAST, bytes(32), 0))
    assert source.take() is None
    assert not caplog.records
    shutil.rmtree(folder)
    for _ in range(3):
        assert source.take() is None
    [record] = caplog.records
    assert str(folder) in record.getMessage()


def test_a_long_gap_is_told_too(tmp_path, caplog):
    write_chain(tmp_path, WORKLOAD)
    for number in (2, 3, 4):
        (tmp_path / file_name(number)).unlink()
    source = DirectorySource(tmp_path, Tip(1, bytes(32), 0))
    assert source.take() is None
    assert source.take() is None
    [record] = caplog.records
    assert "block 2 is missing" in record.getMessage()


def test_a_clock_that_goes_back_keeps_nobody_waiting():
    packed = []
    tip = SimpleNamespace(number=0, hash=bytes(32), timestamp=0)
    source = SimpleNamespace(
        tip=tip, holds=lambda number: False, put=lambda block, data: packed.append(block.number)
    )
    node = SimpleNamespace(number=0, source=source, wake=lambda: None, engine=SimpleNamespace(accounts=None))
    encoding = encode(WORKLOAD.transactions.slice(0, 1))[0]
    inbox = SimpleNamespace(
        hopeful=True,
        may_fill=False,
        holds=lambda number: False,
        release=lambda last, holds: None,
        pack=lambda number, accounts, most, full: [encoding],
    )
    now = 1_000_000.0
    packer = Packer(node, inbox, 5.0, clock=lambda: now)
    packer.idle()
    now = 1_000.0
    packer.idle()
    now = 1_006.0
    packer.idle()
    assert packed == [1]
