# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has shares of tasks done, as the settings name it: a cluster, nodes upstream, or nobody but this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from supervm.tiers.cluster.splitting.parts import OnPool, Runner
from supervm.tiers.settings import Settings

OFF = "off"


@contextmanager
def runner(settings: Settings) -> Iterator[Runner | None]:
    """The cluster of `cluster.address`, else the nodes of `node.upstream`, else None; left at the end.

    Raises:
        NoCluster, NodeRefused, NoNodeLeft: as `Pool.connect`.
        SettingError: files of certificates or of a token that cannot be used.
    """
    if settings.cluster_address != OFF:
        from supervm.tiers.cluster.pool import Pool  # it loads Ray
        from supervm.tiers.node.callers import require_caller

        with Pool.connect(settings.cluster_address) as pool:
            yield OnPool(pool, wanted=require_caller)
    elif settings.node_upstream != OFF:
        from supervm.tiers.node.connecting import runner_of, upstream_of  # which load gRPC

        with upstream_of(settings) as upstream:
            yield runner_of(upstream)
    else:
        yield None
