# SPDX-License-Identifier: GPL-3.0-or-later
"""Which cores and GPUs each of several processes gets; on machines that are made up."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from supervm.tiers import Gpu, Hardware
from supervm.tiers.errors import SettingError
from supervm.tiers.service.placement import Place, numa_nodes, places
from supervm.tiers.settings import load

CARD = Gpu("H100", 80 << 30, "9.0")
TWO_NODES = [[0, 1, 2, 3], [4, 5, 6, 7]]


def placed(processes: object, nodes: list[list[int]], gpus: int = 0, **variables: str) -> list[Place]:
    cores = sum(map(len, nodes))
    hardware = Hardware(
        cores=cores, memory=1 << 30, gpus=(CARD,) * gpus, gpu_reason="" if gpus else "no driver"
    )
    settings = load(hardware, flags={"service.processes": str(processes)}, environment={})
    return places(settings, hardware, nodes, variables)


def test_cores_are_dealt_out_node_by_node() -> None:
    assert [one.cores for one in placed("numa", TWO_NODES)] == [(0, 1, 2, 3), (4, 5, 6, 7)]
    assert [one.cores for one in placed(4, TWO_NODES)] == [(0, 1), (2, 3), (4, 5), (6, 7)]
    three = [one.cores for one in placed(3, TWO_NODES)]
    assert sorted(core for cores in three for core in cores) == list(range(8))
    assert {len(cores) for cores in three} == {2, 3}


def test_threads_are_as_many_as_there_are_cores() -> None:
    assert [one.threads for one in placed(4, TWO_NODES)] == [2] * 4
    assert [one.threads for one in placed(2, [[0]])] == [1, 1]
    assert [one.cores for one in placed(2, [[0]])] == [(), ()]  # too few to have one each


@pytest.mark.parametrize(
    ("processes", "cards", "expected"),
    [
        ("gpu", 4, ["0", "1", "2", "3"]),
        (2, 4, ["0,1", "2,3"]),
        (4, 2, ["0", "0", "1", "1"]),
        ("numa", 2, ["0", "1"]),
    ],
)
def test_each_gpu_belongs_to_one_process_or_is_shared(
    processes: object, cards: int, expected: list[str]
) -> None:
    found = placed(processes, TWO_NODES, cards)
    assert [one.variables["CUDA_VISIBLE_DEVICES"] for one in found] == expected
    assert {one.variables["CUDA_DEVICE_ORDER"] for one in found} == {"PCI_BUS_ID"}


def test_gpus_that_are_hidden_are_left_alone() -> None:
    found = placed("gpu", TWO_NODES, 2, CUDA_VISIBLE_DEVICES="GPU-1a, 3")
    assert [one.variables["CUDA_VISIBLE_DEVICES"] for one in found] == ["GPU-1a", "3"]
    assert [one.variables for one in placed(2, TWO_NODES)] == [{}, {}]


def test_no_gpu_to_have_a_process_for() -> None:
    with pytest.raises(SettingError, match=r"service.processes.*'gpu', and there is none: no driver"):
        placed("gpu", TWO_NODES)


@pytest.mark.parametrize("wrong", ["0", "-1", "1025", "1.5", "many", "", " "])
def test_no_number_of_processes(wrong: str) -> None:
    with pytest.raises(SettingError, match=r"--processes: setting 'service.processes': .*from 1 to 1024"):
        placed(wrong, TWO_NODES)


def test_nodes_are_read_from_the_system(tmp_path: Path) -> None:
    usable = sorted(os.sched_getaffinity(0))
    assert numa_nodes(tmp_path) == [usable]
    for number, text in ((0, ""), (1, f"{usable[0]}"), (10, f"{usable[0] + 1}-{usable[-1] + 5},1000")):
        folder = tmp_path / f"sys/devices/system/node/node{number}"
        folder.mkdir(parents=True)
        (folder / "cpulist").write_text(text + "\n")
    assert numa_nodes(tmp_path) == [node for node in (usable[:1], usable[1:]) if node]
    assert sorted(core for node in numa_nodes() for core in node) == usable
