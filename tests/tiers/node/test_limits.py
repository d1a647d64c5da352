# SPDX-License-Identifier: GPL-3.0-or-later
"""L3 and L4 in processes that have no more than the smallest machines of their tiers: cores by affinity, memory by limit.

The limit is on address space, which is more than is ever resident, so these bounds are harder than the tiers'. Cores are
those of the tier or those that the machine of the test has, whichever is less.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from engine_runs import blocks_of
from node_chains import block_files

from supervm.engine.transactions.encoding import encode

WORKLOAD = blocks_of("transfers", transactions=600, accounts=100, block_size=600, signed=True, seed=9)

HEAD = """
import json, os, resource, sys
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:{cores}])
resource.setrlimit(resource.RLIMIT_AS, ({memory}, {memory}))
from supervm.tiers import detect
from supervm.tiers.settings import load
from supervm.tiers.hardware import Hardware
hardware = Hardware(cores={cores}, memory={memory})
settings = load(hardware, environment={{}})
assert settings.tier.name == "{tier}", settings.tier
assert detect().cores <= {cores}
"""

# The peak of this program's own memory: `ru_maxrss` remembers that of the process which started it (getrusage(2)).
TAIL = """
(line,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
peak = int(line.split()[1]) * 1024
assert 0 < peak < {memory}, peak
try:
    held = bytearray({memory})
except MemoryError:
    answer["bounded"] = True
print(json.dumps(answer))
"""

EDGE = """
import numpy as np
from supervm.tiers.node.account_cache import AccountCache
from supervm.tiers.node.edge_service import EdgeService
from supervm.tiers.node.server import NodeServer
from supervm.tiers.node.tasks import TaskRouter
from supervm.tiers.node.upstream import Upstream
from supervm.tiers.node.submission import request_of
from supervm.tiers.service.v1 import node_pb2 as pb
encodings = [bytes.fromhex(line) for line in open(sys.argv[2])]
cache = AccountCache(settings.node_cache_bytes, 60.0)
with Upstream(sys.argv[1]) as upstream:
    edge = EdgeService(upstream, TaskRouter(settings.tier, settings.work_allowed), cache)
    server = NodeServer(edge, "127.0.0.1:0")
    server.start()
    with Upstream(server.address) as asked:
        reply = asked.submit_transactions(request_of(encodings))
        addresses = np.random.default_rng(1).integers(0, 256, (50_000, 20), np.uint8)
        for _ in range(3):
            asked.get_accounts(addresses.tobytes())
    server.stop(0)
answer = {"states": list(reply.states), "cached": len(cache), "capacity": cache.capacity}
"""

MOBILE = """
from pathlib import Path
from supervm.tiers.node.light_client import check_accounts, replay_queue
from supervm.tiers.node.upstream import Upstream
from supervm.tiers.node.wallet import Wallet
with Wallet(Path(sys.argv[2])) as wallet, Upstream(sys.argv[1]) as upstream:
    own = wallet.create()
    for value in range(20):
        wallet.sign(own, bytes(20), value=value, gas_price=0)
    found = replay_queue(wallet, upstream)
    proved = check_accounts(wallet, upstream)
answer = {"states": [each.state for each in found], "balance": proved[0].balance}
"""


def run_limited(body: str, tier: str, cores: int, memory: int, *arguments: str) -> dict[str, object]:
    """What a process under these limits answers."""
    usable = min(cores, len(os.sched_getaffinity(0)))
    named = {"tier": tier, "memory": memory}
    program = HEAD.format(cores=cores, **named) + body + TAIL.format(**named)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    # A pool of idle threads for each core of the machine would take address space that nobody uses.
    environment["OPENBLAS_NUM_THREADS"] = str(usable)
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    assert answer["bounded"]
    return answer


@pytest.fixture
def full(tmp_path: Path, serve):
    block_files(tmp_path / "chain", WORKLOAD)
    return serve(
        tmp_path / "node",
        tmp_path / "chain",
        directory=False,
        pack=1_000,
        config={"signatures": True},
        limits={"price": 0},
    )


def test_an_edge_node_of_four_cores_and_eight_gigabytes(tmp_path, full):
    encoded = encode(WORKLOAD.transactions)
    path = tmp_path / "encodings"
    path.write_text("".join(f"{encoded[row].hex()}\n" for row in range(len(encoded))))
    answer = run_limited(EDGE, "L3", 4, 8 * 10**9, full.upstream.address, str(path))
    assert set(answer["states"]) <= {1, 2}
    assert len(answer["states"]) == 600
    assert 50_000 <= answer["cached"] <= answer["capacity"]


def test_a_mobile_node_of_one_core_and_two_gigabytes(tmp_path, full):
    answer = run_limited(MOBILE, "L4", 1, 2 * 10**9, full.upstream.address, str(tmp_path / "wallet"))
    # It has no money: what moves none is taken, the rest is refused.
    assert answer["states"][0] in ("sent", "in block")
    assert set(answer["states"][1:]) == {"refused"}
    assert answer["balance"] == 0
