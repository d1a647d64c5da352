# SPDX-License-Identifier: GPL-3.0-or-later
"""The model of a pool against a simulation, event by event, and what holds for every pool."""

from __future__ import annotations

import heapq
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervm.kernels.errors import ArgumentError
from supervm.tiers.cluster.model import DEPTH, Pool
from supervm.tiers.cluster.run import DEPTH as DEPTH_OF_A_RUN

SIGNATURES = Pool(rate=50_000, share_items=10_000, item_bytes=168, answer_bytes=1, share_seconds=0.002)


def simulated(pool: Pool, nodes: int, shares: int) -> float:
    """Items a second: the head prepares a share, sends it over its link, it arrives over the node's, is computed, and its
    answer goes back; each node has `DEPTH` shares at a time, given to who has room first."""
    share = pool.share_items
    prepare = pool.share_seconds + share * pool.item_seconds
    send, arrive = (share * pool.item_bytes / link for link in (pool.head_link, pool.node_link))
    compute, leave = share / pool.rate, share * pool.answer_bytes / pool.node_link
    head = link = 0.0
    links, cores, back = ([0.0] * nodes for _ in range(3))
    room = [(0.0, node) for node in range(nodes) for _ in range(DEPTH)]
    last = 0.0
    for _ in range(shares):
        free, node = heapq.heappop(room)
        head = max(head, free) + prepare
        link = max(link, head) + send
        links[node] = max(links[node], link + pool.delay) + arrive
        cores[node] = max(cores[node], links[node]) + compute
        back[node] = max(back[node], cores[node]) + leave
        last = back[node] + pool.delay
        heapq.heappush(room, (last, node))
    return shares * share / last


@pytest.mark.parametrize("nodes", [1, 3, 40])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"node_link": 5e6},
        {"head_link": 12.5e6},
        {"share_seconds": 0.05},
        {"item_seconds": 2e-6},
        {"delay": 0.3},
        {"delay": 0.05, "node_link": 2e7, "head_link": 1e8, "item_seconds": 1e-7},
    ],
)
def test_the_model_is_what_a_simulation_gives(nodes: int, changes: dict[str, float]) -> None:
    pool = replace(SIGNATURES, recheck=0.0, **changes)  # type: ignore[arg-type]
    assert pool.throughput(nodes) == pytest.approx(simulated(pool, nodes, 200 * nodes), rel=0.12)


def test_a_share_more_than_computes_is_at_a_node() -> None:
    assert DEPTH == DEPTH_OF_A_RUN


def test_what_is_narrowest_is_named() -> None:
    assert SIGNATURES.narrowest(1) == "the nodes"
    assert replace(SIGNATURES, node_link=1e6).narrowest(1) == "the nodes' links"
    assert replace(SIGNATURES, head_link=1e7).narrowest(4) == "the head's link"
    assert SIGNATURES.narrowest(1_000) == "the head's own work"
    assert replace(SIGNATURES, share_seconds=0.0).saturation == math.inf
    ten = replace(SIGNATURES, heads=10)
    assert ten.throughput(10_000) == pytest.approx(10 * SIGNATURES.throughput(10_000))


def test_costs_by_hand() -> None:
    pool = replace(SIGNATURES, recheck=0.0, share_seconds=0.0)
    assert pool.throughput(2) == 100_000
    assert pool.cost(2, 3.6) == pytest.approx(20.0)  # 10^4 s of two nodes at a tenth of a cent a second
    assert pool.cost(2, 3.6, head_hour=3.6) == pytest.approx(30.0)
    assert pool.seconds(1_000_000, 2) == pytest.approx(10.0)


@given(
    st.floats(1e3, 1e7), st.integers(1, 1 << 20), st.floats(1e5, 1e10), st.floats(1e5, 1e10), st.floats(0, 1)
)
def test_more_nodes_are_never_slower(
    rate: float, items: int, node: float, head: float, seconds: float
) -> None:
    pool = Pool(rate, items, 168, 1, node_link=node, head_link=head, share_seconds=seconds, delay=seconds)
    rates = [pool.throughput(nodes) for nodes in (1, 2, 10, 1_000)]
    assert rates == sorted(rates)
    assert rates[0] <= rate
    full = pool.saturation
    assert pool.throughput(int(full)) >= 0.98 * min(pool.limits.values())
    assert full == 1 or pool.throughput(int(full) - 1) < min(pool.limits.values())


def test_numbers_that_cannot_be() -> None:
    for wrong in (
        {"rate": 0},
        {"share_items": -1},
        {"delay": -0.1},
        {"recheck": math.inf},
        {"rate": math.nan},
    ):
        with pytest.raises(ArgumentError, match=next(iter(wrong))):
            replace(SIGNATURES, **wrong)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="nodes"):
        SIGNATURES.throughput(0)
