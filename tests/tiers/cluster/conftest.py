# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster of two nodes of one core each, started once, whose head keeps what it knows on disk; further nodes on demand."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cluster_faults
import pytest
from patience import PATIENCE

from supervm.tiers.cluster.connecting import disconnect
from supervm.tiers.cluster.pool import Pool

STORE = 80 << 20
"""Bytes of the object store of each node: little more than the least that Ray takes."""


class TestCluster:
    """Ray's own cluster for tests.

    Args:
        storage: the folder of the head.
    """

    __test__ = False

    def __init__(self, storage: Path) -> None:
        self._variables = {
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_gcs_storage": "rocksdb",
            "RAY_gcs_storage_path": str(storage),
            "PYTHONPATH": str(Path(cluster_faults.__file__).parent),  # the tasks of these tests
        }
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 1, "object_store_memory": STORE, "include_dashboard": False}
        with self._environment():
            self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.address = self.cluster.address

    @contextmanager
    def _environment(self) -> Iterator[None]:
        """What a process of Ray finds, and no other."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self._variables.items():
                patch.setenv(name, value)
            yield

    def add(self, cores: int = 1) -> Any:
        """One more node."""
        with self._environment():
            return self.cluster.add_node(num_cpus=cores, object_store_memory=STORE)

    def kill_head(self) -> None:
        """Kill the head's process, not the node beside it."""
        self.cluster.head_node.kill_gcs_server()

    def start_head(self) -> None:
        """Start it again, with what it has on disk."""
        with self._environment():
            self.cluster.head_node.start_gcs_server()

    def all_of(self, pool: Pool, count: int) -> Pool:
        """A pool whose nodes are all there, however often one of them was killed before."""
        until = time.monotonic() + PATIENCE
        while len(pool.usable()) != count:
            assert time.monotonic() < until, pool.nodes()
            time.sleep(0.05)
            pool.look()
        return pool

    def kill(self, node: Any) -> None:
        """Kill a node with all its processes."""
        self.cluster.remove_node(node, allow_graceful=False)


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestCluster]:
    """Two nodes of one core; this process is connected to neither yet."""
    made = TestCluster(tmp_path_factory.mktemp("head"))
    try:
        made.add()
        yield made
    finally:
        disconnect()
        made.cluster.shutdown()


@pytest.fixture
def pool(cluster: TestCluster) -> Pool:
    """Both nodes, with closed circuits and nothing known of their speed."""
    return cluster.all_of(Pool.connect(cluster.address), 2)


@pytest.fixture
def other(pool: Pool) -> str:
    """The identity of the node that this process is not on."""
    import ray

    here = ray.get_runtime_context().get_node_id()
    (found,) = [node.identity for node in pool.usable() if node.identity != here]
    return found
